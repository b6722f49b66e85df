package cli

import (
	"runtime/debug"

	"slerpmerge/internal/plan"
)

// bound has the runtime collect garbage so often that the process stays within
// limit bytes, of which pool are for the pages of mapped files.
func bound(limit, pool int64) { debug.SetMemoryLimit(plan.Heap(limit, pool)) }

// usualGarbage is the share of garbage, in percent of what lives, at which the
// collector runs. Large things are tables and buffers made once. By default it
// would let garbage grow to their size beside them.
const usualGarbage = 25

// tighten has the collector wait until the limit is reached where little more
// than the least memory is allowed: it would run all the time to save what may
// be used.
func tighten(least, limit int64) {
	garbage := usualGarbage
	if plan.Tight(least, limit) {
		garbage = 200
	}
	debug.SetGCPercent(garbage)
}
