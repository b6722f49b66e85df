package merge_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/mmapio"
	"slerpmerge/writer"
)

// A checkpoint reads the results of pairs that workers are deciding about at
// that moment. The race detector must find nothing.
func TestCheckpointAmongSmallPairs(t *testing.T) {
	t.Parallel()
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
	r := recipe.Request{Recipe: recipe.Pair(method.SlerpMethod{}, a, b, flat(0.3)), Run: recipe.Run{MaxMemory: 27 << 20, Threads: 4}}
	r.ShardSize = 5e9
	p, err := plan.New(r, ma, mb)
	if err != nil {
		t.Fatal(err)
	}
	for _, threads := range []int{4, 2} {
		p.Budget.Threads, p.Budget.Buffers = threads, threads+2
		pool.SetLimit(p.Budget.Pool)
		var notes noteCounter
		if err := engine.New(p, p.Layout, &notes, engine.Options{WarnNonFinite: true}).Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		if notes < 20 {
			t.Errorf("%d threads: %d notes only", threads, notes)
		}
	}
}

// A noteCounter is an Output that writes nothing and asks for a checkpoint after
// every piece. It counts the notes.
type noteCounter int

func (*noteCounter) Presize(*writer.Layout) error             { return nil }
func (*noteCounter) Write(int, []byte, int64, []uint32) error { return nil }
func (*noteCounter) Copy(int, int64, int64, func(*os.File, int64) error) error {
	return errors.ErrUnsupported
}
func (*noteCounter) CheckpointDue() bool { return true }
func (n *noteCounter) Checkpoint(note []byte) error {
	if note != nil {
		*n++
	}
	return nil
}
func (*noteCounter) Publish() error { return nil }
func (*noteCounter) Abort() error   { return nil }
