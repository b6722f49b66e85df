package writer

import (
	"errors"
	"hash/crc32"
	"io"
	"os"
)

// A stretch of a weight file lies before a place up to which the file was on the
// disk. One that was cut and made longer again has zeros there; so has one whose
// bytes never came to the disk.
type stretch struct {
	File int    `json:"file"` // index into the Files of the layout
	Off  int64  `json:"off"`
	Len  int64  `json:"len"`
	CRC  uint32 `json:"crc"` // CRC-32C
}

const (
	stretchLen  = 64 << 10
	maxStretch  = 16 << 20 // of nothing but zeros
	stretchStep = 4
)

// takeStretch computes the checksum of a stretch of f that ends at end and does not
// begin before from. Zeros prove nothing, so it reaches back behind them.
func takeStretch(f io.ReaderAt, file int, from, end int64) (stretch, error) {
	for n := int64(stretchLen); ; n *= stretchStep {
		s := stretch{File: file, Off: max(from, end-n)}
		s.Len = end - s.Off
		zeros, err := s.read(f)
		if err != nil {
			return s, err
		}
		if !zeros || s.Off == from || n >= maxStretch {
			return s, nil
		}
	}
}

// read fills in the checksum, and reports whether there are only zeros.
func (s *stretch) read(f io.ReaderAt) (zeros bool, err error) {
	zeros, s.CRC = true, 0
	buf := make([]byte, min(s.Len, stretchLen))
	for at := s.Off; at < s.Off+s.Len; {
		part := buf[:min(int64(len(buf)), s.Off+s.Len-at)]
		n, err := f.ReadAt(part, at)
		if n < len(part) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return false, err
		}
		for _, b := range part {
			zeros = zeros && b == 0
		}
		s.CRC = crc32.Update(s.CRC, castagnoli, part)
		at += int64(n)
	}
	return zeros, nil
}

// checkStretches compares file i of the layout with all stretches of it before a
// mark. There must be one of the end of what is done.
func checkStretches(f *os.File, i int, file File, at Mark, all []stretch) error {
	end := int64(0)
	switch {
	case i < at.File:
		end = file.Size
	case i == at.File:
		end = file.durable(at.Off).end
	}
	if end == 0 {
		return nil
	}
	covered := false
	for _, s := range all {
		if s.File != i {
			continue
		}
		if s.Off < 0 || s.Len < 0 || s.Len > end-s.Off {
			return errors.New("the journal lists more than is done")
		}
		now := s
		if _, err := now.read(f); err != nil {
			return err
		}
		if now.CRC != s.CRC {
			return errors.New("its bytes are not those that were written")
		}
		covered = covered || s.Off+s.Len == end
	}
	if !covered {
		return errors.New("the journal does not say how it ends")
	}
	return nil
}
