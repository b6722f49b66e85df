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
	// Op returns the operation on one tensor. If the recipe lacks the value of a
	// parameter for it, missing is the parameter's name.
	Op(p Params) (op Op, missing string)
}

// All returns the methods that recipes can name.
func All() []recipe.Rules {
	return []recipe.Rules{SlerpMethod{}, LinearMethod{}, PassthroughMethod{}}
}

// Params gives the parameters of a method for one tensor of the output.
type Params interface {
	// Operands returns the number of operands that the tensor has.
	Operands() int
	// Value and Flag are the parameters that all operands share.
	Value(name string) (float64, bool)
	Flag(name string) (value, ok bool)
	// Of returns the parameter of one operand.
	Of(operand int, name string) (float64, bool)
}

// Sole returns the operand whose values an Op takes alone, without anything being
// measured; ok is false if there is none.
func Sole(op Op) (k int, ok bool) {
	if s, has := op.(interface{ Sole() (int, bool) }); has {
		return s.Sole()
	}
	return 0, false
}
