package report

import (
	"io"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/plan"
)

// In the JSON of a comparison of several models they have the numbers 1, 2 and so on.
// Lists of angles are parallel to "pairs", lists of lengths to "models"; null stands
// where there is none.

// apartJSON is a model that stands apart.
type apartJSON struct {
	Model int      `json:"model"`
	Least *float64 `json:"angle_degrees_min"` // to those of core
	Most  *float64 `json:"angle_degrees_max"`
}

type spreadJSON struct {
	Kind    model.Kind  `json:"kind,omitempty"`
	Tensors int         `json:"tensors"`
	Equal   int         `json:"equal"`          // in all models, byte for byte
	Both    []int       `json:"compared_pairs"` // tensors that are compared in both of a pair
	Same    []int       `json:"equal_pairs"`    // tensors that are equal in both of a pair
	Angles  []*float64  `json:"angle_degrees"`
	Least   *float64    `json:"angle_degrees_min"`
	Median  *float64    `json:"angle_degrees_median"`
	Most    *float64    `json:"angle_degrees_max"`
	Shares  []*float64  `json:"share_of_base,omitempty"` // lengths of the differences
	Apart   []apartJSON `json:"apart"`
	Core    []int       `json:"core,omitempty"` // the models that those stand apart from
	Within  *float64    `json:"core_degrees_max,omitempty"`
}

func spreadOf(g *Spread) spreadJSON {
	low, _, _ := g.Least()
	high, _, _ := g.Most()
	v := spreadJSON{Kind: g.Kind, Tensors: g.Tensors, Equal: g.Equal, Both: g.Both, Same: g.Same, Angles: numbersOf(g.Degrees), Least: number(low), Median: number(g.Median()), Most: number(high),
		Shares: numbersOf(g.Shares), Apart: []apartJSON{}}
	o := g.Outliers()
	for _, x := range o.Out {
		v.Apart = append(v.Apart, apartJSON{x.Model + 1, number(x.Least), number(x.Most)})
	}
	if len(o.Out) > 0 {
		v.Within = number(o.Within)
		for _, i := range o.Core {
			v.Core = append(v.Core, i+1)
		}
	}
	return v
}

func numbersOf(list []float64) []*float64 {
	var out []*float64
	for _, x := range list {
		out = append(out, number(x))
	}
	return out
}

// anglesJSON are the figures of one tensor.
type anglesJSON struct {
	Name   string     `json:"name"`
	Kind   model.Kind `json:"kind"`
	Stack  string     `json:"stack,omitempty"`
	Layer  *int       `json:"layer,omitempty"`
	DTypes []*string  `json:"dtypes"` // of the models; null where one is not compared
	Base   string     `json:"dtype_base,omitempty"`
	Shape  []uint64   `json:"shape"`
	Equal  bool       `json:"equal"`           // all of them, byte for byte
	Alike  [][]int    `json:"alike,omitempty"` // models that are, where not all are; 0 is the base
	Cos    []*float64 `json:"cos,omitempty"`
	Angles []*float64 `json:"angle_degrees,omitempty"`
	Norms  []*float64 `json:"norms,omitempty"`     // of the differences, if there is a base
	Whole  *float64   `json:"norm_base,omitempty"` // of the base
	NonFin bool       `json:"nonfinite,omitempty"`
	Note   string     `json:"note,omitempty"`
}

// figures returns the figures of a tensor.
func (s *Angles) figures(i int) anglesJSON {
	t, r := &s.Plan.Tensors[i], &s.Tensors[i]
	v := anglesJSON{Name: t.Name, Kind: model.KindOf(t.Name), DTypes: make([]*string, len(s.Models)), Shape: append([]uint64{}, t.Shape...),
		Equal: r.AllAlike(), NonFin: r.NonFinite(), Note: t.Why}
	if stack, n, ok := model.LayerOf(t.Name); ok {
		v.Stack, v.Layer = stack, &n
	}
	for _, o := range t.Operands {
		d := o.Info().DType.String()
		if o.Model == s.Base {
			v.Base = d
		} else {
			v.DTypes[s.number[o.Model]] = &d
		}
	}
	if !compared(t) {
		return v
	}
	numbers := s.numbers(t)
	shift := len(t.Operands) - len(numbers)
	v.Alike = alike(r, numbers, shift)
	if !r.Measured() {
		return v
	}
	n := len(s.Models)
	v.Norms, v.Cos = make([]*float64, n), make([]*float64, len(s.All.Degrees))
	pair := 0
	for a, x := range numbers {
		v.Norms[x] = number(r.Norms[a])
		for b := a + 1; b < len(numbers); b++ {
			if r.Norms[a] != 0 && r.Norms[b] != 0 {
				v.Cos[pairOf(n, x, numbers[b])] = number(r.Cosines[pair])
			}
			pair++
		}
	}
	v.Angles = numbersOf(s.Tensor(i).Degrees)
	if s.Base != nil {
		v.Whole = number(r.Base)
	}
	return v
}

