package method

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slerpmerge/internal/recipe"
	"slerpmerge/slerp"
)

// A vector is a tensor of a test.
type vector []float64

func (v vector) times(s float64) vector {
	out := make(vector, len(v))
	for k := range v {
		out[k] = s * v[k]
	}
	return out
}

func (v vector) plus(w vector) vector {
	out := make(vector, len(v))
	for k := range v {
		out[k] = v[k] + w[k]
	}
	return out
}

func (v vector) dot(w vector) float64 {
	sum := 0.0
	for k := range v {
		sum += v[k] * w[k]
	}
	return sum
}

func (v vector) length() float64 { return math.Sqrt(v.dot(v)) }

func combined(w []float64, x []vector) vector {
	out := make(vector, len(x[0]))
	for i := range x {
		out = out.plus(x[i].times(w[i]))
	}
	return out
}

// gramOf is the matrix that the engine measures for an Op.
func gramOf(op Op, x []vector) Gram {
	list := slices.Clone(x)
	switch op.Needs() {
	case Nothing:
		return nil
	case Deltas:
		base := op.(Based).Base()
		for i := range list {
			list[i] = list[i].plus(x[base].times(-1))
		}
		list = slices.Delete(list, base, base+1)
	}
	var g Gram
	for i := range list {
		for j := i + 1; j < len(list); j++ {
			g = append(g, sums(list[i].dot(list[i]), list[j].dot(list[j]), list[i].dot(list[j])))
		}
	}
	return g
}

// merged is what an Op makes of vectors.
func merged(op Op, x []vector) (vector, Solution) {
	s := op.Solve(len(x), gramOf(op, x))
	return combined(s.Weights, x).times(1 / s.Divisor), s
}

// meanDirection is multislerp, on vectors.
func meanDirection(y []vector, w []float64) vector {
	m, size := make(vector, len(y[0])), 0.0
	for i := range y {
		m, size = m.plus(y[i].times(w[i]/y[i].length())), size+w[i]*y[i].length()
	}
	return m.times(size / m.length())
}

// onSphere is spherical interpolation of two vectors.
func onSphere(a, b vector, t float64) vector {
	th := math.Acos(a.dot(b) / (a.length() * b.length()))
	return a.times(math.Sin((1-t)*th) / math.Sin(th)).plus(b.times(math.Sin(t*th) / math.Sin(th)))
}

