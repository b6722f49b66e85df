package recipe_test

import (
	"math"
	"testing"
)

// Scalars as PyYAML and pydantic read them where a number is wanted; NaN for
// those that are refused.
func TestNumbers(t *testing.T) {
	none := math.NaN()
	for src, want := range map[string]float64{
		"25e-2": 0.25, "1e3": 1000, "1.0e-07": 1e-7, ".5": 0.5, "5.": 5, "-.25": -0.25, "+1": 1, "1_000": 1000, `"1_0.5"`: 10.5, `" 0.5 "`: 0.5,
		"010": 8, "08": 8, "0x1F": 31, "0b101": 5, "0o7": none, "1:30": 90, "1:3.5": 63.5, "-1:30": -90, "yes": 1, "OFF": 0, "True": 1,
		"y": none, `"yes"`: none, "1__0": 10, `"1__0"`: none, ".inf": none, "-.INF": none, ".NaN": none, "inf": none, "1.0e+999": none,
		"1e999": none, "0x": none, "0b_": none, "~": none, "''": none, "!!float 3": 3, "!!str 0.75": 0.75, "! 3": 3, "!!foo 3": none, "2024-01-01": none,
	} {
		got := none
		if d, err := parse(t, "r.yml", "merge_method: passthrough\nmodels: [{model: a}]\nparameters: {scale: ["+src+"]}\n"); err == nil {
			got, _ = d.SourceValue("scale", 0, 0, "x", 0)
		}
		if got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("%s: got %v, want %v", src, got, want)
		}
	}
}
