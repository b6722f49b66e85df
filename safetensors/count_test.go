package safetensors

import (
	"fmt"
	"strings"
	"testing"
)

// An index is counted without being held: its tensors, their names, and the file
// that has most of them.
func TestCountIndex(t *testing.T) {
	for _, c := range []struct {
		text string
		want IndexCount
	}{
		{`{"weight_map":{}}`, IndexCount{}},
		{`{"metadata":{"total_size":8},"weight_map":{"a":"1.bin","bb":"2.bin","c":"1.bin"}}`, IndexCount{3, 4, 2}},
		{`{"weight_map":{"a":"x\"y","b":"x\"z"}}`, IndexCount{2, 2, 2}}, // told apart up to the quote
		{`{"weight_map":{"a":1,"b":["c"]}}`, IndexCount{2, 2, 0}},
		{`{"weight_map":{"a":"` + strings.Repeat("n", 400) + `1","b":"` + strings.Repeat("n", 400) + `2"}}`, IndexCount{2, 2, 2}},
	} {
		got, err := CountIndex(strings.NewReader(c.text), int64(len(c.text)))
		if err != nil || got != c.want {
			t.Errorf("%.60s: %+v, %v; want %+v", c.text, got, err, c.want)
		}
	}
	var many strings.Builder
	many.WriteString(`{"weight_map":{"a":"0"`)
	for i := range countedFiles + 1 {
		fmt.Fprintf(&many, `,"b%d":"%d"`, i, i)
	}
	many.WriteString("}}")
	if got, err := CountIndex(strings.NewReader(many.String()), int64(many.Len())); err != nil || got.Tensors != countedFiles+2 || got.Largest != 0 {
		t.Errorf("many files: %+v, %v", got, err)
	}
}