// Each method gives what its formula says of the tensors themselves, with the base at any place
// among the operands.
func TestFamily(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		method Method
		least  int
		most   int
		based  bool
		values map[string]float64
		flags  map[string]bool
		want   func(b vector, x []vector, w []float64) vector // of the models and the base, which is zero if there is none
	}{
		{TaskArithmeticMethod{}, 1, 8, true, nil, nil, func(b vector, x []vector, w []float64) vector {
			for i := range x {
				x[i] = x[i].plus(b.times(-1))
			}
			return b.plus(combined(w, x))
		}},
		{TaskArithmeticMethod{}, 1, 8, true, map[string]float64{"lambda": 0.7, "density": 0.1}, map[string]bool{"normalize": true, "rescale": true, "int8_mask": true}, func(b vector, x []vector, w []float64) vector {
			sum := 0.0
			for i := range x {
				x[i], sum = x[i].plus(b.times(-1)), sum+w[i]
			}
			return b.plus(combined(w, x).times(0.7 / sum))
		}},
		{NuslerpMethod{}, 2, 2, true, nil, nil, func(b vector, x []vector, w []float64) vector {
			return b.plus(onSphere(x[0].plus(b.times(-1)), x[1].plus(b.times(-1)), w[1]/(w[0]+w[1])))
		}},
		{NuslerpMethod{}, 2, 2, false, nil, map[string]bool{"nuslerp_flatten": true}, func(_ vector, x []vector, w []float64) vector {
			return onSphere(x[0], x[1], w[1]/(w[0]+w[1]))
		}},
		{MultiSlerpMethod{}, 1, 8, true, map[string]float64{"eps": 0}, nil, func(b vector, x []vector, w []float64) vector {
			if len(x) == 1 {
				return x[0]
			}
			sum := 0.0
			for i := range x {
				x[i], sum = x[i].plus(b.times(-1)), sum+w[i]
			}
			return b.plus(meanDirection(x, w).times(1 / sum))
		}},
		{MultiSlerpMethod{}, 1, 8, false, map[string]float64{"eps": 0}, map[string]bool{"normalize_weights": false}, func(_ vector, x []vector, w []float64) vector {
			if len(x) == 1 {
				return x[0]
			}
			return meanDirection(x, w)
		}},
		{ModelStockMethod{}, 2, 8, true, nil, nil, func(b vector, x []vector, _ []float64) vector {
			mean, cos, pairs := make(vector, len(b)), 0.0, 0.0
			for i := range x {
				mean = mean.plus(x[i].times(1 / float64(len(x))))
				for j := range i {
					y, z := x[i].plus(b.times(-1)), x[j].plus(b.times(-1))
					cos, pairs = cos+y.dot(z)/(y.length()*z.length()), pairs+1
				}
			}
			n := float64(len(x))
			at := n * (cos / pairs) / (1 + (n-1)*(cos/pairs))
			return mean.times(at).plus(b.times(1 - at))
		}},
	} {
		for n := c.least; n <= c.most; n++ {
			for base := range n + 1 {
				p := params{n: n, base: base, based: c.based, values: c.values, flags: c.flags}
				b := make(vector, 40)
				for k := range b {
					b[k] = r.NormFloat64()
				}
				var x, models []vector
				var w []float64
				for i := range n + 1 {
					if i == base {
						if c.based {
							p.n, x, p.of = n+1, append(x, b), append(p.of, nil)
						}
						continue
					}
					v := make(vector, len(b))
					for k := range v {
						v[k] = b[k] + 0.3*(b[(k+1)%len(b)]+r.NormFloat64())
					}
					x, models, w = append(x, v), append(models, v), append(w, 0.1+r.Float64())
					p.of = append(p.of, map[string]float64{"weight": w[len(w)-1]})
				}
				op, missing := c.method.Op(p)
				if missing != "" {
					t.Fatalf("%s: no %s", c.method.Name(), missing)
				}
				got, s := merged(op, x)
				want := c.want(b, slices.Clone(models), w)
				if d := got.plus(want.times(-1)).length(); !(d <= 1e-12*want.length()) {
					t.Errorf("%s of %d, base %v at %d: off by %v", c.method.Name(), n, c.based, base, d)
				}
				sum := 0.0
				for _, x := range s.Weights {
					sum += x
				}
				if c.based && math.Abs(sum-1) > 1e-15*float64(n+1) {
					t.Errorf("%s of %d: coefficients add up to %v", c.method.Name(), n, sum)
				}
			}
		}
	}
}

