package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"slerpmerge/internal/disk"
	"slerpmerge/internal/merge"
	"slerpmerge/internal/report"
)

// A saved is a report that will be written as a file of its own when the work
// is done. Whether that can be is found out before: the work may take hours.
type saved struct {
	file *disk.Temp // nil for a pipe
	pipe *os.File   // the pipe or device that is written to instead
}

// newSaved prepares a file for flag. One that is there is replaced if it begins
// as one that this program wrote, with head; any other is left alone.
func newSaved(flag, path, head string) (*saved, error) {
	refused := func(msg, hint string) error {
		return &requestError{msg: flag + ": " + path + " " + msg, hint: hint}
	}
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("%s: %w", flag, err)
	case st.IsDir():
		return nil, refused("is a folder, not a file", "")
	case !st.Mode().IsRegular():
		f, err := disk.OpenPipe(path)
		if errors.Is(err, syscall.ENXIO) {
			return nil, refused("is a pipe from which nobody reads", "start its reader first")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		return &saved{pipe: f}, nil
	case st.Size() > 0:
		ours, err := beginsWith(path, head)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		if !ours {
			return nil, refused("exists, and slerpmerge did not write it", "name another file, or remove this one")
		}
	}
	real, err := disk.Resolve(path) // a link stays one
	var file *disk.Temp
	if err == nil {
		// The number is free, or of a process that was killed.
		file, err = disk.NewTemp(real, fmt.Sprintf(".%s.%d.partial", filepath.Base(real), os.Getpid()))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refused("can't be made: there is no such folder", "")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return &saved{file: file}, nil
}

func beginsWith(path, head string) (bool, error) {
	f, err := disk.OpenRegular(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	got := make([]byte, len(head))
	_, err = io.ReadFull(f, got)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return false, nil
	}
	return err == nil && bytes.Equal(got, []byte(head)), err
}

// write makes the file, in one step. Once ctx has ended it waits for the reader of
// a pipe no longer than patience.
func (s *saved) write(ctx context.Context, content func(io.Writer) error) error {
	var to io.Writer = s.pipe
	if s.file != nil {
		to = s.file
	} else {
		defer context.AfterFunc(ctx, func() {
			_ = s.pipe.SetWriteDeadline(time.Now().Add(patience)) // devices have none, and don't wait
		})()
	}
	b := bufio.NewWriter(to)
	err := content(b)
	if err == nil {
		err = b.Flush()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &unreadError{context.Cause(ctx)}
	}
	if err != nil {
		return err
	}
	if s.file != nil {
		return s.file.Commit()
	}
	return s.pipe.Close()
}

// drop removes the file unless write has made it.
func (s *saved) drop() {
	switch {
	case s == nil:
	case s.file != nil:
		s.file.Abandon()
	default:
		s.pipe.Close()
	}
}

// mergePage prepares the page of a merge; nil for no path. It can't lie in the
// output folder, which may not be there yet or be replaced.
func mergePage(path, output string) (*saved, error) {
	if path == "" {
		return nil, nil
	}
	if path == "-" {
		return nil, &requestError{msg: "--html needs a file: standard output is for the result of the merge"}
	}
	in, err1 := filepath.Abs(path)
	out, err2 := filepath.Abs(output)
	if err1 == nil && err2 == nil {
		if rel, err := filepath.Rel(out, in); err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
			return nil, &requestError{msg: "--html: " + path + " lies in the output folder, which holds the model alone", hint: "name a file beside it"}
		}
	}
	return newSaved("--html", path, report.PageHead())
}

// writePage writes the page of a finished merge.
func (a *app) writePage(ctx context.Context, file *saved, res *merge.Result) error {
	s := report.NewSurvey(res.Plan, res.Tensors, res.Warnings, true)
	err := file.write(ctx, func(w io.Writer) error { return report.Page(w, s, a.version) })
	if err != nil {
		return fmt.Errorf("the merge is complete, but its page is not: %w", err)
	}
	return nil
}
