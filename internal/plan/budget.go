package plan

import (
	"fmt"

	"slerpmerge/internal/fault"
	"slerpmerge/torchbin"
	"slerpmerge/writer"
)

// The memory of a run, in bytes.
const (
	baseBytes    = 5 << 19   // of the heap, before it reads its first tensor: the runtime, stacks, flags
	threadBytes  = 256 << 10 // a worker's stack, scratch and chunk buffers beside the held pair
	garbageBytes = 8 << 20   // that may gather between two runs of the collector
	recordBytes  = 1 << 19   // for the output's folder and its record
	minPiece     = 256 << 10
	maxPiece     = 8 << 20
	minPool      = 2 << 20
	maxPool      = 16 << 20
	spare        = 2 // pieces being written while every worker fills one
	sweepsAhead  = 3 // tensors that are measured beside those that the workers fill: by engine.Engine
)

// Heap is what the runtime may use of limit bytes, beside the program's own
// pages and pool bytes of mapped files. On a busy machine the collector is late
// at times, and has a share to overshoot it.
func Heap(limit, pool int64) int64 {
	return max((limit-programBytes-pool)/(late+1)*late, 4<<20)
}

// late: the collector may overshoot by one part in so many.
const late = 32

// withHeap is the limit of which Heap is so much: beyond baseBytes, held bytes.
func withHeap(held, pool int64) int64 {
	held += baseBytes
	return programBytes + pool + held + held/late
}

// Tight reports whether a run that could do with least bytes has so few more
// that it should use all of limit before it collects garbage: the collector
// works the less the more room it has. A small heap grows in too large steps
// for that.
func Tight(least, limit int64) bool { return least > limit/3*2 && limit >= 20<<20 }

// A Budget says how large a run's buffers are. Their sum and the rest of the
// process stay below the limit that it was made from.
type Budget struct {
	Threads int
	Piece   int64 // one output piece: what a worker fills and the writer writes at once
	Hold    int64 // per worker: a pair of tensors up to this size is measured and blended in one go
	Buffers int   // pieces in flight
	Pool    int64 // resident pages of all mapped files together
	Gather  int64 // kept while tensors are put in order that lie in another in their file
	Total   int64 // expected peak
	Least   int64 // the least limit that would do
}

// gathering gives most of what limit leaves to the tensors that lie in another
// order in their file: the more of one is put in order at a time, the less of the
// file is read for it again. least bytes of that are in the total.
func (b *Budget) gathering(limit, least int64) {
	if least > 0 {
		b.Gather = min(least+max(0, limit-limit/32-b.Total), torchbin.MaxGatherMemory) >> 20 << 20
		b.Total += b.Gather - least
	}
}

// A MemoryError says that a limit is too small, and the least that works.
type MemoryError struct{ Limit, Least int64 }

func (e *MemoryError) Error() string {
	limit := fmt.Sprintf("%.1f MiB", float64(e.Limit)/(1<<20))
	if e.Limit < 100<<10 {
		limit = fmt.Sprintf("%d bytes", e.Limit)
	}
	return fmt.Sprintf("--max-memory of %s is not enough for these models; the least that works is %g MiB", limit, e.MiB())
}

// MiB is the least that works, as it is named: in quarters of a MiB, for a whole
// one is a twelfth of what a small run takes.
func (e *MemoryError) MiB() float64 {
	const quarter = 1 << 18
	return float64((e.Least+quarter-1)/quarter) / 4
}

// Class is that of too little memory.
func (e *MemoryError) Class() fault.Class { return fault.Space }

// Hints name the least that works.
func (e *MemoryError) Hints() []fault.Hint {
	return fault.Suggest("try %s", fault.Flag{Name: "max-memory", Value: fmt.Sprintf("%gMiB", e.MiB())})
}

// newBudget divides limit bytes. With little memory the pieces shrink first,
// down to 1 MiB, which writing still likes; then there are fewer threads; then
// smaller pieces.
func newBudget(limit int64, threads int, table held) (Budget, error) {
	least := budget(1, minPiece, table).Total
	choose := func(threads int, piece, pool int64, table held) (Budget, bool) {
		b := budget(threads, piece, table)
		b.Total -= b.Pool - min(b.Pool, pool)
		b.Pool = min(b.Pool, pool)
		b.Least = least
		return b, b.Total <= limit
	}
	// Without room for garbage the collector would run all the time. Room is worth
	// more than larger buffers, and than more mapped pages.
	roomy := table
	roomy.running += table.running/4 + garbageBytes
	for piece := int64(maxPiece); piece >= 1<<20; piece /= 2 {
		for pool := int64(maxPool); pool >= maxPool/2; pool -= maxPool / 4 {
			if b, ok := choose(threads, piece, pool, roomy); ok {
				return b, nil
			}
		}
	}
	for n := threads - 1; n >= 1; n-- {
		if b, ok := choose(n, 1<<20, maxPool, roomy); ok {
			return b, nil
		}
	}
	for piece := int64(1 << 19); piece >= minPiece; piece /= 2 {
		if b, ok := choose(1, piece, maxPool, table); ok {
			return b, nil
		}
	}
	return Budget{}, &MemoryError{Limit: limit, Least: least}
}

func budget(threads int, piece int64, table held) Budget {
	b := Budget{
		Threads: threads,
		Piece:   piece,
		Hold:    max(2*piece, table.grain),
		Buffers: threads + spare,
		Pool:    min(max(8*piece, minPool), maxPool),
	}
	sweeps := int64(threads)*table.scratch + int64(threads+sweepsAhead)*table.state
	buffers := int64(b.Buffers) * int64(1+table.more) * (piece + writer.Alignment)
	running := withHeap(table.running+sweeps+recordBytes+int64(threads)*(b.Hold+threadBytes)+buffers, b.Pool)
	b.Total = max(running, withHeap(table.before, minPool))
	return b
}

// The memory that a run that only reads needs beside its table: a thread's two
// chunks, and what writing a page takes.
const (
	readerBytes = 2*128<<10 + threadBytes
	pageBytes   = 1 << 20
)

// readBudget divides limit bytes for a run that only reads. With little memory
// fewer pages stay resident, then there are fewer threads.
func readBudget(limit int64, threads int, table held) (Budget, error) {
	least := readers(1, minPool, table).Total
	for n := threads; n >= 1; n-- {
		for pool := int64(maxPool); pool >= minPool; pool /= 2 {
			if b := readers(n, pool, table); b.Total <= limit {
				b.Least = least
				return b, nil
			}
		}
	}
	return Budget{}, &MemoryError{Limit: limit, Least: least}
}

// readers is the budget of so many threads that only read.
func readers(threads int, pool int64, table held) Budget {
	each := readerBytes + table.each + table.state + table.scratch + table.grain
	running := withHeap(table.running+pageBytes+int64(threads)*each, pool)
	return Budget{Threads: threads, Pool: pool, Hold: table.grain, Total: max(running, withHeap(table.before, minPool))}
}
