package writer

import (
	"context"
	"fmt"
)

// MaxHashed is the size in bytes up to which a file's SHA-256 is remembered.
const MaxHashed = 16 << 20

// A WrittenFile is a file of an output, as it was written.
type WrittenFile struct {
	Name   string // relative to the folder, with slashes
	Bytes  int64
	SHA256 []byte // nil above MaxHashed
}

// WrittenFiles lists the files of the layout, which must be complete, and the
// others that were put, each in the order in which they were made. Small files of
// the layout are read back for their digests.
func (o *Output) WrittenFiles(ctx context.Context, threads int) (weights, others []WrittenFile, err error) {
	var small []string
	var which []int
	for i, w := range o.files {
		if w.gaps.bytes() > 0 {
			return nil, nil, fmt.Errorf("hashing %s: it is not complete", w.Name)
		}
		weights = append(weights, WrittenFile{Name: w.Name, Bytes: w.Size})
		if w.Size <= MaxHashed {
			small, which = append(small, w.Name), append(which, i)
		}
	}
	sums, err := hashFiles(ctx, o.openDone, small, threads)
	if err != nil {
		return nil, nil, err
	}
	for k, i := range which {
		weights[i].SHA256 = sums[k].SHA256[:]
	}
	return weights, o.others, nil
}
