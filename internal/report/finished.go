package report

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"slerpmerge/internal/disk"
	"slerpmerge/internal/text"
	"slerpmerge/writer"
)

// A Finished merge is a folder that this program made.
type Finished struct {
	Fingerprint string // of the run
	// Wrong says what is not as it was made, "" if nothing is found: each file
	// that the record names must be there with its size, and with its SHA-256 up
	// to writer.MaxHashed. README.md and other files about the merge must only be
	// there; people write into them.
	Wrong string
}

// OpenFinished looks at what is in a folder. Without a record of this program
// that can be read it returns nil.
//
// The record speaks for itself, so it counts only in a folder that nobody else
// can have made: of the effective user or the administrator. That of another
// user is a *disk.ForeignError.
func OpenFinished(ctx context.Context, dir string) (*Finished, error) {
	if err := disk.VetPath(dir); err != nil {
		if noRecord(err) {
			err = nil
		}
		return nil, err
	}
	file, err := disk.OpenRegular(filepath.Join(dir, ProvenanceName))
	if err != nil {
		if noRecord(err) {
			err = nil
		}
		return nil, err
	}
	defer file.Close()
	enough := errors.New("enough")
	v, err := readRecord(file, func(int, *provTensor) error { return enough }) // the tensors come last
	switch {
	case errors.As(err, new(*os.PathError)):
		return nil, err
	case err != nil && !errors.Is(err, enough):
		return nil, nil
	}
	f := &Finished{Fingerprint: v.Finger}
	f.Wrong, err = v.Output.wrong(ctx, dir)
	return f, err
}

// wrong says which file of the output is not as it was made, "" if all are.
func (o *provOutput) wrong(ctx context.Context, dir string) (string, error) {
	if len(o.Files) == 0 {
		return "the record names no weights", nil
	}
	for _, f := range append(append([]outputFile{}, o.Files...), o.Others...) {
		if why, err := f.wrong(ctx, dir); why != "" || err != nil {
			return why, err
		}
	}
	for _, name := range o.About {
		if why, err := (outputFile{Name: name, Bytes: -1}).wrong(ctx, dir); why != "" || err != nil {
			return why, err
		}
	}
	return "", nil
}

// wrong says what is wrong with one file; a negative number of bytes is any.
func (f outputFile) wrong(ctx context.Context, dir string) (string, error) {
	name := text.Quote(f.Name)
	if !filepath.IsLocal(filepath.FromSlash(f.Name)) {
		return name + " is not a file of the folder", nil
	}
	fi, err := os.Stat(filepath.Join(dir, filepath.FromSlash(f.Name)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return name + " is missing", nil
	case err != nil:
		return "", err
	case !fi.Mode().IsRegular():
		return name + " is not a regular file", nil
	case f.Bytes < 0:
		return "", nil
	case fi.Size() != f.Bytes:
		return fmt.Sprintf("%s has %d bytes instead of %d", name, fi.Size(), f.Bytes), nil
	case f.SHA256 == "" || f.Bytes > writer.MaxHashed:
		return "", nil
	}
	sums, err := writer.HashFiles(ctx, dir, []string{f.Name}, 1)
	if err == nil && hex.EncodeToString(sums[0].SHA256[:]) != f.SHA256 {
		return name + " has other contents than it was made with", nil
	}
	return "", err
}
