package mmapio

import (
	"errors"
	"io/fs"
	"os"
	"sync"
)

// maxDescriptors bounds the descriptors that a pool keeps for read-ahead, for
// mapping anew and for files that can't be mapped. More are open only while
// more are in use at the same time.
const maxDescriptors = 32

// A descriptor is a file's open descriptor. It is closed when it is neither
// kept nor in use.
type descriptor struct {
	owner *File
	file  *os.File
	users int
	kept  bool
}

// descriptors are those that a pool keeps, the one used last at the end.
type descriptors struct {
	mu   sync.Mutex // guards kept, and users and kept of each descriptor
	kept []*descriptor
}

// descriptor returns an open descriptor of the file that was opened, whatever
// the path names now. The caller must release it.
func (f *File) descriptor() (*descriptor, error) {
	ds := &f.pool.descriptors
	if d := ds.find(f); d != nil {
		return d, nil
	}
	// Non-blocking, so that a named pipe put in the file's place can't hang us.
	file, err := os.OpenFile(f.path, openFlags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &ChangedError{Path: f.path, What: "was removed", Removed: true}
	}
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil {
		err = f.compare(info)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	d := &descriptor{owner: f, file: file, users: 1, kept: true}
	ds.keep(d)
	return d, nil
}

func (ds *descriptors) find(f *File) *descriptor {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	for i, d := range ds.kept {
		if d.owner == f {
			copy(ds.kept[i:], ds.kept[i+1:])
			ds.kept[len(ds.kept)-1] = d
			d.users++
			return d
		}
	}
	return nil
}

func (ds *descriptors) keep(d *descriptor) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	ds.kept = append(ds.kept, d)
	if len(ds.kept) > maxDescriptors {
		ds.drop(0)
	}
}

func (ds *descriptors) release(d *descriptor) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	d.users--
	if d.users == 0 && !d.kept {
		d.file.Close()
	}
}

// forget drops all descriptors of f: two readers may have opened one each.
func (ds *descriptors) forget(f *File) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	for i := len(ds.kept) - 1; i >= 0; i-- {
		if ds.kept[i].owner == f {
			ds.drop(i)
		}
	}
}

func (ds *descriptors) drop(i int) {
	d := ds.kept[i]
	copy(ds.kept[i:], ds.kept[i+1:])
	ds.kept[len(ds.kept)-1] = nil
	ds.kept = ds.kept[:len(ds.kept)-1]
	d.kept = false
	if d.users == 0 {
		d.file.Close()
	}
}
