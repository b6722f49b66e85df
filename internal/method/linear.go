package method

import "slerpmerge/internal/recipe"

// Linear is a weighted sum: the sum of the products, divided by Divisor.
type Linear struct {
	Weights []float64
	Divisor float64
}

// Word returns "linear".
func (*Linear) Word() string { return "linear" }

// Needs returns Nothing.
func (*Linear) Needs() Measure { return Nothing }

// Solve gives the weights.
func (l *Linear) Solve(int, Gram) Solution {
	return Solution{Weights: l.Weights, Divisor: l.Divisor, Outcome: Straight}
}

// ZeroSum reports whether the weights add up to 0 and are to be normalised.
func (l *Linear) ZeroSum() bool { return l.Divisor == 0 }

// LinearMethod is merge_method: linear, the weighted sum of any number of models.
type LinearMethod struct{}

// Name returns "linear".
func (LinearMethod) Name() recipe.Method { return "linear" }

// Title returns the name of the method for cards.
func (LinearMethod) Title() string {
	return "A merge of models by a weighted sum"
}

// Parameters returns weight and normalize.
func (LinearMethod) Parameters() []recipe.Parameter {
	return []recipe.Parameter{{Name: "weight", PerSource: true}, {Name: "normalize", Boolean: true, Default: "true"}}
}

// Base returns the role of base_model.
func (LinearMethod) Base() recipe.BaseRole { return recipe.BaseIsModel }

// Missing returns Others.
func (LinearMethod) Missing() Missing { return Others }

// Pairs returns false.
func (LinearMethod) Pairs() bool { return false }

// Op needs a weight of every operand. The sum is divided by that of the weights
// unless normalize is false.
func (LinearMethod) Op(p Params) (Op, string) {
	l := &Linear{Divisor: 1}
	sum, missing := 0.0, ""
	for k := range p.Operands() {
		w, ok := p.Of(k, "weight")
		if !ok {
			missing = "weight"
		}
		l.Weights = append(l.Weights, w)
		sum += w
	}
	if yes, ok := p.Flag("normalize"); yes || !ok {
		l.Divisor = sum
	}
	return l, missing
}

// Check wants a weight for every model.
func (LinearMethod) Check(c *recipe.Check) {
	for k, s := range c.Slices {
		if s.Broken() {
			continue
		}
		for j := range s.Sources {
			if !c.Has("weight", k, j) {
				c.Lacks("weight", k, j)
			}
		}
	}
}
