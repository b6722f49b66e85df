package slerp

import (
	"fmt"
	"testing"

	"slerpmerge/internal/tensor"
)

// Bytes are counted as touched: copy reads one operand and writes one (2x),
// measure reads two, blend reads two and writes one, convert reads one and
// writes one. "cache" has inputs of 128 KiB, as the pipeline's chunks;
// "memory" 64 MiB, beyond any cache. Copy is the same run's yardstick: run
// with -count to interleave. All is one thread.
const (
	cacheBytes  = 128 << 10
	memoryBytes = 64 << 20
)

var places = []struct {
	name string
	size int
}{{"cache", cacheBytes}, {"memory", memoryBytes}}

// operands are reused, so that memory is paid for once.
var operands [9][]byte

// operand gives the i-th operand of n elements, filled with weights.
func operand(i int, d tensor.DType, n int) []byte {
	if operands[i] == nil {
		operands[i] = make([]byte, 2*memoryBytes)
	}
	p := operands[i][:n*d.Size()]
	part := random(source(uint64(i)), d, 4096, weights)
	for q := p; len(q) > 0; {
		q = q[copy(q, part):]
	}
	return p
}

func throughput(b *testing.B, bytes int, f func()) {
	f() // page faults, tables
	b.SetBytes(int64(bytes))
	b.ResetTimer()
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64(bytes)*float64(b.N)/1e9/b.Elapsed().Seconds(), "GB/s")
}

func BenchmarkCopy(b *testing.B) {
	for _, at := range places {
		b.Run(at.name, func(b *testing.B) {
			n := at.size / 4
			src, dst := operand(0, tensor.F32, n), operand(1, tensor.F32, n)
			throughput(b, 2*at.size, func() { copy(dst, src) })
		})
	}
}

func BenchmarkMeasure(b *testing.B) {
	for _, at := range places {
		for _, d := range [][2]tensor.DType{{tensor.BF16, tensor.BF16}, {tensor.F16, tensor.F16}, {tensor.F32, tensor.F32},
			{tensor.BF16, tensor.F16}, {tensor.F32, tensor.BF16}, {tensor.F8E4M3, tensor.F8E4M3}, {tensor.F64, tensor.F64}} {
			b.Run(fmt.Sprintf("%s/%v,%v", at.name, d[0], d[1]), func(b *testing.B) {
				n := at.size / max(d[0].Size(), d[1].Size())
				x, y := operand(0, d[0], n), operand(1, d[1], n)
				m := NewInnerProducts(d[0], d[1])
				throughput(b, len(x)+len(y), func() { m.Add(x, y) })
			})
		}
	}
}

// nanoseconds reports the time for each element, and runs as throughput does.
func nanoseconds(b *testing.B, bytes, elements int, f func()) {
	throughput(b, bytes, f)
	b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N)/float64(elements), "ns/elem")
}

// several are count operands of n elements of one type.
func several(d tensor.DType, count, n int) (in []DType, x [][]byte) {
	for i := range count {
		in, x = append(in, d), append(x, operand(i, d, n))
	}
	return in, x
}

var counts = []int{2, 3, 4, 5, 8}

// BenchmarkProducts has the base, where there is one, as the last operand.
func BenchmarkProducts(b *testing.B) {
	for _, at := range places {
		for _, d := range []tensor.DType{tensor.BF16, tensor.F16, tensor.F32} {
			for _, count := range counts {
				for base := range 2 {
					b.Run(fmt.Sprintf("%s/%v/%d+%d", at.name, d, count, base), func(b *testing.B) {
						n := at.size / d.Size()
						in, x := several(d, count+base, n)
						p := NewProducts(in, base*(count+1)-1)
						nanoseconds(b, len(in)*at.size, n, func() { p.Add(x) })
					})
				}
			}
		}
	}
}

