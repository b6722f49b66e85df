package method

import (
	"fmt"

	"slerpmerge/internal/recipe"
	"slerpmerge/slerp"
)

// Nearswap takes of two operands the elements of the base and moves each towards
// that of the other by T; where no more lies between them, the other's is taken.
type Nearswap struct {
	From int // the operand that is the base
	T    float64
}

// Word returns "nearswap".
func (Nearswap) Word() string { return "nearswap" }

// Needs returns Passes.
func (Nearswap) Needs() Measure { return Passes }

// Solve gives the Outcome.
func (Nearswap) Solve(int, Gram) Solution { return Solution{Outcome: "nearswap"} }

// Sweep begins on a tensor.
func (n Nearswap) Sweep(o slerp.Operands) slerp.Sweep { return slerp.NewNearswap(o, n.From, n.T) }

// Sole returns the base if t is 0, so that nothing moves.
func (n Nearswap) Sole() (k int, ok bool) { return n.From, n.T == 0 }

// NearswapMethod is merge_method: nearswap, of a base and one other model.
type NearswapMethod struct{}

// Name returns "nearswap".
func (NearswapMethod) Name() recipe.Method { return "nearswap" }

// Title returns the name of the method for cards.
func (NearswapMethod) Title() string {
	return "A merge of two models by NearSwap, which takes from the second what is near the first"
}

// Parameters returns t.
func (NearswapMethod) Parameters() []recipe.Parameter {
	return []recipe.Parameter{{Name: "t", Valid: validDistance}}
}

func validDistance(v float64, word string) (problem, warning string) {
	if problem, _ = number("t")(v, word); problem == "" && v < 0 {
		warning = fmt.Sprintf("t = %v is negative, and counts as 0: the base model alone is taken", v)
	}
	return problem, warning
}

// Base returns the role of base_model.
func (NearswapMethod) Base() recipe.BaseRole { return recipe.BaseIsRequired }

// Missing returns BaseSingleton.
func (NearswapMethod) Missing() Missing { return BaseSingleton }

// Pairs returns false.
func (NearswapMethod) Pairs() bool { return false }

// Op needs t.
func (NearswapMethod) Op(p Params) (Op, string) {
	t, ok := p.Value("t")
	if !ok {
		return nil, "t"
	}
	return Nearswap{p.Base(), max(t, 0)}, ""
}

// Check wants a base and one other model in each slice, and a t.
func (NearswapMethod) Check(c *recipe.Check) {
	checkModels(c, 1, 1, "one model")
	for k, s := range c.Slices {
		if !s.Broken() && !c.Has("t", k, -1) {
			where := "write parameters: {t: 0.0001}"
			if !c.FromFile() {
				where = "add -t 0.0001"
			}
			c.FailMethod("nearswap needs t, how far an element moves from base_model towards the other; %s", where)
			return
		}
	}
}
