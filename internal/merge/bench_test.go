package merge_test

import (
	"context"
	"testing"

	"slerpmerge/internal/merge"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/mmapio"
)

// BenchmarkMerge runs whole merges of a pair of 2 x 60 MB.
func BenchmarkMerge(b *testing.B) {
	dir := b.TempDir()
	list := []spec{{"a", tensor.BF16, 16 << 20}, {"b", tensor.BF16, 8 << 20}, {"c", tensor.BF16, 6 << 20}}
	makeModel(b, dir+"/a", 1, 0, list)
	makeModel(b, dir+"/b", 2, 0, list)
	r := recipe.Request{Recipe: recipe.Pair(method.SlerpMethod{}, dir+"/a", dir+"/b", flat(0.3)), Run: recipe.Run{Output: dir + "/out", Overwrite: true, MaxMemory: 64 << 20, Threads: 2}}
	r.ShardSize = 5e9
	b.SetBytes(60 << 20)
	for b.Loop() {
		pool := mmapio.NewPool(4 << 20)
		x, err := model.Open(pool, dir+"/a")
		if err != nil {
			b.Fatal(err)
		}
		y, err := model.Open(pool, dir+"/b")
		if err != nil {
			b.Fatal(err)
		}
		p, err := plan.New(r, x, y)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := merge.Run(context.Background(), p, merge.Options{Pool: pool}); err != nil {
			b.Fatal(err)
		}
		x.Close()
		y.Close()
	}
}
