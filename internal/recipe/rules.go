package recipe

import (
	"fmt"

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
	// Valid looks at a number: a problem refuses it, a warning does not. word is
	// the number as it was written. Nil accepts any number.
	Valid func(v float64, word string) (problem, warning string)
}

// A Check holds the slices of a file against the needs of its method.
type Check struct {
	*Recipe
	HasBase bool // the file names a base_model, which may be wrong
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

// Quote makes text of a file fit for a message.
func (c *Check) Quote(s fmt.Stringer) string { return text.QuoteWord(s.String()) }
