package batch

import (
	"io/fs"
	"path/filepath"

	"slerpmerge/writer"
)

// A disk is a file system that jobs will write to.
type disk struct {
	path       string // an output there
	used, peak int64  // bytes that the jobs before now take, and the most at any moment
	jobs       []string
}

// disks adds up what jobs need, by file system. A new folder is complete before
// the one that it replaces goes.
type disks struct {
	byDevice map[string]*disk
	order    []*disk
}

// add puts down a job that will write so many bytes.
func (d *disks) add(j *Job, bytes int64) {
	key := deviceOf(j.out)
	k, ok := d.byDevice[key]
	if !ok {
		k = &disk{path: j.out}
		if d.byDevice == nil {
			d.byDevice = map[string]*disk{}
		}
		d.byDevice[key] = k
		d.order = append(d.order, k)
	}
	dir, base := filepath.Split(j.out)
	// What a stopped run left is gone on with, or removed first.
	k.used += bytes - folderBytes(filepath.Join(dir, "."+base+".partial"))
	k.peak = max(k.peak, k.used)
	k.used -= folderBytes(j.out)
	k.jobs = append(k.jobs, j.Name)
}

// full lists the file systems without enough room.
func (d *disks) full() ([]error, error) {
	var errs []error
	for _, k := range d.order {
		free, err := writer.FreeSpace(k.path)
		if err != nil {
			return nil, err
		}
		if k.peak > free {
			errs = append(errs, &SpaceError{Path: k.path, Need: k.peak, Free: free, Jobs: k.jobs})
		}
	}
	return errs, nil
}

// deviceOf names the file system of a path, whose last parts need not exist.
func deviceOf(path string) string {
	for {
		if name, err := device(path); err == nil {
			return name
		}
		up := filepath.Dir(path)
		if up == path {
			return ""
		}
		path = up
	}
}

// folderBytes is the size of all files in a folder, 0 if there is none.
func folderBytes(dir string) int64 {
	var n int64
	filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // what can't be seen frees nothing
		}
		if fi, err := e.Info(); err == nil && fi.Mode().IsRegular() {
			n += fi.Size()
		}
		return nil
	})
	return n
}
