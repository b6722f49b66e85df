package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sort"

	"slerpmerge/internal/method"
	"slerpmerge/slerp"
	"slerpmerge/writer"
)

// A record is the part of a checkpoint beside the written bytes: the results of
// tensors, so that nothing has to be read again.
type record struct {
	Done  []tensorNote `json:"done,omitempty"`  // written whole since the last note
	Under []tensorNote `json:"under,omitempty"` // measured, but not written whole
}

// A tensorNote is a TensorResult and a mix. Floating values are noted by their
// bits, since they may be NaN.
type tensorNote struct {
	Tensor    int            `json:"i"`
	Outcome   method.Outcome `json:"b,omitempty"`
	Flags     uint           `json:"f,omitempty"`
	Angle     *[4]floatBits  `json:"m,omitempty"` // Cos, Theta, NormA, NormB
	Overflow  int64          `json:"o,omitempty"`
	Underflow int64          `json:"u,omitempty"`
	Weights   []floatBits    `json:"w,omitempty"`
	Divisor   floatBits      `json:"d,omitempty"`
	Detail    *detailNote    `json:"t,omitempty"`
}

// A detailNote is a Detail.
type detailNote struct {
	Norms   []floatBits  `json:"n,omitempty"`
	Cosines []floatBits  `json:"c,omitempty"`
	Weights []floatBits  `json:"w,omitempty"`
	Figures []figureNote `json:"f,omitempty"`
}

type figureNote struct {
	Name  string    `json:"n"`
	Of    int       `json:"o"`
	Value floatBits `json:"v"`
}

func allBits(list []float64) (bits []floatBits) {
	for _, x := range list {
		bits = append(bits, bitsOf(x))
	}
	return bits
}

func allFloats(bits []floatBits) (list []float64) {
	for _, b := range bits {
		list = append(list, b.float())
	}
	return list
}

func (d *Detail) note() *detailNote {
	if d == nil {
		return nil
	}
	n := &detailNote{Norms: allBits(d.Norms), Cosines: allBits(d.Cosines), Weights: allBits(d.Weights)}
	for _, f := range d.Figures {
		n.Figures = append(n.Figures, figureNote{f.Name, f.Of, bitsOf(f.Value)})
	}
	return n
}

func (n *detailNote) detail() *Detail {
	if n == nil {
		return nil
	}
	d := &Detail{Norms: allFloats(n.Norms), Cosines: allFloats(n.Cosines), Weights: allFloats(n.Weights)}
	for _, f := range n.Figures {
		d.Figures = append(d.Figures, slerp.Figure{Name: f.Name, Of: f.Of, Value: f.Value.float()})
	}
	return d
}

type floatBits uint64

func bitsOf(x float64) floatBits   { return floatBits(math.Float64bits(x)) }
func (b floatBits) float() float64 { return math.Float64frombits(uint64(b)) }

const (
	noteNonFinite = 1 << iota
	noteDiffers
	noteEqual  // the mix: no arithmetic
	noteReady  // the mix is decided
	notePaired // the mix: by a slerp.Blender
)

func noteOf(i int, r *TensorResult) tensorNote {
	n := tensorNote{Tensor: i, Outcome: r.Outcome, Overflow: r.Overflow, Underflow: r.Underflow, Detail: r.Detail.note()}
	if r.NonFinite {
		n.Flags |= noteNonFinite
	}
	if r.Differs {
		n.Flags |= noteDiffers
	}
	if r.Measured {
		n.Angle = &[4]floatBits{bitsOf(r.Cos), bitsOf(r.Theta), bitsOf(r.NormA), bitsOf(r.NormB)}
	}
	return n
}

func (n *tensorNote) result() TensorResult {
	r := TensorResult{Outcome: n.Outcome, Overflow: n.Overflow, Underflow: n.Underflow, Detail: n.Detail.detail(),
		NonFinite: n.Flags&noteNonFinite != 0, Differs: n.Flags&noteDiffers != 0}
	if a := n.Angle; a != nil {
		r.Measured = true
		r.Cos, r.Theta, r.NormA, r.NormB = a[0].float(), a[1].float(), a[2].float(), a[3].float()
	}
	return r
}

// setMix notes what was decided.
func (n *tensorNote) setMix(m mix) {
	n.Flags |= noteReady
	if m.equal {
		n.Flags |= noteEqual
	}
	if m.paired {
		n.Flags |= notePaired
	}
	n.Weights = allBits(m.weights)
	n.Divisor = bitsOf(m.divisor)
}

func (n *tensorNote) mix() mix {
	return mix{equal: n.Flags&noteEqual != 0, paired: n.Flags&notePaired != 0, divisor: n.Divisor.float(), weights: allFloats(n.Weights)}
}

// maxNoted bounds the tensors of one note, so that notes about tiny tensors stay
// small. A last one may be longer by those of one piece.
const maxNoted = 4096

// Note returns the note of a checkpoint for all that is written, once Run has
// returned.
func (e *Engine) Note() []byte { return e.Notes()[0] }

// Notes returns the notes of all outputs.
func (e *Engine) Notes() [][]byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.notes()
}

