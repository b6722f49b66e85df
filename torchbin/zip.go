package torchbin

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	localSignature     = 0x04034b50
	centralSignature   = 0x02014b50
	endSignature       = 0x06054b50
	end64Signature     = 0x06064b50
	locator64Signature = 0x07064b50

	localLen     = 30
	centralLen   = 46
	endLen       = 22
	end64Len     = 56
	locator64Len = 20

	maxEntries   = 1 << 18  // of an archive
	maxDirectory = 32 << 20 // bytes; its names are held in memory

	// encrypted, patched, strongly encrypted, masked headers
	refusedFlags   = 1<<0 | 1<<5 | 1<<6 | 1<<13
	flagDescriptor = 1 << 3

	stored   = 0
	deflated = 8
)

// An entry is one record of an archive.
type entry struct {
	name   string // below the prefix
	flags  uint16
	method uint16
	crc    uint32
	packed int64 // bytes in the file
	size   int64 // bytes when unpacked
	header int64 // place of the local header
	body   int64 // place of the content
}

// An archive is a checked ZIP directory.
type archive struct {
	f       File
	prefix  string
	start   int64   // of the directory
	entries []entry // by place
	byName  []int32 // indexes of entries, sorted by their names in lower case
}

// openArchive reads the directory and all local headers.
func openArchive(f File, size int64) (*archive, error) {
	start, length, count, err := findDirectory(f, size)
	if err != nil {
		return nil, err
	}
	a := &archive{f: f, start: start}
	if err := a.readDirectory(start, length, count); err != nil {
		return nil, err
	}
	slices.SortFunc(a.entries, func(x, y entry) int {
		switch {
		case x.header < y.header:
			return -1
		case x.header > y.header:
			return 1
		}
		return 0
	})
	if err := a.checkBodies(start); err != nil {
		return nil, err
	}
	a.byName = make([]int32, len(a.entries))
	for i := range a.byName {
		a.byName[i] = int32(i)
	}
	slices.SortFunc(a.byName, func(x, y int32) int { return cmp.Compare(a.lower(x), a.lower(y)) })
	for i := 1; i < len(a.byName); i++ {
		if a.lower(a.byName[i]) == a.lower(a.byName[i-1]) {
			return nil, malformed("the archive holds %s twice", quote(a.entries[a.byName[i]].name))
		}
	}
	return a, nil
}

// lower returns the name of an entry in lower case: torch's ZIP reader takes either.
func (a *archive) lower(i int32) string { return strings.ToLower(a.entries[i].name) }

// findDirectory reads the end records.
func findDirectory(f File, size int64) (start, length int64, count uint64, err error) {
	tail := make([]byte, min(size, endLen+math.MaxUint16))
	if err := readFull(f, tail, size-int64(len(tail))); err != nil {
		return 0, 0, 0, err
	}
	// The last signature counts, as in torch, whatever its comment holds.
	at := len(tail) - endLen
	for at >= 0 && binary.LittleEndian.Uint32(tail[at:]) != endSignature {
		at--
	}
	if at < 0 || int(binary.LittleEndian.Uint16(tail[at+20:])) != len(tail)-at-endLen {
		return 0, 0, 0, malformed("the archive has no end record: the file is cut short or has something appended")
	}
	end := tail[at:]
	place := size - int64(len(end)) // where what stands behind the directory begins
	disks := [2]uint32{uint32(binary.LittleEndian.Uint16(end[4:])), uint32(binary.LittleEndian.Uint16(end[6:]))}
	here, total := uint64(binary.LittleEndian.Uint16(end[8:])), uint64(binary.LittleEndian.Uint16(end[10:]))
	n, off := uint64(binary.LittleEndian.Uint32(end[12:])), uint64(binary.LittleEndian.Uint32(end[16:]))
	small := [4]uint64{here, total, n, off}

	var loc [locator64Len]byte
	if place >= locator64Len {
		if err := readFull(f, loc[:], place-locator64Len); err != nil {
			return 0, 0, 0, err
		}
	}
	if binary.LittleEndian.Uint32(loc[:]) == locator64Signature {
		where := binary.LittleEndian.Uint64(loc[8:])
		if binary.LittleEndian.Uint32(loc[4:]) != 0 || binary.LittleEndian.Uint32(loc[16:]) > 1 ||
			place < locator64Len+end64Len || where > uint64(place-locator64Len-end64Len) {
			return 0, 0, 0, malformed("the ZIP64 locator points outside the file")
		}
		var end64 [end64Len]byte
		if err := readFull(f, end64[:], int64(where)); err != nil {
			return 0, 0, 0, err
		}
		if binary.LittleEndian.Uint32(end64[:]) != end64Signature ||
			binary.LittleEndian.Uint64(end64[4:]) != uint64(place-locator64Len)-where-12 {
			return 0, 0, 0, malformed("the ZIP64 locator points at no ZIP64 end record")
		}
		big := [4]uint64{}
		for i := range big {
			big[i] = binary.LittleEndian.Uint64(end64[24+8*i:])
			full := uint64(math.MaxUint32)
			if i < 2 {
				full = math.MaxUint16
			}
			if small[i] != full && small[i] != big[i] {
				return 0, 0, 0, malformed("the two end records disagree")
			}
		}
		for i := range disks {
			if disks[i] != math.MaxUint16 && disks[i] != binary.LittleEndian.Uint32(end64[16+4*i:]) {
				return 0, 0, 0, malformed("the two end records disagree")
			}
			disks[i] = binary.LittleEndian.Uint32(end64[16+4*i:])
		}
		here, total, n, off = big[0], big[1], big[2], big[3]
		place = int64(where)
	}
	switch {
	case disks != [2]uint32{} || here != total:
		return 0, 0, 0, malformed("the archive spans several disks")
	case n > uint64(place) || off != uint64(place)-n:
		return 0, 0, 0, malformed("the directory of %d bytes at %d does not end at the end record at %d", n, off, place)
	case total > maxEntries || n > maxDirectory:
		return 0, 0, 0, malformed("the archive has %d entries in %d bytes, more than %d in %d", total, n, maxEntries, maxDirectory)
	case total > n/centralLen:
		return 0, 0, 0, malformed("a directory of %d bytes can't hold %d entries", n, total)
	case total == 0:
		return 0, 0, 0, malformed("the archive is empty")
	}
	return int64(off), int64(n), total, nil
}

