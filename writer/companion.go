package writer

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"slerpmerge/internal/disk"
)

// Put writes a small file beside the weights, such as config.json. name is a plain
// file name, or one in a folder: additional_chat_templates/x.jinja.
func (o *Output) Put(name string, data []byte) error {
	return o.PutFrom(name, bytes.NewReader(data))
}

// PutFrom is Put for a file that is read as it is written: a tokenizer can be
// as large as the whole memory budget.
func (o *Output) PutFrom(name string, r io.Reader) error {
	if o.closed {
		return fmt.Errorf("writing %s: %w", name, fs.ErrClosed)
	}
	if err := o.flush.err(); err != nil {
		return err
	}
	if err := o.put(name, r); err != nil {
		o.flush.fail(err)
		return err
	}
	return nil
}

func (o *Output) put(name string, r io.Reader) error {
	full, err := o.name(name)
	if err != nil {
		return err
	}
	if err := o.makeFolder(name, false); err != nil {
		return err
	}
	f, err := o.work.Create(filepath.FromSlash(name), 0o666)
	if err != nil {
		return o.wrap("creating", full, err)
	}
	made := WrittenFile{Name: name}
	if err := o.copy(f, r, &made); err != nil {
		f.Close()
		return err
	}
	o.flush.finish(f)
	o.others = append(o.others, made)
	return nil
}

// makeFolder makes the folder within the partial folder for a file of that name.
// That of weights stays open: checkpoints flush it.
func (o *Output) makeFolder(name string, weights bool) error {
	dir := path.Dir(name)
	if dir == "." || o.subs[dir] != nil {
		return nil
	}
	sub, _, err := o.work.MakeSub(dir, 0o777)
	if err != nil {
		return o.wrap("making", o.work.Path(dir), err)
	}
	if !weights {
		sub.Close()
		return nil
	}
	if o.subs == nil {
		o.subs = map[string]*disk.Folder{}
	}
	o.subs[dir] = sub
	return nil
}

// copy writes all of r, piece by piece.
func (o *Output) copy(f *os.File, r io.Reader, made *WrittenFile) error {
	buf := make([]byte, 64<<10)
	sum := sha256.New()
	for {
		n, err := io.ReadFull(r, buf)
		if werr := o.write(f, buf[:n], made.Bytes); werr != nil {
			return werr
		}
		if made.Bytes += int64(n); made.Bytes <= MaxHashed {
			sum.Write(buf[:n])
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			if made.Bytes <= MaxHashed {
				made.SHA256 = sum.Sum(nil)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading what becomes %s: %w", f.Name(), err)
		}
	}
}

// name returns the path in the partial folder of the file that will be called name.
func (o *Output) name(name string) (string, error) {
	if !filepath.IsLocal(name) || name != path.Clean(name) || name == "." ||
		strings.Count(name, "/") > 1 || strings.ContainsAny(name, "\\\x00") {
		return "", fmt.Errorf("%q is not the name of an output file", name)
	}
	return o.work.Path(filepath.FromSlash(name)), nil
}
