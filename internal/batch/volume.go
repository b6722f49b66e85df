package batch

import (
	"slerpmerge/internal/disk"
	"slerpmerge/writer"
)

// A volume is a file system that jobs will write to.
type volume struct {
	path       string // an output there
	used, peak int64  // bytes that the jobs before now take, and the most at any moment
	jobs       []string
}

// volumes adds up the space that jobs need, by file system. A new folder is
// complete before the one that it replaces goes.
type volumes struct {
	byDevice map[string]*volume
	order    []*volume
}

// add puts down a job that will write so many bytes.
func (d *volumes) add(j *Job, bytes int64) {
	key := disk.Device(j.out)
	k, ok := d.byDevice[key]
	if !ok {
		k = &volume{path: j.out}
		if d.byDevice == nil {
			d.byDevice = map[string]*volume{}
		}
		d.byDevice[key] = k
		d.order = append(d.order, k)
	}
	// The leftovers of a stopped run are resumed, or removed first.
	k.used += bytes - writer.PartialBytes(j.out)
	k.peak = max(k.peak, k.used)
	k.used -= disk.Usage(j.out)
	k.jobs = append(k.jobs, j.Name)
}

// full lists the file systems without enough room.
func (d *volumes) full() ([]error, error) {
	var errs []error
	for _, k := range d.order {
		free, err := disk.FreeSpace(k.path)
		if err != nil {
			return nil, err
		}
		if k.peak > free {
			errs = append(errs, &SpaceError{Path: k.path, Need: k.peak, Free: free, Jobs: k.jobs})
		}
	}
	return errs, nil
}
