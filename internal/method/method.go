package method

import "slerpmerge/internal/recipe"

// A Method is a merge method: its parameters and checks, and what it does with
// the operands of a tensor.
type Method interface {
	recipe.Rules
	// Title says what a merge by this method is, for model cards.
	Title() string
	// Pairs reports whether the method goes from one model to another. Then its
	// tensors are planned in pairs, by the policies for vocabularies and for
	// tensors that only one model has; else the sum is that of the models that
	// have a tensor.
	Pairs() bool
	// Missing says what becomes of a tensor that not all sources have. Methods that
	// go from one model to another leave it to the policy of the recipe.
	Missing() Missing
	// Op returns the operation on one tensor. If the recipe lacks the value of a
	// parameter for it, missing is the parameter's name.
	Op(p Params) (op Op, missing string)
}

// Missing is what becomes of a tensor that some sources lack (mergekit 0.1.5,
// MissingTensorRule).
type Missing uint8

const (
	// Others: the method is applied to the models that have the tensor.
	Others Missing = iota
	// Refuse: the merge is refused.
	Refuse
	// Singleton: if one model alone has it, its values are taken; else Refuse.
	Singleton
	// BaseSingleton: the same, if that model is the base; else Refuse.
	BaseSingleton
	// BaseOrSkip: if the base alone has it, its values are taken; without the base,
	// or with fewer than two others, the tensor is left out with a warning.
	BaseOrSkip
)

// All returns the methods that recipes can name.
func All() []recipe.Rules {
	return append([]recipe.Rules{SlerpMethod{}, LinearMethod{}, PassthroughMethod{}, NearswapMethod{}, RamMethod{}, RamMethod{Plus: true},
		TaskArithmeticMethod{}, NuslerpMethod{}, MultiSlerpMethod{}, KarcherMethod{}, ModelStockMethod{}, SCEMethod{}, ArceeFusionMethod{}}, taskVectorMethods()...)
}

// Random reports whether a method depends on the seed of a recipe.
func Random(m recipe.Rules) bool {
	r, ok := m.(interface{ Random() bool })
	return ok && r.Random()
}

// Params gives the parameters of a method for one tensor of the output.
type Params interface {
	// Operands returns the number of operands that the tensor has, the base
	// included if it is among the sources.
	Operands() int
	// Base returns the index of the operand that is the base model's, -1 if there
	// is none.
	Base() int
	// Value and Flag are the parameters that all operands share.
	Value(name string) (float64, bool)
	Flag(name string) (value, ok bool)
	// Of returns the parameter of one operand.
	Of(operand int, name string) (float64, bool)
	// Seed returns the seed of the random numbers of the merge.
	Seed() uint64
}

// Sole returns the operand whose values an Op takes alone, without anything being
// measured; ok is false if there is none.
func Sole(op Op) (k int, ok bool) {
	if s, has := op.(interface{ Sole() (int, bool) }); has {
		return s.Sole()
	}
	return 0, false
}

// CopiesEqual reports whether operands that all have the same bytes give these bytes, whatever they
// are. If not, an Op with Needs InnerProducts is asked to Solve for them too.
func CopiesEqual(op Op) bool {
	o, has := op.(interface{ CopiesEqual() bool })
	return !has || o.CopiesEqual()
}

// ZeroSum reports whether an Op would divide by a sum of weights that is 0.
func ZeroSum(op Op) bool {
	o, has := op.(interface{ ZeroSum() bool })
	return has && o.ZeroSum()
}

// Fallback says why tensors of an Op that are not merged by its formula are a weighted sum: those
// whose Outcome is Straight. It is "" if that is part of the method.
func Fallback(op Op) string {
	if o, has := op.(interface{ Fallback() string }); has {
		return o.Fallback()
	}
	return ""
}

func sumOf(w []float64) float64 {
	sum := 0.0
	for _, x := range w {
		sum += x
	}
	return sum
}

// AtCosine returns the Solution of an Op on two operands of which only the cosine of
// their angle is known; ok is false for an Op that has to know more.
func AtCosine(op Op, cos float64) (s Solution, ok bool) {
	if c, has := op.(interface{ AtCosine(cos float64) Solution }); has {
		return c.AtCosine(cos), true
	}
	return Solution{}, false
}
