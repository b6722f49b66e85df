package method

import (
	"math"
	"slices"
	"testing"

	"slerpmerge/internal/tensor"
	"slerpmerge/slerp"
)

// sums is a pair with these inner products.
func sums(aa, bb, ab float64) slerp.Gram {
	return slerp.Gram{AA: slerp.NewWide(aa), BB: slerp.NewWide(bb), AB: slerp.NewWide(ab)}
}

// Each operation gives its coefficients, and says what it must know for them.
func TestOps(t *testing.T) {
	half := math.Sqrt(0.5) // sin(π/4) / sin(π/2)
	for _, c := range []struct {
		name  string
		op    Op
		n     int
		gram  Gram
		word  string
		needs Measure
		want  Solution
	}{
		{"copy", Copy(1), 3, nil, "copy", Nothing, Solution{Weights: []float64{0, 1, 0}, Divisor: 1, Outcome: Copied}},
		{"convert", Convert(0), 2, nil, "convert", Nothing, Solution{Weights: []float64{1, 0}, Divisor: 1, Outcome: Converted}},
		{"follow", Follow{}, 2, nil, "follow", Equality, Solution{Weights: []float64{1, 0}, Divisor: 1, Outcome: Copied}},
		{"differ", Differ{}, 2, nil, "unlike", Nothing, Solution{Weights: []float64{0, 0}, Divisor: 1, Outcome: Incomparable}},
		{"linear", &Linear{[]float64{1, 2, 3}, 6}, 3, nil, "linear", Nothing, Solution{Weights: []float64{1, 2, 3}, Divisor: 6, Outcome: Straight}},
		{"a right angle", Slerp{0.5}, 2, Gram{sums(4, 9, 0)}, "slerp", InnerProducts, Solution{Weights: []float64{half, half}, Divisor: 1, Spherical: true, Outcome: Spherical}},
		{"parallel", Slerp{0.25}, 2, Gram{sums(1, 4, 2)}, "slerp", InnerProducts, Solution{Weights: []float64{0.75, 0.25}, Divisor: 1, Spherical: true, Outcome: Straight}},
		{"opposite", Slerp{0.25}, 2, Gram{sums(1, 1, -1)}, "slerp", InnerProducts, Solution{Weights: []float64{0.75, 0.25}, Divisor: 1, Spherical: true, Outcome: Straight}},
		{"beyond the second", Slerp{2}, 2, Gram{sums(1, 1, 0)}, "slerp", InnerProducts, Solution{Weights: []float64{-1, 0}, Divisor: 1, Spherical: true, Outcome: Spherical}},
	} {
		got := c.op.Solve(c.n, c.gram)
		near := len(got.Weights) == len(c.want.Weights)
		for k := 0; near && k < len(got.Weights); k++ {
			near = math.Abs(got.Weights[k]-c.want.Weights[k]) < 1e-15
		}
		if !near || got.Divisor != c.want.Divisor || got.Spherical != c.want.Spherical || got.Outcome != c.want.Outcome {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
		if c.op.Word() != c.word || c.op.Needs() != c.needs {
			t.Errorf("%s: %q needs %d, want %q and %d", c.name, c.op.Word(), c.op.Needs(), c.word, c.needs)
		}
	}
}

// Operations that need passes make a Sweep of the same parameters.
func TestSweepers(t *testing.T) {
	o := slerp.Operands{Shape: []uint64{2, 3}, In: []slerp.DType{tensor.BF16, tensor.F32, tensor.F16}, Out: tensor.BF16}
	for _, c := range []struct {
		op   Op
		word string
	}{
		{Nearswap{1, 0.1}, "nearswap"}, {Ram{slerp.Ram{Base: 1}}, "ram"}, {Ram{slerp.Ram{Base: 1, R: 0.1}}, "ramplus_tl"},
		{NuslerpAxes{slerp.NuslerpAxes{Base: -1}}, "nuslerp"}, {FilterWise{slerp.FilterWise{Base: 1}}, "model_stock"},
		{SCE{slerp.SCE{Base: 1, TopK: 0.1}}, "sce"}, {ArceeFusion{slerp.ArceeFusion{Base: 1}}, "arcee_fusion"},
	} {
		s, ok := c.op.(Sweeper)
		if !ok || c.op.Word() != c.word || c.op.Needs() != Passes || c.op.Solve(3, nil).Outcome != Outcome(c.word) {
			t.Errorf("%+v: %s needs %d, solution %+v", c.op, c.op.Word(), c.op.Needs(), c.op.Solve(3, nil))
			continue
		}
		if _, scratch := s.Sweep(o).Memory(); scratch <= 0 || scratch > 3<<20 {
			t.Errorf("%s: scratch %d", c.word, scratch)
		}
	}
}

// An operation takes one operand alone where nothing is blended.
func TestSole(t *testing.T) {
	for _, c := range []struct {
		op Op
		k  int
		ok bool
	}{{Slerp{0}, 0, true}, {Slerp{1}, 1, true}, {Slerp{0.5}, 0, false}, {&Linear{[]float64{1}, 1}, 0, false}, {Follow{}, 0, false}, {Nearswap{1, 0}, 1, true}, {Nearswap{1, 0.1}, 0, false}} {
		if k, ok := Sole(c.op); ok != c.ok || ok && k != c.k {
			t.Errorf("%s: %d, %v; want %d, %v", c.op.Word(), k, ok, c.k, c.ok)
		}
	}
}

// The first operand with a NaN or an infinity is found, whichever it is, in a
// matrix of any size.
func TestNonFinite(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1)} {
		for n := 2; n <= 6; n++ {
			for first := range n + 1 { // n: none
				for later := first; later < n; later++ {
					norm := func(i int) float64 {
						if i == first || i == later {
							return bad
						}
						return 1
					}
					var g Gram
					for i := range n {
						for k := i + 1; k < n; k++ {
							g = append(g, sums(norm(i), norm(k), norm(i)*norm(k)))
						}
					}
					if got := g.NonFinite(n); got != first {
						t.Errorf("%d operands, %v in %d and %d: %d", n, bad, first, later, got)
					}
				}
			}
			finite := make(Gram, Pairs(n))
			for k := range finite {
				finite[k] = sums(1, math.MaxFloat64, -1)
			}
			if got := finite.NonFinite(n); got != -1 {
				t.Errorf("%d finite operands: %d", n, got)
			}
		}
	}
}

