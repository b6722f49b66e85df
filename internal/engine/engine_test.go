package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/testmodel"
	"slerpmerge/mmapio"
	"slerpmerge/slerp"
)

var errUnsupported = fmt.Errorf("copy: %w", errors.ErrUnsupported)

// open makes and opens a model of tensors in the form of testmodel.Parse. Plans
// of one model must not be made at the same time.
func open(t *testing.T, seed uint64, tensors string) *model.Model {
	t.Helper()
	list, err := testmodel.Parse(seed, strings.Fields(tensors)...)
	if err != nil {
		t.Fatal(err)
	}
	dir := testmodel.Make(t, filepath.Join(t.TempDir(), fmt.Sprint("model", seed)), testmodel.Model{Tensors: list, Config: "{}"})
	m, err := model.Open(mmapio.NewPool(4<<20), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// pair is the request of a slerp of two models, changed.
func pair(change func(*recipe.Request)) recipe.Request {
	r := recipe.Request{Recipe: recipe.Pair(method.SlerpMethod{}, "a", "b", recipe.Setting{{Values: []float64{0.3}}}), Run: recipe.Run{MaxMemory: 64 << 20, Threads: 2}}
	r.ShardSize, r.Missing, r.NonFinite, r.Tokenizer, r.Vocab = 5e9, recipe.MissingCopy, recipe.NonFiniteError, recipe.TokenizerPrimary, recipe.VocabError
	if change != nil {
		change(&r)
	}
	return r
}

// planned works out a plan, with buffers so small that there are many pieces.
func planned(t *testing.T, r recipe.Request, models ...*model.Model) *plan.Plan {
	t.Helper()
	p, err := plan.New(r, models...)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Refusal(); err != nil {
		t.Fatal(err)
	}
	p.Budget.Piece, p.Budget.Hold, p.Budget.Threads, p.Budget.Buffers = 8<<10, 16<<10, 2, 4
	return p
}

// run carries a plan out and returns the Output and the results.
func run(t *testing.T, p *plan.Plan, opt engine.Options) (*memory, []engine.TensorResult) {
	t.Helper()
	out := newMemory(t, p.Layout)
	e := engine.New(p, p.Layout, out, opt)
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.Release()
	return out, e.Results()
}

// raw reads an operand whole; one that is missing is zeros.
func raw(t *testing.T, o operand.Operand, like tensor.Info) ([]byte, tensor.DType) {
	t.Helper()
	if o.None() {
		return make([]byte, like.Bytes()), like.DType
	}
	info := o.Tensor().Info
	b := make([]byte, info.Bytes())
	if err := o.Model.Source(int(o.Index)).ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	if d := o.As; d != tensor.BOOL && d != info.DType {
		cast := make([]byte, info.Elems()*int64(d.Size()))
		slerp.NewConverter(d, info.DType).Convert(cast, b)
		return cast, d
	}
	return b, info.DType
}

// naive computes a tensor of a plan from whole operands.
func naive(t *testing.T, x *plan.Tensor) []byte {
	t.Helper()
	like := x.Sole().Info()
	var all [][]byte
	var types []tensor.DType
	for _, o := range x.Operands {
		b, d := raw(t, o, like)
		all, types = append(all, b), append(types, d)
	}
	dst := make([]byte, x.Bytes())
	head := x.BlendElems()
	if x.Tail != nil {
		k := x.Tail.Operand
		slerp.NewConverter(x.DType, types[k]).Convert(dst, all[k][:x.Elems()*int64(types[k].Size())])
		for k := range all {
			all[k] = all[k][:head*int64(types[k].Size())]
		}
	}
	blended := dst[:head*int64(x.DType.Size())]
	equal := true
	for k := range all {
		equal = equal && types[k] == types[0] && bytes.Equal(all[k], all[0])
	}
	switch op := x.Op.(type) {
	case method.Copy:
		copy(dst, all[op])
	case method.Follow:
		copy(dst, all[0])
	case method.Convert:
		slerp.NewConverter(x.DType, types[op]).Convert(dst, all[op])
	case *method.Linear:
		slerp.NewWeightedSum(x.DType, types).Sum(dst, all, op.Weights, op.Divisor)
	default:
		if equal {
			slerp.NewConverter(x.DType, types[0]).Convert(blended, all[0])
			break
		}
		c := op.Solve(len(all), gram(all, types, head))
		if c.Spherical {
			slerp.NewBlender(x.DType, types[0], types[1]).Blend(blended, all[0], all[1], c.Weights[0], c.Weights[1])
		} else {
			slerp.NewWeightedSum(x.DType, types).Sum(blended, all, c.Weights, c.Divisor)
		}
	}
	return dst
}

// gram measures whole operands of n elements.
func gram(all [][]byte, types []tensor.DType, n int64) method.Gram {
	var g method.Gram
	for i := range all {
		for k := i + 1; k < len(all); k++ {
			var sum slerp.Gram
			for at := int64(0); at < n; at += slerp.BlockElems {
				to := min(at+slerp.BlockElems, n)
				a, b := int64(types[i].Size()), int64(types[k].Size())
				m := slerp.NewInnerProducts(types[i], types[k])
				m.Add(all[i][at*a:to*a], all[k][at*b:to*b])
				sum = sum.Plus(m.Gram())
			}
			g = append(g, sum)
		}
	}
	return g
}

// check compares all tensors of an Output with naive.
func check(t *testing.T, p *plan.Plan, out *memory) {
	t.Helper()
	seen := 0
	for i, f := range p.Layout.Files {
		for _, x := range f.Extents {
			seen++
			if got, of := out.files[i][x.Off:][:x.Len], &p.Tensors[x.Tensor]; of.Op.Needs() != method.Passes && !bytes.Equal(got, naive(t, &p.Tensors[x.Tensor])) {
				t.Errorf("%s, a %s, has other bytes", p.Tensors[x.Tensor].Name, p.Tensors[x.Tensor].Op.Word())
			}
		}
	}
	if seen == 0 {
		t.Error("there are no tensors")
	}
}

// mixed has tensors that a worker holds and larger ones, of all floating types;
// one without elements; and integers. huge has one of two blocks.
const mixed = `a.big:BF16:30001:rand b.empty:F32:0x4:0 c.small:F32:7x9:rand d.half:F16:9000:rand
	e.scalar:F64:scalar:2.5 f.double:F64:3001:rand g.eight:F8_E4M3:20001:rand h.five:F8_E5M2:64:rand
	i.same:BF16:4x4:1,2,3 j.samelarge:F32:10000:1,2,3 k.ints:I64:6:1,2 l.many:U8:40000:3 n.{0..40}:BF16:33:rand`
const huge = " z.huge:BF16:1048581:noise"

// The bytes are those of the kernels applied to whole tensors, whatever the
// sizes of the buffers.
func TestRun(t *testing.T) {
	const moreA, moreB = " m.only:F16:5000:rand o.mixed:BF16:9000:rand q.flags:BOOL:9:0,1", " o.mixed:F32:9000:rand q.flags:BOOL:9:1,1"
	a, b := open(t, 1, mixed+moreA), open(t, 2, mixed+moreB)
	hugeA, hugeB := open(t, 1, mixed+huge+moreA), open(t, 2, mixed+huge+moreB)
	for name, change := range map[string]func(*recipe.Request){
		"slerp":  nil,
		"t = 0":  func(r *recipe.Request) { r.Set("t", recipe.Setting{{Values: []float64{0}}}) },
		"t = 1":  func(r *recipe.Request) { r.Set("t", recipe.Setting{{Values: []float64{1}}}) },
		"to F16": func(r *recipe.Request) { r.DType = recipe.DType{To: tensor.F16} },
		"to F32": func(r *recipe.Request) { r.DType = recipe.DType{To: tensor.F32} },
		"zeros":  func(r *recipe.Request) { r.Missing = recipe.MissingZero },
		"shards": func(r *recipe.Request) { r.ShardSize = 30_000 },
		"to .bin": func(r *recipe.Request) {
			r.Format = recipe.Bin
			r.ShardSize = 60_000
			r.DType = recipe.DType{To: tensor.BF16}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []struct {
				piece   int64
				threads int
			}{{8 << 10, 2}, {1 << 20, 1}, {1 << 10, 3}} {
				p := planned(t, pair(change), a, b)
				if change == nil {
					p = planned(t, pair(change), hugeA, hugeB)
				}
				p.Budget.Piece, p.Budget.Hold, p.Budget.Threads, p.Budget.Buffers = size.piece, 2*size.piece, size.threads, size.threads+1
				var done int64
				out, _ := run(t, p, engine.Options{Progress: func(n int64) { done += n }})
				check(t, p, out)
				if done != p.Layout.TotalBytes {
					t.Errorf("progress of %d bytes, want %d", done, p.Layout.TotalBytes)
				}
			}
		})
	}
}

// The results say what was done to each tensor.
func TestResults(t *testing.T) {
	a := open(t, 1, "a:F32:4:1,0 b:F32:4:1,2 c:BF16:3:1 d:F32:0x3:0 e:I32:3:1 f:I32:3:1 g:F32:2:7,1e-9 h:F32:3:5,70000,1 i:F32:9000:1,2")
	b := open(t, 2, "a:F32:4:0,1 b:F32:4:2,4 c:BF16:3:1 d:F32:0x3:0 e:I32:3:1 f:I32:3:2 h:F32:3:5,70000,2 i:F32:9000:1,2")
	p := planned(t, pair(func(r *recipe.Request) { r.DType = recipe.DType{To: tensor.F16} }), a, b)
	out := newMemory(t, p.Layout)
	e := engine.New(p, p.Layout, out, engine.Options{})
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	results := e.Results()
	var got []string
	for i, r := range results {
		got = append(got, fmt.Sprintf("%s %s %v %d %d %v", p.Tensors[i].Name, r.Outcome, r.Measured, r.Overflow, r.Underflow, r.Differs))
	}
	want := []string{"a slerp true 0 0 false", "b linear true 0 0 false", "c equal true 0 0 false", "d equal false 0 0 false",
		"e copy false 0 0 false", "f copy false 0 0 true", "g convert false 0 1 false", "h linear true 1 0 false", "i equal true 0 0 false"}
	if !slices.Equal(got, want) {
		t.Errorf("results\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if n := engine.Outcomes(results); n[method.Equal] != 3 || n[method.Copied] != 2 || n[method.Converted] != 1 || n[method.Straight] != 2 || n[method.Spherical] != 1 {
		t.Errorf("outcomes %v", n)
	}
	warnings := []string{"1 value is too large for the output type in h", "1 value becomes zero in the output type in g",
		"not of a floating type and not equal, the primary's values are kept: f"}
	if got := e.Warnings(); !slices.Equal(got, warnings) {
		t.Errorf("warnings %q, want %q", got, warnings)
	}
	if r := results[0]; r.Cos != 0 || r.NormA != r.NormB || r.NormA*r.NormA < 1.999 {
		t.Errorf("the angle of a: %+v", r)
	}
}

// A NaN or Inf is refused, or noted.
func TestNonFinite(t *testing.T) {
	const finite = " z:F32:5:1,2"
	for name, c := range map[string]struct{ a, b, model string }{
		"small":  {"x:F32:4:1,NaN", "x:F32:4:1,2", "model1"},
		"second": {"x:F32:4:1,3", "x:F32:4:1,-Inf", "model2"},
		"large":  {"x:F32:20000:1,2", "x:F32:20000:1,NaN", "model2"},
	} {
		a, b := open(t, 1, c.a+finite), open(t, 2, c.b+finite)
		p := planned(t, pair(nil), a, b)
		err := engine.New(p, p.Layout, newMemory(t, p.Layout), engine.Options{}).Run(t.Context())
		var nonFinite *engine.NonFiniteError
		if !errors.As(err, &nonFinite) || nonFinite.Tensor != "x" || filepath.Base(nonFinite.Model) != c.model {
			t.Errorf("%s: %v, want a *NonFiniteError of x of %s", name, err, c.model)
		}
		out := newMemory(t, p.Layout)
		e := engine.New(p, p.Layout, out, engine.Options{WarnNonFinite: true})
		if err := e.Run(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		check(t, p, out)
		if r := e.Results(); !r[0].NonFinite || r[1].NonFinite || r[0].Overflow != 0 {
			t.Errorf("%s: %+v", name, r)
		}
		if w := e.Warnings(); !slices.Equal(w, []string{"NaN or Inf in a parent, so the whole tensor is NaN in the output: x"}) {
			t.Errorf("%s: warnings %q", name, w)
		}
	}
	// Equal parents are copied, infinities and all.
	a, b := open(t, 1, "x:F32:4:1,Inf"), open(t, 2, "x:F32:4:1,Inf")
	p := planned(t, pair(nil), a, b)
	out, results := run(t, p, engine.Options{})
	if check(t, p, out); results[0].Outcome != method.Equal {
		t.Errorf("equal infinities: %+v", results[0])
	}
}

// Rows that only one parent has follow those that are blended.
func TestTail(t *testing.T) {
	for _, rows := range [][2]int{{40, 33}, {33, 40}, {4000, 3333}, {3333, 4000}} {
		embed := "model.embed_tokens.weight:BF16:%dx5:rand lm_head.weight:F32:%[1]dx5:rand"
		a, b := open(t, 1, fmt.Sprintf(embed, rows[0])), open(t, 2, fmt.Sprintf(embed, rows[1]))
		p := planned(t, pair(func(r *recipe.Request) { r.Vocab = recipe.VocabExtend; r.DType = recipe.DType{To: tensor.F16} }), a, b)
		out, _ := run(t, p, engine.Options{})
		check(t, p, out)
		if p.Tensors[0].Tail == nil || p.Tensors[0].Shape[0] != uint64(max(rows[0], rows[1])) {
			t.Errorf("%d and %d rows: %+v has no tail", rows[0], rows[1], p.Tensors[0])
		}
	}
}

// DropPages changes no bytes, of tensors with several elements in a byte either.
func TestDropPagesOfSmallTypes(t *testing.T) {
	const small = " r.four:F4:40000:1,2,3 s.six:F6_E3M2:40000:1,2,3"
	a, b := open(t, 1, mixed+small), open(t, 2, mixed+small)
	p := planned(t, pair(nil), a, b)
	out, _ := run(t, p, engine.Options{DropPages: true})
	check(t, p, out)
}
