package engine

import (
	"path/filepath"
	"slices"
	"testing"

	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/testmodel"
	"slerpmerge/mmapio"
)

// A dropped source notes what is dropped.
type dropped struct {
	operand.Source
	of    operand.Operand
	drops *[]drop
}

func (d dropped) Drop(off, n int64) { *d.drops = append(*d.drops, drop{d.of, off, n}) }

type drop struct {
	of     operand.Operand
	off, n int64
}

// The pages that are dropped are those of the operands' own elements, of which
// some types have several in a byte, and far enough behind the writer.
func TestPageDropper(t *testing.T) {
	const far = dropDistance + 1<<20 // bytes of a tensor that pushes out what came before
	info := func(d tensor.DType, shape ...uint64) tensor.Info { return tensor.Info{DType: d, Shape: shape} }
	for name, c := range map[string]struct {
		in, out tensor.Info
		off, n  int64 // of the output
		want    []drop
	}{
		"F4":             {info(tensor.F4, 4096), info(tensor.F4, 4096), 100, 50, []drop{{off: 100, n: 50}}},
		"F6":             {info(tensor.F6E2M3, 4096), info(tensor.F6E2M3, 4096), 0, 3072, []drop{{off: 0, n: 3072}}},
		"same type":      {info(tensor.BF16, 4096), info(tensor.BF16, 4096), 10, 20, []drop{{off: 10, n: 20}}},
		"narrower":       {info(tensor.F32, 4096), info(tensor.BF16, 4096), 10, 20, []drop{{off: 20, n: 40}}},
		"wider":          {info(tensor.F8E4M3, 4096), info(tensor.F32, 4096), 16, 64, []drop{{off: 4, n: 16}}},
		"fewer rows":     {info(tensor.BF16, 4, 8), info(tensor.BF16, 6, 8), 48, 48, []drop{{off: 48, n: 16}}},
		"past its rows":  {info(tensor.BF16, 4, 8), info(tensor.BF16, 6, 8), 64, 32, nil},
		"without values": {info(tensor.F4, 0), info(tensor.F4, 0), 0, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c.in.Name, c.out.Name = "x", "x"
			list := testmodel.Tensors(nil, c.in, tensor.Info{Name: "far", DType: tensor.U8, Shape: []uint64{far}})
			m, err := model.Open(mmapio.NewPool(1<<20), testmodel.Make(t, filepath.Join(t.TempDir(), "m"), testmodel.Model{Tensors: list}))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(m.Close)
			find := func(name string) []operand.Operand {
				i := slices.IndexFunc(m.Tensors, func(t model.Tensor) bool { return t.Name == name })
				return []operand.Operand{{Model: m, Index: int32(i)}, {}}
			}
			var got []drop
			var opener operand.Opener
			opens := map[operand.Operand]int{}
			opener.Wrap = func(o operand.Operand, src operand.Source) operand.Source {
				opens[o]++
				return dropped{src, o, &got}
			}
			d := &pageDropper{opener: &opener, tensors: []plan.Tensor{
				{Info: c.out, Operands: find("x")},
				{Info: tensor.Info{DType: tensor.U8, Shape: []uint64{far}}, Operands: find("far")}}}
			d.written(&piece{fill: fill{spans: []span{{tensor: 0, off: c.off, len: c.n}}}})
			if len(got) > 0 {
				t.Errorf("%v is dropped at once", got)
			}
			d.written(&piece{fill: fill{spans: []span{{tensor: 1, len: 1 << 20}}}})
			if len(got) > 0 {
				t.Errorf("%v is dropped a MiB behind", got)
			}
			d.written(&piece{fill: fill{spans: []span{{tensor: 1, off: 1 << 20, len: dropDistance - 1<<20}}}})
			for i := range c.want {
				c.want[i].of = find("x")[0]
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%+v is dropped, want %+v", got, c.want)
			}
			if n := opens[find("far")[0]]; n != 1 {
				t.Errorf("an operand of two pieces is opened %d times", n)
			}
		})
	}
}
