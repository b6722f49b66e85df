package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"slerpmerge/internal/text"
)

// Outliers are the models that stand apart from the majority of the others
// (docs/compare.md, "Outliers").
type Outliers struct {
	Core   []int   // the models that are near each other, sorted
	Within float64 // the largest angle between them, in degrees
	Out    []Outlier
}

// An Outlier is one model that stands apart, with its smallest and its largest angle to
// those of the Core.
type Outlier struct {
	Model       int
	Least, Most float64
}

const (
	apartBy    = 2    // an outlier is farther from each of the Core than so many times the largest angle in it
	angleNoise = 1e-5 // degrees; smaller angles are taken for so much: it is what the rounding of the sums leaves
)

// Outliers finds the models that stand apart; there is no Out if none does.
func (g *Spread) Outliers() Outliers {
	var best Outliers
	for i := range g.Models {
		near := g.nearest(i) // a Core with this model is the first of them
		within := 0.0
		for size := 1; size < len(near) && (best.Core == nil || size < len(best.Core)); size++ {
			for _, j := range near[:size-1] {
				within = math.Max(within, g.At(j, near[size-1])) // NaN stays
			}
			if size <= g.Models/2 || !(g.At(i, near[size]) > limit(within)) {
				continue
			}
			if o := g.outliers(near[:size], within); len(o.Out) > 0 {
				best = o
				break
			}
		}
	}
	return best
}

// limit returns the angle beyond which a model is far from a Core.
func limit(within float64) float64 { return apartBy * max(within, angleNoise) }

// nearest lists the models by their angle to one, which is the first. Those without
// one are left out.
func (g *Spread) nearest(i int) []int {
	list := []int{i}
	for j := range g.Models {
		if j != i && !math.IsNaN(g.At(i, j)) {
			list = append(list, j)
		}
	}
	slices.SortStableFunc(list, func(x, y int) int { return cmp.Compare(g.At(i, x), g.At(i, y)) })
	return list
}

// outliers tries a Core: there is no Out unless all others are far enough from it.
func (g *Spread) outliers(core []int, within float64) Outliers {
	o := Outliers{Core: slices.Sorted(slices.Values(core)), Within: within}
	for m := range g.Models {
		if slices.Contains(core, m) {
			continue
		}
		out := Outlier{m, math.NaN(), math.NaN()}
		for _, i := range core {
			out.Least, out.Most = least(out.Least, g.At(i, m)), most(out.Most, g.At(i, m))
		}
		switch {
		case math.IsNaN(out.Least): // it has nothing to be compared
			continue
		case !(out.Least > limit(within)):
			return Outliers{}
		}
		o.Out = append(o.Out, out)
	}
	return o
}

// maxCore is the largest number of models of a Core that are named.
const maxCore = 4

// Sentences says which models are compared in a part only, which are equal, and which stand apart or that none does. name
// gives the name of one.
func (s *Angles) Sentences(name func(i int) string) []string {
	list := append(s.partial(name), s.equals(name)...)
	low, _, _ := s.All.Least()
	high, _, _ := s.All.Most()
	if len(s.Models) < 3 || math.IsNaN(low) || high == 0 {
		return list
	}
	o := s.All.Outliers()
	if len(o.Out) == 0 {
		return append(list, "No model stands apart: the angles are "+fromTo(low, high)+".")
	}
	core := fmt.Sprintf("the other %d models", len(o.Core))
	if len(o.Out)+len(o.Core) < len(s.Models) || len(o.Out) > 1 {
		core = fmt.Sprintf("the majority of %d models", len(o.Core))
		if len(o.Core) <= maxCore {
			core = named(o.Core, name)
		}
	}
	within := "within " + angle(o.Within) + " of each other"
	if o.Within == 0 {
		within = "at no angle to each other"
	}
	for _, x := range o.Out {
		list = append(list, fmt.Sprintf("%s is %s from %s, which are %s.", name(x.Model), fromTo(x.Least, x.Most), core, within))
	}
	return list
}

// partial says which models are compared in some of the tensors only.
func (s *Angles) partial(name func(i int) string) []string {
	var list []string
	for i, n := range s.All.Has {
		switch {
		case n == 0:
			list = append(list, name(i)+" has no tensor that can be compared with another.")
		case n < s.All.Tensors:
			list = append(list, fmt.Sprintf("%s is compared in %d of %s.", name(i), n, text.Count(s.All.Tensors, "tensor")))
		}
	}
	return list
}

func named(models []int, name func(i int) string) string {
	var names []string
	for _, i := range models {
		names = append(names, name(i))
	}
	return text.List(names, "and")
}

// equals says which models are equal to each other or to the base in all tensors that
// are compared.
func (s *Angles) equals(name func(i int) string) []string {
	var list []string
	if s.Base != nil {
		var none []int
		for i, x := range s.All.Shares {
			if x == 0 {
				none = append(none, i)
			}
		}
		if none != nil {
			list = append(list, fmt.Sprintf("%s %s the values of the base.", named(none, name), text.Verb(len(none), "has", "have")))
		}
	}
	told := map[int]bool{}
	for i := range s.Models {
		same := []int{i}
		for j := i + 1; j < len(s.Models); j++ {
			if k := pairOf(s.All.Models, i, j); s.All.Same[k] == s.All.Tensors {
				same = append(same, j)
			}
		}
		if len(same) > 1 && !told[i] {
			list = append(list, fmt.Sprintf("%s are equal, byte for byte.", named(same, name)))
		}
		for _, j := range same {
			told[j] = true
		}
	}
	return list
}

// fromTo returns one angle, or two that do not look alike.
func fromTo(low, high float64) string {
	if angle(low) == angle(high) {
		return angle(low)
	}
	return angle(low) + " to " + angle(high)
}
