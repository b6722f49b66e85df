package cli

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"time"

	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/testmodel"
	"slerpmerge/mmapio"
)

// The time budget counts from the beginning: comparing the bytes of a head and an
// embedding, gigabytes in large models, is part of the work.
func TestTimeBudgetWhilePlanning(t *testing.T) {
	info := func(name string) testmodel.Tensor {
		return testmodel.Tensor{Info: tensor.Info{Name: name, DType: tensor.F32, Shape: []uint64{4, 2}}, Values: testmodel.List(1)}
	}
	dir := testmodel.Make(t, filepath.Join(t.TempDir(), "m"), testmodel.Model{
		Tensors: []testmodel.Tensor{info("model.embed_tokens.weight"), info("lm_head.weight")},
		Config:  `{"model_type":"llama","vocab_size":4,"tie_word_embeddings":true}`,
	})
	a := &app{stdout: io.Discard, stderr: io.Discard, log: newLogger(io.Discard, globals{Quiet: true})}
	r := recipe.Request{Recipe: recipe.Conversion(dir), Run: recipe.Run{Output: filepath.Join(t.TempDir(), "out"), MaxMemory: 64 << 20, Threads: 1}}
	r.Format, r.ShardSize, r.DType.Auto = recipe.Safetensors, 5e9, true
	ctx, cancel := within(context.Background(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	_, done, err := a.plan(ctx, mmapio.NewPool(planPool), r, true)
	if err == nil {
		done()
	}
	if !errors.As(err, new(TimeUp)) {
		t.Errorf("%v, want TimeUp", err)
	}
	p, done, err := a.plan(context.Background(), mmapio.NewPool(planPool), r, true)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if err := p.Refusal(); err != nil || len(p.Tensors) == 0 {
		t.Errorf("%d tensors, %v", len(p.Tensors), err)
	}
}
