package writer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Put writes a small file that goes along, such as config.json. name is a
// plain file name, or one in a folder: additional_chat_templates/x.jinja.
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
	if err := o.makeFolder(full); err != nil {
		return err
	}
	f, err := os.OpenFile(full, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return o.wrap("creating", full, err)
	}
	if err := o.copy(f, r); err != nil {
		f.Close()
		return err
	}
	o.flush.finish(f)
	o.others = append(o.others, name)
	return nil
}

// makeFolder makes the folder of a file in the partial folder.
func (o *Output) makeFolder(file string) error {
	dir := filepath.Dir(file)
	if dir == o.partial {
		return nil
	}
	if err := os.Mkdir(dir, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return o.wrap("making", dir, err)
	}
	return nil
}

// copy writes all of r, piece by piece.
func (o *Output) copy(f *os.File, r io.Reader) error {
	buf := make([]byte, 64<<10)
	for off := int64(0); ; {
		n, err := io.ReadFull(r, buf)
		if werr := o.write(f, buf[:n], off); werr != nil {
			return werr
		}
		off += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading what becomes %s: %w", f.Name(), err)
		}
	}
}

// name is the path in the partial folder of the file that will be called name.
func (o *Output) name(name string) (string, error) {
	if !filepath.IsLocal(name) || name != path.Clean(name) || name == "." ||
		strings.Count(name, "/") > 1 || strings.ContainsAny(name, "\\\x00") {
		return "", fmt.Errorf("%q is not the name of an output file", name)
	}
	return filepath.Join(o.partial, filepath.FromSlash(name)), nil
}
