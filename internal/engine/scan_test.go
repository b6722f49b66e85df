package engine_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/slerp"
)

// scan runs Scan over a plan and collects what it finds.
func scan(t *testing.T, ctx context.Context, p *plan.Plan, opt engine.Options) (map[int]engine.Scanned, error) {
	t.Helper()
	var mu sync.Mutex
	found := map[int]engine.Scanned{}
	err := engine.Scan(ctx, p, opt, func(i int, s engine.Scanned) {
		mu.Lock()
		defer mu.Unlock()
		if _, again := found[i]; again {
			t.Errorf("tensor %d is found twice", i)
		}
		found[i] = s
	})
	return found, err
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
			if equal := ta == tb && bytes.Equal(va, vb); got.Equal() != equal {
				t.Errorf("%s: equal is %v", x.Name, got.Equal())
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

// A Scan of several operands finds what whole tensors give, with a base and without:
// which are equal, and the Gram matrix of the values or of the differences. All is read
// once.
func TestScanSeveral(t *testing.T) {
	const same = " s.same:BF16:1100000:1,2,3 t.ints:U8:4200000:1"
	var models []*model.Model
	for seed, more := range []string{
		same + " u.some:F16:1100000:1 v.types:F32:50:1 w.rows:F32:9:1",
		same + " u.some:F16:1100000:2 v.types:F64:50:1 w.rows:F32:9:2",
		same + " u.some:F16:1100000:1 v.types:F32:50:1",
		" s.same:BF16:1100000:1,2,3 t.ints:U8:4200000:1,1,1,1,1,2 u.some:F16:1100000:2,1 v.types:F32:50:1 w.rows:F32:9:1",
	} {
		models = append(models, open(t, uint64(seed)+1, mixed+huge+more))
	}
	for base, all := range map[int][]int{-1: {1}, 1: {3}} {
		for _, threads := range all {
			p, err := plan.Several(recipe.Request{Recipe: recipe.Comparison("a", "b", "c", "d"), Run: recipe.Run{MaxMemory: 64 << 20, Threads: 2}}, models, base)
			if err != nil {
				t.Fatal(err)
			}
			p.Budget.Threads = threads
			var read counter
			sum := int64(0)
			found, err := scan(t, t.Context(), p, engine.Options{Wrap: read.wrap})
			if err != nil {
				t.Fatal(err)
			}
			measured := 0
			for i := range p.Tensors {
				x := &p.Tensors[i]
				got, ok := found[i]
				if want := x.Op.Needs() != method.Nothing && x.Elems() > 0; ok != want {
					t.Errorf("%s is found: %v", x.Name, ok)
				}
				if !ok {
					continue
				}
				var all [][]byte
				var types []tensor.DType
				for _, o := range x.Operands {
					b, d := raw(t, o, tensor.Info{})
					all, types = append(all, b), append(types, d)
					sum += int64(len(b))
				}
				for k, first := range got.First {
					want := slices.IndexFunc(all, func(b []byte) bool { return bytes.Equal(b, all[k]) })
					for types[want] != types[k] || !bytes.Equal(all[want], all[k]) {
						want++
					}
					if first != want {
						t.Errorf("%s: operand %d is like %d, want %d", x.Name, k, first, want)
					}
				}
				if !x.Blends() {
					if got.Gram != nil {
						t.Errorf("%s is measured", x.Name)
					}
					continue
				}
				measured++
				if base < 0 {
					if want := gram(all, types, x.Elems()); !slices.Equal(got.Gram, want) {
						t.Errorf("%s: %v, want %v", x.Name, got.Gram, want)
					}
					continue
				}
				values := make([][]float64, len(all))
				for k := range all {
					values[k] = floats(all[k], types[k])
				}
				near := func(what string, got slerp.Wide, x, y, from []float64) {
					var want, size float64
					for e := range x {
						p := (x[e] - from[e]) * (y[e] - from[e])
						want, size = want+p, size+math.Abs(p)
					}
					if g := got.Float64(); !(math.Abs(g-want) <= 1e-12*size) {
						t.Errorf("%s: %v, want %v", what, g, want)
					}
				}
				zero := make([]float64, len(values[0]))
				near(x.Name+" base", got.Base, values[0], values[0], zero)
				n := len(values) - 1
				for a := range n {
					for b := a; b < n && n > 1; b++ {
						near(fmt.Sprintf("%s %d, %d", x.Name, a, b), got.Gram.At(n, a, b), values[1+a], values[1+b], values[0])
					}
				}
			}
			if measured < 10 {
				t.Errorf("%d tensors are measured", measured)
			}
			if n := read.bytes.Load(); n > sum || n < sum*9/10 { // integers are not read on where all differ
				t.Errorf("%d bytes are read of %d", n, sum)
			}
		}
	}
}

// floats widens values.
func floats(b []byte, d tensor.DType) []float64 {
	wide := make([]byte, 8*len(b)/d.Size())
	slerp.NewConverter(tensor.F64, d).Convert(wide, b)
	list := make([]float64, len(wide)/8)
	for i := range list {
		list[i] = math.Float64frombits(binary.LittleEndian.Uint64(wide[8*i:]))
	}
	return list
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