// alike lists the models of a tensor that are equal, in groups; nil where all or none
// are.
func alike(r *engine.TensorAngles, numbers []int, shift int) [][]int {
	if r.First == nil || r.AllAlike() {
		return nil
	}
	name := func(k int) int {
		if k < shift {
			return 0
		}
		return numbers[k-shift] + 1
	}
	var groups [][]int
	at := map[uint16]int{}
	for k, first := range r.First {
		g, known := at[first]
		if !known {
			g = len(groups)
			at[first] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], name(k))
	}
	var several [][]int
	for _, g := range groups {
		if len(g) > 1 {
			several = append(several, g)
		}
	}
	return several
}

type spreadsJSON struct {
	Stack string       `json:"stack"`
	Layer int          `json:"layer"`
	Kinds []spreadJSON `json:"kinds"`
}

// comparedJSON is a model of a comparison.
type comparedJSON struct {
	parentJSON
	Compared int `json:"compared"` // tensors
}

// placedJSON is a tensor as one model has it.
type placedJSON struct {
	Model int `json:"model"` // 0 is the base
	infoJSON
}

type apartTensorJSON struct {
	Name   string       `json:"name"`
	Note   string       `json:"note"`
	Models []placedJSON `json:"models"`
}

func (s *Angles) placed(o operand.Operand) placedJSON {
	k := 0
	if o.Model != s.Base {
		k = s.number[o.Model] + 1
	}
	return placedJSON{k, infoOf(o)}
}

// AnglesJSON writes a comparison of several models as one object, a line for each tensor and
// layer.
func AnglesJSON(w io.Writer, s *Angles) error {
	o := newObject(w)
	p := s.Plan
	parent := func(m *model.Model) parentJSON { return parentJSON{m.Path, m.Format, len(m.Tensors), m.Bytes()} }
	o.list("models", func(add func(any)) {
		for i, m := range s.Models {
			add(comparedJSON{parent(m), s.All.Has[i]})
		}
	})
	if s.Base != nil {
		o.member("base", parent(s.Base))
	}
	pairs := [][2]int{}
	for i := range s.Models {
		for j := i + 1; j < len(s.Models); j++ {
			pairs = append(pairs, [2]int{i + 1, j + 1})
		}
	}
	o.member("pairs", pairs)
	o.member("all", spreadOf(s.All))
	o.list("kinds", func(add func(any)) {
		for _, k := range s.Kinds {
			add(spreadOf(k))
		}
	})
	o.list("layers", func(add func(any)) {
		for i := range s.Stacks {
			st := &s.Stacks[i]
			for l := range st.Fold(0) {
				v := spreadsJSON{Stack: st.Name, Layer: l.First}
				for _, k := range st.Kinds {
					if l.Spreads[k] != nil {
						v.Kinds = append(v.Kinds, spreadOf(l.Spreads[k]))
					}
				}
				add(v)
			}
		}
	})
	o.list("tensors", func(add func(any)) {
		for i := range p.Tensors {
			if compared(&p.Tensors[i]) {
				add(s.figures(i))
			}
		}
	})
	single, unlike := s.Apart()
	for _, part := range []struct {
		key  string
		list []*plan.Tensor
	}{{"only_in_one", single}, {"unlike", unlike}} {
		o.list(part.key, func(add func(any)) {
			for _, t := range part.list {
				v := apartTensorJSON{Name: t.Name, Note: t.Why}
				for _, x := range t.Operands {
					v.Models = append(v.Models, s.placed(x))
				}
				add(v)
			}
		})
	}
	o.member("warnings", append([]string{}, s.Warnings...))
	return o.end()
}
