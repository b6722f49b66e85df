package operand

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"slerpmerge/internal/model"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/testmodel"
	"slerpmerge/internal/tokenizer"
	"slerpmerge/mmapio"
)

// operands makes a model of tensors in the form of testmodel.Parse, and gives
// its tensors by their names.
func operands(t *testing.T, tensors string) map[string]Operand {
	t.Helper()
	list, err := testmodel.Parse(1, strings.Fields(tensors)...)
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Open(mmapio.NewPool(1<<20), testmodel.Make(t, filepath.Join(t.TempDir(), "m"), testmodel.Model{Tensors: list}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	all := map[string]Operand{}
	for i := range m.Tensors {
		all[m.Tensors[i].Name] = Operand{Model: m, Index: int32(i)}
	}
	return all
}

// values reads all of a source, whose parts must have the same bytes.
func values(t *testing.T, src Source, info tensor.Info) []float64 {
	t.Helper()
	all := make([]byte, info.Bytes())
	if err := src.ReadAt(t.Context(), all, 0); err != nil {
		t.Fatal(err)
	}
	size := int64(info.DType.Size())
	n := int64(len(all)) / size
	for _, part := range [][2]int64{{0, n}, {n / 3, n - n/3}, {n / 2, n/2 + 1}, {n - 1, n}, {1, min(n, 4)}} {
		from, to := min(part[0], n)*size, min(part[1], n)*size
		if from >= to {
			continue
		}
		got := make([]byte, to-from)
		if err := src.ReadAt(t.Context(), got, from); err != nil || !bytes.Equal(got, all[from:to]) {
			t.Errorf("bytes %d to %d are others when read alone; %v", from, to, err)
		}
		used := false
		err := src.Use(t.Context(), make([]byte, to-from), from, func(p []byte) error {
			used = bytes.Equal(p, all[from:to])
			return nil
		})
		if err != nil || !used {
			t.Errorf("Use gives other bytes for %d to %d; %v", from, to, err)
		}
		src.Prefetch(from, to-from)
		src.Drop(from, to-from)
	}
	stop := errors.New("stop")
	if err := src.Use(t.Context(), make([]byte, size), 0, func([]byte) error { return stop }); err != stop {
		t.Errorf("Use returns %v, want the error of its function", err)
	}
	var list []float64
	for ; len(all) > 0; all = all[size:] {
		list = append(list, testmodel.Float(info.DType, all))
	}
	return list
}

func TestStored(t *testing.T) {
	o := operands(t, "w:F32:2x3:1,2,3,4,5,6")["w"]
	src := new(Opener).Open(o)
	if got := values(t, src, o.Info()); !slices.Equal(got, []float64{1, 2, 3, 4, 5, 6}) {
		t.Errorf("values %v", got)
	}
	if src.Copier() == nil || src.Memory() != 0 || src.Key() != o {
		t.Errorf("copier %v, memory %d, key %v", src.Copier(), src.Memory(), src.Key())
	}
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := src.ReadAt(ctx, make([]byte, 4), 0); err != cause {
		t.Errorf("after its end: %v, want the cause", err)
	}
}

// A Cast rounds, whatever the part that is read, by several readers at once.
func TestCast(t *testing.T) {
	all := operands(t, "w:F32:5:1,1.00390625,1.01171875,70000,-3 long:F32:30001:rand")
	o := all["w"]
	o.As = tensor.BF16 // of a value between two the even one
	src := new(Opener).Open(o)
	if got := values(t, src, o.Info()); !slices.Equal(got, []float64{1, 1, 1.015625, 70144, -3}) {
		t.Errorf("values %v", got)
	}
	if o.Info().DType != tensor.BF16 || src.Copier() != nil || src.Memory() != castBytes || src.Key() != o {
		t.Errorf("%v, copier %v, memory %d, key %v", o.Info(), src.Copier(), src.Memory(), src.Key())
	}
	var opener Opener
	o = all["long"]
	exact := values(t, opener.Open(o), o.Info())
	o.As = tensor.F16
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for i, v := range values(t, opener.Open(o), o.Info()) {
				if math.Abs(v-exact[i]) > math.Abs(exact[i])/2048+0x1p-25 {
					t.Errorf("%v of %v", v, exact[i])
					return
				}
			}
		})
	}
	readers.Wait()
	o.As = tensor.F32 // as it is
	if src := opener.Open(o); src.Memory() != 0 || src.Copier() == nil {
		t.Errorf("a cast to its own type is a %T", src)
	}
}

