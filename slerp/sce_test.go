package slerp

import (
	"math"
	"math/big"
	"slices"
	"testing"

	"slerpmerge/internal/tensor"
)

// A sceResult is what sce comes to, element by element.
type sceResult struct {
	want, slack []float64
	kept        int
	threshold   float64
	weight      map[int]float64
	equal       bool
}

// sceOf is sce by sorting.
func sceOf(s *sample, topk float64) (res sceResult) {
	n, list := int(s.Elems()), s.others()
	models := float64(len(list))
	rank, prec := tensor.BF16, uint(8)
	has := func(d DType) bool { return slices.Contains(s.In, d) }
	switch {
	case has(tensor.F32), has(tensor.F64), has(tensor.F16) && has(tensor.BF16):
		rank, prec = tensor.F32, 24
	case has(tensor.F16):
		rank, prec = tensor.F32, 11
	}
	kept := make([]bool, n)
	keys := make([]uint64, n)
	zeros := 0
	for i := range n {
		var d []float64
		mean, v := 0.0, 0.0
		for _, k := range list {
			x := s.delta(k, i)
			if finite(x) {
				x, _ = new(big.Float).SetPrec(prec).SetFloat64(x).Float64()
			}
			d = append(d, x)
			mean += x
		}
		mean /= models
		for _, x := range d {
			v += float64((x - mean) * (x - mean))
		}
		keys[i], _ = nearest(rank, v/models)
		if keys[i] == 0 {
			zeros++
		}
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case keys[a] > keys[b]:
			return -1
		case keys[a] < keys[b]:
			return 1
		}
		return 0
	})
	res.kept = n
	if topk < 1 {
		res.kept = max(0, int(topk*float64(n-zeros)))
	}
	for _, i := range order[:res.kept] {
		kept[i] = true
		res.threshold = value(rank, keys[i])
	}
	energy, total := make([]float64, len(s.In)), 0.0
	for _, k := range list {
		for i := range n {
			if d := s.delta(k, i); kept[i] && math.Abs(d) <= 0x1p480 {
				energy[k] += d * d / float64(n)
			}
		}
		total += energy[k]
	}
	res.weight, res.equal = map[int]float64{}, total < 1e-6
	for _, k := range list {
		res.weight[k] = energy[k] / total
		if res.equal {
			res.weight[k] = 1 / models
		}
	}
	for i := range n {
		b, sum, w, all, apart := s.v(s.base, i), 0.0, 0.0, 0.0, true
		for _, k := range list {
			if d := s.delta(k, i); kept[i] || !finite(d) {
				all += d
				apart = apart && finite(d)
			}
		}
		size := math.Abs(b) * 1e-9
		for _, k := range list {
			if d := s.delta(k, i); d != 0 && d > 0 == (all >= 0) {
				sum += res.weight[k] * d
				w += res.weight[k]
				size += math.Abs(d) * 1e-9
			}
		}
		switch {
		case !apart, kept[i] && !finite(all):
			b += all
		case kept[i]:
			b += sum / math.Max(w, 1e-6)
		}
		res.want = append(res.want, b)
		res.slack = append(res.slack, size)
	}
	return res
}

func (s *sample) holdSCE(t *testing.T, topk float64, seed uint64) (equal bool) {
	t.Helper()
	res := sceOf(s, topk)
	w := s.hold(t, source(seed), func() Sweep { return SCE{s.base, topk}.Sweep(s.Operands) }, res.want, func(i int) float64 { return res.slack[i] })
	for _, f := range w.Figures() {
		want := map[string]float64{"kept": float64(res.kept) / math.Max(1, float64(s.Elems())), "threshold": res.threshold, "weight": res.weight[f.Of],
			"equal weights": map[bool]float64{true: 1}[res.equal], "energy": f.Value}[f.Name]
		if math.Abs(f.Value-want) > 1e-9 && s.Elems() > 0 {
			t.Errorf("%v of %v, top %v: %s %v, want %v", s.Shape, s.In, topk, f.Name, f.Value, want)
		}
	}
	return res.equal
}

func TestSCE(t *testing.T) {
	r := source(147)
	branches := map[bool]int{}
	for i, shape := range sweepShapes {
		for _, m := range []mix{weights, weights, weights, sparse, wild} {
			n := 1 + (i+r.IntN(8))%8
			s := newSample(r, shape, n+1, r.IntN(n+1), m)
			for _, topk := range []float64{0, 0.1, 0.5, r.Float64(), 1} {
				branches[s.holdSCE(t, topk, 1)]++
			}
		}
	}
	if branches[true] < 20 || branches[false] < 20 {
		t.Errorf("equal weights or not: %v", branches)
	}
}

// Elements at the threshold are kept in index order, in whichever block the last one is.
func TestSCEBlocks(t *testing.T) {
	r := source(148)
	for d, topk := range map[DType]float64{tensor.F16: 0.4, tensor.F32: 0.9} {
		s := steps(r, d, []uint64{2, BlockElems/2 + 100}, 3, 0, 7)
		s.holdSCE(t, topk, 2)
	}
}

func BenchmarkSCE(b *testing.B) {
	for _, d := range []DType{tensor.BF16, tensor.F32} {
		o := Operands{Shape: []uint64{cacheBytes / 2}, In: []DType{d, d, d, d}, Out: d}
		w := SCE{0, 0.2}.Sweep(o)
		chunks, bytes := sweepOperands(o)
		s := new(Scratch)
		for n := w.Pass(); n > 0; n = w.Pass() {
			b.Run(d.String()+map[sceStep]string{sceUpper: "/upper", sceLower: "/lower", sceEnergies: "/energies", sceCut: "/cut"}[w.(*sce).step], func(b *testing.B) {
				throughput(b, bytes, func() { w.Meter(s, 0).Add(chunks, 0) })
			})
			m := w.Meter(s, 0)
			m.Add(chunks, 0)
			w.Take(0, m)
		}
		b.Run(d.String()+"/mix", func(b *testing.B) { benchmarkMixer(b, w, o) })
	}
}
