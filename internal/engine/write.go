package engine

import (
	"context"
	"errors"
	"os"

	"slerpmerge/internal/method"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/tensor"
)

// write is the stage that writes the pieces, in order.
func (e *Engine) write(ctx context.Context) {
	for seq := 0; ; seq++ {
		p := e.await(seq)
		if p == nil {
			return
		}
		moved, values := len(p.buf)*len(e.outs), p.values()*int64(len(e.outs))
		if p.from != nil { // read there, too
			moved *= 2
		}
		err := e.throttle.wait(ctx, moved)
		if err == nil {
			err = e.put(ctx, p)
		}
		if err == nil {
			err = e.account(p)
		}
		if err != nil {
			e.fail(err)
			return
		}
		if e.progress != nil {
			e.progress(values)
		}
	}
}

// await waits for a piece; it is nil after the last one and after an error.
func (e *Engine) await(seq int) *piece {
	e.mu.Lock()
	defer e.mu.Unlock()
	slot := &e.finished[seq%len(e.finished)]
	for e.err == nil && *slot == nil && !(e.next == nil && seq == e.cut.seq) {
		e.wake.Wait()
	}
	p := *slot
	*slot = nil
	if e.err != nil {
		return nil
	}
	return p
}

// put writes a piece.
func (e *Engine) put(ctx context.Context, p *piece) error {
	if p.from != nil {
		return e.copy(ctx, p)
	}
	for v := range e.outs {
		f := p.of(v)
		if err := e.outs[v].out.Write(p.file, f.buf, p.off, f.crcs); err != nil {
			return err
		}
	}
	return nil
}

// account counts a piece as written, gives its memory back, and makes the work
// last when that is due.
func (e *Engine) account(p *piece) error {
	if e.dropper != nil {
		e.dropper.written(p)
	}
	due := false
	for v := range e.outs {
		due = e.outs[v].out.CheckpointDue() || due
	}
	notes, due := e.written(p, due)
	e.wake.Broadcast()
	if !due {
		return nil
	}
	for v := range e.outs {
		if err := e.outs[v].out.Checkpoint(notes[v]); err != nil {
			return err
		}
	}
	return nil
}

// written counts a piece and gives its memory back. The note is for a checkpoint,
// if one is due: by the Output, or since there is so much to note.
func (e *Engine) written(p *piece, byOutput bool) (notes [][]byte, due bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.count(p)
	if due = byOutput || e.whole-e.noted >= maxNoted; due {
		notes = e.notes()
	}
	for v := range e.outs {
		e.free = append(e.free, p.of(v).room)
	}
	e.cut.spare = append(e.cut.spare, p.spans)
	return notes, due
}

// count adds the counts of a piece to the results, now that the piece is
// written: a note must not count more. The caller holds mu.
func (e *Engine) count(p *piece) {
	for k := range p.spans {
		s := &p.spans[k]
		for v := range e.outs {
			r, c := &e.outs[v].results[s.tensor], &p.of(v).spans[k].counts
			r.Overflow += c.Overflow
			r.Underflow += c.Underflow
		}
		if s.off+s.len < e.tensors[s.tensor].Bytes() {
			continue
		}
		for e.whole < len(e.order) {
			i := int(e.order[e.whole])
			e.whole++
			delete(e.flight, i)
			e.done(i)
			if e.scan < e.whole { // a run that was resumed within it measures no more of it
				e.scan = e.whole
			}
			if i == s.tensor { // those before it have no elements
				break
			}
		}
	}
}

// copier returns the source that a piece can be copied from by the system, nil if
// it has to be filled: only a part of one tensor that stays as it is, in a
// format without checksums, lets itself be copied unseen.
func (e *Engine) copier(p *piece) tensor.Copier {
	if e.crcs || e.noCopy.Load() || len(p.spans) != 1 {
		return nil
	}
	s := &p.spans[0]
	t := &e.tensors[s.tensor]
	if t.Op.Needs() != method.Nothing {
		return nil
	}
	k, ok := sole(t)
	if !ok || operand.Type(t.Operands, k) != t.DType {
		return nil
	}
	return e.inputs(nil, s.tensor, true)[k].src.Copier() // kept for the worker, or for copy
}

// copy has the system copy a piece. Where it can't, the piece is filled and
// written, and later ones are not tried.
func (e *Engine) copy(ctx context.Context, p *piece) error {
	s := &p.spans[0]
	var err error
	for v := range e.outs {
		err = e.outs[v].out.Copy(p.file, p.off, p.len, func(dst *os.File, off int64) error {
			return p.from.CopyTo(dst, off, s.off, s.len)
		})
		if err != nil {
			break
		}
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	e.noCopy.Store(true)
	t := &e.tensors[s.tensor]
	k, _ := sole(t)
	if err := e.inputs(nil, s.tensor, true)[k].read(ctx, p.buf, s.off); err != nil {
		return err
	}
	for v := range e.outs {
		if err := e.outs[v].out.Write(p.file, p.buf, p.off, nil); err != nil {
			return err
		}
	}
	return nil
}
