package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/writer"
)

// From each checkpoint of a run, another one with other buffers ends in the same
// bytes and the same results.
func TestResumeFromEveryCheckpoint(t *testing.T) {
	const overflow = " r.over:F32:3000:70000,1 s.over:F32:30:1,70000 t.under:F32:3000:1e-9,2"
	a := open(t, 1, mixed+overflow+" m.only:F16:5000:rand")
	b := open(t, 2, mixed+overflow+",3")
	for name, change := range map[string]func(*recipe.Request){
		"safetensors": nil,
		"shards":      func(r *recipe.Request) { r.ShardSize = 30_000; r.DType = recipe.DType{To: tensor.F16} },
		"bin":         func(r *recipe.Request) { r.ShardSize = 60_000; r.Format = recipe.Bin },
	} {
		t.Run(name, func(t *testing.T) {
			p := planned(t, pair(change), a, b)
			resumeEverywhere(t, p)
		})
	}
}

// Coefficients and divisors of any number of operands are kept in the notes.
func TestResumeOfManyOperands(t *testing.T) {
	var models []*model.Model
	for seed := range uint64(3) {
		models = append(models, open(t, seed+1, "{a..c}:F32:1:0 w.{1..4}:F32:6000:rand x.{1..4}:BF16:9:rand"))
	}
	p := several(t, "dtype: float32", models...)
	for i := range p.Tensors {
		if p.Tensors[i].Sum() != nil {
			p.Tensors[i].Op = balanced{}
		}
	}
	resumeEverywhere(t, p)
}

// resumeEverywhere runs a plan, and again from each of its checkpoints.
func resumeEverywhere(t *testing.T, p *plan.Plan) {
	t.Helper()
	p.Budget.Piece = 4 << 10
	whole := newMemory(t, p.Layout)
	whole.due = true
	e := engine.New(p, p.Layout, whole, engine.Options{})
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.Note()
	want, warnings := slices.Clone(e.Results()), e.Warnings()
	check(t, p, whole)
	if len(whole.checkpoints) < 10 {
		t.Fatalf("%d checkpoints", len(whole.checkpoints))
	}
	for k, c := range whole.checkpoints {
		other := *p
		other.Budget.Piece = []int64{1 << 10, 4 << 10, 512 << 10}[k%3]
		other.Budget.Hold, other.Budget.Threads, other.Budget.Buffers = 2*other.Budget.Piece, 1+k%2, 3
		out := whole.resumed(c)
		e := engine.New(&other, p.Layout, out, engine.Options{})
		if err := e.Restore(c.at, c.notes); err != nil {
			t.Fatalf("checkpoint %d: %v", k, err)
		}
		if err := e.Run(t.Context()); err != nil {
			t.Fatalf("checkpoint %d: %v", k, err)
		}
		if got := e.Results(); !reflect.DeepEqual(got, want) || !slices.Equal(e.Warnings(), warnings) {
			t.Errorf("checkpoint %d: other results", k)
		}
		for i := range out.files {
			if !bytes.Equal(out.files[i], whole.files[i]) {
				t.Errorf("checkpoint %d, %+v: file %d differs", k, c.at, i)
			}
		}
	}
}

