package verify_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/verify"
	"slerpmerge/writer"
)

// A sample covers every file, is always the same, and finds what is in its
// tensors and in all bytes that are no values.
func TestVerifySample(t *testing.T) {
	t.Parallel()
	const share = 0.05
	for _, format := range []recipe.Format{recipe.Safetensors, recipe.Bin} {
		m := mergeAssorted(t, format, 100)
		v := m.verify(t, share)
		if v.Count != 0 || v.Tensors == 0 || v.Tensors == len(assorted) || v.Sums != 2 {
			t.Fatalf("%s: %+v", format, v)
		}
		covered := 0
		r := rand.New(rand.NewPCG(5, 6))
		for _, f := range m.Layout.Files {
			seen := map[int]bool{}
			for _, at := range places(f, r) {
				x, in := extentAt(f, at)
				m.flipped(t, f.Name, at, 3, func() {
					v := m.verify(t, share)
					switch {
					case v.Count > 1:
						t.Errorf("%s, byte %d: %v", f.Name, at, v.Differences)
					case v.Count == 0 && !in:
						t.Errorf("%s, byte %d, not found", f.Name, at)
					case in:
						if found, known := seen[x.Tensor]; known && found != (v.Count == 1) {
							t.Errorf("%s is in the sample for some bytes only", m.Tensors[x.Tensor].Name)
						}
						seen[x.Tensor] = v.Count == 1
					}
				})
			}
			for _, found := range seen {
				if found {
					covered++
					break
				}
			}
		}
		if covered != len(m.Layout.Files) {
			t.Errorf("%s: the sample has tensors of %d files of %d", format, covered, len(m.Layout.Files))
		}
	}
}

// A sample of a large file is about as large as asked for, and grows.
func TestPicked(t *testing.T) {
	p := &plan.Plan{}
	var infos []tensor.Info
	for i := range 1000 {
		infos = append(infos, tensor.Info{Name: fmt.Sprintf("layers.%d.weight", i), DType: tensor.BF16, Shape: []uint64{50}})
		p.Tensors = append(p.Tensors, plan.Tensor{Info: infos[i]})
	}
	var err error
	if p.Layout, err = writer.NewLayout(infos, nil, 100*500, writer.Safetensors); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		share float64
		want  int
	}{{1e-9, 2}, {0.05, 50}, {0.5, 500}, {0.999, 1000}, {1, 1000}} {
		n, size := verify.Picked(p, c.share)
		if n != c.want || size != int64(100*c.want) {
			t.Errorf("%v: %d tensors of %d bytes, want %d", c.share, n, size, c.want)
		}
	}
}
