package merge_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"

	"slerpmerge/internal/merge"
	"slerpmerge/internal/recipe"
)

// Tensors that stay as they are have the same bytes whether the system copies
// them or they pass through the program, whole or resumed.
func TestCopiedBySystem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := makeModel(t, dir+"/a", 1, 0, layers)
	b := makeModel(t, dir+"/b", 2, 0, layers)
	set := func(r *recipe.Request) { r.Set("t", flat(0)); r.ShardSize = 12e6 }
	var read atomic.Int64
	var opt merge.Options
	opt.CountReads(func(string, int) { read.Add(1) }) // then nothing is copied unseen
	_, filled, err := tryMerge(t, a, b, set, opt)
	if err != nil {
		t.Fatal(err)
	}
	if read.Load() == 0 {
		t.Fatal("nothing was read")
	}
	_, copied := mergeModels(t, a, b, set)
	sameFolder(t, copied, filled)

	out := filepath.Join(t.TempDir(), "out")
	stop := errors.New("stop")
	for n := int64(0); ; n++ {
		ctx, cancel := context.WithCancelCause(context.Background())
		left := 5 << 20 * (n + 1)
		_, _, err := tryMergeUntil(t, ctx, a, b, func(r *recipe.Request) { set(r); r.Output = out }, merge.Options{Fingerprint: "f", Progress: func(n int64) {
			if left -= n; left < 0 {
				cancel(stop)
			}
		}})
		cancel(nil)
		if err == nil {
			break
		}
		if !errors.Is(err, stop) {
			t.Fatal(err)
		}
	}
	sameFolder(t, out, filled)
}