func BenchmarkWeightedSum(b *testing.B) {
	for _, at := range places {
		for _, d := range [][2]tensor.DType{{tensor.BF16, tensor.BF16}, {tensor.F16, tensor.F16}, {tensor.F32, tensor.F32},
			{tensor.F32, tensor.BF16}, {tensor.BF16, tensor.F32}} {
			for _, count := range counts {
				for _, divisor := range []float64{1, 3} {
					b.Run(fmt.Sprintf("%s/%v,%v/%d/%v", at.name, d[0], d[1], count, divisor), func(b *testing.B) {
						n := at.size / max(d[0].Size(), d[1].Size())
						in, x := several(d[0], count, n)
						dst := operand(count, d[1], n)
						k, w := NewWeightedSum(d[1], in), make([]float64, count)
						for i := range w {
							w[i] = 0.3
						}
						nanoseconds(b, len(dst)+count*len(x[0]), n, func() { k.Sum(dst, x, w, divisor) })
					})
				}
			}
		}
	}
}

func BenchmarkBlend(b *testing.B) {
	for _, at := range places {
		for _, d := range [][3]tensor.DType{{tensor.BF16, tensor.BF16, tensor.BF16}, {tensor.F16, tensor.F16, tensor.F16},
			{tensor.F32, tensor.F32, tensor.F32}, {tensor.F32, tensor.F32, tensor.BF16}, {tensor.F32, tensor.F32, tensor.F16},
			{tensor.BF16, tensor.F16, tensor.BF16}, {tensor.F16, tensor.F16, tensor.BF16}, {tensor.BF16, tensor.BF16, tensor.F32},
			{tensor.F8E4M3, tensor.F8E4M3, tensor.F8E4M3}, {tensor.F64, tensor.F64, tensor.F64}} {
			b.Run(fmt.Sprintf("%s/%v,%v,%v", at.name, d[0], d[1], d[2]), func(b *testing.B) {
				n := at.size / max(d[0].Size(), d[1].Size())
				x, y, dst := operand(0, d[0], n), operand(1, d[1], n), operand(2, d[2], n)
				k := NewBlender(d[2], d[0], d[1])
				throughput(b, len(x)+len(y)+len(dst), func() { k.Blend(dst, x, y, 0.57735, 0.57735) })
			})
		}
	}
}

func BenchmarkConvert(b *testing.B) {
	for _, at := range places {
		for _, d := range [][2]tensor.DType{{tensor.F32, tensor.BF16}, {tensor.F32, tensor.F16}, {tensor.BF16, tensor.F32},
			{tensor.F16, tensor.F32}, {tensor.F16, tensor.BF16}} {
			b.Run(fmt.Sprintf("%s/%v,%v", at.name, d[0], d[1]), func(b *testing.B) {
				n := at.size / d[0].Size()
				src, dst := operand(0, d[0], n), operand(1, d[1], n)
				k := NewConverter(d[1], d[0])
				throughput(b, len(src)+len(dst), func() { k.Convert(dst, src) })
			})
		}
	}
}

func BenchmarkInterpolate(b *testing.B) {
	for b.Loop() {
		Interpolate(sums(4, 9, 3), 0.3)
	}
}

func BenchmarkDistance(b *testing.B) {
	x, y := make([]byte, 128<<10), make([]byte, 128<<10)
	g := NewDistance(tensor.BF16, tensor.BF16)
	b.SetBytes(int64(len(x) + len(y)))
	for b.Loop() {
		g.Add(x, y)
	}
}

func BenchmarkAcos(b *testing.B) {
	x := 0.3
	for b.Loop() {
		acos(x)
		x = -x
	}
}

func BenchmarkSin(b *testing.B) {
	x := 0.7
	for b.Loop() {
		sin(x)
		x = 2 - x
	}
}

func BenchmarkNearParent(b *testing.B) {
	for b.Loop() {
		nearParent(1e-9, 1.2)
	}
}

