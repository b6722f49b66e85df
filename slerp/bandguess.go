package slerp

// bandGuess is where the keys at the ends are supposed to be.
type bandGuess struct {
	first [][2]int      // for both ends of each model: the first of guessBins in its histogram, or -1
	seen  [][2][]uint32 // their counts from the start of the block to the end of each granule
	known []bool        // of each block: it was counted
}

// guessBins is the number of bins near a key. A block of 2^20 elements tells the rank of
// a key within one in a thousand, and one key of BF16 has more elements as a rule.
const guessBins = 32

// guesses reports whether it is worthwhile to guess.
func (b *band) guesses() bool { return b.blocks(b.length) > 3 }

// supposed returns where the keys are to be expected once some blocks have been counted.
func (b *band) supposed() *bandGuess {
	g := &bandGuess{first: make([][2]int, len(b.m)), seen: make([][2][]uint32, len(b.m)), known: make([]bool, b.blocks(b.length))}
	for q := range b.m {
		g.first[q] = [2]int{-1, -1}
		if !b.partial(q) {
			continue
		}
		m := &b.m[q]
		look := func(end, first, last int, rank, of int64) {
			counted := int64(0)
			for k := first; k < last; k++ {
				counted += b.counts[q].at(k)
			}
			if counted == 0 {
				return
			}
			k, _ := b.counts[q].find(first, min(counted-1, int64(float64(rank)/float64(of)*float64(counted))))
			g.first[q][end] = min(max(first, k-guessBins/2), last-guessBins)
			g.seen[q][end] = make([]uint32, guessBins*b.blocks(b.granule))
		}
		if b.step == bandUpper {
			if m.from > 0 {
				look(0, 0, shortBins, m.from, b.n)
			}
			if m.to < b.n {
				look(1, 0, shortBins, m.to-1, b.n)
			}
			continue
		}
		if e := m.first; e != nil {
			look(0, 0, shortBins, m.from-e.below, e.ties)
		}
		if e := m.last; e != nil {
			look(1, m.half(), m.half()+shortBins, m.to-1-e.below, e.ties)
		}
	}
	return g
}

// countTies makes the counts by granules of those blocks that have been seen, and returns
// the number of the others.
func (b *band) countTies() int {
	if len(b.open) == 0 {
		return 0
	}
	g := b.guess.Load()
	hit := g != nil
	for _, e := range b.open {
		hit = hit && g.first[e.q][e.end] >= 0 && e.slot-g.first[e.q][e.end] >= 0 && e.slot-g.first[e.q][e.end] < guessBins
	}
	perBlock := int(b.length / b.granule)
	for k, e := range b.open {
		b.ties = append(b.ties, make([]uint32, b.blocks(b.granule)))
		if !hit {
			continue
		}
		seen, slot := g.seen[e.q][e.end], e.slot-g.first[e.q][e.end]
		for i := range b.ties[k] {
			b.ties[k][i] = seen[i*guessBins+slot]
			if i%perBlock > 0 {
				b.ties[k][i] -= seen[(i-1)*guessBins+slot]
			}
		}
	}
	for block := range b.blocks(b.length) {
		if !hit || !g.known[block] {
			b.blind = append(b.blind, block)
		}
	}
	b.guess.Store(nil)
	return len(b.blind)
}
