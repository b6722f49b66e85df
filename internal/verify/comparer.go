package verify

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"

	"slerpmerge/mmapio"
	"slerpmerge/writer"
)

const (
	compareChunk = 256 << 10 // stays in a second-level cache beside the piece's part
	compareAhead = 16 << 20  // of a weight file, asked for ahead of the comparison
)

// A comparer is an engine.Output that compares the bytes it receives with the
// weight files of a folder, and writes nothing.
type comparer struct {
	*Result
	dir   string
	files []weightFile
	buf   []byte
}

// A weightFile is one file of the layout as it is in the folder.
type weightFile struct {
	writer.File // with the extents that are compared
	all         []writer.Extent
	data        *mmapio.File // nil if there is none
	size        int64        // what can be compared: of data or of the layout, whichever is less
	asked       int64        // up to here it has been read ahead
	crc         uint32       // of the current extent
	sums        []uint32     // of the extents that are compared, where the format has them
	found       map[int]int  // by tensor, the index into Differences, as far as it was kept
}

// open opens the weight files. One that is not there is a difference, and so
// is one of another length.
func (c *comparer) open(pool *mmapio.Pool) error {
	c.buf = make([]byte, compareChunk)
	for i, f := range c.Plan.Layout.Files {
		w := weightFile{File: f, all: f.Extents, found: map[int]int{}}
		c.Files++
		path := filepath.Join(c.dir, f.Name)
		st, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) || err == nil && !st.Mode().IsRegular():
			c.differ(Difference{File: f.Name, Place: IsMissing, file: i})
		case err != nil:
			return err
		default:
			if w.data, err = pool.Open(path); err != nil {
				return err
			}
			w.size = min(f.Size, w.data.Size())
		}
		c.files = append(c.files, w)
		if w.data != nil && w.data.Size() != f.Size {
			d := Difference{File: f.Name, Place: InSize, file: i, Offset: w.size,
				Expected: strconv.FormatInt(f.Size, 10), Found: strconv.FormatInt(w.data.Size(), 10), Count: max(f.Size, w.data.Size()) - w.size}
			if k := slices.IndexFunc(f.Extents, func(x writer.Extent) bool { return x.Off+x.Len > w.size }); k >= 0 {
				d.Tensor = c.Plan.Tensors[f.Extents[k].Tensor].Name
			}
			c.differ(d)
		}
	}
	return nil
}

func (c *comparer) close() {
	for i := range c.files {
		if f := c.files[i].data; f != nil {
			f.Close()
		}
	}
}

// restrict gives the layout of the tensors that are picked, as far as there are
// files to compare them with.
func (c *comparer) restrict(picked []bool) *writer.Layout {
	layout := *c.Plan.Layout
	layout.Files = slices.Clone(layout.Files)
	for i := range layout.Files {
		w := &c.files[i]
		out := func(x writer.Extent) bool { return !picked[x.Tensor] || x.Off >= w.size }
		if slices.ContainsFunc(w.all, out) {
			w.Extents = slices.DeleteFunc(slices.Clone(w.all), out)
			layout.Files[i].Extents = w.Extents
		}
	}
	return &layout
}

// Presize makes nothing.
func (c *comparer) Presize(*writer.Layout) error { return nil }

// Copy is not supported: the values must be seen.
func (c *comparer) Copy(int, int64, int64, func(*os.File, int64) error) error {
	return errors.ErrUnsupported
}

// Publish does nothing.
func (c *comparer) Publish() error { return nil }

// Abort does nothing.
func (c *comparer) Abort() error { return nil }

// CheckpointDue reports false: nothing is kept of a comparison.
func (c *comparer) CheckpointDue() bool { return false }

// Checkpoint is never due.
func (c *comparer) Checkpoint([]byte) error { return nil }

// Write compares p with the bytes at off of a file, as far as it lies in
// extents that are compared.
func (c *comparer) Write(file int, p []byte, off int64, _ []uint32) error {
	w := &c.files[file]
	end := off + int64(len(p))
	i := sort.Search(len(w.Extents), func(i int) bool { return w.Extents[i].Off+w.Extents[i].Len > off })
	for ; i < len(w.Extents) && w.Extents[i].Off < end; i++ {
		x := &w.Extents[i]
		from, to := max(x.Off, off), min(x.Off+x.Len, end)
		if err := c.compare(file, i, p[from-off:to-off], from); err != nil {
			return err
		}
	}
	return nil
}

// compare compares a part of extent k, which should stand at byte off of its
// file. Parts come in order.
func (c *comparer) compare(file, k int, want []byte, off int64) error {
	w := &c.files[file]
	x := &w.Extents[k]
	if len(x.CRCSlots) > 0 {
		if off == x.Off {
			w.crc = 0
		}
		if w.sums == nil {
			w.sums = make([]uint32, len(w.Extents))
		}
		if w.crc = crc32.Update(w.crc, crc32.IEEETable, want); off+int64(len(want)) == x.Off+x.Len {
			w.sums[k] = w.crc
		}
	}
	t := &c.Plan.Tensors[x.Tensor]
	unit := max(1, t.DType.Size())
	for len(want) > 0 && off < w.size {
		c.ahead(w, x, off)
		n := min(int64(len(want)), compareChunk, w.size-off)
		err := w.data.View(c.buf[:n], off, func(have []byte) error {
			if bytes.Equal(have, want[:n]) {
				return nil
			}
			// The end of a file that is cut may lie within an element.
			whole := int(n) / unit * unit
			if at, count := unequal(want[:whole], have[:whole], unit); at >= 0 {
				c.note(file, x, want[at:][:unit], have[at:][:unit], off+int64(at)).Count += count
			}
			return nil
		})
		if err != nil {
			return err
		}
		want, off = want[n:], off+n
	}
	return nil
}

