package merge_test

import (
	"fmt"
	"testing"

	"slerpmerge/internal/merge"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/mmapio"
)

// A checkpoint reads the results of pairs that workers are deciding about at
// that moment. The race detector must find nothing.
func TestCheckpointAmongSmallPairs(t *testing.T) {
	var list []spec
	for i := range 600 {
		list = append(list, spec{fmt.Sprintf("t.%03d", i), tensor.F32, 10_000})
	}
	list = append(list, spec{"u.large", tensor.BF16, 2 << 20}, spec{"v.ints", tensor.I32, 50_000})
	dir := t.TempDir()
	a := makeModel(t, dir+"/a", 1, 0, list)
	b := makeModel(t, dir+"/b", 2, 0, list)
	pool := mmapio.NewPool(4 << 20)
	ma, err := model.Open(pool, a)
	if err != nil {
		t.Fatal(err)
	}
	defer ma.Close()
	mb, err := model.Open(pool, b)
	if err != nil {
		t.Fatal(err)
	}
	defer mb.Close()
	p, err := plan.New(recipe.Recipe{Primary: a, Secondary: b, T: flat(0.3), DType: recipe.DType{Auto: true},
		ShardSize: 5e9, MaxMemory: 27 << 20, Threads: 4}, ma, mb)
	if err != nil {
		t.Fatal(err)
	}
	for _, threads := range []int{4, 2} {
		p.Budget.Threads, p.Budget.Buffers = threads, threads+2
		notes, err := merge.RunNoting(p, pool)
		if err != nil {
			t.Fatal(err)
		}
		if notes < 20 {
			t.Errorf("%d threads: %d notes only", threads, notes)
		}
	}
}
