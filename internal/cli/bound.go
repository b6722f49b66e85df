package cli

import (
	"runtime/debug"

	"slerpmerge/internal/plan"
)

// bound has the runtime collect garbage so often that the process stays within
// limit bytes, of which pool are for the pages of mapped files.
func bound(limit, pool int64) { debug.SetMemoryLimit(plan.Heap(limit, pool)) }