// ahead has the kernel read what comes next, up to the end of the file or of
// the extent if the next one may not be compared.
func (c *comparer) ahead(w *weightFile, x *writer.Extent, off int64) {
	end := w.size
	if len(w.Extents) < len(w.all) {
		end = min(end, x.Off+x.Len)
	}
	w.asked = max(w.asked, off)
	if n := min(off+compareAhead, end) - w.asked; n >= compareAhead/4 || n > 0 && w.asked+n == end {
		w.data.Prefetch(w.asked, n)
		w.asked += n
	}
}

func (w *weightFile) read(p []byte, off int64) error {
	n, err := w.data.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// note gives the difference of a tensor, which begins with these elements if it
// is new. Others are counted in a spare one.
func (c *comparer) note(file int, x *writer.Extent, want, have []byte, off int64) *Difference {
	w := &c.files[file]
	if i, ok := w.found[x.Tensor]; ok {
		return &c.Differences[i]
	}
	if c.Differs[x.Tensor] {
		return &Difference{}
	}
	t := &c.Plan.Tensors[x.Tensor]
	c.Differs[x.Tensor] = true
	d := c.differ(Difference{File: w.Name, Place: InTensor, Tensor: t.Name, Offset: off, TensorOffset: off - x.Off,
		Index:    indexOf(uint64(off-x.Off)*8/uint64(t.DType.Bits()), t.Shape),
		Expected: decode(t.DType, want), Found: decode(t.DType, have), ExpectedHex: bits(want), FoundHex: bits(have), file: file})
	if d == nil {
		return &Difference{}
	}
	w.found[x.Tensor] = len(c.Differences) - 1
	return d
}

// compareFixed compares the bytes of a weight file that are no values.
func (c *comparer) compareFixed(file int) error {
	w := &c.files[file]
	if w.data == nil {
		return nil
	}
	if err := c.Plan.Layout.MakeLiterals(&w.File); err != nil {
		return err
	}
	defer w.DropLiterals()
	for k, sum := range w.sums {
		w.SetCRC(w.Extents[k], sum)
	}
	if err := c.adoptSums(w); err != nil {
		return err
	}
	for k, s := range w.Literals {
		var d *Difference
		want, off := s.Data, s.Off
		for len(want) > 0 && off < w.size {
			n := min(int64(len(want)), compareChunk, w.size-off)
			have := c.buf[:n]
			if err := w.read(have, off); err != nil {
				return err
			}
			if at, count := unequal(want[:n], have, 1); at >= 0 {
				if d == nil {
					found := c.fixedDifference(file, k, off+int64(at))
					found.ExpectedHex, found.Expected = around(want[:n], at)
					found.FoundHex, found.Found = around(have, at)
					if found.Place == InCRC { // which is not text
						found.Expected, found.Found = "", ""
					}
					if d = c.differ(found); d == nil {
						break
					}
				}
				d.Count += count
			}
			want, off = want[n:], off+n
		}
	}
	return nil
}

// adoptSums takes from the file the checksums of tensors that were not
// compared, and of those that differ: such a file's own record says nothing
// more. Of two places where one stands, the second must have what the first
// has.
func (c *comparer) adoptSums(w *weightFile) error {
	next := 0
	for i := range w.all {
		x := &w.all[i]
		if next < len(w.Extents) && w.Extents[next].Tensor == x.Tensor {
			if next++; !c.Differs[x.Tensor] {
				continue
			}
		}
		if x.Len == 0 || len(x.CRCSlots) == 0 || x.CRCSlots[0]+4 > w.size {
			continue
		}
		var sum [4]byte
		if err := w.read(sum[:], x.CRCSlots[0]); err != nil {
			return err
		}
		w.SetCRC(*x, binary.LittleEndian.Uint32(sum[:]))
	}
	return nil
}

// fixedDifference names byte off, which lies in literal k of a file.
func (c *comparer) fixedDifference(file, k int, off int64) Difference {
	w := &c.files[file]
	d := Difference{File: w.Name, Place: InHeader, Offset: off, file: file}
	if len(w.all) == 0 || len(w.all[0].CRCSlots) == 0 {
		return d
	}
	d.Place = InZip
	end := w.Literals[k].Off + int64(len(w.Literals[k].Data))
	for i := range w.all {
		x := &w.all[i]
		if slices.ContainsFunc(x.CRCSlots, func(at int64) bool { return off >= at && off < at+4 }) {
			d.Place, d.Tensor = InCRC, c.Plan.Tensors[x.Tensor].Name
			return d
		}
		if d.Tensor == "" && x.Off >= end {
			d.Tensor = c.Plan.Tensors[x.Tensor].Name
		}
	}
	return d
}
