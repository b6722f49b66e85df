package merge_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"slerpmerge/internal/merge"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
)

// wideValues makes some values of a model of makeModel too large for a half
// float, and some too small.
func wideValues(t *testing.T, dir string, every int) {
	t.Helper()
	path := filepath.Join(dir, "model.safetensors")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096 * every; i+8 < len(b); i += 8 * every {
		copy(b[i:], []byte{0x80, 0x7e, 0x80, 0x7e, 0x80, 0x01, 0x80, 0x01})
	}
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
}

// Runs that are stopped again and again, with other threads and memory each
// time, end in the same files and the same findings, without beginning again.
func TestResume(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	list := append([]spec{{"k.ints", tensor.I32, 700_000}}, layers...)
	a := makeModel(t, dir+"/a", 1, 0, list)
	b := makeModel(t, dir+"/b", 2, 0, list)
	wideValues(t, a, 1000)
	wideValues(t, b, 777)
	var total int64
	for _, s := range list {
		total += 2 * int64(s.elems) * int64(s.dtype.Size())
	}
	stop := errors.New("stop")
	for _, c := range []struct {
		format recipe.Format
		dtype  recipe.DType
		shard  int64
	}{
		{recipe.Safetensors, recipe.DType{Auto: true}, 12e6},
		{recipe.Safetensors, recipe.DType{To: tensor.F16}, 1e12},
		{recipe.Bin, recipe.DType{To: tensor.F16}, 9e6},
		{recipe.Bin, recipe.DType{Auto: true}, 1e12},
	} {
		t.Run(fmt.Sprintf("%s %v", c.format, c.dtype), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(3, uint64(c.shard)))
			set := func(r *recipe.Request) {
				r.Format, r.DType, r.ShardSize, r.NonFinite = c.format, c.dtype, c.shard, recipe.NonFiniteWarn
			}
			want, whole, err := tryMerge(t, a, b, set, merge.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if len(want.Warnings) == 0 {
				t.Fatal("nothing was counted")
			}
			out := filepath.Join(t.TempDir(), "out")
			var kept, read atomic.Int64
			var res *merge.Result
			rounds := 0
			for ; ; rounds++ {
				ctx, cancel := context.WithCancelCause(context.Background())
				left := int64(1 + r.Int64N(6<<20))
				if rounds == 7 {
					left = 1 << 40
				}
				var resumed merge.Resumed
				at := kept.Load()
				opt := merge.Options{Fingerprint: "f", Resumed: func(x merge.Resumed) { resumed = x },
					Progress: func(n int64) {
						if left -= n; left < 0 {
							cancel(stop)
						}
					}}
				opt.CountReads(func(_ string, n int) { read.Add(int64(n)) })
				res, _, err = tryMergeUntil(t, ctx, a, b, func(x *recipe.Request) {
					set(x)
					x.Output = out
					x.Threads = 1 + r.IntN(4)
					x.MaxMemory = []int64{27 << 20, 40 << 20, 64 << 20, 200 << 20}[r.IntN(4)]
				}, opt)
				cancel(nil)
				if resumed.Why != "" || resumed.Done != at {
					t.Fatalf("round %d: %+v, want to go on at %d", rounds, resumed, at)
				}
				if err == nil {
					break
				}
				if !errors.Is(err, stop) {
					t.Fatal(err)
				}
				var s *merge.SuspendedError
				if errors.As(err, &s) {
					if s.Done < at || s.Total != want.Plan.Layout.TotalBytes {
						t.Fatalf("%+v, after %d", s, at)
					}
					kept.Store(s.Done)
				} else if at > 0 {
					t.Fatalf("what was kept is gone: %v", err)
				}
			}
			sameFolder(t, out, whole)
			for i := range res.Tensors { // as text, where NaN is equal to NaN
				if got, want := fmt.Sprint(res.Tensors[i]), fmt.Sprint(want.Tensors[i]); got != want {
					t.Errorf("%s: %s, want %s", res.Plan.Tensors[i].Name, got, want)
				}
			}
			if !slices.Equal(res.Warnings, want.Warnings) {
				t.Errorf("warnings %q, want %q", res.Warnings, want.Warnings)
			}
			// Each pair is read twice at most, and what a stop threw away once more.
			if most := 2*total + int64(rounds)*(64<<20); read.Load() > most {
				t.Errorf("%d bytes read in %d rounds, want at most %d", read.Load(), rounds, most)
			}
		})
	}
}

func sameFolder(t *testing.T, got, want string) {
	t.Helper()
	entries, err := os.ReadDir(want)
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadDir(got)
	if err != nil {
		t.Fatal(err)
	}
	if len(have) != len(entries) {
		t.Errorf("%d files, want %d", len(have), len(entries))
	}
	for _, e := range entries {
		x, err := os.ReadFile(filepath.Join(got, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		y, err := os.ReadFile(filepath.Join(want, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(x, y) {
			t.Errorf("%s differs", e.Name())
		}
	}
}

// A note that does not fit is not an error: the run starts over.
func TestResumeOfBadNotes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := makeModel(t, dir+"/a", 1, 0, layers)
	b := makeModel(t, dir+"/b", 2, 0, layers)
	_, whole := mergeModels(t, a, b, nil)
	for _, note := range []string{`"text"`, `{"done":[{"i":99}]}`, `{"done":[{"i":-1}]}`} {
		out := filepath.Join(t.TempDir(), "out")
		to := func(r *recipe.Request) { r.Output = out }
		ctx, cancel := context.WithCancel(context.Background())
		n := int64(0)
		_, _, err := tryMergeUntil(t, ctx, a, b, to, merge.Options{Fingerprint: "f", Progress: func(m int64) {
			if n += m; n > 9<<20 {
				cancel()
			}
		}})
		var s *merge.SuspendedError
		if !errors.As(err, &s) {
			t.Fatal(err)
		}
		merge.SpoilNotes(t, out, note)
		if _, _, err := tryMerge(t, a, b, to, merge.Options{Fingerprint: "f"}); err != nil {
			t.Fatal(err)
		}
		sameFolder(t, out, whole)
	}
}
