package report

import (
	"cmp"
	"iter"
	"maps"
	"math"
	"slices"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/text"
	"slerpmerge/slerp"
)

// Angles puts what was found among several models in order for people: the angles
// between them, or with a base between their differences from it, as a whole, by
// kind, by layer and tensor by tensor. Models are numbered from 0 in the order of
// Models.
type Angles struct {
	Plan     *plan.Plan
	Base     *model.Model   // nil if there is none
	Models   []*model.Model // without the base
	Tensors  []engine.TensorAngles
	Warnings []string
	All      *Spread   // of all tensors
	Kinds    []*Spread // those that there are, in the order of model.Kinds
	Stacks   []AngleStack

	number map[*model.Model]int
}

// An AngleStack is a series of numbered layers.
type AngleStack struct {
	Name  string       // what stands before the number: model.layers
	Kinds []model.Kind // those of its layers

	of      *Angles
	tensors int
	layers  []angleLayer // by number; there may be gaps
}

// An angleLayer is the tensors of one layer by kind, as indexes.
type angleLayer struct {
	number int
	kinds  map[model.Kind][]int32
}

// A SpreadLayer sums up one layer, or a run of them, by kind.
type SpreadLayer struct {
	First, Last int
	Spreads     map[model.Kind]*Spread
}

// NewAngles sorts a result. based says that the first of the plan's models is the
// base.
func NewAngles(p *plan.Plan, tensors []engine.TensorAngles, based bool) *Angles {
	s := &Angles{Plan: p, Models: p.Models, Tensors: tensors, Warnings: p.Warnings, number: map[*model.Model]int{}}
	if based {
		s.Base, s.Models = p.Models[0], p.Models[1:]
	}
	for i, m := range s.Models {
		s.number[m] = i
	}
	var all []int32
	kinds := map[model.Kind][]int32{}
	stacks := map[string]map[int]*angleLayer{}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if !compared(t) {
			continue
		}
		k := model.KindOf(t.Name)
		all, kinds[k] = append(all, int32(i)), append(kinds[k], int32(i))
		stack, n, ok := model.LayerOf(t.Name)
		if !ok {
			continue
		}
		if stacks[stack] == nil {
			stacks[stack] = map[int]*angleLayer{}
		}
		l := stacks[stack][n]
		if l == nil {
			l = &angleLayer{n, map[model.Kind][]int32{}}
			stacks[stack][n] = l
		}
		l.kinds[k] = append(l.kinds[k], int32(i))
	}
	s.All = s.spread("", all)
	for _, k := range model.Kinds() {
		if kinds[k] != nil {
			s.Kinds = append(s.Kinds, s.spread(k, kinds[k]))
		}
	}
	for name, layers := range stacks {
		s.Stacks = append(s.Stacks, s.stack(name, layers))
	}
	slices.SortFunc(s.Stacks, func(a, b AngleStack) int {
		return cmp.Or(cmp.Compare(b.tensors, a.tensors), cmp.Compare(a.Name, b.Name))
	})
	return s
}

func (s *Angles) stack(name string, layers map[int]*angleLayer) AngleStack {
	st := AngleStack{Name: name, of: s}
	has := map[model.Kind]bool{}
	for _, n := range slices.Sorted(maps.Keys(layers)) {
		st.layers = append(st.layers, *layers[n])
		for k, list := range layers[n].kinds {
			st.tensors += len(list)
			has[k] = true
		}
	}
	for _, k := range model.Kinds() {
		if has[k] {
			st.Kinds = append(st.Kinds, k)
		}
	}
	return st
}

// Fold goes through the layers, with neighbours put together so that at most n runs
// are left, each of the same number of layers but the last; n of 0 leaves all.
func (st *AngleStack) Fold(n int) iter.Seq[SpreadLayer] {
	first, last := st.layers[0].number, st.layers[len(st.layers)-1].number
	width := 1
	if n > 0 {
		width = max(1, (last-first+n)/n)
	}
	return func(yield func(SpreadLayer) bool) {
		for i := 0; i < len(st.layers); {
			from := first + (st.layers[i].number-first)/width*width
			run := SpreadLayer{First: from, Last: min(last, from+width-1), Spreads: map[model.Kind]*Spread{}}
			kinds := map[model.Kind][]int32{}
			for ; i < len(st.layers) && st.layers[i].number <= run.Last; i++ {
				for k, list := range st.layers[i].kinds {
					kinds[k] = append(kinds[k], list...)
				}
			}
			for k, list := range kinds {
				run.Spreads[k] = st.of.spread(k, list)
			}
			if !yield(run) {
				return
			}
		}
	}
}

// String returns the number of a layer, or of the first and the last of a run.
func (l SpreadLayer) String() string { return Layer{First: l.First, Last: l.Last}.String() }

// numbers returns the numbers of the models that a tensor is compared in.
func (s *Angles) numbers(t *plan.Tensor) []int {
	list := t.Operands
	if s.Base != nil {
		list = list[1:]
	}
	numbers := make([]int, len(list))
	for i, o := range list {
		numbers[i] = s.number[o.Model]
	}
	return numbers
}

// Tensor returns the spread of one tensor, an index into Plan.Tensors.
func (s *Angles) Tensor(i int) *Spread {
	return s.spread(model.KindOf(s.Plan.Tensors[i].Name), []int32{int32(i)})
}

// Order lists the tensors that were compared, as indexes into Plan.Tensors, layer 2
// before layer 10.
func (s *Angles) Order() []int {
	var list []int
	for i := range s.Plan.Tensors {
		if compared(&s.Plan.Tensors[i]) {
			list = append(list, i)
		}
	}
	slices.SortStableFunc(list, func(a, b int) int { return text.CompareNames(s.Plan.Tensors[a].Name, s.Plan.Tensors[b].Name) })
	return list
}

// NonFinite counts the tensors with a NaN or Inf, and names the first.
func (s *Angles) NonFinite() (first string, n int) {
	for i := range s.Tensors {
		if !s.Tensors[i].NonFinite() {
			continue
		}
		if n++; n == 1 {
			first = text.Quote(s.Plan.Tensors[i].Name)
		}
	}
	return first, n
}

// Apart lists the tensors that one model alone has, and those that several have but in
// forms that can't be compared or in too few models; layer 2 before layer 10.
func (s *Angles) Apart() (single, unlike []*plan.Tensor) {
	for i := range s.Plan.Tensors {
		switch t := &s.Plan.Tensors[i]; {
		case compared(t):
		case t.Op == (method.Differ{}):
			unlike = append(unlike, t)
		default:
			single = append(single, t)
		}
	}
	for _, list := range [][]*plan.Tensor{single, unlike} {
		slices.SortFunc(list, func(a, b *plan.Tensor) int { return text.CompareNames(a.Name, b.Name) })
	}
	return single, unlike
}

// degreesOf returns the angle of a cosine in degrees.
func degreesOf(cos float64) float64 {
	one := slerp.NewWide(1)
	return slerp.Angle(slerp.Gram{AA: one, BB: one, AB: slerp.NewWide(cos)}).Theta * 180 / math.Pi
}

// State says in a few words what is out of the ordinary in the values of a tensor, an
// index into Plan.Tensors; "" when nothing is.
func (s *Angles) State(i int) string {
	t, r := &s.Plan.Tensors[i], &s.Tensors[i]
	switch {
	case r.AllAlike():
		return "equal"
	case r.NonFinite():
		return "NaN or Inf"
	case !t.Blends():
		return "differ"
	case r.First != nil:
		return "some equal"
	}
	return ""
}
