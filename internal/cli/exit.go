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
	"slerpmerge/internal/fault"
	"slerpmerge/internal/merge"
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

// Class returns the class of a run that can be resumed, or of one that the user ended.
func (s Stopped) Class() fault.Class {
	if s.Signal == os.Interrupt {
		return fault.Interrupted
	}
	return fault.Stopped
}

// Hints say how to resume.
func (s Stopped) Hints() []fault.Hint { return startAgain }

var startAgain = fault.Advise("nothing was written; the same command starts again")

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

// Class returns the class of a run that can be resumed.
func (t TimeUp) Class() fault.Class { return fault.Stopped }

// Hints say how to resume.
func (t TimeUp) Hints() []fault.Hint { return startAgain }

// within gives a context that ends when a time budget does; 0 is none.
func within(ctx context.Context, budget time.Duration) (context.Context, context.CancelFunc) {
	if budget == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, budget, TimeUp{budget})
}

// exitCodes are those of the classes of errors.
var exitCodes = map[fault.Class]int{
	fault.Failed:      exitFailed,
	fault.Request:     exitRequest,
	fault.Space:       exitSpace,
	fault.Corrupt:     exitCorrupt,
	fault.Changed:     exitChanged,
	fault.Exists:      exitExists,
	fault.Stopped:     exitStopped,
	fault.Interrupted: exitInterrupted,
}

// fail reports an error and returns its exit code.
func (a *app) fail(err error) int {
	if errors.Is(err, syscall.EPIPE) { // whoever read the results has gone, as head does
		return exitFailed
	}
	var reported reportedError
	if errors.As(err, &reported) {
		return int(reported)
	}
	var refusal *batch.Refusal
	if errors.As(err, &refusal) {
		return a.refuse(refusal)
	}
	code, advice := classify(err)
	hints := hintTexts(advice)
	var doc *recipe.DocumentError
	if errors.As(err, &doc) {
		a.log.document(doc, code, hints)
	} else {
		a.log.error(err.Error(), code, hints)
	}
	return code
}

// hintTexts returns hints with flags as the command line takes them.
func hintTexts(hints []fault.Hint) []string {
	var texts []string
	for _, h := range hints {
		texts = append(texts, h.String())
	}
	return texts
}

// classify finds the exit code of an error, and what to do about it.
func classify(err error) (code int, hints []fault.Hint) {
	var suspended *merge.SuspendedError
	if errors.As(err, &suspended) {
		class, hints := classOf(suspended.Err)
		if class == fault.Stopped || class == fault.Interrupted {
			hints = nil
		}
		return exitCodes[class], append(hints, fault.Hint{Text: fmt.Sprintf("%s of %s are done and kept: the same command resumes there", size(suspended.Done), size(suspended.Total))})
	}
	class, hints := classOf(err)
	return exitCodes[class], hints
}

// classOf returns the class of an error, and what to do about it. It knows the errors
// of the packages that can be imported; others have a class themselves.
func classOf(err error) (fault.Class, []fault.Hint) {
	var (
		changed *mmapio.ChangedError
		header  *safetensors.FormatError
		exists  *writer.ExistsError
		locked  *writer.LockedError
		foreign *writer.ForeignError
		space   *writer.NoSpaceError
		unsafe  *writer.UnsafeError
	)
	if errors.As(err, &changed) {
		return fault.Changed, fault.Advise("run the same command again when nothing else writes to the parents")
	}
	if class, ok := fault.ClassOf(err); ok {
		return class, fault.HintsOf(err)
	}
	switch {
	case errors.As(err, &header):
		return fault.Corrupt, nil
	case errors.As(err, &exists):
		return fault.Exists, fault.Suggest("name another folder, or add %s to replace this one when the new one is complete", fault.Flag{Name: "overwrite"})
	case errors.As(err, &locked):
		return fault.Exists, fault.Advise("wait for the other run to end, or name another folder")
	case errors.As(err, &foreign):
		return fault.Exists, fault.Advise(foreignHint(foreign))
	case errors.As(err, new(*disk.KindError)), errors.As(err, new(*disk.DanglingError)), errors.As(err, &unsafe):
		return fault.Request, nil
	case errors.As(err, &space):
		return fault.Space, fault.Advise(spaceHint(space))
	case errors.Is(err, context.Canceled):
		return fault.Interrupted, nil
	}
	return fault.Failed, nil
}

func foreignHint(e *writer.ForeignError) string {
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
	msg  string // "" for that of err
	hint string
	err  error
}

func (e *requestError) Error() string {
	if e.msg == "" {
		return e.err.Error()
	}
	return e.msg
}

func (e *requestError) Unwrap() error       { return e.err }
func (e *requestError) Class() fault.Class  { return fault.Request }
func (e *requestError) Hints() []fault.Hint { return fault.Advise(e.hint) }

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