// Where the format has no checksums, pieces have them if they are asked for, also
// those that are made and summed in parts.
func TestSums(t *testing.T) {
	const large = "w.blend:BF16:700000:rand x.convert:F32:400000:rand y.copy:I32:300000:1 z.{0..9}:F16:70:rand"
	a, b := open(t, 1, large+" v.only:F32:300000:rand"), open(t, 2, large)
	p := planned(t, pair(func(r *recipe.Request) { r.DType = recipe.DType{To: tensor.BF16} }), a, b)
	p.Budget.Piece, p.Budget.Hold = 1<<20, 64<<10
	out := newMemory(t, p.Layout)
	if err := engine.New(p, p.Layout, out, engine.Options{Sums: true}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(t, p, out)
	if out.sums == 0 || out.sums != out.writes {
		t.Errorf("%d of %d pieces have sums", out.sums, out.writes)
	}
}

// A resumed run reads nothing that is written, and measures nothing again that a
// note has.
func TestResumeReadsNoMoreThanItMust(t *testing.T) {
	a, b := open(t, 1, "{a..f}:F32:1:0 w.{1..6}:BF16:9000:rand"), open(t, 2, "{a..f}:F32:1:0 w.{1..6}:BF16:9000:rand")
	p := planned(t, pair(nil), a, b)
	whole := newMemory(t, p.Layout)
	whole.due = true
	if err := engine.New(p, p.Layout, whole, engine.Options{}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for k, c := range whole.checkpoints {
		left := p.Layout.TotalBytes - p.Layout.Before(c.at)
		var read counter
		e := engine.New(p, p.Layout, whole.resumed(c), engine.Options{Wrap: read.wrap})
		if err := e.Restore(c.at, c.notes); err != nil {
			t.Fatal(err)
		}
		if err := e.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := read.bytes.Load(); n > 4*left || left > 0 && n < 2*left {
			t.Errorf("checkpoint %d: %d bytes read to write %d", k, n, left)
		}
		if left == 0 && read.bytes.Load() > 0 {
			t.Errorf("checkpoint %d: a run with nothing to do reads %d bytes", k, read.bytes.Load())
		}
	}
}

// Notes that can't be of this plan are refused.
func TestRestoreRefuses(t *testing.T) {
	a, b := open(t, 1, "a:F32:8:rand b:I32:8:1 c:BF16:4:rand"), open(t, 2, "a:F32:8:rand b:I32:8:1 c:BF16:4:rand")
	p := planned(t, pair(nil), a, b)
	x := p.Layout.Files[0].Extents[0]
	for note, want := range map[string]string{
		`{`:                                     "its journal can't be read",
		`{"done":[{"i":3}]}`:                    "its journal names tensors that do not exist",
		`{"done":[{"i":-1}]}`:                   "its journal names tensors that do not exist",
		`{"under":[{"i":0,"f":8,"w":[1,2,3]}]}`: "its journal does not fit the plan",
		`{"under":[{"i":1,"f":8,"w":[1,2]}]}`:   "its journal does not fit the plan",
		`{"under":[{"i":0,"f":8,"w":[1,2]}]}`:   "",
		`{"under":[{"i":0,"f":12}]}`:            "",
	} {
		err := engine.New(p, p.Layout, newMemory(t, p.Layout), engine.Options{}).Restore(writer.Mark{}, [][]byte{[]byte(note)})
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %q", note, err, want)
		}
	}
	err := engine.New(p, p.Layout, newMemory(t, p.Layout), engine.Options{}).Restore(writer.Mark{Off: x.Off + 1}, nil)
	if err == nil || err.Error() != "its journal ends inside an element" {
		t.Errorf("a mark inside an element: %v", err)
	}
}

// After an error of the Output, Note fits what it has: the run can go on.
func TestFailingOutput(t *testing.T) {
	a, b := open(t, 1, mixed+" m.only:F16:50000:rand"), open(t, 2, mixed)
	full := errors.New("the disk is full")
	for _, call := range []string{"write", "copy", "checkpoint"} {
		for _, at := range []int{1, 2, 5} {
			if call == "copy" && at > 2 {
				continue
			}
			t.Run(fmt.Sprint(call, at), func(t *testing.T) {
				p := planned(t, pair(nil), a, b)
				out := newMemory(t, p.Layout)
				out.due, out.copying = true, true
				n := 0
				out.fail = func(c string) error {
					if c == call {
						n++
					}
					if c == call && n >= at {
						return full
					}
					return nil
				}
				e := engine.New(p, p.Layout, out, engine.Options{})
				if err := e.Run(t.Context()); err != full {
					t.Fatalf("error %v, want that of the Output", err)
				}
				if n != at {
					t.Errorf("%d calls of %s, want none after the error", n, call)
				}
				out.fail = nil
				if call == "checkpoint" { // its note is lost, and the next one does not repeat it
					return
				}
				if note := e.Note(); note != nil {
					out.notes = append(out.notes, note)
				}
				rest := out.resumed(checkpoint{out.mark(), out.notes})
				again := engine.New(p, p.Layout, rest, engine.Options{})
				if err := again.Restore(out.mark(), out.notes); err != nil {
					t.Fatal(err)
				}
				if err := again.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				check(t, p, rest)
			})
		}
	}
}

// A checkpoint reads the results of pairs that workers are deciding about at that
// moment. The race detector must find nothing.
func TestCheckpointAmongSmallPairs(t *testing.T) {
	t.Parallel()
	const small = "t.{0..599}:F32:10000:noise u.large:BF16:2097152:noise v.ints:I32:50000:noise"
	a, b := open(t, 1, small), open(t, 2, small)
	for _, threads := range []int{4, 2} {
		p := planned(t, pair(nil), a, b)
		p.Budget.Piece, p.Budget.Hold, p.Budget.Threads, p.Budget.Buffers = 256<<10, 512<<10, threads, threads+2
		out := newMemory(t, p.Layout)
		out.due = true
		if err := engine.New(p, p.Layout, out, engine.Options{WarnNonFinite: true}).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(out.notes); n < 20 {
			t.Errorf("%d threads: %d notes only", threads, n)
		}
	}
}