// readDirectory reads the central directory, which must hold count entries
// and nothing else.
func (a *archive) readDirectory(start, length int64, count uint64) error {
	r := bufio.NewReaderSize(io.NewSectionReader(a.f, start, length), 64<<10)
	a.entries = make([]entry, 0, count)
	var fixed [centralLen]byte
	var rest []byte
	for left := length; left > 0; {
		if left < centralLen || uint64(len(a.entries)) == count {
			return malformed("the directory holds more than the %d entries that the end record tells", count)
		}
		if _, err := io.ReadFull(r, fixed[:]); err != nil {
			return fmt.Errorf("reading the directory: %w", shrunk(err))
		}
		if binary.LittleEndian.Uint32(fixed[:]) != centralSignature {
			return malformed("directory entry %d has no signature", len(a.entries))
		}
		nameLen := int(binary.LittleEndian.Uint16(fixed[28:]))
		extraLen := int(binary.LittleEndian.Uint16(fixed[30:]))
		n := nameLen + extraLen + int(binary.LittleEndian.Uint16(fixed[32:]))
		left -= centralLen + int64(n)
		if left < 0 {
			return malformed("directory entry %d reaches past the directory", len(a.entries))
		}
		rest = slices.Grow(rest[:0], n)[:n]
		if _, err := io.ReadFull(r, rest); err != nil {
			return fmt.Errorf("reading the directory: %w", shrunk(err))
		}
		e := entry{
			flags:  binary.LittleEndian.Uint16(fixed[8:]),
			method: binary.LittleEndian.Uint16(fixed[10:]),
			crc:    binary.LittleEndian.Uint32(fixed[16:]),
		}
		name := string(rest[:nameLen])
		fields := []uint64{
			uint64(binary.LittleEndian.Uint32(fixed[24:])),
			uint64(binary.LittleEndian.Uint32(fixed[20:])),
			uint64(binary.LittleEndian.Uint32(fixed[42:])),
		}
		if !widen(rest[nameLen:nameLen+extraLen], fields) {
			return malformed("the entry %s has a broken ZIP64 field", quote(name))
		}
		// Nothing lies behind the directory. The unpacked size may be larger.
		if fields[0] > math.MaxInt64 || fields[1] > uint64(start) || fields[2] > uint64(start) {
			return malformed("the entry %s lies outside the file", quote(name))
		}
		e.size, e.packed, e.header = int64(fields[0]), int64(fields[1]), int64(fields[2])
		if d := binary.LittleEndian.Uint16(fixed[34:]); d != 0 && d != math.MaxUint16 {
			return malformed("the entry %s lies on another disk", quote(name))
		}
		if err := a.checkEntry(name, &e); err != nil {
			return err
		}
		a.entries = append(a.entries, e)
	}
	if uint64(len(a.entries)) != count {
		return malformed("the directory holds %d entries, the end record tells %d", len(a.entries), count)
	}
	return nil
}