// The parameters of the methods, their defaults, guards and what is missing.
func TestFamilyOps(t *testing.T) {
	weighted := func(w ...float64) params {
		p := params{n: len(w)}
		for _, x := range w {
			if x != x {
				p.of = append(p.of, nil)
				continue
			}
			p.of = append(p.of, map[string]float64{"weight": x})
		}
		return p
	}
	none := math.NaN()
	based := func(p params, base int) params { p.based, p.base = true, base; return p }
	with := func(p params, name string, v float64) params { p.values = map[string]float64{name: v}; return p }
	flag := func(p params, name string, v bool) params { p.flags = map[string]bool{name: v}; return p }
	for _, c := range []struct {
		name   string
		method Method
		params params
		want   string // of the Op, or the parameter that is missing
	}{
		{"weights that add up to 1 need no base", TaskArithmeticMethod{}, based(weighted(none, 0.25, 0.75), 0), "&{[0 0.25 0.75] 1}"},
		{"lambda 0 is the base", TaskArithmeticMethod{}, with(based(weighted(2, none), 1), "lambda", 0), "&{[0 1] 1}"},
		{"normalised", TaskArithmeticMethod{}, flag(based(weighted(1, 3, none), 2), "normalize", true), "&{[0.25 0.75 0] 1}"},
		{"a sum of 0 does not divide", TaskArithmeticMethod{}, flag(based(weighted(1, -1, none), 2), "normalize", true), "&{[1 -1 1] 1}"},
		{"a base alone", TaskArithmeticMethod{}, based(weighted(none), 0), "&{[1] 1}"},
		{"without a weight", TaskArithmeticMethod{}, based(weighted(none, 1, none), 0), "weight"},
		{"t of the weights", NuslerpMethod{}, weighted(1, 3), "{0.75 -1}"},
		{"a sum of 0 is the middle", NuslerpMethod{}, weighted(1, -1), "{0.5 -1}"},
		{"beyond the second", NuslerpMethod{}, weighted(-1, 2), "{2 -1}"},
		{"with a base", NuslerpMethod{}, based(weighted(1, none, 1), 1), "{0.5 1}"},
		{"the first alone", NuslerpMethod{}, based(weighted(none, 1, 0), 0), "&{[0 1 0] 1}"},
		{"the second alone", NuslerpMethod{}, weighted(0, 1), "&{[0 1] 1}"},
		{"one model", NuslerpMethod{}, weighted(none), "&{[1] 1}"},
		{"nuslerp without a weight", NuslerpMethod{}, weighted(1, none), "weight"},
		{"multislerp", MultiSlerpMethod{}, weighted(1, 3), "&{[0.25 0.75] 1e-08 -1 true false}"},
		{"multislerp as it is", MultiSlerpMethod{}, flag(weighted(1, 3), "normalize_weights", false), "&{[1 3] 1e-08 -1 false false}"},
		{"multislerp with eps and base", MultiSlerpMethod{}, with(based(weighted(none, 1, 1), 0), "eps", 1e-4), "&{[0.5 0.5] 0.0001 0 true false}"},
		{"multislerp of one", MultiSlerpMethod{}, weighted(5), "&{[1] 1}"},
		{"multislerp of one and a base", MultiSlerpMethod{}, based(weighted(none, 5), 0), "&{[0 1] 1}"},
		{"multislerp of a base", MultiSlerpMethod{}, based(weighted(none), 0), "&{[1] 1}"},
		{"multislerp without a weight", MultiSlerpMethod{}, weighted(1, 2, none), "weight"},
		{"karcher", KarcherMethod{}, weighted(none, none), "&{[1 1] 10 1e-05}"},
		{"karcher with weights", KarcherMethod{}, weighted(1, 2), "&{[1 2] 10 1e-05}"},
		{"karcher, many steps", KarcherMethod{}, with(weighted(none, none), "max_iter", 20000), "&{[1 1] 1000 1e-05}"},
		{"karcher, tol", KarcherMethod{}, with(weighted(none, none), "tol", 1e-9), "&{[1 1] 10 1e-09}"},
		{"karcher with some weights", KarcherMethod{}, weighted(1, none), "weight"},
		{"model_stock", ModelStockMethod{}, based(weighted(none, none, none), 2), "{2}"},
		{"model_stock of a base", ModelStockMethod{}, based(weighted(none), 0), "&{[1] 1}"},
	} {
		op, missing := c.method.Op(c.params)
		got := fmt.Sprint(op)
		if missing != "" {
			got = missing
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// What the methods give where their formulas end, and what they report.
func TestFamilyOutcomes(t *testing.T) {
	a, b := vector{3, 4, 0}, vector{0, 0, 2}
	zero := make(vector, 3)
	for _, c := range []struct {
		name    string
		op      Op
		x       []vector
		want    vector
		outcome Outcome
		figures string
	}{
		{"nuslerp, parallel", Nuslerp{0.25, -1}, []vector{a, a.times(3)}, a.times(1.5), Straight, "[{angle -1 0}]"},
		{"nuslerp, differences that are opposite", Nuslerp{0.25, 0}, []vector{b, b.plus(a), b.plus(a.times(-1))}, b.plus(a.times(0.5)), Straight, "[{angle -1 3.141592653589793}]"},
		{"nuslerp, no differences", Nuslerp{0.25, 2}, []vector{a, a, a}, a, "nuslerp", "[{angle -1 1.5707963267948966}]"},
		{"multislerp, opposite", &MultiSlerp{Weights: []float64{0.5, 0.5}, base: -1}, []vector{a, a.times(-3)}, a.times(-1), Straight, "[{mean -1 0}]"},
		{"multislerp, no differences", &MultiSlerp{Weights: []float64{0.2, 0.3, 0.5}, Eps: 1e-8, base: 0}, []vector{a, a, a, a}, a, Straight, "[{mean -1 0}]"},
		{"karcher, opposite", &Karcher{[]float64{1, 1}, 10, 1e-5}, []vector{a, a.times(-3)}, a.times(-1), Straight, "[{steps -1 0} {tau -1 0} {opposite 1 1}]"},
		{"karcher, a zero tensor", &Karcher{[]float64{1, 1, 1}, 10, 1e-5}, []vector{a, zero, a}, a.times(2.0 / 3), "karcher", "[{steps -1 0} {tau -1 0}]"},
		{"karcher, at right angles", &Karcher{[]float64{1, 1}, 10, 1e-5}, []vector{a, b}, a.times(3.5 / 5 * math.Sqrt(0.5)).plus(b.times(3.5 / 2 * math.Sqrt(0.5))), "karcher", ""},
		{"model_stock, the same differences", ModelStock{1}, []vector{a, b, a}, a, "model_stock", "[{t -1 1} {cosine -1 1}]"},
		{"model_stock, opposite", ModelStock{2}, []vector{a, a.times(-1), zero}, zero, "model_stock", "[{t -1 0} {cosine -1 -1}]"},
	} {
		got, s := merged(c.op, c.x)
		if d := got.plus(c.want.times(-1)).length(); !(d <= 1e-12) || s.Outcome != c.outcome || s.Spherical || c.figures != "" && fmt.Sprint(s.Figures) != c.figures {
			t.Errorf("%s: %v, %s, %v; want %v, %s, %s", c.name, got, s.Outcome, s.Figures, c.want, c.outcome, c.figures)
		}
		for k := range c.x { // a NaN in any operand makes all coefficients NaN
			x := slices.Clone(c.x)
			x[k] = vector{math.NaN(), 0, 0}
			if got, _ := merged(c.op, x); !math.IsNaN(got[0]) || !math.IsNaN(got[2]) {
				t.Errorf("%s, NaN in %d: %v", c.name, k, got)
			}
		}
	}
}

// Equal operands are copied unless the method turns them into something else, and sums of weights that
// are 0 are noticed where they divide.
func TestEqualAndZeroSum(t *testing.T) {
	two := func(w0, w1 float64, flags map[string]bool, values map[string]float64) params {
		return params{n: 2, of: []map[string]float64{{"weight": w0}, {"weight": w1}}, flags: flags, values: values}
	}
	raw := map[string]bool{"normalize_weights": false, "normalize": false}
	for _, c := range []struct {
		method    Method
		p         params
		equal     bool
		zeroTotal bool
	}{
		{MultiSlerpMethod{}, two(1, 2, nil, nil), true, false},
		{MultiSlerpMethod{}, two(1, -1, nil, nil), true, true},
		{MultiSlerpMethod{}, two(1, -1, raw, nil), false, false},
		{MultiSlerpMethod{}, two(1, 1, nil, map[string]float64{"eps": 0.1}), false, false},
		{KarcherMethod{}, two(1, 2, nil, nil), true, false},
		{KarcherMethod{}, two(0, 0, nil, nil), true, true},
		{NuslerpMethod{}, two(1, -1, nil, nil), true, false},
		{LinearMethod{}, two(1, -1, nil, nil), true, true},
		{LinearMethod{}, two(1, -1, raw, nil), true, false},
		{SlerpMethod{}, two(0, 0, nil, map[string]float64{"t": 0.5}), true, false},
	} {
		op, _ := c.method.Op(c.p)
		if CopiesEqual(op) != c.equal || ZeroSum(op) != c.zeroTotal {
			t.Errorf("%s %v: copies equal operands %v, weights add up to 0 %v", c.method.Name(), c.p, CopiesEqual(op), ZeroSum(op))
		}
	}
}

// The checks of the methods that measure from a base, or can.
func TestFamilyChecks(t *testing.T) {
	models := func(names ...string) string {
		s := "models:\n"
		for _, n := range names {
			s += "  - model: " + n + "\n"
		}
		return s
	}
	slice := func(names ...string) string {
		s := "slices:\n  - sources:\n"
		for _, n := range names {
			s += "      - {model: " + n + ", layer_range: [0, 2]}\n"
		}
		return s
	}
	const weight, base = "parameters: {weight: 1}\n", "base_model: base\n"
	for _, c := range []struct{ name, text, want string }{
		{"task_arithmetic", base + weight + models("a", "b"), ""},
		{"task_arithmetic", base + weight + models("a", "base"), ""},
		{"task_arithmetic", base + weight + models("base"), ""},
		{"task_arithmetic", weight + models("a", "b"), "task_arithmetic needs base_model"},
		{"task_arithmetic", base + models("a", "b"), `task_arithmetic needs a weight for every model, and there is none for "a"`},
		{"task_arithmetic", base + weight + slice("a", "b"), `base_model "base" is not among the sources`},
		{"task_arithmetic", base + weight + slice("a", "base", "b"), ""},
		{"task_arithmetic", base + "parameters: {weight: 1, lambda: .nan}\n" + models("a"), `".nan" can't be lambda`},
		{"nuslerp", weight + models("a", "b"), ""},
		{"nuslerp", base + weight + models("a", "b"), ""},
		{"nuslerp", base + weight + models("a", "b", "base"), ""},
		{"nuslerp", models("a", "b"), `none for "b"`},
		{"nuslerp", weight + models("a", "b", "c"), `nuslerp merges two models, and "c" is one too many`},
		{"nuslerp", base + weight + models("a", "base"), "nuslerp merges two models besides base_model, and here is 1"},
		{"nuslerp", weight + models("a"), "nuslerp merges two models, and here is 1"},
		{"nuslerp", base + weight + slice("a", "b"), `base_model "base" is not among the sources`},
		{"multislerp", weight + models("a"), ""},
		{"multislerp", base + weight + models("a", "b", "c"), ""},
		{"multislerp", base + weight + models("base"), "multislerp merges one model or more besides base_model, and here is none"},
		{"multislerp", models("a", "b"), `none for "a"`},
		{"multislerp", "parameters: {weight: 1, eps: -1}\n" + models("a", "b"), `"-1" can't be eps`},
		{"karcher", models("a"), ""},
		{"karcher", "parameters: {max_iter: 20000, tol: 1e-9}\n" + models("a", "b"), ""},
		{"karcher", base + models("a", "b"), ""},
		{"karcher", weight + base + models("a", "b"), ""},
		{"karcher", "models: [{model: a, parameters: {weight: 1}}, {model: b}]\n", `none for "b"`},
		{"karcher", base + "models: [{model: a, parameters: {weight: 1}}]\n", `none for "base", which is merged too though models does not list it`},
		{"karcher", "parameters: {weight: -1}\n" + models("a", "b"), `"-1" can't be a weight of karcher`},
		{"karcher", "parameters: {max_iter: 1.5}\n" + models("a", "b"), "max_iter is a whole number"},
		{"karcher", "parameters: {max_iter: -1}\n" + models("a", "b"), `"-1" can't be max_iter`},
		{"karcher", "parameters: {tol: .inf}\n" + models("a", "b"), `".inf" can't be tol`},
		{"model_stock", base + models("a", "b"), ""},
		{"model_stock", base + "parameters: {filter_wise: false}\n" + models("a", "b", "base", "c"), ""},
		{"model_stock", models("a", "b"), "model_stock needs base_model"},
		{"model_stock", base + models("a"), "model_stock merges two models or more besides base_model, and here is 1"},
	} {
		_, err := recipe.Parse("r.yml", []byte("merge_method: "+c.name+"\n"+c.text), All())
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name+": "+c.text, err, c.want)
		}
	}
}

// The figure of a vector that is opposite belongs to its operand.
func TestOppositeFigure(t *testing.T) {
	a := vector{1, 0}
	op := &Karcher{[]float64{5, 1, 1}, 10, 1e-5}
	_, s := merged(op, []vector{a, a.times(2), a.times(-1)})
	i := slices.IndexFunc(s.Figures, func(f slerp.Figure) bool { return f.Name == "opposite" })
	if i < 0 || s.Figures[i].Of != 2 {
		t.Errorf("%v", s.Figures)
	}
}
