package document

import (
	"math"
	"testing"

	"go.yaml.in/yaml/v4"
)

// Plain scalars are those of YAML 1.1 as PyYAML resolves it.
func TestPlainScalar(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		text  string
		kind  Kind
		value float64
	}{
		{"", Null, 0}, {"~", Null, 0}, {"null", Null, 0}, {"Null", Null, 0}, {"nULL", Text, 0},
		{"yes", Boolean, 1}, {"On", Boolean, 1}, {"TRUE", Boolean, 1}, {"off", Boolean, 0}, {"No", Boolean, 0}, {"y", Text, 0}, {"tRue", Text, 0},
		{"0", Integer, 0}, {"-7", Integer, -7}, {"+12", Integer, 12}, {"1_000", Integer, 1000}, {"010", Integer, 8}, {"0x1F", Integer, 31}, {"-0b101", Integer, -5},
		{"1:30", Integer, 90}, {"-1:00:01", Integer, -3601}, {"08", Text, 0}, {"0o10", Text, 0}, {"1:60", Text, 0}, {"0x_", Integer, nan},
		{"0.5", Float, 0.5}, {"-1.", Float, -1}, {".5", Float, 0.5}, {"1.5e+3", Float, 1500}, {"1_0.2_5", Float, 10.25}, {"1:30.5", Float, 90.5},
		{".inf", Float, math.Inf(1)}, {"-.INF", Float, math.Inf(-1)}, {".nan", Float, nan},
		{"25e-2", Text, 0}, {"1.5e3", Text, 0}, {"-.5", Text, 0}, {"1,5", Text, 0}, {"slerp", Text, 0}, {"<<", Text, 0},
	} {
		s := PlainScalar(c.text)
		if s.Kind != c.kind || s.Text != c.text || s.Value != c.value && !(math.IsNaN(s.Value) && math.IsNaN(c.value)) {
			t.Errorf("%q is %+v, want kind %d, value %v", c.text, s, c.kind, c.value)
		}
	}
}

// Quotes make text of anything, and tags what they say.
func TestReadScalar(t *testing.T) {
	for text, want := range map[string]Scalar{
		`'1'`: {Text, "1", 0}, `"no"`: {Text, "no", 0}, "|-\n 1": {Text, "1", 0}, "1": {Integer, "1", 1},
		`!!str 1`: {Text, "1", 0}, `! 1`: {Integer, "1", 1}, `!!int "12"`: {Integer, "12", 12}, `!!bool 'yes'`: {Boolean, "yes", 1},
	} {
		if s, not := ReadScalar(node(t, text)); s != want || not != "" {
			t.Errorf("%s is %+v %q, want %+v", text, s, not, want)
		}
	}
	if _, not := ReadScalar(node(t, "!!binary aGk=")); not != `the tag "!!binary"` {
		t.Errorf("another tag: %q", not)
	}
}

// The meaning of a scalar where a number, an integer or a yes or no is wanted,
// as pydantic takes it.
func TestConversions(t *testing.T) {
	const none = math.MaxFloat64
	for text, want := range map[string]struct{ number, integer, boolean float64 }{
		"1":      {1, 1, 1},
		"0":      {0, 0, 0},
		"2":      {2, 2, none},
		"0.5":    {0.5, none, none},
		"2.0":    {2, 2, none},
		"25e-2":  {0.25, none, none},
		`"0.5"`:  {0.5, none, none},
		`" 3 "`:  {3, 3, none},
		`"1_0"`:  {10, 10, none},
		`"1__0"`: {none, none, none},
		"-.5":    {-0.5, none, none},
		"yes":    {1, none, 1},
		"off":    {0, none, 0},
		`"y"`:    {none, none, 1},
		`"F"`:    {none, none, 0},
		`"0"`:    {0, 0, 0},
		"~":      {none, none, none},
		".inf":   {none, none, none},
		".nan":   {none, none, none},
		`""`:     {none, none, none},
		"1e400":  {none, none, none},
		"half":   {none, none, none},
		"3e9":    {3e9, none, none},
	} {
		s, _ := ReadScalar(node(t, text))
		got := want
		or := func(v float64, ok bool) float64 {
			if !ok {
				return none
			}
			return v
		}
		got.number = or(s.AsNumber())
		i, ok := s.AsInt()
		got.integer = or(float64(i), ok)
		got.boolean = or(s.AsBool())
		if got != want {
			t.Errorf("%s is %v, want %v", text, got, want)
		}
	}
}

// node is the value at the top of a document.
func node(t *testing.T, text string) *yaml.Node {
	t.Helper()
	n, p := Load([]byte(text), Form{Noun: "a list", Has: "things"})
	if p != nil {
		t.Fatalf("%s: %+v", text, p)
	}
	return n
}
