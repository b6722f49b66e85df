package method

import (
	"fmt"
	"strconv"

	"slerpmerge/internal/recipe"
	"slerpmerge/slerp"
)

// TaskVectors adds the differences of models from a base model to it, with some of
// their elements dropped.
type TaskVectors struct {
	Method recipe.Method
	slerp.TaskVectors
}

// Word returns the name of the method.
func (t *TaskVectors) Word() string { return string(t.Method) }

// Needs returns Passes.
func (*TaskVectors) Needs() Measure { return Passes }

// Solve gives the outcome.
func (t *TaskVectors) Solve(n int, _ Gram) Solution {
	return Solution{Weights: make([]float64, n), Divisor: 1, Outcome: Outcome(t.Method)}
}

// Base returns the index of the base.
func (t *TaskVectors) Base() int { return t.TaskVectors.Base }

// Refusal tells what is wrong with the densities; "" if nothing is.
func (t *TaskVectors) Refusal() string {
	for k := range t.Density {
		if problem := t.Unfit(k); k != t.TaskVectors.Base && problem != "" {
			return problem
		}
	}
	return ""
}

// TaskVectorMethod is a method of the family of task vectors: ties, breadcrumbs, dare and
// their relatives (mergekit 0.1.5, generalized_task_arithmetic.py). They differ in how
// elements are dropped and added, and in defaults.
type TaskVectorMethod struct {
	name               recipe.Method
	title              string
	sparsifier         slerp.Sparsifier
	consensus          slerp.Consensus
	normalize, rescale bool // where the recipe does not say
}

// taskVectorMethods returns all of them.
func taskVectorMethods() []recipe.Rules {
	return []recipe.Rules{
		TaskVectorMethod{"ties", "TIES: a merge of task vectors by magnitude and sign", slerp.Magnitude, slerp.Elected, true, false},
		TaskVectorMethod{"breadcrumbs", "Model Breadcrumbs: a merge of task vectors without their smallest and largest elements", slerp.Outliers, slerp.Plain, false, false},
		TaskVectorMethod{"breadcrumbs_ties", "Model Breadcrumbs with TIES: a merge of task vectors without their smallest and largest elements, by sign", slerp.Outliers, slerp.Elected, false, false},
		TaskVectorMethod{"dare_linear", "DARE: a merge of task vectors of which elements are dropped at random", slerp.Random, slerp.Plain, false, true},
		TaskVectorMethod{"dare_ties", "DARE with TIES: a merge of task vectors of which elements are dropped at random, by sign", slerp.Random, slerp.Elected, false, true},
		TaskVectorMethod{"della", "DELLA: a merge of task vectors of which elements are dropped at random by their ranks, by sign", slerp.Ranked, slerp.Elected, true, true},
		TaskVectorMethod{"della_linear", "Linear DELLA: a merge of task vectors of which elements are dropped at random by their ranks", slerp.Ranked, slerp.Plain, false, true},
	}
}

// Random reports whether the method drops elements at random, by the seed of a recipe.
func (m TaskVectorMethod) Random() bool {
	return m.sparsifier == slerp.Random || m.sparsifier == slerp.Ranked
}

// Name returns the name in recipes.
func (m TaskVectorMethod) Name() recipe.Method { return m.name }

// Title returns the name of the method for cards.
func (m TaskVectorMethod) Title() string { return m.title }

// Parameters returns those of mergekit. int8_mask chooses the type of a mask there, and does
// nothing here.
func (m TaskVectorMethod) Parameters() []recipe.Parameter {
	list := []recipe.Parameter{
		{Name: "weight", PerSource: true, Valid: validNumber("weight")},
		{Name: "density", PerSource: true, Default: "1", Valid: validDensity},
		{Name: "lambda", Default: "1", Valid: validNumber("lambda")},
		{Name: "normalize", Boolean: true, Default: strconv.FormatBool(m.normalize)},
		{Name: "rescale", Boolean: true, Default: strconv.FormatBool(m.rescale)},
		{Name: "int8_mask", Boolean: true, Default: "false"},
	}
	switch m.sparsifier {
	case slerp.Outliers:
		list = append(list, recipe.Parameter{Name: "gamma", PerSource: true, Default: "0.01", Valid: validShare("gamma")})
	case slerp.Ranked:
		list = append(list, recipe.Parameter{Name: "epsilon", PerSource: true, Default: "0.15", Valid: validShare("epsilon")})
	}
	return list
}

