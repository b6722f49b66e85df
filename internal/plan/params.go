package plan

import "slices"

// params are the parameters of a recipe for one tensor of the output. It is a
// method.Params.
type params struct {
	p       *planner
	slice   int
	name    string // that filters go by
	at      float64
	sources []source // that have the tensor
}

// A source is a source of a slice, by index, and the name that a tensor has in it.
type source struct {
	index int
	name  string
}

// Operands returns the number of sources that have the tensor.
func (v params) Operands() int { return len(v.sources) }

// Base returns the operand that is the base model's, -1 if there is none.
func (v params) Base() int {
	return slices.IndexFunc(v.sources, func(s source) bool { return s.index == v.p.Recipe.Slices[v.slice].Base })
}

// Value returns a parameter that all sources share.
func (v params) Value(name string) (float64, bool) {
	return v.p.Recipe.Value(name, v.slice, v.name, v.at)
}

// Flag likewise.
func (v params) Flag(name string) (value, ok bool) {
	return v.p.Recipe.Flag(name, v.slice, v.name, v.at)
}

// Of returns the parameter of one source.
func (v params) Of(k int, name string) (float64, bool) {
	own := v.sources[k]
	return v.p.Recipe.SourceValue(name, v.slice, own.index, own.name, v.at)
}

// Seed returns the seed of the recipe.
func (v params) Seed() uint64 { return v.p.Recipe.Seed }