// benchmarkMixer counts the bytes of the operands; the output comes on top.
func benchmarkMixer(b *testing.B, w Sweep, o Operands) {
	chunks, bytes := sweepOperands(o)
	dst := make([]byte, o.Elems()*int64(o.Out.Size()))
	m := w.Mixer(new(Scratch))
	throughput(b, bytes, func() { m.Mix(dst, chunks, 0) })
}

// benchmarkPass measures the first block of a pass again and again.
func benchmarkPass(b *testing.B, w Sweep, o Operands) {
	chunks, bytes := sweepOperands(o)
	s := new(Scratch)
	throughput(b, bytes, func() { w.Meter(s, 0).Add(chunks, 0) })
}

// sweepOperands makes weights of which each operand is near the first.
func sweepOperands(o Operands) (chunks [][]byte, bytes int) {
	r := source(9)
	center := random(r, tensor.F64, int(o.Elems()), weights)
	for _, d := range o.In {
		v := make([]float64, o.Elems())
		detected.decode64(tensor.F64, v, center)
		for i := range v {
			v[i] += r.NormFloat64() * 1e-3
		}
		chunks = append(chunks, encoded(d, v...))
		bytes += len(chunks[0])
	}
	return chunks, bytes
}

// Bytes are those of all operands that are read, and of what is written. The metric is
// elements of the output.
func BenchmarkTaskVectors(b *testing.B) {
	const n = 1 << 18
	for _, d := range []tensor.DType{tensor.BF16, tensor.F16, tensor.F32} {
		o := Operands{Tensor: "w", Shape: []uint64{128, n / 128}, In: []tensor.DType{d, d, d, d}, Out: d}
		x := tuned(source(1), o.In, 0, n, weights)
		for name, v := range map[string]TaskVectors{
			"ties":        {Sparsifier: Magnitude, Consensus: Elected, Normalize: true},
			"breadcrumbs": {Sparsifier: Outliers},
			"dare_linear": {Sparsifier: Random, Rescale: true},
			"della":       {Sparsifier: Ranked, Consensus: Elected, Normalize: true, Rescale: true},
		} {
			v.Weight, v.Density, v.Gamma, v.Epsilon, v.Lambda = []float64{0, 1, 0.5, 0.3}, []float64{0, 0.5, 0.3, 0.7}, []float64{0, 0.01, 0.01, 0.01}, []float64{0, 0.1, 0.1, 0.1}, 1
			s := v.Sweep(o)
			scratch := &Scratch{}
			pass := 0
			run := func(count int, take bool) func() {
				return func() {
					for k := range count {
						r := s.Region(k)
						m := s.Meter(scratch, k)
						for at := r.From; at < r.From+r.Len; at += 1 << 15 {
							m.Add(slicesOf(o, x, at, min(1<<15, r.From+r.Len-at)), at)
						}
						if take {
							s.Take(k, m)
						}
					}
				}
			}
			report := func(b *testing.B, f func()) {
				throughput(b, 4*n*d.Size(), f)
				b.ReportMetric(float64(n)*float64(b.N)/1e6/b.Elapsed().Seconds(), "M/s")
			}
			for count := s.Pass(); count > 0; count = s.Pass() {
				pass++
				if p := pass; s.Region(0).Len*int64(count) >= n/2 {
					b.Run(fmt.Sprintf("%s/%v/pass%d", name, d, p), func(b *testing.B) { report(b, run(count, false)) })
				}
				run(count, true)()
			}
			dst := make([]byte, n*d.Size())
			b.Run(fmt.Sprintf("%s/%v/mix", name, d), func(b *testing.B) {
				report(b, func() {
					for at := int64(0); at < n; at += 1 << 15 {
						s.Mixer(scratch).Mix(dst[at*int64(d.Size()):][:(1<<15)*d.Size()], slicesOf(o, x, at, 1<<15), at)
					}
				})
			})
		}
	}
}

func slicesOf(o Operands, x [][]byte, at, n int64) (chunks [][]byte) {
	for k, d := range o.In {
		size := int64(d.Size())
		chunks = append(chunks, x[k][at*size:][:n*size])
	}
	return chunks
}