func validNumber(name string) func(v float64, word string) (problem, warning string) {
	return func(v float64, word string) (problem, warning string) {
		if v-v != 0 {
			return fmt.Sprintf("%s is a number, not %s", name, word), ""
		}
		return "", ""
	}
}

func validShare(name string) func(v float64, word string) (problem, warning string) {
	return func(v float64, word string) (problem, warning string) {
		if !(v >= 0 && v <= 1) {
			return fmt.Sprintf("%s is a share from 0 to 1, not %s", name, word), ""
		}
		return "", ""
	}
}

func validDensity(v float64, word string) (problem, warning string) {
	switch {
	case !(v >= 0) || v-v != 0:
		return fmt.Sprintf("density is a share from 0 to 1, not %s", word), ""
	case v > 1:
		return "", fmt.Sprintf("a density of %s is above 1 and counts as 1: nothing is dropped", word)
	}
	return "", ""
}

// Base returns the role of base_model.
func (TaskVectorMethod) Base() recipe.BaseRole { return recipe.BaseIsRequired }

// Missing returns Refuse.
func (TaskVectorMethod) Missing() Missing { return Refuse }

// Pairs returns false.
func (TaskVectorMethod) Pairs() bool { return false }

// Op needs a weight of every operand but the base.
func (m TaskVectorMethod) Op(p Params) (Op, string) {
	n, base := p.Operands(), p.Base()
	switch {
	case base < 0:
		return nil, "base_model"
	case n == 1:
		return &Linear{Weights: []float64{1}, Divisor: 1}, ""
	}
	t := slerp.TaskVectors{
		Base: base, Sparsifier: m.sparsifier, Consensus: m.consensus,
		Weight: make([]float64, n), Density: make([]float64, n), Gamma: make([]float64, n), Epsilon: make([]float64, n),
		Lambda: 1, Normalize: m.normalize, Rescale: m.rescale, Seed: p.Seed(),
	}
	missing := ""
	for k := range n {
		if k == base {
			continue
		}
		w, ok := p.Of(k, "weight")
		if !ok {
			missing = "weight"
		}
		t.Weight[k] = w
		t.Density[k] = ownOr(p, k, "density", 1)
		t.Gamma[k] = ownOr(p, k, "gamma", 0.01)
		t.Epsilon[k] = ownOr(p, k, "epsilon", 0.15)
	}
	if v, ok := p.Value("lambda"); ok {
		t.Lambda = v
	}
	if v, ok := p.Flag("normalize"); ok {
		t.Normalize = v
	}
	if v, ok := p.Flag("rescale"); ok {
		t.Rescale = v
	}
	return &TaskVectors{m.name, t}, missing
}

// ownOr returns the parameter of an operand, or its default.
func ownOr(p Params, k int, name string, otherwise float64) float64 {
	if v, ok := p.Of(k, name); ok {
		return v
	}
	return otherwise
}

// Check wants a base model, another model in each slice, and a weight for each.
func (m TaskVectorMethod) Check(c *recipe.Check) {
	for k := range c.Slices {
		if c.Slices[k].Broken() {
			continue
		}
		s, base := c.Slice(k)
		if base == nil {
			if !c.HasBase {
				c.FailMethod("%s needs base_model: the model that the others are measured from", m.name)
				return
			}
			continue
		}
		others := 0
		for j, src := range s.Sources {
			if src.Model.Same(*base) {
				continue
			}
			others++
			if !c.Has("weight", k, j) {
				c.Lacks("weight", k, j)
			}
		}
		if others == 0 && !(c.Several() && len(s.Sources) == 1) {
			c.FailAt(s.Pos, "%s adds other models to base_model %s, and here is none", m.name, c.Quote(base))
		}
	}
}
