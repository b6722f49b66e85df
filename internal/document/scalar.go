package document

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"slerpmerge/internal/text"
)

// A Scalar is a value as mergekit sees it, which is as PyYAML reads YAML 1.1:
// yes is true, 010 is eight, 25e-2 is text.
type Scalar struct {
	Kind  Kind
	Text  string // as written, without quotes
	Value float64
}

// A Kind says what a scalar is.
type Kind int

const (
	Text Kind = iota
	Null
	Boolean // Value is 0 or 1
	Integer
	Float
)

// The patterns are those of PyYAML's resolver.py.
var (
	yamlNull  = regexp.MustCompile(`^(~|null|Null|NULL|)$`)
	yamlTrue  = regexp.MustCompile(`^(yes|Yes|YES|true|True|TRUE|on|On|ON)$`)
	yamlFalse = regexp.MustCompile(`^(no|No|NO|false|False|FALSE|off|Off|OFF)$`)
	yamlInt   = regexp.MustCompile(`^([-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+)$`)
	yamlFloat = regexp.MustCompile(`^([-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?|\.[0-9][0-9_]*([eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$`)
)

// ReadScalar reads a scalar node. For another node not names its kind.
func ReadScalar(n *yaml.Node) (s Scalar, not string) {
	s = Scalar{Kind: Text, Text: n.Value}
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if n.Style&yaml.TaggedStyle != 0 {
		switch n.Tag {
		case "!", "!!str":
			return s, ""
		case "!!null", "!!bool", "!!int", "!!float":
			quoted = false // read for what it is
		default:
			return s, "the tag " + text.QuoteWord(n.Tag)
		}
	}
	if !quoted {
		s = PlainScalar(n.Value)
	}
	return s, ""
}

// PlainScalar reads a scalar that has no quotes.
func PlainScalar(v string) Scalar {
	s := Scalar{Kind: Text, Text: v}
	switch {
	case yamlNull.MatchString(v):
		s.Kind = Null
	case yamlTrue.MatchString(v):
		s.Kind, s.Value = Boolean, 1
	case yamlFalse.MatchString(v):
		s.Kind = Boolean
	case yamlInt.MatchString(v):
		s.Kind, s.Value = Integer, number(v, true)
	case yamlFloat.MatchString(v):
		s.Kind, s.Value = Float, number(v, false)
	}
	return s
}

// number returns the value of a number of YAML 1.1, NaN if there is none.
func number(v string, whole bool) float64 {
	v = strings.ToLower(strings.ReplaceAll(v, "_", ""))
	sign := 1.0
	if rest, ok := strings.CutPrefix(v, "-"); ok {
		v, sign = rest, -1
	}
	v = strings.TrimPrefix(v, "+")
	base, digits := 10, v
	switch {
	case v == ".inf":
		return math.Inf(int(sign))
	case strings.Contains(v, ":"): // as in 1:30, which is 90
		var sum float64
		for part := range strings.SplitSeq(v, ":") {
			f, err := strconv.ParseFloat(part, 64)
			if err != nil {
				return math.NaN()
			}
			sum = sum*60 + f
		}
		return sign * sum
	case whole && strings.HasPrefix(v, "0b"):
		base, digits = 2, v[2:]
	case whole && strings.HasPrefix(v, "0x"):
		base, digits = 16, v[2:]
	case whole && len(v) > 1 && v[0] == '0':
		base = 8
	}
	if base != 10 {
		u, err := strconv.ParseUint(digits, base, 64)
		if err != nil {
			return math.NaN()
		}
		return sign * float64(u)
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil {
		return math.NaN()
	}
	return sign * f
}

// textNumber is a number that YAML 1.1 takes for text, but pydantic does not:
// 25e-2, "0.5", -.5.
var textNumber = regexp.MustCompile(strings.ReplaceAll(`^[-+]?(D\.?|D?\.D)([eE][-+]?D)?$`, "D", `([0-9]+(_[0-9]+)*)`))

// AsNumber returns the scalar where mergekit wants a number. Its value is finite.
func (s Scalar) AsNumber() (float64, bool) {
	v := s.Value
	switch s.Kind {
	case Null:
		return 0, false
	case Text:
		t := strings.TrimSpace(s.Text)
		if !textNumber.MatchString(t) {
			return 0, false
		}
		v, _ = strconv.ParseFloat(strings.ReplaceAll(t, "_", ""), 64)
	}
	return v, !math.IsNaN(v) && !math.IsInf(v, 0)
}

// AsInt returns the scalar where mergekit wants an integer.
func (s Scalar) AsInt() (int, bool) {
	v, ok := s.AsNumber()
	if !ok || s.Kind == Boolean || v != math.Trunc(v) || math.Abs(v) > 1<<31 {
		return 0, false
	}
	return int(v), true
}

// AsBool returns the scalar where mergekit wants true or false: pydantic takes the
// numbers 0 and 1 and these words for it too.
func (s Scalar) AsBool() (float64, bool) {
	switch s.Kind {
	case Boolean:
		return s.Value, true
	case Integer, Float:
		return s.Value, s.Value == 0 || s.Value == 1
	case Text:
		switch strings.ToLower(s.Text) {
		case "true", "t", "yes", "y", "on", "1":
			return 1, true
		case "false", "f", "no", "n", "off", "0":
			return 0, true
		}
	}
	return 0, false
}

// plainText matches texts that YAML needs no quotes for in any place, unless
// they are read as another kind of scalar.
var plainText = regexp.MustCompile(`^[A-Za-z_./][A-Za-z0-9_./@~-]*$`)

// WriteText writes a text so that YAML reads it as that text, in quotes where
// needed.
func WriteText(s string) string {
	if plainText.MatchString(s) && PlainScalar(s).Kind == Text {
		return s
	}
	return strconv.QuoteToASCII(s) // its escapes are those of YAML
}
