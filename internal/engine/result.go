package engine

import (
	"fmt"
	"slices"
	"strings"

	"slerpmerge/internal/fault"
	"slerpmerge/internal/method"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/text"
	"slerpmerge/slerp"
)

// A TensorResult says what became of one tensor of the plan.
type TensorResult struct {
	Outcome   method.Outcome
	Cos       float64 // of the angle between the parents
	Theta     float64 // the angle in radians
	NormA     float64
	NormB     float64
	Distance  float64 // |a - b|; Compare alone measures it
	Overflow  int64   // values beyond the output type: Inf, or its largest value for F8_E4M3
	Underflow int64   // values that a conversion made zero
	Measured  bool    // the fields from Cos to NormB are known
	NonFinite bool    // a parent has a NaN or Inf there, and --nonfinite warn let it pass
	Differs   bool    // Follow: the secondary's values are others
	Detail    *Detail // of methods other than a slerp of two; nil where nothing was measured
}

// A Detail is what a method came to for one tensor.
type Detail struct {
	Norms   []float64 // of the operands, or of their differences from the base: then 0 for the base
	Cosines []float64 // of each pair of them, the base left out, in row order
	Weights []float64 // coefficients of the operands
	Figures []slerp.Figure
}

// detailOf returns the detail of a measured tensor.
func detailOf(t *plan.Tensor, gram method.Gram, c method.Solution) *Detail {
	d := &Detail{Figures: c.Figures, Norms: make([]float64, len(t.Operands))}
	for _, w := range c.Weights {
		d.Weights = append(d.Weights, w/c.Divisor)
	}
	base, n := method.BaseOf(t.Op), len(t.Operands)
	if base >= 0 {
		n--
	}
	if n < 2 {
		return d
	}
	roots := make([]slerp.Wide, n)
	at := 0
	for k := range d.Norms {
		if k != base {
			roots[at] = gram.At(n, at, at).Sqrt()
			d.Norms[k] = roots[at].Float64()
			at++
		}
	}
	for i := range n {
		for j := i + 1; j < n; j++ {
			cos := gram.At(n, i, j).Over(roots[i].Times(roots[j]))
			d.Cosines = append(d.Cosines, max(-1, min(1, cos)))
		}
	}
	return d
}

// Outcomes counts tensors by their outcome.
func Outcomes(list []TensorResult) map[method.Outcome]int {
	n := map[method.Outcome]int{}
	for i := range list {
		n[list[i].Outcome]++
	}
	return n
}

// A NonFiniteError says that a parent holds a NaN or an infinity.
type NonFiniteError struct{ Model, Tensor string }

func (e *NonFiniteError) Error() string {
	return fmt.Sprintf("tensor %s of %s has a NaN or Inf in it", e.Tensor, e.Model)
}

// Class returns the class of corrupt inputs.
func (e *NonFiniteError) Class() fault.Class { return fault.Corrupt }

// Hints name the policy that allows them.
func (e *NonFiniteError) Hints() []fault.Hint {
	return fault.Suggest("%s merges all the same; the whole tensor becomes NaN", fault.Flag{Name: "nonfinite", Value: "warn"})
}

// decide turns the Gram matrix or the sweep of a tensor into what is to be done with
// it, and its result.
func (w *work) decide(t *plan.Tensor, gram method.Gram, sweep slerp.Sweep, equal bool) (r TensorResult, m mix, err error) {
	n := len(t.Operands)
	angle := func(c slerp.Coefficients) {
		r.Measured, r.Cos, r.Theta, r.NormA, r.NormB = true, c.Cos, c.Theta, c.NormA, c.NormB
	}
	if equal && method.CopiesEqual(t.Op) { // even of infinities: nothing is computed with them
		if n == 2 && len(gram) == 1 {
			angle(slerp.Angle(gram[0]))
		}
		r.Outcome = method.Equal
		return r, mix{equal: true}, nil
	}
	c := t.Op.Solve(n, gram)
	r.Outcome = c.Outcome
	if sweep != nil {
		r.Detail = &Detail{Figures: sweep.Figures()}
		return r, mix{sweep: sweep}, nil
	}
	switch {
	case c.Spherical:
		angle(c.Angle)
	case n == 2 && len(gram) == 1:
		angle(slerp.Angle(gram[0]))
		fallthrough
	default:
		r.Detail = detailOf(t, gram, c)
	}
	if k := nonFinite(t, gram); k >= 0 {
		r.NonFinite = true
		if !w.warnNaN {
			return r, mix{}, &NonFiniteError{Model: t.Operands[k].Model.Path, Tensor: text.Quote(t.Name)}
		}
	}
	return r, mix{weights: c.Weights, divisor: c.Divisor, paired: c.Spherical}, nil
}

