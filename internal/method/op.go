// Package method has the merge methods, a file for each: the parameters of a
// method, its checks, what it measures of the parents, and how coefficients
// follow from that.
//
// A method is a linear combination of operands. Its operation on one tensor is
// an [Op]: the engine measures what the Op needs, has it solve for
// coefficients, and blends. A new method is a new file here, with its
// mathematics in package slerp.
package method

import "slerpmerge/slerp"

// An Op is the operation on the operands of one tensor, with all parameters
// resolved.
type Op interface {
	// Word returns the word for it in plans and records.
	Word() string
	// Needs returns what Solve has to be told of the operands.
	Needs() Measure
	// Solve gives the coefficients of n operands. gram is nil unless Needs is
	// InnerProducts or Deltas; of Passes only the Outcome is used.
	Solve(n int, gram Gram) Solution
}

// A Based is an Op that can have Needs Deltas.
type Based interface {
	Op
	// Base returns the index of the operand that the others are measured from.
	Base() int
}

// BaseOf returns the operand that the others are measured from, -1 if there is none.
func BaseOf(op Op) int {
	if b, ok := op.(Based); ok && op.Needs() == Deltas {
		return b.Base()
	}
	return -1
}

// A Sweeper is an Op with Needs Passes.
type Sweeper interface {
	Op
	// Sweep begins the work on a tensor. It is cheap until the first pass.
	Sweep(o slerp.Operands) slerp.Sweep
}

// A Refuser is an Op with parameters that may not fit together.
type Refuser interface {
	Op
	// Refusal says what is wrong with them; "" if nothing is.
	Refusal() string
}

// A Measure is something that is known only when the operands were read.
type Measure uint8

const (
	// Nothing: the coefficients are known beforehand.
	Nothing Measure = iota
	// InnerProducts is the Gram matrix. Where all operands have the same type
	// and the same bytes, the first is copied and Solve is not called: the
	// coefficients must sum to 1 by definition.
	InnerProducts
	// Equality is whether the others have the bytes of the first, which are
	// copied.
	Equality
	// Deltas is the Gram matrix of the differences of all operands but the base from
	// the base: n-1 rows and columns, in the order of the operands. Equal operands
	// are treated as with InnerProducts. The Op is a Based.
	Deltas
	// Passes are those of a slerp.Sweep. Where all operands have the same bytes, the
	// first may be copied instead. The Op is a Sweeper.
	Passes
)

// A Gram is the matrix of inner products of n operands, as sums for each pair in
// row order: (0,1), (0,2), ... (0,n-1), (1,2), ...
type Gram []slerp.Gram

// Pairs returns the length of the Gram of n operands.
func Pairs(n int) int { return n * (n - 1) / 2 }

// Add adds the sums of one more block to g, which is nil before the first. Add the
// blocks of a tensor in index order: the order is part of the result.
func (g Gram) Add(block Gram) Gram {
	if g == nil {
		g = make(Gram, len(block))
	}
	for k := range block {
		g[k] = g[k].Plus(block[k])
	}
	return g
}

// NonFinite returns the first of n operands that has a NaN or an infinity, -1 if none
// has.
func (g Gram) NonFinite(n int) int {
	k := 0
	for i := range n {
		for range n - i - 1 {
			switch {
			case !(slerp.Gram{AA: g[k].AA}).Finite():
				return i
			case i == n-2 && !g[k].Finite():
				return n - 1
			}
			k++
		}
	}
	return -1
}

// A Solution is the coefficients of a tensor.
type Solution struct {
	Weights []float64 // of the operands
	// Divisor divides the sum, after it was made.
	Divisor float64
	// Spherical has two operands blended by a slerp.Blender, whose rounding
	// docs/design.md gives. Other sums are made by a slerp.WeightedSum.
	Spherical bool
	Outcome   Outcome
	Angle     slerp.Coefficients // of Spherical: where the Weights come from
	Figures   []slerp.Figure     // that the method came to, for reports
}

// An Outcome is the operation that was done on a tensor in the end.
type Outcome string

const (
	Spherical    Outcome = "slerp"   // an interpolation on the sphere
	Straight     Outcome = "linear"  // a weighted sum, or parents that are nearly parallel or nearly opposite
	Equal        Outcome = "equal"   // all parents had the same bytes: copied
	Copied       Outcome = "copy"    // the bytes of one parent
	Converted    Outcome = "convert" // the values of one parent in another type
	Incomparable Outcome = "unlike"  // in a comparison: of other shapes or types
)

// At returns the inner product of operands i and j of n, or of their deltas. The
// matrix is symmetric; n is 2 at least.
func (g Gram) At(n, i, j int) slerp.Wide {
	if i > j {
		i, j = j, i
	}
	pair := func(i, j int) slerp.Gram { return g[i*n-i*(i+1)/2+j-i-1] }
	switch {
	case i != j:
		return pair(i, j).AB
	case i < n-1:
		return pair(i, n-1).AA
	}
	return pair(n-2, n-1).BB
}
