package recipe

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"slerpmerge/internal/text"
)

// A Method is the name of a merge method, as merge_method has it.
type Method string

// Convert is the method of conversions, which no recipe file names.
const Convert Method = "convert"

// Rules tell a recipe about a merge method. Package method has them.
type Rules interface {
	Name() Method
	// Parameters returns the names that the method reads; it ignores others with a warning.
	Parameters() []Parameter
	// Base says what base_model is to the method.
	Base() BaseRole
	// Check finds what is wrong with the slices.
	Check(c *Check)
}

// A BaseRole is what base_model is to a method.
type BaseRole uint8

const (
	// BaseIsModel: it is a model like the others. mergekit adds it to models that
	// don't list it, without a word.
	BaseIsModel BaseRole = iota
	// BaseIsMember: it is required, and one of the models listed: the one that t = 0
	// stands for.
	BaseIsMember
	// BaseIsRequired: the others are measured from it. It need not be listed.
	BaseIsRequired
	// BaseIsOptional: the same, and the method can do without.
	BaseIsOptional
)

// A Parameter is one that a method reads.
type Parameter struct {
	Name      string
	PerSource bool // each source may have its own
	Boolean   bool
	Integer   bool   // a whole number, which has no gradient
	Default   string // what holds where a recipe gives no value, for help; "" if there must be one
	Help      string // what it is, for the help of its flag
	// Valid looks at a number: a problem refuses it, a warning does not. word is
	// the number as it was written. Nil accepts any number.
	Valid func(v float64, word string) (problem, warning string)
}

// check looks at a value, which is written as word.
func (p Parameter) check(v float64, word string) (problem, warning string) {
	switch {
	case p.Valid != nil:
		problem, warning = p.Valid(v, word)
	case math.IsNaN(v) || math.IsInf(v, 0):
		problem = fmt.Sprintf("%s can't be %s: it would make the output NaN", text.QuoteWord(word), p.Name)
	}
	if problem == "" && p.Integer && v != math.Trunc(v) {
		problem = fmt.Sprintf("%s is a whole number, not %s", p.Name, text.QuoteWord(word))
	}
	return problem, warning
}

// steady returns what is wrong with values between which a parameter would have to
// be interpolated; "" if nothing is.
func (p Parameter) steady(values []float64) string {
	if p.Integer && slices.ContainsFunc(values, func(v float64) bool { return v != values[0] }) {
		return p.Name + " is a whole number, so it can't change along the layers; filters can give it by tensors"
	}
	return ""
}

// FlagName returns the name that the flag of a parameter has.
func FlagName(parameter string) string { return strings.ReplaceAll(parameter, "_", "-") }

// Readers lists the methods that read a parameter.
func Readers(methods []Rules, parameter string) []string {
	var names []string
	for _, m := range methods {
		if slices.ContainsFunc(m.Parameters(), func(p Parameter) bool { return p.Name == parameter }) {
			names = append(names, string(m.Name()))
		}
	}
	return names
}

// A Check holds the slices of a recipe against the needs of its method.
type Check struct {
	*Recipe
	HasBase bool // the recipe names a base model, which may be wrong
	parser  *parser
	method  Pos
}

// Slice returns slice k, and its base model, nil if it has none.
func (c *Check) Slice(k int) (*Slice, *ModelRef) {
	s := &c.Slices[k]
	if s.base != nil {
		return s, s.base
	}
	return s, c.Base
}

// FailAt notes a problem with a place.
func (c *Check) FailAt(pos Pos, format string, args ...any) { c.parser.FailAt(pos, format, args...) }

// FailMethod notes a problem with the place of merge_method.
func (c *Check) FailMethod(format string, args ...any) { c.parser.FailAt(c.method, format, args...) }

// Lacks notes that a source of a slice has no value of a parameter that each must have.
func (c *Check) Lacks(param string, slice, source int) {
	src := c.Slices[slice].Sources[source]
	flag, where := FlagName(param), fmt.Sprintf("; write parameters: {%s: 0.5} under it, or for all models under the file", param)
	switch {
	case !c.FromFile():
		where = fmt.Sprintf("; add --%s %d:0.5 for it, or --%s 0.5 for all", flag, src.place, flag)
	case src.Added:
		where = ", which is merged too though models does not list it"
	}
	c.FailAt(src.Model.Pos, "%s needs a %s for every model, and there is none for %s%s", c.Method, param, c.Quote(src.Model), where)
}

// Quote makes text of a file fit for a message.
func (c *Check) Quote(s fmt.Stringer) string { return text.QuoteWord(s.String()) }
