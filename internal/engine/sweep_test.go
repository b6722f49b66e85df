package engine_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/plan"
	"slerpmerge/slerp"
)

// spread is an Op of float32 operands that needs two passes: one by blocks, for the
// largest element of all, and one by columns, for the largest of each column. The
// output is the sum of both and of the first operand.
type spread struct {
	t *testing.T
}

func (spread) Word() string          { return "spread" }
func (spread) Needs() method.Measure { return method.Passes }
func (spread) Solve(n int, _ method.Gram) method.Solution {
	return method.Solution{Weights: make([]float64, n), Divisor: 1, Outcome: "spread"}
}
func (s spread) Sweep(o slerp.Operands) slerp.Sweep { return &spreading{spread: s, o: o} }

type spreading struct {
	spread
	o       slerp.Operands
	pass    int
	blocks  int
	taken   int
	seen    int64
	most    float32
	columns []float32
}

const spreadBlock = 1000

func (s *spreading) Memory() (state, scratch int64) { return 1 << 20, 4096 }

func (s *spreading) width() int64 { _, row := s.o.Rows(); return row }

func (s *spreading) Pass() int {
	if s.taken != s.blocks {
		s.t.Errorf("%s: %d of %d blocks were taken", s.o.Tensor, s.taken, s.blocks)
	}
	if n := s.o.Elems(); s.pass > 0 && s.seen != n*int64(len(s.o.In)) {
		s.t.Errorf("%s: pass %d has seen %d elements of %d", s.o.Tensor, s.pass, s.seen, n)
	}
	s.taken, s.seen = 0, 0
	switch s.pass++; s.pass {
	case 1:
		s.most = float32(math.Inf(-1))
		s.blocks = int((s.o.Elems() + spreadBlock - 1) / spreadBlock)
	case 2:
		s.columns = make([]float32, s.width())
		s.blocks = int((s.width() + 15) / 16)
	default:
		s.blocks = 0
	}
	return s.blocks
}

func (s *spreading) Region(block int) slerp.Region {
	if b := int64(block); s.pass == 1 {
		return slerp.Region{From: b * spreadBlock, Len: min(spreadBlock, s.o.Elems()-b*spreadBlock), Count: 1}
	} else {
		rows, row := s.o.Rows()
		return slerp.Region{From: b * 16, Len: min(16, row-b*16), Stride: row, Count: rows}
	}
}

func (s *spreading) Meter(scratch *slerp.Scratch, block int) slerp.Meter {
	m := &spreadMeter{of: s, block: block, most: float32(math.Inf(-1)), columns: scratch.Floats(0, 16)}
	for k := range m.columns {
		m.columns[k] = math.Inf(-1)
	}
	return m
}

type spreadMeter struct {
	of      *spreading
	block   int
	seen    int64
	most    float32
	columns []float64
}

func float(p []byte, i int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(p[4*i:]))
}

func (m *spreadMeter) Add(chunks [][]byte, at int64) {
	for _, c := range chunks {
		for i := range len(c) / 4 {
			m.seen++
			x := float(c, i)
			m.most = max(m.most, x)
			if m.of.pass == 2 {
				k := (at + int64(i)) % m.of.width() % 16
				m.columns[k] = max(m.columns[k], float64(x))
			}
		}
	}
}

func (s *spreading) Take(block int, meter slerp.Meter) {
	m := meter.(*spreadMeter)
	s.taken++
	s.seen += m.seen
	if s.pass == 1 {
		s.most = max(s.most, m.most)
		return
	}
	for k := range s.Region(block).Len {
		s.columns[int64(block)*16+k] = float32(m.columns[k])
	}
}

func (s *spreading) Mixer(*slerp.Scratch) slerp.Mixer { return s }

func (s *spreading) Mix(dst []byte, chunks [][]byte, at int64) (c slerp.Counts) {
	for i := range len(dst) / 4 {
		y := s.most + s.columns[(at+int64(i))%s.width()] + float(chunks[0], i)
		if y != y {
			c.NonFinite++
		}
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(y))
	}
	return c
}

func (s *spreading) Figures() []slerp.Figure {
	return []slerp.Figure{{Name: "most", Of: -1, Value: float64(s.most)}}
}

// sweeping plans tensors of several sizes that a spread makes.
func sweeping(t *testing.T, models ...*model.Model) *plan.Plan {
	p := several(t, "dtype: float32", models...)
	for i := range p.Tensors {
		if x := &p.Tensors[i]; x.Sum() != nil {
			x.Op = spread{t: t}
		}
	}
	return p
}

const swept = "a:F32:3:rand b:F32:40x90:rand c:F32:7x1000:rand d:F32:31x33:rand e:F32:50000:rand f:F32:0:1"

// A method of several passes gives the same bytes whether a tensor is held or not.
func TestSweep(t *testing.T) {
	models := []*model.Model{open(t, 1, swept), open(t, 2, swept), open(t, 3, swept)}
	p := sweeping(t, models...)
	var want *memory
	for _, piece := range []int64{8 << 20, 64 << 10, 4 << 10} {
		for _, threads := range []int{1, 3} {
			p.Budget.Piece, p.Budget.Hold, p.Budget.Threads = piece, 2*piece, threads
			out, results := run(t, p, engine.Options{})
			if want == nil {
				want = out
			}
			for k := range out.files {
				if !bytes.Equal(out.files[k], want.files[k]) {
					t.Errorf("pieces of %d bytes, %d threads: file %d differs", piece, threads, k)
				}
			}
			for i, r := range results[:5] {
				if r.Outcome != "spread" || r.Detail == nil || len(r.Detail.Figures) != 1 {
					t.Errorf("pieces of %d bytes: %s: %+v", piece, p.Tensors[i].Name, r)
				}
			}
		}
	}
	// The largest element is that of all operands.
	most := float32(math.Inf(-1))
	var opener operand.Opener
	for _, o := range p.Tensors[1].Operands {
		x := make([]byte, o.Info().Bytes())
		if err := opener.Open(o).ReadAt(t.Context(), x, 0); err != nil {
			t.Fatal(err)
		}
		for i := range len(x) / 4 {
			most = max(most, float(x, i))
		}
	}
	if _, results := run(t, p, engine.Options{}); results[1].Detail.Figures[0].Value != float64(most) {
		t.Errorf("%v, want %v", results[1].Detail.Figures[0].Value, most)
	}
}

// A run of a method of several passes can be resumed from each of its checkpoints.
func TestSweepResumes(t *testing.T) {
	resumeEverywhere(t, sweeping(t, open(t, 1, swept), open(t, 2, swept)))
}

// Operands that are equal are copied; NaN is found.
func TestSweepOfEqual(t *testing.T) {
	p := sweeping(t, open(t, 1, swept), open(t, 1, swept))
	for _, piece := range []int64{8 << 20, 4 << 10} {
		p.Budget.Piece, p.Budget.Hold = piece, 2*piece
		for i, r := range func() []engine.TensorResult { _, r := run(t, p, engine.Options{}); return r }() {
			if r.Outcome != method.Equal {
				t.Errorf("%s: %+v", p.Tensors[i].Name, r)
			}
		}
	}
	const bad = "a:F32:9000:NaN"
	p = sweeping(t, open(t, 3, bad), open(t, 4, "a:F32:9000:1"))
	for _, piece := range []int64{8 << 20, 4 << 10} {
		p.Budget.Piece, p.Budget.Hold = piece, 2*piece
		if err := engine.New(p, p.Layout, newMemory(t, p.Layout), engine.Options{}).Run(t.Context()); err == nil {
			t.Error("a NaN passes")
		}
	}
}
