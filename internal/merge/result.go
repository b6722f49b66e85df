package merge

import (
	"fmt"
	"strings"
	"time"

	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/slerp"
	"slerpmerge/writer"
)

// A Branch is what was done to a tensor in the end.
type Branch string

const (
	Slerp   Branch = "slerp"   // spherical
	Linear  Branch = "linear"  // (almost) parallel, or against each other
	Equal   Branch = "equal"   // both parents had the same bytes: copied
	Copy    Branch = "copy"    // one parent's bytes
	Convert Branch = "convert" // one parent's values in another type
	Unlike  Branch = "unlike"  // in a comparison: of other shapes or types
)

// A TensorResult says what became of one tensor of the plan.
type TensorResult struct {
	Branch    Branch
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
}

// A Result is a finished merge.
type Result struct {
	Plan     *plan.Plan
	Tensors  []TensorResult // parallel to Plan.Tensors
	Written  int64          // bytes of all files
	Duration time.Duration
	Warnings []string // the plan's and those of the run
	// Fingerprint is that of Options, for the record of the merge.
	Fingerprint string
	// Weights and Others are the files as they were written, but for those about
	// the merge itself, of which there are only the names.
	Weights, Others []writer.WrittenFile
	About           []string
}

// Branches counts the tensors by what was done to them.
func (r *Result) Branches() map[Branch]int {
	n := map[Branch]int{}
	for i := range r.Tensors {
		n[r.Tensors[i].Branch]++
	}
	return n
}

// A NonFiniteError says that a parent holds a NaN or an infinity.
type NonFiniteError struct{ Model, Tensor string }

func (e *NonFiniteError) Error() string {
	return fmt.Sprintf("tensor %s of %s has a NaN or Inf in it", e.Tensor, e.Model)
}

// decide turns the sums of a tensor into what is to be done with it. The
// caller holds e.mu.
func (e *engine) decide(i int, sum slerp.Gram, equal bool) (mix, error) {
	t := &e.tensors[i]
	r := &e.results[i]
	c := slerp.Angle(sum)
	*r = TensorResult{Measured: true, Cos: c.Cos, Theta: c.Theta, NormA: c.NormA, NormB: c.NormB}
	if equal { // even of infinities: nothing is computed with them
		r.Branch = Equal
		return mix{equal: true}, nil
	}
	c = slerp.Interpolate(sum, t.T)
	r.Branch = Slerp
	if c.Branch == slerp.Linear {
		r.Branch = Linear
	}
	if !sum.Finite() {
		r.NonFinite = true
		if !e.warnNaN {
			o := t.A
			if o.None() || slerp.Gram.Finite(slerp.Gram{AA: sum.AA}) {
				o = t.B
			}
			return mix{}, &NonFiniteError{Model: o.Model.Path, Tensor: model.Quote(t.Name)}
		}
	}
	return mix{s0: c.S0, s1: c.S1}, nil
}

// notFinite says that a parent of a weighted sum has a NaN or Inf.
func (e *engine) notFinite(i int) error {
	e.mu.Lock()
	e.results[i].NonFinite = true
	e.mu.Unlock()
	if e.warnNaN {
		return nil
	}
	t := &e.tensors[i]
	names := make([]string, len(t.Terms()))
	for k, term := range t.Terms() {
		names[k] = term.Model.Name()
	}
	return &NonFiniteError{Model: strings.Join(names, " or "), Tensor: model.Quote(t.Name)}
}

// stopped is the error that stops the run, if there is one.
func (e *engine) stopped() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

func (e *engine) differs(i int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.results[i].Differs
}

func (e *engine) markDiffers(i int) {
	e.mu.Lock()
	e.results[i].Differs = true
	e.mu.Unlock()
}

// warnings says what the run met, a line for each kind.
func (e *engine) warnings() []string {
	var nonFinite, over, under, differ tally
	for i := range e.results {
		r, name := &e.results[i], e.tensors[i].Name
		if r.NonFinite {
			nonFinite.add(name, 1)
		}
		over.add(name, r.Overflow)
		under.add(name, r.Underflow)
		if r.Differs {
			differ.add(name, 1)
		}
	}
	var out []string
	if nonFinite.tensors > 0 {
		what := "the whole tensor is NaN"
		if e.method != recipe.Slerp {
			what = "the same elements are"
		}
		out = append(out, fmt.Sprintf("NaN or Inf in a parent, so %s in the output: %s", what, nonFinite.where()))
	}
	if over.tensors > 0 {
		out = append(out, fmt.Sprintf("%s too large for the output type in %s", values(over.n, "is", "are"), over.where()))
	}
	if under.tensors > 0 {
		out = append(out, fmt.Sprintf("%s zero in the output type in %s", values(under.n, "becomes", "become"), under.where()))
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
	if t.tensors == 1 {
		return model.Quote(t.first)
	}
	return fmt.Sprintf("%s and %d more", model.Quote(t.first), t.tensors-1)
}

func values(n int64, one, many string) string {
	if n == 1 {
		return "1 value " + one
	}
	return fmt.Sprintf("%d values %s", n, many)
}

func tensorName(o operand.Operand) string {
	t := o.Tensor()
	return fmt.Sprintf("%s from %s", model.Quote(t.Name), o.Model.Files[t.File].Path)
}