// nonFinite returns the operand of a measured tensor that has a NaN or an infinity,
// -1 if none has. In deltas those of the base show in all.
func nonFinite(t *plan.Tensor, gram method.Gram) int {
	n := len(t.Operands)
	base := method.BaseOf(t.Op)
	if base < 0 {
		return gram.NonFinite(n)
	}
	switch k := gram.NonFinite(n - 1); {
	case k < 0:
		return k
	case k == 0 && !slices.ContainsFunc(gram, slerp.Gram.Finite):
		return base
	case k >= base:
		return k + 1
	default:
		return k
	}
}

// decideAlone is decide for a caller that does not hold mu, which guards the
// results: a checkpoint reads them.
func (e *Engine) decideAlone(v, i int, gram method.Gram, sweep slerp.Sweep, equal bool) (mix, error) {
	r, m, err := e.work.decide(&e.outs[v].tensors[i], gram, sweep, equal)
	e.mu.Lock()
	e.outs[v].results[i] = r
	e.mu.Unlock()
	return m, err
}

// notFinite says that a parent of a weighted sum has a NaN or Inf.
func (e *Engine) notFinite(v, i int) error {
	e.mu.Lock()
	e.outs[v].results[i].NonFinite = true
	e.mu.Unlock()
	if e.warnNaN {
		return nil
	}
	t := &e.tensors[i]
	names := make([]string, len(t.Operands))
	for k, o := range t.Operands {
		names[k] = o.Model.Name()
	}
	return &NonFiniteError{Model: strings.Join(names, " or "), Tensor: text.Quote(t.Name)}
}

func (e *Engine) differs(i int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.outs[0].results[i].Differs
}

func (e *Engine) markDiffers(i int) {
	e.mu.Lock()
	for v := range e.outs {
		e.outs[v].results[i].Differs = true
	}
	e.mu.Unlock()
}

// Warnings returns a line for each kind of event that the user should know of.
func (e *Engine) Warnings() []string { return e.WarningsOf(0) }

// WarningsOf is Warnings for one output.
func (e *Engine) WarningsOf(v int) []string {
	var nonFinite, over, under, differ, straight tally
	fallback := ""
	whole := true // of a tensor whose coefficients are NaN
	results := e.outs[v].results
	for i := range results {
		r, name := &results[i], e.tensors[i].Name
		if r.NonFinite {
			nonFinite.add(name, 1)
			whole = whole && e.tensors[i].Blends()
		}
		over.add(name, r.Overflow)
		under.add(name, r.Underflow)
		if r.Differs {
			differ.add(name, 1)
		}
		if why := method.Fallback(e.outs[v].tensors[i].Op); why != "" && r.Outcome == method.Straight {
			straight.add(name, 1)
			fallback = why
		}
	}
	var out []string
	if nonFinite.tensors > 0 {
		what := "the whole tensor is NaN"
		if !whole {
			what = "the same elements are"
		}
		out = append(out, fmt.Sprintf("NaN or Inf in a parent, so %s in the output: %s", what, nonFinite.where()))
	}
	if over.tensors > 0 {
		out = append(out, fmt.Sprintf("%s %s too large for the output type in %s", text.Count(over.n, "value"), text.Verb(over.n, "is", "are"), over.where()))
	}
	if under.tensors > 0 {
		out = append(out, fmt.Sprintf("%s %s zero in the output type in %s", text.Count(under.n, "value"), text.Verb(under.n, "becomes", "become"), under.where()))
	}
	if straight.tensors > 0 {
		out = append(out, fmt.Sprintf("%s: %s", fallback, straight.where()))
	}
	if differ.tensors > 0 {
		out = append(out, fmt.Sprintf("not of a floating type and not equal, the primary's values are kept: %s", differ.where()))
	}
	return out
}

// A tally counts values over tensors and remembers the first.
type tally struct {
	n       int64
	tensors int
	first   string
}

func (t *tally) add(name string, n int64) {
	if n == 0 {
		return
	}
	if t.tensors == 0 {
		t.first = name
	}
	t.tensors++
	t.n += n
}

func (t *tally) where() string {
	return text.Some([]string{text.Quote(t.first)}, t.tensors)
}

// Results completes the results of tensors that were not measured, and returns
// them, parallel to the plan's tensors. A tensor that shares another's bytes has
// its result. Call it once, after Run.
func (e *Engine) Results() []TensorResult { return e.ResultsOf(0) }

// ResultsOf is Results for one output.
func (e *Engine) ResultsOf(v int) []TensorResult {
	finish(e.outs[v].tensors, e.storage, e.outs[v].results)
	return e.outs[v].results
}

// finish is Results.
func finish(tensors []plan.Tensor, storage []int, results []TensorResult) {
	for i := range results {
		if storage != nil {
			results[i] = results[storage[i]] // itself, or an earlier one
		}
		r, t := &results[i], &tensors[i]
		if r.NonFinite { // all of it is NaN, and said to be
			r.Overflow = 0
		}
		switch {
		case r.Outcome != "":
		case t.Blends(): // without elements
			r.Outcome = method.Equal
		default:
			r.Outcome = t.Op.Solve(len(t.Operands), nil).Outcome
		}
	}
}
