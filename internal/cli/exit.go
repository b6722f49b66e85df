package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"slerpmerge/internal/batch"
	"slerpmerge/internal/disk"
	"slerpmerge/internal/engine"
	"slerpmerge/internal/merge"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/mmapio"
	"slerpmerge/safetensors"
	"slerpmerge/writer"
)

// The exit codes. Scripts rely on them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitRequest     = 2
	exitSpace       = 3
	exitCorrupt     = 4
	exitChanged     = 5
	exitExists      = 6
	exitStopped     = 75
	exitInterrupted = 130
	exitQuit        = 131 // 128 and SIGQUIT, as a shell has it
)

// Stopped is the cause with which main cancels the context on a signal.
type Stopped struct{ Signal os.Signal }

func (s Stopped) Error() string {
	switch s.Signal {
	case os.Interrupt:
		return "stopped by Ctrl-C"
	case syscall.SIGTERM:
		return "stopped by SIGTERM"
	case syscall.SIGHUP:
		return "stopped by SIGHUP"
	}
	return "stopped by " + signalName(s.Signal)
}

// TimeUp is the cause with which --time-budget cancels the context.
type TimeUp struct{ Budget time.Duration }

func (t TimeUp) Error() string { return fmt.Sprintf("the time budget of %v is used up", t.Budget) }

// within gives a context that ends when a time budget does; 0 is none.
func within(ctx context.Context, budget time.Duration) (context.Context, context.CancelFunc) {
	if budget == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, budget, TimeUp{budget})
}

// fail reports an error and returns its exit code.
func (a *app) fail(err error) int {
	if errors.Is(err, syscall.EPIPE) { // whoever read the results has gone, as head does
		return exitFailed
	}
	var told toldError
	if errors.As(err, &told) {
		return int(told)
	}
	var refusal *batch.Refusal
	if errors.As(err, &refusal) {
		return a.refuse(refusal)
	}
	code, hints := classify(err)
	var doc *recipe.DocumentError
	if errors.As(err, &doc) {
		a.log.document(doc, code, hints)
	} else {
		a.log.error(err.Error(), code, hints)
	}
	return code
}

// classify finds the exit code of an error, and what to do about it.
func classify(err error) (code int, hints []string) {
	hint := func(s string) []string {
		if s == "" {
			return nil
		}
		return []string{s}
	}
	var (
		usage     usageError
		doc       *recipe.DocumentError
		request   *requestError
		unlike    *unlikeError
		planErr   *plan.Error
		memory    *plan.MemoryError
		unusable  *model.UnusableError
		format    *model.FormatError
		header    *safetensors.FormatError
		changed   *mmapio.ChangedError
		nonFinite *engine.NonFiniteError
		exists    *writer.ExistsError
		locked    *writer.LockedError
		foreign   *disk.ForeignError
		kind      *disk.KindError
		dangling  *disk.DanglingError
		space     *writer.NoSpaceError
		unsafe    *writer.UnsafeError
		refusal   *batch.Refusal
		shared    *batch.SpaceError
		busy      *batch.BusyError
		stopped   Stopped
		timeUp    TimeUp
		suspended *merge.SuspendedError
	)
	if errors.As(err, &suspended) {
		code, hints = classify(suspended.Err)
		if code == exitStopped || code == exitInterrupted {
			hints = nil
		}
		return code, append(hints, fmt.Sprintf("%s of %s are done and kept: the same command goes on from there", size(suspended.Done), size(suspended.Total)))
	}
	switch {
	case errors.As(err, &stopped):
		if stopped.Signal == os.Interrupt {
			return exitInterrupted, []string{"nothing was written; the same command starts again"}
		}
		return exitStopped, []string{"nothing was written; the same command starts again"}
	case errors.As(err, &timeUp):
		return exitStopped, []string{"nothing was written; the same command starts again"}
	case errors.As(err, &refusal) && !refusal.Space():
		return exitRequest, nil
	case errors.As(err, &shared):
		return exitSpace, []string{"free some space or name folders on another disk"}
	case errors.As(err, &usage):
		return exitRequest, hint(usage.hint())
	case errors.As(err, &request):
		return exitRequest, hint(request.hint)
	case errors.As(err, &unlike):
		return exitChanged, hint(unlike.hint)
	case errors.As(err, &doc):
		return exitRequest, doc.Hints
	case errors.As(err, &planErr):
		return exitRequest, hint(planErr.Hint)
	case errors.As(err, &memory):
		return exitSpace, []string{fmt.Sprintf("try --max-memory %dMiB", (memory.Least+1<<20-1)>>20)}
	case errors.As(err, &unusable):
		return exitRequest, hint(unusable.Hint)
	case errors.As(err, &changed):
		return exitChanged, []string{"run the same command again when nothing else writes to the parents"}
	case errors.As(err, &format):
		return exitCorrupt, hint(format.Hint)
	case errors.As(err, &header):
		return exitCorrupt, nil
	case errors.As(err, &nonFinite):
		return exitCorrupt, []string{"--nonfinite warn merges all the same; the whole tensor becomes NaN"}
	case errors.As(err, &exists):
		return exitExists, []string{"name another folder, or add --overwrite to replace this one when the new one is complete"}
	case errors.As(err, &busy):
		return exitExists, []string{"wait for the other run of this manifest to end"}
	case errors.As(err, &locked):
		return exitExists, []string{"wait for the other run to end, or name another folder"}
	case errors.As(err, &foreign):
		return exitExists, hint(foreignHint(foreign))
	case errors.As(err, &kind), errors.As(err, &dangling):
		return exitRequest, nil
	case errors.As(err, &space):
		return exitSpace, hint(spaceHint(space))
	case errors.As(err, &unsafe):
		return exitRequest, nil
	case errors.Is(err, context.Canceled):
		return exitInterrupted, nil
	}
	return exitFailed, nil
}

func foreignHint(e *disk.ForeignError) string {
	if e.Owner == "" {
		return "look at what it is, then move it away, or name another place"
	}
	return "name a place in a folder of your own, or have " + e.Owner + " remove it"
}

func spaceHint(e *writer.NoSpaceError) string {
	if e.Need == 0 {
		return ""
	}
	if e.Err == nil { // the error has the numbers
		return "free some space or name a folder on another disk"
	}
	return fmt.Sprintf("the output needs %s in all and %s are free now: free some space or name a folder on another disk", size(e.Need), size(max(e.Free, 0)))
}

// A requestError is a request that can't be carried out, found by the command
// line itself.
type requestError struct {
	msg  string
	hint string
}

func (e *requestError) Error() string { return e.msg }

// crash describes a recovered panic in one line, with the innermost function
// of this program. The deferred function that recovered calls it itself.
func crash(r any) string {
	where := ""
	var pc [16]uintptr
	frames := runtime.CallersFrames(pc[:runtime.Callers(4, pc[:])])
	for {
		f, more := frames.Next()
		if strings.HasPrefix(f.Function, "slerpmerge/") {
			where = fmt.Sprintf(" (%s, line %d)", f.Function, f.Line)
			break
		}
		if !more {
			break
		}
	}
	return clean(fmt.Sprintf("internal error, please report it: %v%s", r, where))
}
