package slerp

// Products accumulates the Gram matrix of one block of any number of tensors, or of
// their differences from a base.
type Products struct {
	in   []DType
	base int
	sums [][8]float64
	x    [][]float64
}

// NewProducts makes Products.
func NewProducts(in []DType, base int) *Products {
	n := len(in)
	p := &Products{in: in, base: base, sums: make([][8]float64, n*n)}
	for range n {
		p.x = append(p.x, make([]float64, strip))
	}
	return p
}

// Reset begins a new block.
func (p *Products) Reset() { clear(p.sums) }

// Add measures.
func (p *Products) Add(chunks [][]byte) {
	n := elems(p.in[0], chunks[0])
	for at := 0; at < n; at += strip {
		m := min(strip, n-at)
		for k, d := range p.in {
			detected.decode64(d, p.x[k][:m], chunks[k][at*d.Size():][:m*d.Size()])
		}
		if p.base >= 0 {
			for k := range p.in {
				if k != p.base {
					for i := range m {
						p.x[k][i] -= p.x[p.base][i]
					}
				}
			}
		}
		for i := range p.in {
			for j := i; j < len(p.in); j++ {
				s := &p.sums[i*len(p.in)+j]
				for e := range m {
					s[e&7] += float64(p.x[i][e] * p.x[j][e])
				}
			}
		}
	}
}

// Grams appends.
func (p *Products) Grams(into []Gram) []Gram {
	n := len(p.in)
	at := func(i, j int) Wide { return NewWide(fold(&p.sums[i*n+j])) }
	for i := range n {
		for j := i + 1; j < n; j++ {
			if i != p.base && j != p.base {
				into = append(into, Gram{at(i, i), at(j, j), at(i, j)})
			}
		}
	}
	return into
}
