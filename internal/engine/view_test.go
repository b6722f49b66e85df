package engine_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/mmapio"
)

// A shown source reports what its users are shown, before they see it. Where
// reads says so it reads instead.
type shown struct {
	operand.Source
	of    operand.Operand
	see   func(o operand.Operand, view bool)
	reads func() bool
}

func (s *shown) Use(ctx context.Context, scratch []byte, off int64, use func([]byte) error) error {
	if s.reads != nil && s.reads() {
		if err := s.ReadAt(ctx, scratch, off); err != nil {
			return err
		}
		return use(scratch)
	}
	return s.Source.Use(ctx, scratch, off, func(p []byte) error {
		s.see(s.of, unsafe.SliceData(p) != unsafe.SliceData(scratch))
		return use(p)
	})
}

// Tensors that lie in their file in order are seen there, and the output is the
// same if some parts are read.
func TestViews(t *testing.T) {
	a, b := open(t, 1, mixed+huge), open(t, 2, mixed+huge)
	p := planned(t, pair(nil), a, b)
	var views, buffers, calls atomic.Int64
	opt := engine.Options{Wrap: func(o operand.Operand, src operand.Source) operand.Source {
		return &shown{Source: src, of: o, see: func(_ operand.Operand, view bool) {
			if view {
				views.Add(1)
			} else {
				buffers.Add(1)
			}
		}}
	}}
	out, _ := run(t, p, opt)
	check(t, p, out)
	if v, s := views.Load(), buffers.Load(); runtime.GOOS == "linux" && v < 9*s || v+s < 100 {
		t.Errorf("%d views, %d buffers", v, s)
	}
	for _, every := range []int64{1, 2, 7} {
		opt.Wrap = func(o operand.Operand, src operand.Source) operand.Source {
			return &shown{Source: src, of: o, see: func(operand.Operand, bool) {}, reads: func() bool { return calls.Add(1)%every == 0 }}
		}
		out, _ := run(t, p, opt)
		check(t, p, out)
	}
}

// A parent that is cut while a kernel has it before it ends the run with an error
// that says so, in every kind of work.
func TestCutUnderKernels(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("files that are mapped can't be cut everywhere")
	}
	const few = "a.big:BF16:30001:rand c.small:F32:7x9:rand d.half:F16:9000:noise i.same:BF16:4x4:1,2,3 j.samelarge:F32:10000:1 k.ints:I64:6:1,2 l.many:U8:40000:3"
	type work func(t *testing.T, opt engine.Options) (b *model.Model, err error)
	merge := func(change func(*recipe.Request)) work {
		return func(t *testing.T, opt engine.Options) (b *model.Model, err error) {
			a, b := open(t, 1, few), open(t, 2, few)
			p := planned(t, pair(change), a, b)
			return b, engine.New(p, p.Layout, newMemory(t, p.Layout), opt).Run(t.Context())
		}
	}
	for name, c := range map[string]struct {
		work    work
		tensors string // in which it happens
	}{
		"measure and blend": {merge(nil), "a.big d.half j.samelarge"},
		"small pairs":       {merge(nil), "c.small i.same"},
		"follow":            {merge(nil), "k.ints l.many"},
		"blend to F16":      {merge(func(r *recipe.Request) { r.DType = recipe.DType{To: tensor.F16} }), "a.big c.small"},
		"convert": {merge(func(r *recipe.Request) {
			r.Set("t", recipe.Setting{{Values: []float64{1}}})
			r.DType = recipe.DType{To: tensor.F32}
		}), "a.big d.half"},
		"weighted sum": {func(t *testing.T, opt engine.Options) (b *model.Model, err error) {
			a, b := open(t, 1, few), open(t, 2, few)
			p := several(t, "out_dtype: float16", a, b, open(t, 3, few))
			return b, engine.New(p, p.Layout, newMemory(t, p.Layout), opt).Run(t.Context())
		}, "c.small d.half"},
		"scan": {func(t *testing.T, opt engine.Options) (b *model.Model, err error) {
			a, b := open(t, 1, few), open(t, 2, few)
			p, err := plan.Pairs(pair(nil), a, b)
			if err != nil {
				t.Fatal(err)
			}
			_, err = scan(t, t.Context(), p, opt)
			return b, err
		}, "a.big c.small l.many"},
		"check":         {checked(few, false), "a.big c.small d.half i.same"},
		"check at once": {checked(few, true), "a.big c.small d.half i.same"},
	} {
		for _, tensor := range strings.Fields(c.tensors) {
			for at := range int64(3) { // measuring, blending, in the midst of that
				t.Run(name+"/"+tensor, func(t *testing.T) {
					var count atomic.Int64
					var cut atomic.Bool
					opt := engine.Options{Wrap: func(o operand.Operand, src operand.Source) operand.Source {
						return &shown{Source: src, of: o, see: func(o operand.Operand, view bool) {
							if !o.None() && o.Tensor().Name == tensor && strings.HasSuffix(o.Model.Path, "model2") && view && count.Add(1) == at+1 {
								cut.Store(true)
								if err := os.Truncate(o.Model.Files[0].Path, 1); err != nil {
									t.Error(err)
								}
							}
						}}
					}}
					b, err := c.work(t, opt)
					if err == nil { // the file's first page stays mapped, and no other may be read afterwards
						err = b.Check()
					}
					path := b.Files[0].Path
					var changed *mmapio.ChangedError
					switch {
					case !cut.Load() && at == 0:
						t.Error("it has not been shown")
					case cut.Load() && (!errors.As(err, &changed) || changed.Path != path || !strings.HasPrefix(changed.What, "shrank from ")):
						t.Errorf("cut in view %d: %v", at, err)
					case !cut.Load() && err != nil:
						t.Error(err)
					}
				})
			}
		}
	}
}

// checked is the work of a Check, with the right results expected or none.
func checked(tensors string, right bool) func(t *testing.T, opt engine.Options) (b *model.Model, err error) {
	return func(t *testing.T, opt engine.Options) (b *model.Model, err error) {
		a, b := open(t, 1, tensors), open(t, 2, tensors)
		p := planned(t, pair(nil), a, b)
		results := make([]engine.TensorResult, len(p.Tensors))
		if right {
			_, results = run(t, p, engine.Options{})
		}
		return b, engine.Check(t.Context(), p, p.Layout, opt, results, newCollector(t, p.Layout))
	}
}
