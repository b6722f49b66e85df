package batch

import (
	"fmt"
	"strings"

	"slerpmerge/internal/disk"
	"slerpmerge/internal/document"
	"slerpmerge/internal/fault"
	"slerpmerge/internal/text"
)

// A Refusal says why a manifest can't be run, with every reason: a
// *document.Error for each file, a *JobError for each job whose plan forbids
// it, a *SpaceError for each file system. Nothing was begun.
type Refusal struct{ Errors []error }

func (r *Refusal) Error() string {
	var lines []string
	for _, e := range r.Errors {
		lines = append(lines, e.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the reasons.
func (r *Refusal) Unwrap() []error { return r.Errors }

// Class returns the class of a full disk if nothing but room on disks is missing, else that
// of a request.
func (r *Refusal) Class() fault.Class {
	for _, e := range r.Errors {
		if _, ok := e.(*SpaceError); !ok {
			return fault.Request
		}
	}
	return fault.Space
}

// A JobError is an error of one job.
type JobError struct {
	Manifest string
	Pos      document.Pos
	Job      string
	Err      error
}

func (e *JobError) Error() string {
	return fmt.Sprintf("%s:%d:%d: job %s: %v", e.Manifest, e.Pos.Line, e.Pos.Column, e.Job, e.Err)
}

func (e *JobError) Unwrap() error { return e.Err }

// A SpaceError says that a file system has no room for all that some jobs will
// write there. Need is the number of bytes that have to be free, Free of those
// that are.
type SpaceError struct {
	Path       string // an output on the file system
	Need, Free int64
	Jobs       []string
}

func (e *SpaceError) Error() string {
	jobs := "job " + e.Jobs[0]
	if n := len(e.Jobs); n > 1 {
		jobs = fmt.Sprintf("%s (%s)", text.Count(n, "job"), strings.Join(e.Jobs, ", "))
	}
	return fmt.Sprintf("not enough space for %s on the disk of %s: %s", jobs, e.Path, disk.Shortage(e.Need, e.Free))
}

// Class returns the class of a full disk.
func (e *SpaceError) Class() fault.Class { return fault.Space }

// Hints says where room can come from.
func (e *SpaceError) Hints() []fault.Hint {
	return fault.Advise("free some space or name folders on another disk")
}
