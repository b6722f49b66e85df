package tokenizer

import "bytes"

// maxExamples is the largest number of examples of a kind in a Difference.
const maxExamples = 4

// A Difference says how far two vocabularies agree.
type Difference struct {
	Moved  int // ids that mean one token in A and another in B
	Clash  []Clash
	OnlyA  int // tokens that B lacks
	FirstA []string
	OnlyB  int // tokens that A lacks
	FirstB []string
}

// A Clash is an id with its two meanings.
type Clash struct {
	ID   int
	A, B string
}

// Compare counts the ids that mean different tokens in a and b, and the tokens
// that only one has, each with its first few by id.
func Compare(a, b *Vocabulary) Difference {
	var d Difference
	for id := range min(len(a.byID), len(b.byID)) {
		i, j := a.byID[id], b.byID[id]
		if i < 0 || j < 0 || bytes.Equal(a.bytes(int(i)), b.bytes(int(j))) {
			continue
		}
		d.Moved++
		if len(d.Clash) < maxExamples {
			d.Clash = append(d.Clash, Clash{id, string(a.bytes(int(i))), string(b.bytes(int(j)))})
		}
	}
	d.OnlyA, d.FirstA = only(a, b)
	d.OnlyB, d.FirstB = only(b, a)
	return d
}

// only counts the tokens of a that b lacks.
func only(a, b *Vocabulary) (n int, first []string) {
	for id, i := range a.byID {
		if i < 0 {
			continue
		}
		token := a.bytes(int(i))
		if id < len(b.byID) && b.byID[id] >= 0 && bytes.Equal(b.bytes(int(b.byID[id])), token) {
			continue
		}
		if _, ok := b.find(token); ok {
			continue
		}
		n++
		if len(first) < maxExamples {
			first = append(first, string(token))
		}
	}
	return n, first
}
