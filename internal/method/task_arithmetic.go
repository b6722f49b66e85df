package method

import (
	"math"

	"slerpmerge/internal/recipe"
)

// TaskArithmeticMethod is merge_method: task_arithmetic, of any number of models and a base.
type TaskArithmeticMethod struct{}

// Name returns "task_arithmetic".
func (TaskArithmeticMethod) Name() recipe.Method { return "task_arithmetic" }

// Title returns the name of the method for cards.
func (TaskArithmeticMethod) Title() string {
	return "A merge of models by task arithmetic: what they have learned since their base is added up"
}

// Parameters returns those of mergekit. density, rescale and int8_mask are without effect.
func (TaskArithmeticMethod) Parameters() []recipe.Parameter {
	return []recipe.Parameter{weightParameter(), {Name: "lambda", Default: "1"}, {Name: "normalize", Boolean: true, Default: "false"},
		{Name: "density", PerSource: true, Default: "1"}, {Name: "rescale", Boolean: true}, {Name: "int8_mask", Boolean: true, Default: "false"}}
}

// Base returns the role of base_model.
func (TaskArithmeticMethod) Base() recipe.BaseRole { return recipe.BaseIsRequired }

// Missing returns Refuse.
func (TaskArithmeticMethod) Missing() Missing { return Refuse }

// Pairs returns false.
func (TaskArithmeticMethod) Pairs() bool { return false }

// tiny is the size of a sum of weights that does not divide (mergekit 0.1.5,
// merge_methods/generalized_task_arithmetic.py).
const tiny = 1e-8

// Op needs a weight of every operand but the base. lambda is 1 if not given. The weighted sum
// of differences, added to the base, is a sum of the operands: with the base it has weights that
// add up to 1.
func (TaskArithmeticMethod) Op(p Params) (Op, string) {
	w, missing := weightsOf(p, others(p))
	sum := sumOf(w)
	if yes, _ := p.Flag("normalize"); !yes || math.Abs(sum) < tiny {
		sum = 1
	}
	lambda := valueOr(p, "lambda", 1)
	for i := range w {
		w[i] = float64(lambda*w[i]) / sum
	}
	return &Linear{Weights: fromBase(p.Operands(), p.Base(), w), Divisor: 1}, missing
}

// Check wants a weight for every other model.
func (TaskArithmeticMethod) Check(c *recipe.Check) {
	checkWeights(c)
}
