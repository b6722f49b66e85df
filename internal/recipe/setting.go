package recipe

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"slerpmerge/internal/document"
	"slerpmerge/internal/fault"
	"slerpmerge/internal/text"
)

// A Setting is the value of a parameter, such as t, for every tensor: rules of
// which the first whose filter fits counts.
type Setting []Rule

// A Rule gives a value to the tensors whose names contain Filter, all tensors
// when Filter is empty. The values are spread evenly over the layers of a
// slice: one holds everywhere, between two a tensor's value is interpolated.
type Rule struct {
	Pos    Pos // in the recipe, if it is of one
	Filter string
	Values []float64
}

func (r *Rule) matches(name string) bool {
	return r.Filter == "" || strings.Contains(name, r.Filter)
}

// rule returns the first rule that takes a tensor. A rule without values, an empty
// list, leaves the tensor to the next outer level of a recipe, not to the
// next rule (mergekit 0.1.5, evaluate_setting).
func (s Setting) rule(name string) *Rule {
	for i := range s {
		if s[i].matches(name) {
			if len(s[i].Values) == 0 {
				return nil
			}
			return &s[i]
		}
	}
	return nil
}

// At returns the value for a tensor at position p, 0 to 1, of its slice, and false
// if no rule has one. As in mergekit (0.1.5, evaluate_setting),
// filters are plain, case-sensitive parts of names: layers.1 also takes
// layers.10.
func (s Setting) At(name string, p float64) (float64, bool) {
	r := s.rule(name)
	if r == nil {
		return 0, false
	}
	last := len(r.Values) - 1
	scaled := p * float64(last)
	i := int(scaled)
	frac := scaled - float64(i)
	// Conversions, so that no machine fuses the products with the sum.
	return float64((1-frac)*r.Values[i]) + float64(frac*r.Values[min(last, i+1)]), true
}

// pick is At for a parameter that is true or false: nothing between two
// values, the one before counts.
func (s Setting) pick(name string, p float64) (value, ok bool) {
	r := s.rule(name)
	if r == nil {
		return false, false
	}
	return r.Values[int(p*float64(len(r.Values)-1))] != 0, true
}

// An UnusedRule is one that gives none of the tensors its value.
type UnusedRule struct {
	Rule
	Shadowed bool // it fits some, but rules before it take them all
}

// String says which one and why.
func (u UnusedRule) String() string {
	switch {
	case u.Filter == "":
		return "the value without a filter is never used: the filters before it take every tensor"
	case u.Shadowed:
		return fmt.Sprintf("filter %s is never used: entries before it take all tensors that it matches", text.QuoteWord(u.Filter))
	}
	return fmt.Sprintf("filter %s matches no tensor", text.QuoteWord(u.Filter))
}

// Unused lists the rules that give none of the named tensors its value.
func (s Setting) Unused(names []string) []UnusedRule {
	fits, used := make([]bool, len(s)), make([]bool, len(s))
	for _, name := range names {
		taken := false
		for i := range s {
			if s[i].matches(name) {
				fits[i] = true
				used[i] = used[i] || !taken
				taken = true
			}
		}
	}
	var unused []UnusedRule
	for i := range s {
		if !used[i] {
			unused = append(unused, UnusedRule{s[i], fits[i]})
		}
	}
	return unused
}

// Position returns the relative place of layer i in a slice of n layers, as
// mergekit computes it: 0 for the first and 1 for the last, and 1 for an only one (0.1.5, plan_slice).
// Tensors outside the layers (embeddings, final norm and head) are at 0.
func Position(i, n int) float64 {
	if n <= 1 {
		return 1
	}
	return float64(i) / float64(n-1)
}

// MaxT bounds the size of t. From a larger one, or one that is not finite, the
// coefficients would be infinite or NaN, and so would the output.
const MaxT = 1e300

// NoT says that a number can't be t.
func NoT(word string) string {
	return fmt.Sprintf("%s can't be t: it would make the output NaN; t is a finite number of at most %g, and as a rule from 0 to 1", text.QuoteWord(word), MaxT)
}

// ParseTFlags reads the values of -t, in their order: numbers with commas
// between them, which may follow a filter and "=".
func ParseTFlags(args []string) (Setting, error) {
	t := Parameter{Name: "t", Valid: func(v float64, word string) (problem, warning string) {
		if !(math.Abs(v) <= MaxT) {
			return NoT(word), ""
		}
		return "", ""
	}}
	s, _, err := t.parse(args)
	return s, err
}

// parse reads the values of a parameter's flag, in their order. Warnings are
// about values that hardly make sense.
func (p Parameter) parse(args []string) (s Setting, warnings []string, err error) {
	flag := FlagName(p.Name)
	said := said(flag)
	bad := func(format string, args ...any) error {
		return &fault.FlagError{Name: flag, Err: fmt.Errorf(format, args...)}
	}
	example, form := "0.5", "a number is missing; it is one number, such as 0.5, or a list over the layers, such as 0,0.5,1"
	if p.Boolean {
		example, form = "true", "true or false is missing"
	}
	for i, arg := range args {
		var r Rule
		list := arg
		if at := strings.LastIndexByte(arg, '='); at >= 0 {
			r.Filter, list = strings.TrimSpace(arg[:at]), arg[at+1:]
			if r.Filter == "" {
				return nil, nil, bad("%s %s: a part of a tensor's name must come before \"=\", such as %s mlp=%s", said, text.QuoteWord(arg), said, example)
			}
			if r.Filter == "*" {
				r.Filter = ""
			}
		}
		for word := range strings.SplitSeq(list, ",") {
			word = strings.TrimSpace(word)
			if word == "" {
				return nil, nil, bad("%s %s: %s", said, text.QuoteWord(arg), form)
			}
			v, not := p.word(word)
			if not != "" {
				return nil, nil, bad("%s %s: %s is %s", said, text.QuoteWord(arg), text.QuoteWord(word), not)
			}
			problem, warning := p.check(v, word)
			if problem != "" {
				return nil, nil, bad("%s %s: %s", said, text.QuoteWord(arg), problem)
			}
			if warning != "" {
				warnings = append(warnings, said+": "+warning)
			}
			r.Values = append(r.Values, v)
		}
		if problem := p.steady(r.Values); problem != "" {
			return nil, nil, bad("%s %s: %s", said, text.QuoteWord(arg), problem)
		}
		if i > 0 && s[i-1].Filter == "" {
			return nil, nil, bad("%s %s is never used: %s %s before it takes every tensor, so put that last", said, text.QuoteWord(arg), said, text.QuoteWord(args[i-1]))
		}
		s = append(s, r)
	}
	return s, warnings, nil
}

// said writes a flag as users do.
func said(flag string) string {
	if flag == "t" {
		return "-t"
	}
	return "--" + flag
}

// word reads one value; not says what it is instead.
func (p Parameter) word(word string) (v float64, not string) {
	if p.Boolean {
		if v, ok := document.PlainScalar(word).AsBool(); ok {
			return v, ""
		}
		return 0, "neither true nor false"
	}
	v, err := strconv.ParseFloat(word, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, "not a number"
	}
	return v, ""
}
