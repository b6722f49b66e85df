package method

import (
	"fmt"
	"math"

	"slerpmerge/internal/text"
)

// valueOr returns a parameter that all operands share, or its default.
func valueOr(p Params, name string, v float64) float64 {
	if w, ok := p.Value(name); ok {
		return w
	}
	return v
}

// number accepts what is finite.
func number(name string) func(float64, string) (problem, warning string) {
	return func(v float64, word string) (problem, warning string) {
		if !finite(v) {
			return fmt.Sprintf("%s can't be %s, which is a finite number", text.QuoteWord(word), name), ""
		}
		return "", ""
	}
}

// notNegative accepts what is finite and not below 0.
func notNegative(name string) func(float64, string) (problem, warning string) {
	return func(v float64, word string) (problem, warning string) {
		if problem, _ = number(name)(v, word); problem == "" && v < 0 {
			problem = fmt.Sprintf("%s can't be %s, which is 0 or more", text.QuoteWord(word), name)
		}
		return problem, ""
	}
}

func finite(v float64) bool { return math.Abs(v) <= math.MaxFloat64 }
