package method

import (
	"fmt"

	"slerpmerge/internal/recipe"
	"slerpmerge/internal/text"
	"slerpmerge/slerp"
)

// checkModels wants in each slice least to most models besides the base, models in words; most 0 is any
// number. That there is a base where the method needs one is checked with the recipe.
func checkModels(c *recipe.Check, least, most int, models string) {
	for k := range c.Slices {
		s, base := c.Slice(k)
		if s.Broken() || base == nil && c.Rules.Base() == recipe.BaseIsRequired {
			continue
		}
		if len(s.Sources) == 1 && c.Several() { // a module that is taken from one model
			continue
		}
		n, besides := 0, ""
		if base != nil {
			besides = " besides base_model"
		}
		for j, src := range s.Sources {
			if j == s.Base {
				continue
			}
			if n++; most > 0 && n == most+1 {
				c.FailAt(src.Model.Pos, "%s merges %s%s, and %s is one too many", c.Method, models, besides, c.Quote(src.Model))
			}
		}
		if n < least {
			here := fmt.Sprintf("%s %d", text.Verb(n, "is", "are"), n)
			if n == 0 {
				here = "is none"
			}
			c.FailAt(s.Sources[0].Pos, "%s merges %s%s, and here %s", c.Method, models, besides, here)
		}
	}
}

// checkWeights wants a weight for every model but the base.
func checkWeights(c *recipe.Check) {
	for k, s := range c.Slices {
		if s.Broken() || len(s.Sources) == 1 && c.Several() {
			continue
		}
		for j := range s.Sources {
			if j != s.Base && !c.Has("weight", k, j) {
				c.Lacks("weight", k, j)
			}
		}
	}
}

// weightParameter is the weight of a model.
func weightParameter() recipe.Parameter { return recipe.Parameter{Name: "weight", PerSource: true} }

// others lists the operands that are not the base.
func others(p Params) []int {
	var list []int
	for k := range p.Operands() {
		if k != p.Base() {
			list = append(list, k)
		}
	}
	return list
}

// weightsOf returns the weights of operands. missing is "weight" if one has none.
func weightsOf(p Params, operands []int) (w []float64, missing string) {
	for _, k := range operands {
		v, ok := p.Of(k, "weight")
		if !ok {
			missing = "weight"
		}
		w = append(w, v)
	}
	return w, missing
}

// alone takes the values of one operand of several.
func alone(n, k int) Op {
	l := &Linear{Weights: make([]float64, n), Divisor: 1}
	l.Weights[k] = 1
	return l
}

// fromBase gives coefficients of differences from a base to n operands: the base gets what is left of
// 1. base is -1 if there is none; then c is returned.
func fromBase(n, base int, c []float64) []float64 {
	if base < 0 {
		return c
	}
	w, rest, k := make([]float64, n), 1.0, 0
	for i := range w {
		if i != base {
			w[i] = c[k]
			rest -= c[k]
			k++
		}
	}
	w[base] = rest
	return w
}

// measure returns what an Op has to know that works on differences from a base, or on the
// operands themselves if base is -1.
func measure(base int) Measure {
	if base < 0 {
		return InnerProducts
	}
	return Deltas
}

// products shows the Gram matrix of n vectors to package slerp.
func (g Gram) products(n int) slerp.Inner {
	return func(i, j int) slerp.Wide { return g.At(n, i, j) }
}
