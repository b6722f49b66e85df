package recipe

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A scalar is a value of a recipe as mergekit sees it, which is as PyYAML
// reads YAML 1.1: yes is true, 010 is eight, 25e-2 is text.
type scalar struct {
	kind  scalarKind
	text  string // as written, without quotes
	value float64
}

type scalarKind int

const (
	text scalarKind = iota
	null
	boolean // value is 0 or 1
	integer
	float
)

// The patterns are those of PyYAML's resolver.py.
var (
	yamlNull  = regexp.MustCompile(`^(~|null|Null|NULL|)$`)
	yamlTrue  = regexp.MustCompile(`^(yes|Yes|YES|true|True|TRUE|on|On|ON)$`)
	yamlFalse = regexp.MustCompile(`^(no|No|NO|false|False|FALSE|off|Off|OFF)$`)
	yamlInt   = regexp.MustCompile(`^([-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+)$`)
	yamlFloat = regexp.MustCompile(`^([-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?|\.[0-9][0-9_]*([eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$`)
)

// readScalar reads a scalar node; not is what else it is.
func readScalar(n *yaml.Node) (s scalar, not string) {
	s = scalar{kind: text, text: n.Value}
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if n.Style&yaml.TaggedStyle != 0 {
		switch n.Tag {
		case "!", "!!str":
			return s, ""
		case "!!null", "!!bool", "!!int", "!!float":
			quoted = false // read for what it is
		default:
			return s, "the tag " + quote(n.Tag)
		}
	}
	if !quoted {
		s = plainScalar(n.Value)
	}
	return s, ""
}

// plainScalar reads a scalar that has no quotes.
func plainScalar(v string) scalar {
	s := scalar{kind: text, text: v}
	switch {
	case yamlNull.MatchString(v):
		s.kind = null
	case yamlTrue.MatchString(v):
		s.kind, s.value = boolean, 1
	case yamlFalse.MatchString(v):
		s.kind = boolean
	case yamlInt.MatchString(v):
		s.kind, s.value = integer, number(v, true)
	case yamlFloat.MatchString(v):
		s.kind, s.value = float, number(v, false)
	}
	return s
}

// number is the value of a number of YAML 1.1, NaN if there is none.
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

// asNumber is the scalar where mergekit wants a number. Its value is finite.
func (s scalar) asNumber() (float64, bool) {
	v := s.value
	switch s.kind {
	case null:
		return 0, false
	case text:
		t := strings.TrimSpace(s.text)
		if !textNumber.MatchString(t) {
			return 0, false
		}
		v, _ = strconv.ParseFloat(strings.ReplaceAll(t, "_", ""), 64)
	}
	return v, !math.IsNaN(v) && !math.IsInf(v, 0)
}

// asInt is the scalar where mergekit wants an integer.
func (s scalar) asInt() (int, bool) {
	v, ok := s.asNumber()
	if !ok || s.kind == boolean || v != math.Trunc(v) || math.Abs(v) > 1<<31 {
		return 0, false
	}
	return int(v), true
}

// asBool is the scalar where mergekit wants true or false: pydantic takes the
// numbers 0 and 1 and these words for it too.
func (s scalar) asBool() (float64, bool) {
	switch s.kind {
	case boolean:
		return s.value, true
	case integer, float:
		return s.value, s.value == 0 || s.value == 1
	case text:
		switch strings.ToLower(s.text) {
		case "true", "t", "yes", "y", "on", "1":
			return 1, true
		case "false", "f", "no", "n", "off", "0":
			return 0, true
		}
	}
	return 0, false
}