// notes is Notes. The caller holds mu.
func (e *Engine) notes() (all [][]byte) {
	for v := range e.outs {
		all = append(all, e.note(v))
	}
	e.noted = e.whole
	return all
}

// note is the note of one output. The caller holds mu.
func (e *Engine) note(v int) []byte {
	results := e.outs[v].results
	var n record
	for _, i := range e.order[e.noted:e.whole] {
		if results[i] != (TensorResult{}) {
			if n.Done == nil {
				n.Done = make([]tensorNote, 0, e.whole-e.noted)
			}
			n.Done = append(n.Done, noteOf(int(i), &results[i]))
		}
	}
	// The one that is being written, and those measured ahead of it.
	for k, i := range e.order[e.whole:min(max(e.whole+1, e.scan), len(e.order))] {
		st := e.flight[int(i)]
		if !st.ready() && (k > 0 || results[i] == (TensorResult{})) {
			continue
		}
		t := noteOf(int(i), &results[i])
		if st.ready() && st.mixes[v].sweep == nil { // else it is measured again
			t.setMix(st.mixes[v])
		}
		n.Under = append(n.Under, t)
	}
	if n.Done == nil && n.Under == nil {
		return nil
	}
	text, err := json.Marshal(n)
	if err != nil {
		panic("engine: internal error: " + err.Error())
	}
	return text
}

// Restore takes up the work of an earlier run, before Run: its notes, and the
// place where its bytes end.
func (e *Engine) Restore(at writer.Mark, notes [][]byte) error {
	return e.RestoreOfMany(at, [][][]byte{notes})
}

// RestoreOfMany is Restore for several outputs, whose bytes all end at the same
// place.
func (e *Engine) RestoreOfMany(at writer.Mark, notes [][][]byte) error {
	under := map[int]int{} // how many outputs have a mix of a tensor
	for v := range e.outs {
		if err := e.restoreNotes(v, notes[v], under); err != nil {
			return err
		}
	}
	for i, n := range under {
		if n < len(e.outs) {
			delete(e.flight, i) // it is measured again
		}
	}
	if err := e.between(at); err != nil {
		return err
	}
	e.skip(at)
	for _, i := range e.order[e.whole:] {
		if e.flight[int(i)].ready() {
			e.ahead++
		}
	}
	e.scan, e.noted = e.whole, e.whole
	return nil
}

// restoreNotes takes up the notes of one output.
func (e *Engine) restoreNotes(v int, notes [][]byte, under map[int]int) error {
	results := e.outs[v].results
	var last record
	for _, text := range notes {
		last = record{}
		if err := json.Unmarshal(text, &last); err != nil {
			return fmt.Errorf("its journal can't be read: %w", err)
		}
		for _, list := range [][]tensorNote{last.Done, last.Under} {
			for k := range list {
				if i := list[k].Tensor; i < 0 || i >= len(results) {
					return errors.New("its journal names tensors that do not exist")
				}
				results[list[k].Tensor] = list[k].result()
			}
		}
	}
	for k := range last.Under {
		n := &last.Under[k]
		if n.Flags&noteReady == 0 {
			continue
		}
		m := n.mix()
		if t := &e.tensors[n.Tensor]; !t.Blends() || !m.equal && len(m.weights) != len(t.Operands) {
			return errors.New("its journal does not fit the plan")
		}
		e.large[n.Tensor] = true
		if e.flight[n.Tensor] == nil {
			e.flight[n.Tensor] = &state{}
		}
		e.flight[n.Tensor].mixes = append(e.flight[n.Tensor].mixes, m)
		under[n.Tensor]++
	}
	return nil
}

// between makes sure that a mark lies between two elements.
func (e *Engine) between(at writer.Mark) error {
	if at.File >= len(e.cut.files) {
		return nil
	}
	exts := e.cut.files[at.File].Extents
	k := sort.Search(len(exts), func(i int) bool { return exts[i].Off+exts[i].Len > at.Off })
	if k < len(exts) && at.Off > exts[k].Off && (at.Off-exts[k].Off)%int64(e.tensors[exts[k].Tensor].DType.Size()) != 0 {
		return errors.New("its journal ends inside an element")
	}
	return nil
}

// skip begins at a mark.
func (e *Engine) skip(at writer.Mark) {
	c := &e.cut
	c.ext, c.done, c.seq, e.whole = 0, 0, 0, 0
	for _, f := range c.files[:at.File] {
		e.whole += len(f.Extents)
	}
	if c.file = at.File; at.File < len(c.files) {
		exts := c.files[at.File].Extents
		c.ext = sort.Search(len(exts), func(i int) bool { return exts[i].Off+exts[i].Len > at.Off })
		e.whole += c.ext
		if c.ext < len(exts) {
			if x := exts[c.ext]; x.Off < at.Off {
				c.done = at.Off - x.Off
				// With larger buffers than it was begun with it would not be cut.
				e.large[x.Tensor] = e.tensors[x.Tensor].Blends()
			}
		}
	}
	e.next = c.next()
}
