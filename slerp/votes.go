package slerp

import "math"

// maxVoters is the number of models of which an element has its voters in one number:
// a bit for each model whose weighted delta is positive there and, voterShift bits further on, one
// for each that is negative.
const maxVoters, voterShift = 8, 8

// addVotes is addApart, and notes the sign of the products as votes of model q.
func addVotes(plus, minus []float64, votes []uint32, d []float64, f float64, q int) {
	plus, minus, votes = plus[:len(d)], minus[:len(d)], votes[:len(d)]
	vote, other := voter(q)
	for j, x := range d {
		u := math.Float64bits(float64(x * f))
		sign := uint64(int64(u) >> 63)
		plus[j] += math.Float64frombits(u &^ sign)
		minus[j] += math.Float64frombits(u & sign)
		votes[j] |= (vote ^ other&uint32(sign)) & nonZero(u)
	}
}

// addPair does the same for two models, q and the next one, in less time: it reads and writes
// the sums once.
func addPair(plus, minus []float64, votes []uint32, d, e []float64, f, g float64, q int) {
	plus, minus, votes, e = plus[:len(d)], minus[:len(d)], votes[:len(d)], e[:len(d)]
	voteD, otherD := voter(q)
	voteE, otherE := voter(q + 1)
	for j, x := range d {
		u, v := math.Float64bits(float64(x*f)), math.Float64bits(float64(e[j]*g))
		signU, signV := uint64(int64(u)>>63), uint64(int64(v)>>63)
		sum := plus[j] + math.Float64frombits(u&^signU)
		plus[j] = sum + math.Float64frombits(v&^signV)
		sum = minus[j] + math.Float64frombits(u&signU)
		minus[j] = sum + math.Float64frombits(v&signV)
		votes[j] |= (voteD^otherD&uint32(signU))&nonZero(u) | (voteE^otherE&uint32(signV))&nonZero(v)
	}
}

// voter returns the bit of a positive vote of model q, and what makes it a negative one.
func voter(q int) (vote, other uint32) {
	vote = 1 << q
	return vote, vote | vote<<voterShift
}

// nonZero returns all ones unless u is the code of a zero.
func nonZero(u uint64) uint32 {
	u <<= 1
	return uint32(int64(u|-u) >> 63)
}

// divisors are the sums of the weights of any models, by the bits of their votes; 1 where
// a sum is 0.
type divisors [1 << maxVoters]float64

func newDivisors(weight []float64) *divisors {
	t := new(divisors)
	for votes := range t {
		for q, w := range weight {
			if votes>>q&1 == 1 {
				t[votes] += w
			}
		}
		if t[votes] == 0 {
			t[votes] = 1
		}
	}
	return t
}

// elect leaves in y, which is the sum of the positive products, the one of the two sums that
// is greater, divided by the weights of those that voted for its sign.
func (t *divisors) elect(y, minus []float64, votes []uint32) {
	minus, votes = minus[:len(y)], votes[:len(y)]
	for j, p := range y {
		sign := uint64(int64(math.Float64bits(p+minus[j])) >> 63)
		sum := math.Float64frombits(math.Float64bits(p)&^sign | math.Float64bits(minus[j])&sign)
		y[j] = sum / t[votes[j]>>(sign&voterShift)&(1<<maxVoters-1)]
	}
}
