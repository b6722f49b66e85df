package writer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sort"
	"sync"
	"sync/atomic"
)

// checkBytes is how much of a file that is checked is read at once.
const checkBytes = 128 << 10

var errOtherBytes = errors.New("its bytes are not those that were written")

// A valueCheck is stretches of one file that are read by one goroutine: all of
// them where the format has checksums of the extents, which are checked too, else
// one.
type valueCheck struct {
	*openFile
	end       int64 // of what is on the disk
	stretches []stretch
}

// checkValues reads all that an earlier run has left before its last mark, and
// compares it with the journal. why says what is not as it was left, and err what
// ended the reading.
func (o *Output) checkValues(ctx context.Context) (why, err error) {
	var checks []valueCheck
	at := o.previous.At
	for _, s := range o.stretches {
		w := o.files[s.File]
		end := w.Size
		if s.File == at.File {
			end = w.durable(at.Off)
		}
		if n := len(checks); w.HasCRCs && n > 0 && checks[n-1].openFile == w {
			checks[n-1].stretches = append(checks[n-1].stretches, s)
			continue
		}
		checks = append(checks, valueCheck{w, end, []stretch{s}})
	}
	o.stretches = nil
	if o.opt.Checking != nil {
		o.opt.Checking(o.previous.Bytes)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	var once sync.Once
	for range min(max(1, o.opt.Threads), len(checks)) {
		all.Go(func() {
			r := &valueReader{Output: o, ctx: ctx}
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(checks) {
					return
				}
				if err := r.check(checks[i]); err != nil && r.ended == nil {
					once.Do(func() { why = fmt.Errorf("its %s is not as it was left: %w", checks[i].Name, err) })
					cancel(nil)
				} else if err != nil {
					cancel(r.ended)
				}
			}
		})
	}
	all.Wait()
	if why != nil {
		return why, nil
	}
	return nil, context.Cause(ctx)
}

// A valueReader reads what an earlier run has left, in one goroutine.
type valueReader struct {
	*Output
	ctx   context.Context
	ended error // what ended the reading, beside a file that is not as it was left
	f     *os.File
	buf   []byte
	other []byte // the original of copied bytes
}

// check reads stretches.
func (r *valueReader) check(c valueCheck) error {
	f, err := r.work.Open(c.Name, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	if r.f = f; r.buf == nil {
		r.buf = make([]byte, checkBytes)
	}
	var extent uint32 // CRC of the current one
	spans := newGaps(&c.File)
	for _, s := range c.stretches {
		crc := uint32(0)
		for len(spans) > 0 && spans[0].end <= s.Off {
			spans = spans[1:]
		}
		for _, x := range spans {
			from, to := max(x.off, s.Off), min(x.end, s.End)
			if from >= to {
				break
			}
			part, err := r.read(c.openFile, s, from, to)
			if err != nil {
				return err
			}
			crc = CombineCRC32(crc, part, to-from)
			if !c.HasCRCs {
				continue
			}
			if extent = CombineCRC32(extent, part, to-from); from == x.off {
				extent = part
			}
			if to == x.end {
				if err := r.checkSlots(c, x.off, extent); err != nil {
					return err
				}
			}
		}
		if !s.Copied && crc != s.CRC {
			return errOtherBytes
		}
		if r.opt.DropPages {
			dropPages(f, s.Off, s.End-s.Off)
		}
	}
	return nil
}

// read reads values of a stretch, and returns their CRC-32. Those that were copied it
// compares with the original.
func (r *valueReader) read(w *openFile, s stretch, from, to int64) (crc uint32, err error) {
	if s.Copied && r.opt.Original == nil {
		return 0, errors.New("it has bytes that were copied, and of which there is no checksum")
	}
	for at := from; at < to; {
		p := r.buf[:min(int64(len(r.buf)), to-at)]
		if r.ended = context.Cause(r.ctx); r.ended == nil && r.opt.Limit != nil {
			r.ended = r.opt.Limit(r.ctx, len(p))
		}
		if r.ended != nil {
			return 0, r.ended
		}
		if n, err := r.f.ReadAt(p, at); n < len(p) {
			return 0, errors.Join(io.ErrUnexpectedEOF, err)
		}
		if s.Copied {
			if r.other == nil {
				r.other = make([]byte, checkBytes)
			}
			want := r.other[:len(p)]
			switch err := r.opt.Original(r.ctx, w.index, want, at); {
			case errors.Is(err, errors.ErrUnsupported):
				return 0, errors.New("its journal does not fit the plan")
			case err != nil:
				r.ended = err
				return 0, err
			case !bytes.Equal(p, want):
				return 0, errOtherBytes
			}
		} else {
			crc = crc32.Update(crc, crc32.IEEETable, p)
		}
		at += int64(len(p))
	}
	return crc, nil
}

// checkSlots compares the checksum of the extent at byte off with those in its
// slots, as far as they are on the disk.
func (r *valueReader) checkSlots(c valueCheck, off int64, crc uint32) error {
	k := sort.Search(len(c.Extents), func(i int) bool { return c.Extents[i].Off+c.Extents[i].Len > off })
	for _, slot := range c.Extents[k].CRCSlots {
		var b [4]byte
		if slot+4 > c.end {
			continue
		}
		if n, err := r.f.ReadAt(b[:], slot); n < len(b) {
			return errors.Join(io.ErrUnexpectedEOF, err)
		}
		if binary.LittleEndian.Uint32(b[:]) != crc {
			return errOtherBytes
		}
	}
	return nil
}