func TestZeros(t *testing.T) {
	var o Operand
	src := new(Opener).Open(o)
	if got := values(t, src, tensor.Info{DType: tensor.F32, Shape: []uint64{5}}); !slices.Equal(got, make([]float64, 5)) {
		t.Errorf("values %v", got)
	}
	if !o.None() || src.Copier() != nil || src.Memory() != 0 || src.Key() != o || o.Key() != o {
		t.Errorf("copier %v, memory %d, key %v", src.Copier(), src.Memory(), src.Key())
	}
	p := []byte{1, 2}
	if err := src.ReadAt(t.Context(), p, 100); err != nil || p[0]+p[1] != 0 {
		t.Errorf("%v, %v", p, err)
	}
}

// Rows come in another order, and rows that the tensor lacks are made up.
func TestRows(t *testing.T) {
	all := operands(t, "own:F32:3x2:1,2,3,4,5,6 other:BF16:2x2:10,20,30,40 line:F32:1x3:1,2,3 otherline:F32:1x2:10,20")
	term := func(parent, row int, weight float64) tokenizer.Term {
		return tokenizer.Term{Parent: parent, Row: row, Weight: weight}
	}
	for _, c := range []struct {
		name    string
		tensor  string
		parents []string
		axis    int
		index   []int32
		fills   []tokenizer.Fill
		want    []float64
	}{
		{"another order", "own", nil, 0, []int32{2, 0, 1}, nil, []float64{5, 6, 1, 2, 3, 4}},
		{"twice", "own", nil, 0, []int32{1, 1}, nil, []float64{3, 4, 3, 4}},
		{"fewer", "own", nil, 0, []int32{0, 1}, nil, []float64{1, 2, 3, 4}},
		{"zeros", "own", nil, 0, []int32{0, ^0}, []tokenizer.Fill{{}}, []float64{1, 2, 0, 0}},
		{"a row of the other", "own", []string{"own", "other"}, 0, []int32{^0, 2}, []tokenizer.Fill{{Terms: []tokenizer.Term{term(1, 1, 1)}}}, []float64{30, 40, 5, 6}},
		{"the same of the same type", "own", []string{"own", "other"}, 0, []int32{^0, 2}, []tokenizer.Fill{{Terms: []tokenizer.Term{term(0, 1, 1)}}}, []float64{3, 4, 5, 6}},
		{"a sum", "own", []string{"own", "other"}, 0, []int32{0, ^0}, []tokenizer.Fill{{Terms: []tokenizer.Term{term(0, 2, 0.5), term(1, 0, 0.25)}}}, []float64{1, 2, 5, 8}},
		{"of one that lacks it", "own", []string{"own", ""}, 0, []int32{0, ^0}, []tokenizer.Fill{{Terms: []tokenizer.Term{term(1, 0, 1)}}}, []float64{1, 2, 0, 0}},
		{"the mean", "own", nil, 0, []int32{0, 2, ^0, ^0}, []tokenizer.Fill{{Mean: true}}, []float64{1, 2, 5, 6, 3, 4, 3, 4}},
		{"the mean of nothing", "own", nil, 0, []int32{^0}, []tokenizer.Fill{{Mean: true}}, []float64{0, 0}},
		{"of made rows too", "own", []string{"own", "other"}, 0, []int32{0, ^1, ^0}, []tokenizer.Fill{{Mean: true}, {Terms: []tokenizer.Term{term(1, 0, 1)}}}, []float64{1, 2, 10, 20, 5.5, 11}},
		{"the last dimension", "line", []string{"line", "otherline"}, 1, []int32{2, ^0, 0}, []tokenizer.Fill{{Terms: []tokenizer.Term{term(1, 1, 1)}}}, []float64{3, 20, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var parents []Operand
			for _, name := range c.parents {
				parents = append(parents, all[name])
			}
			o := all[c.tensor]
			o.Rows = &Rows{Rows: &tokenizer.Rows{Index: c.index, Fills: c.fills}, Parents: parents, Axis: c.axis}
			src := new(Opener).Open(o)
			if got := values(t, src, o.Info()); !slices.Equal(got, c.want) {
				t.Errorf("values %v, want %v", got, c.want)
			}
			if n := o.Info().Shape[c.axis]; n != uint64(len(c.index)) {
				t.Errorf("%d rows, want %d", n, len(c.index))
			}
			if src.Copier() != nil || src.Memory() < 2*fillBytes || src.Key() != o || o.Rows.Bytes() < int64(4*len(c.index)) {
				t.Errorf("copier %v, memory %d, key %v", src.Copier(), src.Memory(), src.Key())
			}
		})
	}
}

