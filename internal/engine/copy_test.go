package engine_test

import (
	"sync"
	"testing"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
)

// Tensors that stay as they are are copied by the system where it can, and
// written where it can't.
func TestCopies(t *testing.T) {
	a, b := open(t, 1, mixed+" m.only:F32:50000:rand"), open(t, 2, mixed)
	ends := func(r *recipe.Request) { r.Set("t", recipe.Setting{{Values: []float64{1}}}) }
	for name, c := range map[string]struct {
		change         func(*recipe.Request)
		copying        bool
		copies, writes bool // any
		most           int
		wrap           bool
	}{
		"supported":     {change: ends, copying: true, copies: true, writes: true, most: 1 << 20},
		"not supported": {change: ends, copies: true, writes: true, most: 4},
		"wrapped":       {change: ends, copying: true, writes: true, wrap: true},
		"checksums": {change: func(r *recipe.Request) {
			ends(r)
			r.Format = recipe.Bin
			r.Missing = recipe.MissingCopy
			r.DType = recipe.DType{To: tensor.BF16}
		},
			copying: true, writes: true},
		"blended": {change: func(r *recipe.Request) { r.Missing = recipe.MissingZero }, copying: true, writes: true},
	} {
		p := planned(t, pair(c.change), a, b)
		out := newMemory(t, p.Layout)
		out.copying = c.copying
		opt := engine.Options{}
		if c.wrap {
			opt.Wrap = new(counter).wrap
		}
		if err := engine.New(p, p.Layout, out, opt).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		check(t, p, out)
		if out.copies > 0 != c.copies || out.writes > 0 != c.writes || out.copies > c.most {
			t.Errorf("%s: %d copies, %d writes", name, out.copies, out.writes)
		}
	}
}

// An operand that the system can't copy is opened by a worker once, and by the
// read-ahead.
func TestOpensOnce(t *testing.T) {
	a, b := open(t, 1, "small:F32:2048:rand"), open(t, 2, "small:F32:2048:rand")
	p := planned(t, pair(func(r *recipe.Request) { r.Set("t", recipe.Setting{{Values: []float64{0}}}) }), a, b)
	out := newMemory(t, p.Layout)
	out.copying = true
	var mu sync.Mutex
	opens := map[operand.Operand]int{}
	wrap := func(o operand.Operand, src operand.Source) operand.Source {
		mu.Lock()
		defer mu.Unlock()
		if !o.None() {
			opens[o]++
		}
		return &counted{src, new(counter)} // without a Copier
	}
	if err := engine.New(p, p.Layout, out, engine.Options{Wrap: wrap}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(t, p, out)
	for o, n := range opens {
		if n > 2 {
			t.Errorf("%s is opened %d times", o.Tensor().Name, n)
		}
	}
	if len(opens) != 1 {
		t.Errorf("%d operands are opened, want 1", len(opens))
	}
}