// widen replaces sizes and places that are all ones by those of the ZIP64
// extra field, in the order of the format.
func widen(extra []byte, fields []uint64) bool {
	var big []byte
	found := false
	for len(extra) >= 4 {
		id, n := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		if n > len(extra)-4 {
			return false
		}
		if id == 1 {
			if found {
				return false
			}
			big, found = extra[4:4+n], true
		}
		extra = extra[4+n:]
	}
	for i := range fields {
		if fields[i] != math.MaxUint32 {
			continue
		}
		if len(big) < 8 {
			return false
		}
		fields[i] = binary.LittleEndian.Uint64(big)
		big = big[8:]
	}
	return true
}

// checkEntry checks what the directory says of an entry, and cuts the prefix
// off its name.
func (a *archive) checkEntry(name string, e *entry) error {
	switch {
	case e.flags&refusedFlags != 0:
		return malformed("the entry %s is encrypted or patched", quote(name))
	case e.method != stored && e.method != deflated:
		// With another method the file can also begin as safetensors does.
		return malformed("the entry %s is compressed by method %d", quote(name), e.method)
	case !utf8.ValidString(name) || strings.ContainsAny(name, "\\\x00") || strings.HasPrefix(name, "/"):
		return malformed("the entry %s has an unsafe name", quote(name))
	case e.method == stored && e.packed != e.size:
		return malformed("the stored entry %s has two sizes, %d and %d", quote(name), e.packed, e.size)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return malformed("the entry %s has an unsafe name", quote(name))
		}
	}
	prefix, below, ok := strings.Cut(name, "/")
	if !ok || prefix == "" {
		return malformed("the entry %s does not lie in a folder, so torch.save did not write this archive", quote(name))
	}
	if len(a.entries) == 0 {
		a.prefix = prefix
	}
	if prefix != a.prefix {
		return malformed("the entry %s does not lie in the folder %s as the others do", quote(name), quote(a.prefix))
	}
	if below == "constants.pkl" || below == "model.json" || strings.HasPrefix(below, "code/") || strings.HasSuffix(below, ".py") {
		return malformed("the entry %s is part of TorchScript or torch.package: a program, not a checkpoint", quote(name))
	}
	e.name = below
	return nil
}

// checkBodies reads the local headers and makes sure that no two entries
// overlap and that none reaches the directory.
func (a *archive) checkBodies(directory int64) error {
	end := int64(0)
	var buf [localLen]byte
	var rest []byte
	for i := range a.entries {
		e := &a.entries[i]
		full := a.prefix + "/" + e.name
		if i == 0 && e.header != 0 {
			return malformed("%d bytes stand before the first entry", e.header)
		}
		if e.header < end || e.header > directory-localLen {
			return malformed("the entry %s overlaps the one before it or the directory", quote(full))
		}
		if err := readFull(a.f, buf[:], e.header); err != nil {
			return err
		}
		nameLen, extraLen := int(binary.LittleEndian.Uint16(buf[26:])), int(binary.LittleEndian.Uint16(buf[28:]))
		e.body = e.header + localLen + int64(nameLen) + int64(extraLen)
		if e.body > directory || e.packed > directory-e.body {
			return malformed("the entry %s reaches into the directory", quote(full))
		}
		end = e.body + e.packed
		if binary.LittleEndian.Uint32(buf[:]) != localSignature || nameLen != len(full) {
			return malformed("the entry %s has no local header of this name", quote(full))
		}
		sizes := []uint64{uint64(binary.LittleEndian.Uint32(buf[22:])), uint64(binary.LittleEndian.Uint32(buf[18:]))}
		n := nameLen
		if slices.Contains(sizes, math.MaxUint32) { // else the extra fields are padding
			n += extraLen
		}
		rest = slices.Grow(rest[:0], n)[:n]
		if err := readFull(a.f, rest, e.header+localLen); err != nil {
			return err
		}
		if string(rest[:nameLen]) != full {
			return malformed("the entry %s has no local header of this name", quote(full))
		}
		flags := binary.LittleEndian.Uint16(buf[6:])
		if flags&refusedFlags != 0 || binary.LittleEndian.Uint16(buf[8:]) != e.method {
			return malformed("the local header of %s disagrees with the directory", quote(full))
		}
		if !widen(rest[nameLen:], sizes) && flags&flagDescriptor == 0 {
			return malformed("the local header of %s has a broken ZIP64 field", quote(full))
		}
		known := sizes[0] == uint64(e.size) && sizes[1] == uint64(e.packed)
		open := flags&flagDescriptor != 0 && (sizes[0] == 0 || sizes[0] == math.MaxUint32) && sizes[0] == sizes[1]
		if !known && !open {
			return malformed("the local header of %s disagrees with the directory", quote(full))
		}
	}
	return nil
}