// The sums of blocks add pair by pair, to a matrix of their own.
func TestAdd(t *testing.T) {
	a, b := Gram{sums(1, 2, 3), sums(4, 5, 6), sums(7, 8, 9)}, Gram{sums(10, 20, 30), sums(40, 50, 60), sums(70, 80, 90)}
	want := Gram{sums(11, 22, 33), sums(44, 55, 66), sums(77, 88, 99)}
	if got := Gram(nil).Add(a).Add(b); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if a[0] != sums(1, 2, 3) {
		t.Error("Add changed the first block")
	}
	for n, want := range map[int]int{1: 0, 2: 1, 3: 3, 8: 28} {
		if got := Pairs(n); got != want {
			t.Errorf("Pairs(%d) = %d, want %d", n, got, want)
		}
	}
}

// The sums of blocks add in their order: it shows in the last bit.
func TestAddKeepsTheOrder(t *testing.T) {
	big, small := Gram{sums(1, 1, 1)}, Gram{sums(0x1p-53, 0x1p-53, 0x1p-53)}
	left := Gram(nil).Add(big).Add(small).Add(small)
	right := Gram(nil).Add(small).Add(small).Add(big)
	if left[0] != sums(1, 1, 1) || right[0] == left[0] {
		t.Errorf("%v and %v", left, right)
	}
}

// The inner product of any two operands is found among the pairs.
func TestAt(t *testing.T) {
	for n := 2; n <= 6; n++ {
		var g Gram
		for i := range n {
			for j := i + 1; j < n; j++ {
				g = append(g, sums(float64(100*i+i), float64(100*j+j), float64(100*i+j)))
			}
		}
		for i := range n {
			for j := range n {
				if got, want := g.At(n, i, j).Float64(), float64(100*min(i, j)+max(i, j)); got != want {
					t.Errorf("%d operands, %d and %d: %v, want %v", n, i, j, got, want)
				}
			}
		}
	}
}
