package verify

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"slerpmerge/mmapio"
	"slerpmerge/writer"
)

const (
	compareChunk = 128 << 10 // the engine's
	compareAhead = 16 << 20  // of a weight file, asked for ahead of the comparison
)

// A comparer is an engine.Checker that compares the bytes it receives with the
// weight files of a folder.
type comparer struct {
	*Result
	dir   string
	files []weightFile

	// mu guards the fields below, and of the files and the Result those of which that is
	// said.
	mu      sync.Mutex
	spare   [][]byte            // buffers of compareChunk bytes
	differs map[int]*Difference // by tensor, of those that are being compared
	last    int                 // the index of the one of the Differences that comes last, if there are too many
}

// A weightFile is one file of the layout as it is in the folder.
type weightFile struct {
	writer.File // with the extents that are compared
	all         []writer.Extent
	data        *mmapio.File // nil if there is none
	size        int64        // what can be compared: of data or of the layout, whichever is less
	asked       int64        // up to here it has been read ahead; guarded by mu
	sums        []uint32     // of the extents that are compared, where the format has them; guarded by mu
}

// open opens the weight files. One that is not there is a difference, and so
// is one of another length.
func (c *comparer) open(pool *mmapio.Pool) error {
	for i, f := range c.Plan.Layout.Files {
		w := weightFile{File: f, all: f.Extents}
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

// Compare compares bytes of a tensor, as far as the file goes.
func (c *comparer) Compare(file, extent int, want []byte, off int64) error {
	w := &c.files[file]
	x := &w.Extents[extent]
	buf := c.buffer()
	defer c.giveBack(buf)
	unit := max(1, c.Plan.Tensors[x.Tensor].DType.Size())
	for len(want) > 0 && off < w.size {
		c.ahead(w, x, off)
		n := min(int64(len(want)), compareChunk, w.size-off)
		err := w.data.View(buf[:n], off, func(have []byte) error {
			if bytes.Equal(have, want[:n]) {
				return nil
			}
			// The end of a file that is cut may lie within an element.
			whole := int(n) / unit * unit
			if at, count := unequal(want[:whole], have[:whole], unit); at >= 0 {
				expected, found := bytes.Clone(want[at:][:unit]), bytes.Clone(have[at:][:unit]) // pages can vanish
				c.note(file, x, expected, found, off+int64(at), count)
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

// buffer takes a buffer for a view.
func (c *comparer) buffer() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.spare)
	if n == 0 {
		return make([]byte, compareChunk)
	}
	b := c.spare[n-1]
	c.spare = c.spare[:n-1]
	return b
}

func (c *comparer) giveBack(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spare = append(c.spare, b)
}

// Again forgets the difference of a tensor.
func (c *comparer) Again(file, extent int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.differs, c.files[file].Extents[extent].Tensor)
}

// Done keeps the difference of a tensor, and its checksum.
func (c *comparer) Done(file, extent int, crc uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &c.files[file]
	x := &w.Extents[extent]
	if len(x.CRCSlots) > 0 {
		if w.sums == nil {
			w.sums = make([]uint32, len(w.Extents))
		}
		w.sums[extent] = crc
	}
	d := c.differs[x.Tensor]
	if d == nil {
		return
	}
	delete(c.differs, x.Tensor)
	c.Differs[x.Tensor] = true
	if c.differ(*d) == nil { // tensors come in about the order of the file
		c.replace(*d)
	}
}

// replace puts a difference in the place of one that comes later, if there is
// one.
func (c *comparer) replace(d Difference) {
	if byPlace(c.Differences[c.last], d) <= 0 {
		c.last = 0
		for i := range c.Differences {
			if byPlace(c.Differences[i], c.Differences[c.last]) > 0 {
				c.last = i
			}
		}
	}
	if byPlace(c.Differences[c.last], d) > 0 {
		c.Differences[c.last] = d
	}
}

// ahead has the kernel read what comes next, up to the end of the file or of
// the extent if the next one may not be compared.
func (c *comparer) ahead(w *weightFile, x *writer.Extent, off int64) {
	end := w.size
	if len(w.Extents) < len(w.all) {
		end = min(end, x.Off+x.Len)
	}
	if from, n := c.stretchAhead(w, off, end); n > 0 {
		w.data.Prefetch(from, n)
	}
}

// stretchAhead is what has to be asked for now; n is 0 if nothing has.
func (c *comparer) stretchAhead(w *weightFile, off, end int64) (from, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.asked = max(w.asked, off)
	if n = min(off+compareAhead, end) - w.asked; n < compareAhead/4 && (n <= 0 || w.asked+n < end) {
		return 0, 0
	}
	from, w.asked = w.asked, w.asked+n
	return from, n
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

// note counts elements of a tensor that differ, of which the first is at byte off
// of its file.
func (c *comparer) note(file int, x *writer.Extent, want, have []byte, off, count int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.differs[x.Tensor]; old != nil {
		count += old.Count
		if old.Offset < off {
			old.Count = count
			return
		}
	}
	t := &c.Plan.Tensors[x.Tensor]
	c.differs[x.Tensor] = &Difference{File: c.files[file].Name, Place: InTensor, Tensor: t.Name, Offset: off, TensorOffset: off - x.Off,
		Index:    indexOf(uint64(off-x.Off)*8/uint64(t.DType.Bits()), t.Shape),
		Expected: decode(t.DType, want), Found: decode(t.DType, have), ExpectedHex: bits(want), FoundHex: bits(have), Count: count, file: file}
}

// compareFixed compares the bytes of a weight file that are no values.
func (c *comparer) compareFixed(file int) error {
	w := &c.files[file]
	if w.data == nil {
		return nil
	}
	buf := c.buffer()
	defer c.giveBack(buf)
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
			have := buf[:n]
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
