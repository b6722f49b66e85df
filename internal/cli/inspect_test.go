package cli

import (
	"bufio"
	"encoding/json"
	"strings"
	"testing"
)

// A text that is written in parts is the one that is written at once, whatever
// is in it.
func TestPutText(t *testing.T) {
	long := strings.Repeat("é<𐍈\"", 10_000)
	for _, text := range []string{"", "a", "<b>", long, "x" + long, "\x00\n\x7f\u2028\u2029\ufffd\xff\\&>", "\u00e9\xffz"} {
		var got strings.Builder
		w := bufio.NewWriter(&got)
		putText(w, text)
		w.Flush()
		want, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != string(want) {
			t.Errorf("%d bytes: %.40q, want %.40q", len(text), got.String(), want)
		}
	}
}
