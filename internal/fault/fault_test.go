package fault

import (
	"errors"
	"fmt"
	"testing"
)

type classed struct {
	class Class
	hint  string
	err   error
}

func (e *classed) Error() string { return "classed" }
func (e *classed) Unwrap() error { return e.err }
func (e *classed) Class() Class  { return e.class }
func (e *classed) Hints() []Hint { return Advise(e.hint) }

func TestClassOf(t *testing.T) {
	inner := &classed{class: Corrupt, hint: "inner"}
	for name, c := range map[string]struct {
		err   error
		class Class
		ok    bool
		hints int
	}{
		"nil":       {nil, Failed, false, 0},
		"plain":     {errors.New("x"), Failed, false, 0},
		"itself":    {inner, Corrupt, true, 1},
		"wrapped":   {fmt.Errorf("reading: %w", inner), Corrupt, true, 1},
		"joined":    {errors.Join(errors.New("x"), inner), Corrupt, true, 1},
		"outermost": {&classed{class: Request, err: inner}, Request, true, 0},
	} {
		if class, ok := ClassOf(c.err); class != c.class || ok != c.ok {
			t.Errorf("%s: class %d, %v", name, class, ok)
		}
		if hints := HintsOf(c.err); len(hints) != c.hints {
			t.Errorf("%s: %d hints", name, len(hints))
		}
	}
}

func TestHint(t *testing.T) {
	key := func(f Flag) string { return f.Name + ": " + f.Value }
	for _, c := range []struct {
		hints      []Hint
		text, keys string
	}{
		{Advise("download 100%s.safetensors"), "download 100%s.safetensors", "download 100%s.safetensors"},
		{Suggest("try %s, which keeps them", Flag{"vocab", "extend"}), "try --vocab extend, which keeps them", "try vocab: extend, which keeps them"},
		{Suggest("add %s", Flag{Name: "overwrite"}), "add --overwrite", "add overwrite: "},
		{Suggest("%s or %s", Flag{"entry", "a%s"}, Flag{"entry", "b"}), "--entry 'a%s' or --entry b", "entry: a%s or entry: b"},
	} {
		if len(c.hints) != 1 {
			t.Fatalf("%v", c.hints)
		}
		if got := c.hints[0].String(); got != c.text {
			t.Errorf("%q, want %q", got, c.text)
		}
		if got := c.hints[0].Format(key); got != c.keys {
			t.Errorf("%q, want %q", got, c.keys)
		}
	}
	if Advise("") != nil {
		t.Error("an empty hint")
	}
}

func TestFlagOf(t *testing.T) {
	err := fmt.Errorf("job a: %w", &FlagError{"shard-size", errors.New("--shard-size must be at least one byte")})
	if got := FlagOf(err); got != "shard-size" {
		t.Errorf("%q", got)
	}
	if got := FlagOf(errors.New("--shard-size")); got != "" {
		t.Errorf("%q", got)
	}
}
