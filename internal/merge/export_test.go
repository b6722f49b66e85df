package merge

import (
	"slerpmerge/internal/plan"
	"slerpmerge/internal/tensor"
)

// CountReads has every read of a tensor's values reported, until restore.
func CountReads(report func(name string, bytes int)) (restore func()) {
	open := source
	source = func(o plan.Operand) tensor.Source { return counted{open(o), o.Tensor().Name, report} }
	return func() { source = open }
}

type counted struct {
	tensor.Source
	name   string
	report func(string, int)
}

func (c counted) ReadAt(p []byte, off int64) error {
	c.report(c.name, len(p))
	return c.Source.ReadAt(p, off)
}