// A gradient goes over from the last row of the tensor to the other's rows.
func TestGradient(t *testing.T) {
	all := operands(t, "own:F32:2x2:1,2,3,4 other:F64:5x2:9,9,9,9,10,20,30,40,50,60 wide:F32:2x40001:2 otherwide:BF16:4x40001:4")
	fills := []tokenizer.Fill{{}}
	o := all["own"]
	o.Rows = &Rows{Rows: &tokenizer.Rows{Index: []int32{0, 1, ^0, ^0, ^0}, Fills: fills}, Parents: []Operand{o, all["other"]}, Gradient: true}
	want := []float64{1, 2, 3, 4} // then the last row and the other's, 2:1, 1:2 and 0:3
	for i, row := range [][2]float64{{10, 20}, {30, 40}, {50, 60}} {
		w := float64(i+1) / 3
		for k, x := range row {
			want = append(want, float64(float32((1-w)*[]float64{3, 4}[k]+w*x)))
		}
	}
	if got := values(t, new(Opener).Open(o), o.Info()); !slices.Equal(got, want) {
		t.Errorf("values %v, want %v", got, want)
	}
	o = all["wide"] // rows beyond a buffer
	o.Rows = &Rows{Rows: &tokenizer.Rows{Index: []int32{0, 1, ^0, ^0}, Fills: fills}, Parents: []Operand{o, all["otherwide"]}, Gradient: true}
	for i, v := range values(t, new(Opener).Open(o), o.Info()) {
		if want := []float64{2, 2, 3, 4}[i/40001]; v != want {
			t.Fatalf("value %d is %v, want %v", i, v, want)
		}
	}
}

// A broken source fails, or notes what it is asked for.
type broken struct {
	Source
	calls []string
	err   error
}

func (b *broken) ReadAt(context.Context, []byte, int64) error { return b.err }
func (b *broken) Prefetch(off, n int64) {
	b.calls = append(b.calls, fmt.Sprint("prefetch ", off, " ", n))
}
func (b *broken) Drop(off, n int64) { b.calls = append(b.calls, fmt.Sprint("drop ", off, " ", n)) }

// Hints are about the elements below, and errors come up, from the mean too.
func TestHintsAndErrors(t *testing.T) {
	o := operands(t, "w:F32:4x2:1")["w"]
	b := &broken{err: errors.New("broken")}
	cast := new(Opener).cast(b, tensor.F32, tensor.BF16)
	cast.Prefetch(10, 20)
	cast.Drop(2, 4)
	rows := new(Opener).rows(b, Operand{Model: o.Model, Index: o.Index, Rows: &Rows{Rows: &tokenizer.Rows{Index: []int32{3, ^0}, Fills: []tokenizer.Fill{{Mean: true}}}}})
	rows.Prefetch(4, 4)
	rows.Prefetch(8, 8) // made up
	rows.Drop(0, 8)     // perhaps needed for the mean
	if want := []string{"prefetch 20 40", "drop 4 8", "prefetch 28 4"}; !slices.Equal(b.calls, want) {
		t.Errorf("%q, want %q", b.calls, want)
	}
	for name, read := range map[string]error{
		"cast":          cast.ReadAt(t.Context(), make([]byte, 4), 0),
		"a row":         rows.ReadAt(t.Context(), make([]byte, 8), 0),
		"the mean":      rows.ReadAt(t.Context(), make([]byte, 8), 8),
		"a later mean":  rows.ReadAt(t.Context(), make([]byte, 8), 8),
		"use of a cast": cast.Use(t.Context(), make([]byte, 4), 0, func([]byte) error { return nil }),
	} {
		if !errors.Is(read, b.err) {
			t.Errorf("%s: %v, want the error below", name, read)
		}
	}
}

// Wrap is around every source, once.
func TestWrap(t *testing.T) {
	o := operands(t, "w:F32:4:1")["w"]
	var got []Operand
	opener := Opener{Wrap: func(o Operand, src Source) Source { got = append(got, o); return src }}
	cast := o
	cast.As = tensor.F16
	opener.Open(o)
	opener.Open(cast)
	opener.Open(Operand{})
	if want := []Operand{o, cast, {}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
