package report

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"slerpmerge/internal/disk"
	"slerpmerge/internal/text"
	"slerpmerge/writer"
)

// A Finished merge is a folder that this program made.
type Finished struct {
	Fingerprint string // of the run
	// Wrong says what is not as it was made, "" if nothing is found: each file
	// that the record names must be there with its size, and with its SHA-256 up
	// to writer.MaxHashed; so must the record itself and SHA256SUMS. README.md and
	// other files about the merge must only be there; people write into them.
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
	sealed, err := isSealed(ctx, file)
	switch {
	case err != nil:
		return nil, err
	case !sealed:
		f.Wrong = ProvenanceName + " has other contents than it was made with"
		return f, nil
	}
	f.Wrong, err = v.Output.wrong(ctx, dir)
	return f, err
}

// isSealed reports whether a record ends with the SHA-256 of what is before it; of
// one that is longer than writer.MaxHashed, whether it has such an end.
func isSealed(ctx context.Context, file *os.File) (bool, error) {
	fi, err := file.Stat()
	if err != nil {
		return false, err
	}
	sum := make([]byte, sha256.Size)
	end := make([]byte, len(seal(sum)))
	n := fi.Size() - int64(len(end))
	if n < 0 {
		return false, nil
	}
	if _, err := file.ReadAt(end, n); err != nil {
		return false, err
	}
	at := bytes.LastIndexByte(end[:len(end)-4], '"') + 1
	if _, err := hex.Decode(sum, end[at:][:min(2*sha256.Size, len(end)-at)]); err != nil || seal(sum) != string(end) {
		return false, nil
	}
	if n > writer.MaxHashed || ctx.Err() != nil {
		return true, context.Cause(ctx)
	}
	h := sha256.New()
	_, err = io.Copy(h, io.NewSectionReader(file, 0, n))
	return bytes.Equal(h.Sum(nil), sum), err
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
	if o.Sums == "" {
		return "", nil
	}
	return o.wrongSums(ctx, dir)
}

// wrongSums says what is wrong with SHA256SUMS. Its line of the record is compared
// with the record, and the others are known.
func (o *provOutput) wrongSums(ctx context.Context, dir string) (string, error) {
	const why = writer.DigestsName + " has other contents than it was made with"
	f, err := disk.OpenRegular(filepath.Join(dir, writer.DigestsName))
	if err != nil {
		return "", err
	}
	defer f.Close()
	list, err := writer.ReadDigests(f)
	switch {
	case errors.As(err, new(*writer.DigestsError)):
		return why, nil
	case err != nil:
		return "", err
	}
	record, err := writer.HashFiles(ctx, dir, []string{ProvenanceName}, 1)
	if err != nil {
		return "", err
	}
	found := false
	list = slices.DeleteFunc(list, func(d writer.Digest) bool {
		found = found || d == record[0]
		return d == record[0]
	})
	others := sha256.Sum256(writer.FormatDigests(list))
	if !found || hex.EncodeToString(others[:]) != o.Sums {
		return why, nil
	}
	if fi, err := f.Stat(); err != nil || fi.Size() != int64(len(writer.FormatDigests(append(list, record...)))) {
		return why, err
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
