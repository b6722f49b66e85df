package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"slerpmerge/internal/merge"
	"slerpmerge/internal/report"
)

// A saved is a report that will be written as a file of its own when the work
// is done. Whether that can be is found out before: the work may take hours.
type saved struct {
	path string
	temp *os.File // beside path, or the pipe or device that path is
	pipe bool
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
		return nil, &requestError{msg: flag + ": " + err.Error()}
	case st.IsDir():
		return nil, refused("is a folder, not a file", "")
	case !st.Mode().IsRegular():
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		return &saved{path: path, temp: f, pipe: true}, nil
	case st.Size() > 0 && !beginsWith(path, head):
		return nil, refused("exists, and slerpmerge did not write it", "name another file, or remove this one")
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // the link stays one
	}
	name := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%d.partial", filepath.Base(path), os.Getpid()))
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) { // of a process that was killed and had our number
		os.Remove(name)
		f, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refused("can't be made: there is no such folder", "")
	}
	if err != nil {
		return nil, err
	}
	return &saved{path: path, temp: f}, nil
}

func beginsWith(path, head string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	got := make([]byte, len(head))
	_, err = io.ReadFull(f, got)
	return err == nil && bytes.Equal(got, []byte(head))
}

// write makes the file, in one step.
func (s *saved) write(content func(io.Writer) error) error {
	b := bufio.NewWriter(s.temp)
	err := content(b)
	if err == nil {
		err = b.Flush()
	}
	if err == nil && !s.pipe {
		err = s.temp.Sync()
	}
	err = errors.Join(err, s.temp.Close())
	if err == nil && !s.pipe {
		err = os.Rename(s.temp.Name(), s.path)
	}
	if err == nil {
		s.temp = nil
	}
	return err
}

// drop takes away what write did not make a file.
func (s *saved) drop() {
	if s == nil || s.temp == nil {
		return
	}
	s.temp.Close()
	if !s.pipe {
		os.Remove(s.temp.Name())
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
func (a *app) writePage(file *saved, res *merge.Result) error {
	s := report.NewSurvey(res, true)
	err := file.write(func(w io.Writer) error { return report.Page(w, s, buildVersion()) })
	if err != nil {
		return fmt.Errorf("the merge is complete, but its page is not: %w", err)
	}
	return nil
}
