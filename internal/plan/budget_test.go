package plan

import (
	"errors"
	"testing"
)

// The sum never exceeds the limit, and what a refusal names as the least works.
func TestBudgetKeepsTheLimit(t *testing.T) {
	for _, threads := range []int{1, 2, 3, 8, 64, 256} {
		for limit := int64(1 << 20); limit <= 1<<30; limit += 777_777 {
			b, err := newBudget(limit, threads, held{running: 100_000})
			var me *MemoryError
			switch {
			case err == nil:
				if b.Total > limit || b.Threads > threads || b.Threads < 1 || b.Piece < minPiece || b.Hold < 2*b.Piece {
					t.Fatalf("limit %d, %d threads: %+v", limit, threads, b)
				}
			case errors.As(err, &me):
				if limit >= me.Least {
					t.Fatalf("limit %d is refused, though %d is said to work", limit, me.Least)
				}
				if _, err := newBudget(me.Least, threads, held{running: 100_000}); err != nil {
					t.Fatalf("the least that works, %d, does not: %v", me.Least, err)
				}
			default:
				t.Fatal(err)
			}
		}
	}
}

// The default serves two threads with pieces that suit the disk.
func TestDefaultBudget(t *testing.T) {
	b, err := newBudget(64<<20, 2, held{running: 1 << 20})
	if err != nil || b.Threads != 2 || b.Piece < 1<<20 {
		t.Errorf("%+v, %v", b, err)
	}
}
