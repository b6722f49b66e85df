package report

import (
	"math"
	"slices"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/slerp"
)

// A Spread is the angles between several models in some tensors, those of each model
// laid end to end as one vector; with a base, in their differences from it. A pair
// is taken over the tensors that both have.
type Spread struct {
	Kind    model.Kind // "" of several
	Tensors int
	Equal   int // tensors that are equal, byte for byte, in all models that are compared there
	Models  int
	Has     []int // of each model, the tensors that are compared in it
	// Degrees are the angles of all pairs of models in row order, (0,1), (0,2) and so
	// on; NaN where a pair has none.
	Degrees []float64
	// Both and Same are for each pair the tensors that both models have, and those
	// of them that are equal, byte for byte.
	Both, Same []int
	// Shares are the lengths of the models' differences as shares of the base's, NaN
	// where there is none; nil without a base.
	Shares []float64
}

// spread sums up tensors.
func (s *Angles) spread(kind model.Kind, tensors []int32) *Spread {
	n := len(s.Models)
	pairs := method.Pairs(n)
	g := &Spread{Kind: kind, Tensors: len(tensors), Models: n, Has: make([]int, n), Degrees: make([]float64, pairs), Both: make([]int, pairs), Same: make([]int, pairs)}
	products := make([]slerp.Gram, pairs)
	var own, base []slerp.Wide // squared lengths of the models' differences, and of the base beside them
	if s.Base != nil {
		own, base = make([]slerp.Wide, n), make([]slerp.Wide, n)
	}
	for _, i := range tensors {
		t, r := &s.Plan.Tensors[i], &s.Tensors[i]
		if r.AllAlike() {
			g.Equal++
		}
		numbers := s.numbers(t)
		shift := len(t.Operands) - len(numbers)
		pair := 0
		for a, x := range numbers {
			g.Has[x]++
			if own != nil && r.Measured() && r.Norms[a] == r.Norms[a] {
				own[x], base[x] = own[x].Plus(slerp.Product(r.Norms[a], r.Norms[a])), base[x].Plus(slerp.Product(r.Base, r.Base))
			}
			for b := a + 1; b < len(numbers); b++ {
				k := pairOf(n, x, numbers[b])
				g.Both[k]++
				if r.Alike(a+shift, b+shift) {
					g.Same[k]++
				}
				if r.Measured() {
					products[k] = products[k].Plus(vectors(r, a, b, pair, shift))
				}
				pair++
			}
		}
	}
	for k := range products {
		g.Degrees[k] = angleOf(&products[k])
	}
	for k := range own {
		g.Shares = append(g.Shares, share(own[k], base[k]))
	}
	return g
}

// vectors returns the inner products of a pair of operands of a tensor: those of zeros
// if one is not finite.
func vectors(r *engine.TensorAngles, a, b, pair, shift int) (g slerp.Gram) {
	na, nb, cos := r.Norms[a], r.Norms[b], r.Cosines[pair]
	if na != na || nb != nb || cos != cos {
		return g
	}
	if r.Alike(a+shift, b+shift) {
		cos = 1
	}
	return slerp.Gram{AA: slerp.Product(na, na), BB: slerp.Product(nb, nb), AB: slerp.Product(cos*na, nb)}
}

// pairOf is the place of a pair in row order.
func pairOf(n, i, j int) int {
	if i > j {
		i, j = j, i
	}
	return i*n - i*(i+1)/2 + j - i - 1
}

// angleOf returns the angle of two vectors in degrees; NaN if one is zero.
func angleOf(g *slerp.Gram) float64 {
	n := g.AA.Sqrt().Times(g.BB.Sqrt())
	if g.AA == g.BB { // so that equal models are at 0
		n = g.AA
	}
	if !(slerp.Wide{}).Less(n) {
		return math.NaN()
	}
	return degreesOf(g.AB.Over(n))
}

// share returns a length as a share of another, both given as squares.
func share(part, whole slerp.Wide) float64 {
	switch {
	case whole == slerp.Wide{}:
		return math.NaN()
	case part == slerp.Wide{}:
		return 0
	}
	return part.Sqrt().Over(whole.Sqrt())
}

// At returns the angle between two models in degrees, NaN where there is none.
func (g *Spread) At(i, j int) float64 {
	if i == j {
		return 0
	}
	return g.Degrees[pairOf(g.Models, i, j)]
}

// Least and Most return the smallest and the largest angle, and the models that
// it is between; NaN where there is none. Median is the one in the middle, the lower
// of two.
func (g *Spread) Least() (degrees float64, i, j int) {
	return g.extreme(func(x, y float64) bool { return x < y })
}

// Most: see Least.
func (g *Spread) Most() (degrees float64, i, j int) {
	return g.extreme(func(x, y float64) bool { return x > y })
}

func (g *Spread) extreme(better func(x, y float64) bool) (degrees float64, i, j int) {
	degrees, i, j = math.NaN(), -1, -1
	k := 0
	for a := range g.Models {
		for b := a + 1; b < g.Models; b++ {
			if x := g.Degrees[k]; x == x && (degrees != degrees || better(x, degrees)) {
				degrees, i, j = x, a, b
			}
			k++
		}
	}
	return degrees, i, j
}

// Median: see Least.
func (g *Spread) Median() float64 {
	list := slices.DeleteFunc(slices.Clone(g.Degrees), math.IsNaN)
	if len(list) == 0 {
		return math.NaN()
	}
	slices.Sort(list)
	return list[(len(list)-1)/2]
}
