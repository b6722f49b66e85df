package plan

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"slerpmerge/internal/model"
	"slerpmerge/internal/tensor"
)

// The line of a tensor is the one that package fmt makes: fingerprints of runs
// that are to be resumed must not change.
func TestAppendIdentity(t *testing.T) {
	for _, x := range []model.Tensor{
		{Info: tensor.Info{Name: "a", DType: tensor.BF16, Shape: []uint64{2, 3}}, File: 1, Offset: 80},
		{Info: tensor.Info{Name: "a \"b\"\n\xff\u00e9", DType: tensor.F8E4M3, Shape: []uint64{1 << 63}}, Offset: 1 << 40},
		{Info: tensor.Info{DType: tensor.BOOL}},
	} {
		for _, shares := range []string{"", "model.\t"} {
			want := fmt.Sprintf("tensor %q %v %v %d %d %q\n", x.Name, x.DType, x.Shape, x.File, x.Offset, shares)
			if got := string(appendIdentity(nil, &x, shares)); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
	}
}

// The fingerprints of runs that were begun stay as they are.
func TestQuote(t *testing.T) {
	for _, text := range []string{"", `{"a": "b\n"}`, strings.Repeat("x", 4095) + "\u20ac" + strings.Repeat("\u00e9\t", 5000), strings.Repeat("\xff\xe2\x82", 3000), strings.Repeat("x", 4095) + "\x82\x82 "} {
		parts, whole := sha256.New(), sha256.New()
		quote(parts, []byte(text))
		fmt.Fprintf(whole, "%q", []byte(text))
		if string(parts.Sum(nil)) != string(whole.Sum(nil)) {
			t.Errorf("%.20q is quoted in another way", text)
		}
	}
}
