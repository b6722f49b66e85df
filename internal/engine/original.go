package engine

import (
	"context"
	"errors"
	"sort"

	"slerpmerge/internal/operand"
	"slerpmerge/internal/plan"
)

// Original returns a function that reads again what an [Output] has copied: the bytes of
// the operand that a tensor takes as it is, which belong at byte off of a file of the
// plan's layout. Where there is no such operand the error is errors.ErrUnsupported.
func Original(p *plan.Plan, opt Options) func(ctx context.Context, file int, b []byte, off int64) error {
	opener := &operand.Opener{Wrap: opt.Wrap}
	return func(ctx context.Context, file int, b []byte, off int64) error {
		exts := p.Layout.Files[file].Extents
		k := sort.Search(len(exts), func(i int) bool { return exts[i].Off+exts[i].Len > off })
		for ; len(b) > 0; k++ {
			if k == len(exts) || off < exts[k].Off {
				return errors.ErrUnsupported
			}
			x := exts[k]
			n := min(int64(len(b)), x.Off+x.Len-off)
			if n <= 0 {
				continue
			}
			t := &p.Tensors[x.Tensor]
			i, ok := sole(t)
			if !ok || operand.Type(t.Operands, i) != t.DType {
				return errors.ErrUnsupported
			}
			o := t.Operands[i]
			in := input{src: opener.Open(o), of: o}
			if err := in.read(ctx, b[:n], off-x.Off); err != nil {
				return err
			}
			b, off = b[n:], off+n
		}
		return nil
	}
}

// Limit returns a function that waits until n more bytes may be moved, where so many
// may be in a second; 0 is no limit.
func Limit(bytesPerSecond int64) func(ctx context.Context, n int) error {
	return newThrottle(bytesPerSecond).wait
}
