package plan

import (
	"fmt"

	"slerpmerge/torchbin"
)

// The memory of a run, in bytes. fixedBytes is what the process holds before
// it reads its first tensor: the runtime, the program's own pages, stacks.
const (
	fixedBytes   = 29 << 19
	programBytes = 10 << 20  // of fixedBytes, the program's own pages
	threadBytes  = 256 << 10 // a worker's stack, scratch and chunk buffers beside the held pair
	minPiece     = 256 << 10
	maxPiece     = 8 << 20
	minPool      = 2 << 20
	maxPool      = 16 << 20
	spare        = 2 // pieces being written while every worker fills one
)

// Heap is what the runtime may use of limit bytes, beside the program's own
// pages and pool bytes of mapped files. The collector, which is late at times on
// a busy machine, has a share to overshoot it.
func Heap(limit, pool int64) int64 { return max(limit-limit/32-programBytes-pool, 4<<20) }

// A Budget says how large a run's buffers are. Their sum and the rest of the
// process stay below the limit that it was made from.
type Budget struct {
	Threads int
	Piece   int64 // one output piece: what a worker fills and the writer writes at once
	Hold    int64 // per worker: a pair of tensors up to this size is read once
	Buffers int   // pieces in flight
	Pool    int64 // resident pages of all mapped files together
	Gather  int64 // kept while tensors are put in order that lie in another in their file
	Total   int64 // expected peak
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
	return fmt.Sprintf("--max-memory of %s is not enough for these models; the least that works is %d MiB", limit, (e.Least+1<<20-1)>>20)
}

// NewBudget divides limit bytes. table is what the tensor tables hold. With
// little memory the pieces shrink first, down to 1 MiB, which writing still
// likes; then there are fewer threads; then smaller pieces.
func NewBudget(limit int64, threads int, table int64) (Budget, error) {
	// Beside large tables the collector works better with room than larger
	// buffers do.
	roomy := table + table/4
	for piece := int64(maxPiece); piece >= 1<<20; piece /= 2 {
		if b := budget(threads, piece, roomy); b.Total <= limit {
			return b, nil
		}
	}
	for n := threads - 1; n >= 1; n-- {
		if b := budget(n, 1<<20, roomy); b.Total <= limit {
			return b, nil
		}
	}
	for piece := int64(1 << 19); piece >= minPiece; piece /= 2 {
		if b := budget(1, piece, table); b.Total <= limit {
			return b, nil
		}
	}
	return Budget{}, &MemoryError{Limit: limit, Least: budget(1, minPiece, table).Total}
}

// TableRoom is what a limit leaves for tables of tensors at most: less than 0
// counts as nothing, 0 means that there is no limit.
func TableRoom(limit int64) int64 {
	if limit == 0 {
		return 0
	}
	return max(1, limit-budget(1, minPiece, 0).Total)
}

// LeastFor is the least limit that leaves so much room for tables.
func LeastFor(table int64) int64 { return budget(1, minPiece, table).Total }

func budget(threads int, piece, table int64) Budget {
	b := Budget{
		Threads: threads,
		Piece:   piece,
		Hold:    2 * piece,
		Buffers: threads + spare,
		Pool:    min(max(8*piece, minPool), maxPool),
	}
	b.Total = fixedBytes + table + b.Pool + int64(threads)*(b.Hold+threadBytes) + int64(b.Buffers)*piece
	return b
}
