package engine_test

import (
	"context"
	"errors"
	"testing"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/method"
	"slerpmerge/internal/operand"
)

// A run ends with the cause of its context, before it begins or within.
func TestContext(t *testing.T) {
	a, b := open(t, 1, mixed), open(t, 2, mixed)
	p := planned(t, pair(nil), a, b)
	cause := errors.New("enough")
	for _, after := range []int64{0, 1, 100_000} {
		for _, limit := range []int64{0, 1 << 30} {
			ctx, cancel := context.WithCancelCause(t.Context())
			var done int64
			out := newMemory(t, p.Layout)
			stop := func(n int64) {
				if done += n; done >= after {
					cancel(cause)
				}
			}
			if after == 0 {
				cancel(cause)
			}
			err := engine.New(p, p.Layout, out, engine.Options{Progress: stop, IOLimit: limit}).Run(ctx)
			if cancel(nil); err != cause {
				t.Errorf("cancelled after %d bytes: %v, want the cause", after, err)
			}
			if done == p.Layout.TotalBytes {
				t.Errorf("cancelled after %d bytes, it went on to the end", after)
			}
		}
	}
}

// A read that hangs ends with the context.
func TestContextEndsAHangingRead(t *testing.T) {
	a, b := open(t, 1, mixed), open(t, 2, mixed)
	p := planned(t, pair(nil), a, b)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	hang := func(_ operand.Operand, src operand.Source) operand.Source {
		return &spoiled{Source: src, read: func(ctx context.Context) error {
			cancel(cause)
			<-ctx.Done()
			return context.Cause(ctx)
		}}
	}
	if err := engine.New(p, p.Layout, newMemory(t, p.Layout), engine.Options{Wrap: hang}).Run(ctx); err != cause {
		t.Errorf("%v, want the cause", err)
	}
}

// An error of a parent names the tensor and its file.
func TestFailingRead(t *testing.T) {
	a, b := open(t, 1, mixed), open(t, 2, mixed)
	p := planned(t, pair(nil), a, b)
	broken := errors.New("broken")
	for _, name := range []string{"a.big", "c.small", "k.ints", "l.many", "j.samelarge"} {
		fail := func(o operand.Operand, src operand.Source) operand.Source {
			return &spoiled{Source: src, read: func(context.Context) error {
				if o.Model == b && o.Tensor().Name == name {
					return broken
				}
				return nil
			}}
		}
		err := engine.New(p, p.Layout, newMemory(t, p.Layout), engine.Options{Wrap: fail}).Run(t.Context())
		if want := "reading tensor " + name + " from " + b.Files[0].Path + ": broken"; !errors.Is(err, broken) || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A panic of any goroutine ends the run with an error, not the process.
func TestPanics(t *testing.T) {
	a, b := open(t, 1, mixed), open(t, 2, mixed)
	p := planned(t, pair(nil), a, b)
	wrap := func(s spoiled) func(operand.Operand, operand.Source) operand.Source {
		return func(_ operand.Operand, src operand.Source) operand.Source {
			s := s
			s.Source = src
			return &s
		}
	}
	for name, opt := range map[string]engine.Options{
		"worker":     {Wrap: wrap(spoiled{read: func(context.Context) error { panic("x") }})},
		"read-ahead": {Wrap: wrap(spoiled{prefetch: func() { panic("x") }})},
		"writer":     {Progress: func(int64) { panic("x") }},
	} {
		err := engine.New(p, p.Layout, newMemory(t, p.Layout), opt).Run(t.Context())
		if !errors.Is(err, engine.ErrInternal) || err.Error() != "internal error, please report it: x" {
			t.Errorf("%s: %v, want an ErrInternal", name, err)
		}
	}
}

// broken is an Op that is a bug.
type broken struct{ balanced }

func (broken) Solve(int, method.Gram) method.Solution { panic("x") }

// A panic in a method ends the run likewise, though it comes while the results
// are locked.
func TestMethodPanics(t *testing.T) {
	a, b := open(t, 1, mixed), open(t, 2, mixed)
	for _, name := range []string{"a.big", "c.small"} {
		p := planned(t, pair(nil), a, b)
		for i := range p.Tensors {
			if p.Tensors[i].Name == name {
				p.Tensors[i].Op = broken{}
			}
		}
		err := engine.New(p, p.Layout, newMemory(t, p.Layout), engine.Options{}).Run(t.Context())
		if !errors.Is(err, engine.ErrInternal) {
			t.Errorf("%s: %v, want an ErrInternal", name, err)
		}
	}
}
