package engine_test

import (
	"context"
	"errors"
	"hash/crc32"
	"slices"
	"sync"
	"testing"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/writer"
)

// A collector is a Checker that puts what it is given in a memory.
type collector struct {
	*memory
	mu     sync.Mutex
	given  map[[2]int]int64 // by file and extent: bytes since it began, or came again
	agains int
	err    error
}

func newCollector(t *testing.T, l *writer.Layout) *collector {
	return &collector{memory: newMemory(t, l), given: map[[2]int]int64{}}
}

func (c *collector) Compare(file, extent int, p []byte, off int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.layout.Files[file].Extents[extent]
	if off < x.Off || off+int64(len(p)) > x.Off+x.Len {
		c.t.Errorf("bytes %d to %d are not in the extent", off, off+int64(len(p)))
		return nil
	}
	copy(c.files[file][off:], p)
	c.given[[2]int{file, extent}] += int64(len(p))
	return c.err
}

func (c *collector) Again(file, extent int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.agains++
	c.given[[2]int{file, extent}] = 0
	x := c.layout.Files[file].Extents[extent]
	clear(c.files[file][x.Off:][:x.Len])
}

func (c *collector) Done(file, extent int, crc uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.layout.Files[file].Extents[extent]
	if n := c.given[[2]int{file, extent}]; n != x.Len {
		c.t.Errorf("file %d, extent %d: %d bytes of %d", file, extent, n, x.Len)
	}
	c.given[[2]int{file, extent}] = -1
	if want := crc32.ChecksumIEEE(c.files[file][x.Off:][:x.Len]); c.layout.Files[file].HasCRCs && crc != want {
		c.t.Errorf("file %d, extent %d: CRC %08x, want %08x", file, extent, crc, want)
	}
}

// A Check gives the bytes and the results of a merge, whatever is expected.
func TestCheck(t *testing.T) {
	const moreA, moreB = " m.only:F16:5000:rand o.mixed:BF16:9000:rand q.flags:BOOL:9:0,1", " o.mixed:F32:9000:rand q.flags:BOOL:9:1,1"
	a, b := open(t, 1, mixed+huge+moreA), open(t, 2, mixed+huge+moreB)
	for name, change := range map[string]func(*recipe.Request){
		"slerp":  nil,
		"t = 1":  func(r *recipe.Request) { r.Set("t", recipe.Setting{{Values: []float64{1}}}) },
		"to F16": func(r *recipe.Request) { r.DType = recipe.DType{To: tensor.F16} },
		"to F64": func(r *recipe.Request) { r.DType = recipe.DType{To: tensor.F64} },
		"zeros":  func(r *recipe.Request) { r.Missing = recipe.MissingZero },
		"to .bin": func(r *recipe.Request) {
			r.Format, r.ShardSize = recipe.Bin, 60_000
			r.DType = recipe.DType{To: tensor.BF16}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := planned(t, pair(change), a, b)
			_, want := run(t, p, engine.Options{})
			for i := range want {
				want[i].Differs = false // Check does not look at the others
			}
			wrong := slices.Clone(want)
			for i := range wrong {
				wrong[i].Cos -= 0.125
			}
			equal := make([]engine.TensorResult, len(want))
			for i := range equal {
				equal[i].Outcome = "equal"
			}
			for expected, list := range map[string][]engine.TensorResult{"right": want, "nothing": make([]engine.TensorResult, len(want)), "wrong": wrong, "equal": equal} {
				for _, threads := range []int{1, 3} {
					p.Budget.Threads, p.Budget.Hold = threads, 0
					c := newCollector(t, p.Layout)
					results := slices.Clone(list)
					var done int64
					if err := engine.Check(t.Context(), p, p.Layout, engine.Options{Progress: func(n int64) { done += n }}, results, c); err != nil {
						t.Fatal(err)
					}
					check(t, p, c.memory)
					if !slices.Equal(results, want) {
						for i := range want {
							if results[i] != want[i] {
								t.Errorf("%s expected: %s: %+v, want %+v", expected, p.Tensors[i].Name, results[i], want[i])
							}
						}
					}
					if done != p.Layout.TotalBytes {
						t.Errorf("progress of %d bytes, want %d", done, p.Layout.TotalBytes)
					}
					if expected == "right" && c.agains > 0 {
						t.Errorf("%d extents came again", c.agains)
					}
				}
			}
		})
	}
}

// Parents of which what is expected is right are read once.
func TestCheckReadsOnce(t *testing.T) {
	a, b := open(t, 1, mixed+huge), open(t, 2, mixed+huge)
	p := planned(t, pair(nil), a, b)
	_, results := run(t, p, engine.Options{})
	var mu sync.Mutex
	var n int64
	opt := engine.Options{Wrap: func(o operand.Operand, src operand.Source) operand.Source {
		return &weighed{Source: src, count: func(k int) {
			mu.Lock()
			defer mu.Unlock()
			n += int64(k)
		}}
	}}
	if err := engine.Check(t.Context(), p, p.Layout, opt, results, newCollector(t, p.Layout)); err != nil {
		t.Fatal(err)
	}
	want := int64(0)
	for i := range p.Tensors {
		for _, o := range p.Tensors[i].Operands {
			if p.Tensors[i].Blends() {
				want += o.Info().Bytes()
			}
		}
		if !p.Tensors[i].Blends() {
			want += p.Tensors[i].Bytes()
		}
	}
	if n != want {
		t.Errorf("%d bytes were read, want %d", n, want)
	}
}

// weighed counts the bytes that are used.
type weighed struct {
	operand.Source
	count func(n int)
}

func (c *weighed) Use(ctx context.Context, scratch []byte, off int64, use func([]byte) error) error {
	c.count(len(scratch))
	return c.Source.Use(ctx, scratch, off, use)
}

// A Check ends with the error of a parent or of the Checker, the cause of its context,
// or a panic.
func TestCheckStops(t *testing.T) {
	a, b := open(t, 1, mixed), open(t, 2, mixed)
	p := planned(t, pair(nil), a, b)
	broken, cause := errors.New("broken"), errors.New("enough")
	try := func(ctx context.Context, opt engine.Options, c *collector) error {
		return engine.Check(ctx, p, p.Layout, opt, make([]engine.TensorResult, len(p.Tensors)), c)
	}
	for _, name := range []string{"a.big", "k.ints", "n.3"} {
		fail := func(o operand.Operand, src operand.Source) operand.Source {
			return &spoiled{Source: src, read: func(context.Context) error {
				if o.Model == a && o.Tensor().Name == name {
					return broken
				}
				return nil
			}}
		}
		if err := try(t.Context(), engine.Options{Wrap: fail}, newCollector(t, p.Layout)); !errors.Is(err, broken) {
			t.Errorf("%v, want that of the parent", err)
		}
	}
	c := newCollector(t, p.Layout)
	c.err = broken
	if err := try(t.Context(), engine.Options{}, c); err != broken {
		t.Errorf("%v, want that of the Checker", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := try(ctx, engine.Options{}, newCollector(t, p.Layout)); err != cause {
		t.Errorf("%v, want the cause", err)
	}
	if err := try(t.Context(), engine.Options{Progress: func(int64) { panic("x") }}, newCollector(t, p.Layout)); !errors.Is(err, engine.ErrInternal) {
		t.Errorf("%v, want an ErrInternal", err)
	}
}
