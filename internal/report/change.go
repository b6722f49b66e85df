package report

import (
	"errors"
	"fmt"

	"slerpmerge/internal/disk"
	"slerpmerge/internal/engine"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/text"
)

// Changed compares opened parents with the record and says what is no longer
// as it was, a sentence for each parent at most. Values that were changed
// within safetensors files, or in place, don't show here.
func (rec *Record) Changed(models []*model.Model) ([]string, error) {
	file, err := disk.OpenRegular(rec.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	enough := errors.New("enough")
	was, err := readRecord(file, func(int, *provTensor) error { return enough }) // the tensors come last
	if err != nil && !errors.Is(err, enough) {
		return nil, rec.refuse(err)
	}
	if len(was.Parents) != len(models) {
		return nil, rec.refuse(fmt.Errorf("before the tensors it has %d parents, and %d are expected", len(was.Parents), len(models)))
	}
	var changes []string
	for i, m := range models {
		now, err := provParentOf(m)
		if err != nil {
			return nil, err
		}
		if what := was.Parents[i].changed(&now); what != "" {
			changes = append(changes, fmt.Sprintf("%s is no longer what it was: %s", m.Path, what))
		}
	}
	return changes, nil
}

// changed says in which way now is not what was, "" if it is.
func (was *provParent) changed(now *provParent) string {
	if was.Format != now.Format {
		return fmt.Sprintf("it was %s and is %s", was.Format, now.Format)
	}
	if len(was.Files) != len(now.Files) {
		return fmt.Sprintf("it had %d weight files and has %d", len(was.Files), len(now.Files))
	}
	for i, f := range was.Files {
		switch g := now.Files[i]; {
		case f.Bytes != g.Bytes:
			return fmt.Sprintf("%s had %d bytes and has %d", text.Quote(f.Name), f.Bytes, g.Bytes)
		case f.Header != "" && f.Header != g.Header:
			return fmt.Sprintf("the header of %s is another", text.Quote(f.Name))
		}
	}
	// Earlier records do not have it.
	if was.Config != "" && was.Config != now.Config {
		return "its config.json is another"
	}
	return ""
}

// Expected returns what the lines of the record say of the tensors of p, as far as
// a verification can make use of it: Outcome and Cos. It is nil if they are not about
// these tensors, which [Record.Drifts] finds.
func (rec *Record) Expected(p *plan.Plan) []engine.TensorResult {
	file, err := disk.OpenRegular(rec.path)
	if err != nil {
		return nil
	}
	defer file.Close()
	list := make([]engine.TensorResult, len(p.Tensors))
	n := 0
	_, err = readRecord(file, func(i int, t *provTensor) error {
		if n++; i >= len(list) || t.Name != p.Tensors[i].Name {
			return &OtherTensorsError{}
		}
		if t.Cos != nil {
			list[i].Outcome, list[i].Cos = method.Outcome(t.Branch), *t.Cos
		}
		return nil
	})
	if err != nil || n != len(list) {
		return nil
	}
	return list
}

// A Drift is a tensor whose parents were measured otherwise when the record
// was written: at least one of them has other values now.
type Drift struct {
	Tensor   string
	Quantity string // "norm_primary", "norm_secondary" or "cos"
	Was, Is  float64
}

// Drifts looks through the lines of the record for drifts among the tensors of
// p, of which results are, and gives at most limit of them; drifted says of
// each tensor whether it is one. Only tensors that were measured both times can
// be judged. If the record has other tensors than p, the error is an
// *OtherTensorsError.
func (rec *Record) Drifts(p *plan.Plan, results []engine.TensorResult, limit int) (list []Drift, drifted []bool, err error) {
	file, err := disk.OpenRegular(rec.path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	drifted = make([]bool, len(p.Tensors))
	n := 0
	_, err = readRecord(file, func(i int, t *provTensor) error {
		if n++; i >= len(p.Tensors) || t.Name != p.Tensors[i].Name {
			return &OtherTensorsError{fmt.Sprintf("its tensor %d, %s, is not what these parents give", i+1, text.Quote(t.Name))}
		}
		r := &results[i]
		if !r.Measured {
			return nil
		}
		for _, q := range []struct {
			name string
			was  *float64
			is   float64
		}{{"norm_primary", t.NormA, r.NormA}, {"norm_secondary", t.NormB, r.NormB}, {"cos", t.Cos, r.Cos}} {
			if q.was != nil && *q.was != q.is {
				drifted[i] = true
				if len(list) < limit {
					list = append(list, Drift{t.Name, q.name, *q.was, q.is})
				}
				break
			}
		}
		return nil
	})
	if err == nil && n != len(p.Tensors) {
		err = &OtherTensorsError{fmt.Sprintf("it has %d tensors, and these parents give %d", n, len(p.Tensors))}
	}
	if err != nil {
		var other *OtherTensorsError
		if errors.As(err, &other) {
			return nil, nil, other
		}
		return nil, nil, rec.refuse(err)
	}
	return list, drifted, nil
}

// An OtherTensorsError says that a record is not about the tensors that its
// parents give.
type OtherTensorsError struct{ msg string }

func (e *OtherTensorsError) Error() string { return e.msg }
