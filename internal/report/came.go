package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/merge"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/text"
)

// A spread is a figure over the tensors of a merge.
type spread struct {
	name        string
	model       string // that it belongs to, "" for all
	tensors     int
	elems, sum  float64 // of the mean, which is weighted by the tensors' elements
	least, most float64
}

func (s *spread) add(elems, v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return
	}
	if s.tensors == 0 {
		s.least, s.most = v, v
	}
	s.least, s.most = min(s.least, v), max(s.most, v)
	s.tensors++
	s.elems += elems
	s.sum += elems * v
}

func (s *spread) mean() float64 { return s.sum / max(s.elems, 1) }

// CameTo says in a few lines what the method of a merge came to over all tensors: the
// mean coefficient of each model, and the mean, least and greatest value of each
// figure. Means are weighted by the elements of the tensors. A slerp of two models has
// none.
func CameTo(r *merge.Result) []string {
	var lines []string
	weights, figures := came(r.Plan, r.Tensors)
	var list []string
	for _, w := range weights {
		list = append(list, fmt.Sprintf("%s %.3g", w.model, w.mean()))
	}
	if list != nil {
		lines = append(lines, fmt.Sprintf("%s: coefficients %s (means over %s)", r.Plan.Recipe.Method, strings.Join(list, ", "), text.Count(weights[0].tensors, "tensor")))
	}
	for _, f := range figures {
		line := f.name
		if f.model != "" {
			line += " of " + f.model
		}
		if f.least == f.most {
			line += fmt.Sprintf(" %.3g", f.least)
		} else {
			line += fmt.Sprintf(" %.3g (%.3g to %.3g)", f.mean(), f.least, f.most)
		}
		lines = append(lines, fmt.Sprintf("%s: %s", r.Plan.Recipe.Method, line))
	}
	return lines
}

// came adds up the coefficients and the figures of all tensors, in the order in which
// models and figures are met first.
func came(p *plan.Plan, results []engine.TensorResult) (weights, figures []*spread) {
	at := func(list *[]*spread, name, model string) *spread {
		for _, s := range *list {
			if s.name == name && s.model == model {
				return s
			}
		}
		s := &spread{name: name, model: model}
		*list = append(*list, s)
		return s
	}
	for i := range results {
		d, t := results[i].Detail, &p.Tensors[i]
		if d == nil || p.Storage != nil && p.Storage[i] != i {
			continue
		}
		elems := float64(t.Elems())
		for k, w := range d.Weights {
			at(&weights, "", t.Operands[k].Model.Name()).add(elems, w)
		}
		for _, f := range d.Figures {
			model := ""
			if f.Of >= 0 {
				model = t.Operands[f.Of].Model.Name()
			}
			at(&figures, f.Name, model).add(elems, f.Value)
		}
	}
	none := func(s *spread) bool { return s.tensors == 0 }
	return slices.DeleteFunc(weights, none), slices.DeleteFunc(figures, none)
}
