package report

import (
	"cmp"
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

// A Survey puts what a comparison or a merge found in order for people: by
// kind, by layer, tensor by tensor.
type Survey struct {
	Plan     *plan.Plan
	Tensors  []engine.TensorResult // parallel to Plan.Tensors
	Warnings []string
	Merged   bool    // what a merge did, not what a comparison found
	All      Group   // all pairs
	Kinds    []Group // those that there are, in the order of model.Kinds
	Stacks   []Stack // numbered layers, the largest stack first
}

// A Stack is a series of numbered layers.
type Stack struct {
	Name    string // what stands before the number: model.layers
	Tensors int
	Kinds   []model.Kind // those of its layers
	Layers  []Layer      // by number; there may be gaps
}

// A Layer sums up one layer, or a run of them, by kind.
type Layer struct {
	First, Last int
	Groups      map[model.Kind]*Group
}

// A Group is a number of tensors taken as one.
type Group struct {
	Kind     model.Kind // "" of several
	Tensors  int        // pairs, or tensors of a merge
	Measured int        // those with an angle
	Branches map[method.Outcome]int
	// Least and Most are the angles of its tensors in degrees, TLeast and TMost
	// their t. All are NaN for a group without any.
	Least, Most, TLeast, TMost float64

	aa, bb, ab, apart slerp.Wide // inner products and |a-b|² of all measured tensors
	t                 float64    // the sum over mixed tensors
	mixed             int
}

func newGroup(k model.Kind) *Group {
	nan := math.NaN()
	return &Group{Kind: k, Branches: map[method.Outcome]int{}, Least: nan, Most: nan, TLeast: nan, TMost: nan}
}

// Angle returns the angle between the parents' tensors, each side laid end to end as
// one vector, in degrees; NaN where nothing was measured or a side is zero.
func (g *Group) Angle() float64 {
	n := g.aa.Sqrt().Times(g.bb.Sqrt())
	if g.aa == g.bb { // so that equal parents are at 0
		n = g.aa
	}
	if !(slerp.Wide{}).Less(n) {
		return math.NaN()
	}
	return math.Acos(max(-1, min(1, g.ab.Over(n)))) * 180 / math.Pi
}

// Distance returns |a-b|/|a| of the same vectors; NaN where nothing was
// measured.
func (g *Group) Distance() float64 {
	if g.Measured == 0 {
		return math.NaN()
	}
	if g.apart == (slerp.Wide{}) || g.aa == (slerp.Wide{}) {
		return ratio(g.apart.Float64(), g.aa.Float64())
	}
	return g.apart.Sqrt().Over(g.aa.Sqrt())
}

// T returns the mean of its tensors' t; NaN where none is mixed.
func (g *Group) T() float64 { return g.t / float64(g.mixed) }

// ratio returns x/y, and 0 for two zeros: they are no distance apart.
func ratio(x, y float64) float64 {
	if x == 0 && y == 0 {
		return 0
	}
	if y == 0 {
		return math.NaN()
	}
	return x / y
}

func (g *Group) add(t *plan.Tensor, r *engine.TensorResult) {
	g.Tensors++
	g.Branches[r.Outcome]++
	if t.Mixed {
		g.mixed++
		g.t += t.T
		g.TLeast, g.TMost = least(g.TLeast, t.T), most(g.TMost, t.T)
	}
	if !r.Measured || r.NonFinite || math.IsNaN(r.Cos) {
		return
	}
	g.Measured++
	angle := Degrees(r)
	g.Least, g.Most = least(g.Least, angle), most(g.Most, angle)
	g.aa = g.aa.Plus(slerp.Product(r.NormA, r.NormA))
	g.bb = g.bb.Plus(slerp.Product(r.NormB, r.NormB))
	g.apart = g.apart.Plus(slerp.Product(r.Distance, r.Distance))
	if r.Outcome == method.Equal {
		g.ab = g.ab.Plus(slerp.Product(r.NormA, r.NormB))
	} else {
		g.ab = g.ab.Plus(slerp.Product(r.Cos*r.NormA, r.NormB))
	}
}

// merge adds another group's tensors.
func (g *Group) merge(o *Group) {
	g.Tensors += o.Tensors
	g.Measured += o.Measured
	for b, n := range o.Branches {
		g.Branches[b] += n
	}
	g.Least, g.Most = least(g.Least, o.Least), most(g.Most, o.Most)
	g.TLeast, g.TMost = least(g.TLeast, o.TLeast), most(g.TMost, o.TMost)
	g.aa, g.bb, g.ab, g.apart = g.aa.Plus(o.aa), g.bb.Plus(o.bb), g.ab.Plus(o.ab), g.apart.Plus(o.apart)
	g.t, g.mixed = g.t+o.t, g.mixed+o.mixed
}

// least and most pass over a NaN.
func least(x, y float64) float64 {
	if x != x || y < x {
		return y
	}
	return x
}

func most(x, y float64) float64 {
	if x != x || y > x {
		return y
	}
	return x
}

// Degrees returns the angle of a tensor for people, NaN where there is none: a
// parent of zeros has no direction, for which the formula takes 90°. Equal
// parents are at 0, where the arc cosine of a rounded 1 is not.
func Degrees(r *engine.TensorResult) float64 {
	switch {
	case !r.Measured || r.NormA == 0 || r.NormB == 0:
		return math.NaN()
	case r.Outcome == method.Equal && !math.IsNaN(r.Theta):
		return 0
	}
	return r.Theta * 180 / math.Pi
}

// NewSurvey sorts a result.
func NewSurvey(p *plan.Plan, results []engine.TensorResult, warnings []string, merged bool) *Survey {
	s := &Survey{Plan: p, Tensors: results, Warnings: warnings, Merged: merged, All: *newGroup("")}
	kinds := map[model.Kind]*Group{}
	stacks := map[string]map[int]*Layer{}
	for i := range results {
		t, res := &p.Tensors[i], &results[i]
		if !merged && !compared(t) {
			continue
		}
		s.All.add(t, res)
		k := model.KindOf(t.Name)
		groupOf(kinds, k).add(t, res)
		stack, n, ok := model.LayerOf(t.Name)
		if !ok {
			continue
		}
		if stacks[stack] == nil {
			stacks[stack] = map[int]*Layer{}
		}
		l := stacks[stack][n]
		if l == nil {
			l = &Layer{First: n, Last: n, Groups: map[model.Kind]*Group{}}
			stacks[stack][n] = l
		}
		groupOf(l.Groups, k).add(t, res)
	}
	s.Kinds = inOrder(kinds)
	for name, layers := range stacks {
		s.Stacks = append(s.Stacks, newStack(name, layers))
	}
	slices.SortFunc(s.Stacks, func(a, b Stack) int {
		return cmp.Or(cmp.Compare(b.Tensors, a.Tensors), cmp.Compare(a.Name, b.Name))
	})
	return s
}

func groupOf(m map[model.Kind]*Group, k model.Kind) *Group {
	if m[k] == nil {
		m[k] = newGroup(k)
	}
	return m[k]
}

func inOrder(m map[model.Kind]*Group) []Group {
	var list []Group
	for _, k := range model.Kinds() {
		if m[k] != nil {
			list = append(list, *m[k])
		}
	}
	return list
}

func newStack(name string, layers map[int]*Layer) Stack {
	s := Stack{Name: name}
	kinds := map[model.Kind]*Group{}
	for _, n := range slices.Sorted(maps.Keys(layers)) {
		s.Layers = append(s.Layers, *layers[n])
		for k, g := range layers[n].Groups {
			s.Tensors += g.Tensors
			kinds[k] = g
		}
	}
	for _, g := range inOrder(kinds) {
		s.Kinds = append(s.Kinds, g.Kind)
	}
	return s
}

// Fold puts neighbours together so that at most n runs of layers are left,
// each of the same number of layers but the last.
func (s Stack) Fold(n int) []Layer {
	first, last := s.Layers[0].First, s.Layers[len(s.Layers)-1].Last
	width := (last - first + n) / n
	if width <= 1 {
		return s.Layers
	}
	var runs []Layer
	for _, l := range s.Layers {
		from := first + (l.First-first)/width*width
		if len(runs) == 0 || runs[len(runs)-1].First != from {
			runs = append(runs, Layer{First: from, Last: min(last, from+width-1), Groups: map[model.Kind]*Group{}})
		}
		for k, g := range l.Groups {
			groupOf(runs[len(runs)-1].Groups, k).merge(g)
		}
	}
	return runs
}

// Order lists the tensors that the survey is about, as indexes into
// Result.Tensors, layer 2 before layer 10.
func (s *Survey) Order() []int {
	list := make([]int, 0, len(s.Tensors))
	for i := range s.Tensors {
		if s.Merged || compared(&s.Plan.Tensors[i]) {
			list = append(list, i)
		}
	}
	slices.SortFunc(list, func(a, b int) int { return text.CompareNames(s.Plan.Tensors[a].Name, s.Plan.Tensors[b].Name) })
	return list
}

// compared reports whether both parents have a tensor in forms that can be
// compared.
func compared(t *plan.Tensor) bool { return t.Op.Needs() != method.Nothing }

// Leftovers are the tensors of a comparison that were not compared.
type Leftovers struct{ OnlyPrimary, OnlySecondary, Incomparable []*plan.Tensor }

// Leftovers lists the tensors that were not compared, layer 2 before layer 10.
func (s *Survey) Leftovers() Leftovers {
	var l Leftovers
	if s.Merged {
		return l
	}
	for i := range s.Plan.Tensors {
		switch t := &s.Plan.Tensors[i]; {
		case t.Op == (method.Differ{}):
			l.Incomparable = append(l.Incomparable, t)
		case compared(t):
		case t.Operands[1].None():
			l.OnlyPrimary = append(l.OnlyPrimary, t)
		default:
			l.OnlySecondary = append(l.OnlySecondary, t)
		}
	}
	for _, list := range [][]*plan.Tensor{l.OnlyPrimary, l.OnlySecondary, l.Incomparable} {
		slices.SortFunc(list, func(a, b *plan.Tensor) int { return text.CompareNames(a.Name, b.Name) })
	}
	return l
}

// None reports whether all was compared.
func (l Leftovers) None() bool {
	return len(l.OnlyPrimary)+len(l.OnlySecondary)+len(l.Incomparable) == 0
}
