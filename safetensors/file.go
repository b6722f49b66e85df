package safetensors

import (
	"io"
	"os"

	"slerpmerge/internal/tensor"
)

// A File is a file that is open for reading: its header, which has been
// checked, and the values behind it.
type File struct {
	Header
	r      io.ReaderAt
	closer io.Closer // nil if the caller closes r
}

// Options say how a file is to be opened. The zero value is ready for use.
type Options struct {
	// Arena keeps the names and shapes; the files of one model can share it.
	// If it is nil, the file has its own.
	Arena *Arena
}

// Open reads and checks the header of the file of size bytes in r. The tensors'
// values are read from r when they are asked for, so r has to stay open.
//
// An error of the content is a [*FormatError]. Errors of r are wrapped, and so
// is [io.ErrUnexpectedEOF] if r ends before size.
func Open(r io.ReaderAt, size int64, opt Options) (*File, error) {
	arena := opt.Arena
	if arena == nil {
		arena = new(Arena)
	}
	f := &File{r: r}
	if err := f.Header.read(arena, r, size); err != nil {
		return nil, err
	}
	return f, nil
}

// OpenFile opens the file at path, which Close closes.
func OpenFile(path string) (*File, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	st, err := r.Stat()
	if err != nil {
		r.Close()
		return nil, err
	}
	f, err := Open(r, st.Size(), Options{})
	if err != nil {
		r.Close()
		return nil, err
	}
	f.closer = r
	return f, nil
}

// Close closes a file of OpenFile. Files of Open belong to the caller, for them
// it does nothing.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// Find returns the index in Tensors of the tensor with the given name, or -1.
func (f *File) Find(name string) int {
	for i := range f.Tensors {
		if f.Tensors[i].Name == name {
			return i
		}
	}
	return -1
}

// Section returns a reader of the values of Tensors[i].
func (f *File) Section(i int) *io.SectionReader {
	t := &f.Tensors[i]
	return io.NewSectionReader(f.r, t.Begin, t.End-t.Begin)
}

// Source returns the values of Tensors[i] in the form that torchbin.Checkpoint
// has for them, too. Its hints reach the file if that has methods for them, as
// those of package mmapio have.
func (f *File) Source(i int) Source { return tensor.NewSection(f.r, f.Tensors[i].Begin) }
