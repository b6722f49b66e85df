package merge

import (
	"errors"
	"os"

	"slerpmerge/internal/plan"
	"slerpmerge/internal/tensor"
)

// A copySink can have the system copy bytes from file to file.
type copySink interface {
	CopyAt(file int, off, n int64, copy func(dst *os.File, off int64) error) error
}

// copier is the source that a piece can be copied from by the system, nil if
// it has to be filled: only a part of one tensor that stays as it is, in a
// format without checksums, lets itself be copied unseen.
func (e *engine) copier(p *piece) tensor.Copier {
	if e.sums || e.noCopy.Load() || len(p.segs) != 1 {
		return nil
	}
	t := &e.tensors[p.segs[0].tensor]
	if t.Action != plan.Copy || t.Sole().Info().DType != t.DType {
		return nil
	}
	if _, ok := e.out.(copySink); !ok {
		return nil
	}
	return e.inputs(p.segs[0].tensor, p.segs[0].len < t.Bytes())[0].src.Copier()
}

// copyPiece has the system copy a piece. Where it can't, the piece is filled
// and written, and later ones are not tried.
func (e *engine) copyPiece(p *piece) error {
	s := &p.segs[0]
	err := e.out.(copySink).CopyAt(p.file, p.off, p.len, func(dst *os.File, off int64) error {
		return p.from.CopyTo(dst, off, s.off, s.len)
	})
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	e.noCopy.Store(true)
	t := &e.tensors[s.tensor]
	if err := e.inputs(s.tensor, s.len < t.Bytes())[0].read(p.buf, s.off); err != nil {
		return err
	}
	return e.out.WriteWithCRCs(p.file, p.buf, p.off, nil)
}
