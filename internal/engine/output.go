package engine

import (
	"context"
	"os"

	"slerpmerge/writer"
)

// An Output takes the bytes of a layout. [writer.Output] is the one that makes
// a folder.
type Output interface {
	// Presize makes the files of a layout in their full size.
	Presize(context.Context, *writer.Layout) error
	// Write takes the finished pieces of a file, in order. sums are the CRC-32 of
	// the parts of tensors in p, where the layout has checksums; else one of all of
	// p, or nil.
	Write(file int, p []byte, off int64, sums []uint32) error
	// Copy has the system copy n bytes to byte off of a file, by a function that
	// is called with the file. An error that is errors.ErrUnsupported means that
	// they have to be written.
	Copy(file int, off, n int64, copy func(dst *os.File, off int64) error) error
	// CheckpointDue reports whether what is written should be made to last, and
	// Checkpoint does it, with a note for a run that resumes from there.
	CheckpointDue() bool
	Checkpoint(note []byte) error
	// Publish makes the output visible under its name; Abort removes it.
	Publish() error
	Abort() error
}

// aligned is where in such a buffer a piece at byte off of its file lies, so that the
// writer can write it past the page cache without a copy.
func aligned(buf []byte, off int64) []byte { return buf[off%writer.Alignment:] }
