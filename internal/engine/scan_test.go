package engine_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/method"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/tensor"
	"slerpmerge/slerp"
)

// scan runs Scan over a plan and collects the pairs.
func scan(t *testing.T, ctx context.Context, p *plan.Plan, opt engine.Options) (map[int]engine.Pair, error) {
	t.Helper()
	var mu sync.Mutex
	pairs := map[int]engine.Pair{}
	err := engine.Scan(ctx, p, opt, func(i int, pair engine.Pair) {
		mu.Lock()
		defer mu.Unlock()
		if _, again := pairs[i]; again {
			t.Errorf("tensor %d is found twice", i)
		}
		pairs[i] = pair
	})
	return pairs, err
}

// A Scan finds of every pair what whole tensors give: equality, the Gram matrix,
// and the distance.
func TestScan(t *testing.T) {
	const more = " m.only:F16:50:rand"
	a := open(t, 1, mixed+huge+more+" o.near:F32:20000:1 p.ints:U8:5000000:1 q.mixed:BF16:9000:rand r.shape:F32:4:1")
	b := open(t, 2, mixed+huge+" o.near:F32:20000:1,1,1.0000001 p.ints:U8:5000000:1,1,1,1,1,1,1 q.mixed:F32:9000:rand r.shape:F32:5:1")
	for _, threads := range []int{1, 3} {
		p, err := plan.Pairs(pair(nil), a, b)
		if err != nil {
			t.Fatal(err)
		}
		p.Budget.Threads, p.Budget.Hold = threads, 1<<10
		var done, all int64
		pairs, err := scan(t, t.Context(), p, engine.Options{Progress: func(n int64) { done += n }})
		if err != nil {
			t.Fatal(err)
		}
		for i := range p.Tensors {
			x := &p.Tensors[i]
			got, found := pairs[i]
			if want := x.Op.Needs() != method.Nothing && x.Elems() > 0; found != want {
				t.Errorf("%s is found: %v", x.Name, found)
			}
			if !found {
				continue
			}
			va, ta := raw(t, x.Operands[0], tensor.Info{})
			vb, tb := raw(t, x.Operands[1], tensor.Info{})
			all += int64(len(va) + len(vb))
			if equal := ta == tb && bytes.Equal(va, vb); got.Equal != equal {
				t.Errorf("%s: equal is %v", x.Name, got.Equal)
			}
			if !x.Blends() {
				if got.Gram != nil {
					t.Errorf("%s is measured", x.Name)
				}
				continue
			}
			types := []tensor.DType{ta, tb}
			if want := gram([][]byte{va, vb}, types, x.Elems()); !slices.Equal(got.Gram, want) {
				t.Errorf("%s: %v, want %v", x.Name, got.Gram, want)
			}
			d := slerp.NewDistance(ta, tb)
			d.Add(va, vb)
			if g, w := got.Distance.Float64(), d.Squared().Float64(); g < w*(1-1e-9) || g > w*(1+1e-9) {
				t.Errorf("%s: a squared distance of %v, want %v", x.Name, g, w)
			}
		}
		// Each block counts the same share of its tensor, rounded down.
		if done > all || done < all-100 {
			t.Errorf("progress of %d bytes of %d", done, all)
		}
	}
}

// A Scan ends with the error of a parent, the cause of its context, or a panic.
func TestScanStops(t *testing.T) {
	a, b := open(t, 1, mixed), open(t, 2, mixed)
	p, err := plan.Pairs(pair(nil), a, b)
	if err != nil {
		t.Fatal(err)
	}
	broken, cause := errors.New("broken"), errors.New("enough")
	for _, name := range []string{"a.big", "k.ints"} {
		fail := func(o operand.Operand, src operand.Source) operand.Source {
			return &spoiled{Source: src, read: func(context.Context) error {
				if o.Model == b && o.Tensor().Name == name {
					return broken
				}
				return nil
			}}
		}
		if _, err := scan(t, t.Context(), p, engine.Options{Wrap: fail}); !errors.Is(err, broken) {
			t.Errorf("%v, want that of the parent", err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := scan(t, ctx, p, engine.Options{}); err != cause {
		t.Errorf("%v, want the cause", err)
	}
	if _, err := scan(t, t.Context(), p, engine.Options{Progress: func(int64) { panic("x") }}); !errors.Is(err, engine.ErrInternal) {
		t.Errorf("%v, want an ErrInternal", err)
	}
}
