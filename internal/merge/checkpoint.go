package merge

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sort"

	"slerpmerge/internal/plan"
	"slerpmerge/writer"
)

// A note is what a checkpoint remembers beside the bytes that are written:
// what was found out about tensors, so that nothing has to be read again.
type note struct {
	Done  []tensorNote `json:"done,omitempty"`  // written whole since the last note
	Under []tensorNote `json:"under,omitempty"` // measured, but not written whole
}

// A tensorNote is a TensorResult and a mix. Floating values are noted by their
// bits, since they may be NaN.
type tensorNote struct {
	Tensor    int           `json:"i"`
	Branch    Branch        `json:"b,omitempty"`
	Flags     uint          `json:"f,omitempty"`
	Angle     *[4]floatBits `json:"m,omitempty"` // Cos, Theta, NormA, NormB
	Overflow  int64         `json:"o,omitempty"`
	Underflow int64         `json:"u,omitempty"`
	Mix       *[2]floatBits `json:"s,omitempty"` // S0, S1
}

type floatBits uint64

func bitsOf(x float64) floatBits   { return floatBits(math.Float64bits(x)) }
func (b floatBits) float() float64 { return math.Float64frombits(uint64(b)) }

const (
	noteNonFinite = 1 << iota
	noteDiffers
	noteEqual // the mix: no arithmetic
)

func noteOf(i int, r *TensorResult) tensorNote {
	n := tensorNote{Tensor: i, Branch: r.Branch, Overflow: r.Overflow, Underflow: r.Underflow}
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
	r := TensorResult{Branch: n.Branch, Overflow: n.Overflow, Underflow: n.Underflow,
		NonFinite: n.Flags&noteNonFinite != 0, Differs: n.Flags&noteDiffers != 0}
	if a := n.Angle; a != nil {
		r.Measured = true
		r.Cos, r.Theta, r.NormA, r.NormB = a[0].float(), a[1].float(), a[2].float(), a[3].float()
	}
	return r
}

// maxNoted is how many tensors one note is about, so that notes about tiny
// tensors stay small. A last one may be longer.
const maxNoted = 4096

// checkpoint is the note for all that is written. The caller holds e.mu.
func (e *engine) checkpoint() []byte {
	var n note
	for _, i := range e.order[e.noted:e.whole] {
		if e.results[i] != (TensorResult{}) {
			n.Done = append(n.Done, noteOf(int(i), &e.results[i]))
		}
	}
	e.noted = e.whole
	// The one that is being written, and those measured ahead of it.
	for k, i := range e.order[e.whole:min(max(e.whole+1, e.scan), len(e.order))] {
		st := e.flight[int(i)]
		if !st.ready() && (k > 0 || e.results[i] == (TensorResult{})) {
			continue
		}
		t := noteOf(int(i), &e.results[i])
		if st.ready() {
			t.Mix = &[2]floatBits{bitsOf(st.mix.s0), bitsOf(st.mix.s1)}
			if st.mix.equal {
				t.Flags |= noteEqual
			}
		}
		n.Under = append(n.Under, t)
	}
	if n.Done == nil && n.Under == nil {
		return nil
	}
	text, err := json.Marshal(n)
	if err != nil {
		panic("merge: internal error: " + err.Error())
	}
	return text
}

// restore takes up the work of an earlier run: what its notes say, and the
// place where its bytes end.
func (e *engine) restore(at writer.Mark, notes [][]byte) error {
	var last note
	for _, text := range notes {
		last = note{}
		if err := json.Unmarshal(text, &last); err != nil {
			return fmt.Errorf("its journal can't be read: %w", err)
		}
		for _, list := range [][]tensorNote{last.Done, last.Under} {
			for k := range list {
				if i := list[k].Tensor; i < 0 || i >= len(e.results) {
					return errors.New("its journal names tensors that there are not")
				}
				e.results[list[k].Tensor] = list[k].result()
			}
		}
	}
	for k := range last.Under {
		n := &last.Under[k]
		if n.Mix == nil {
			continue
		}
		e.large[n.Tensor] = true
		e.flight[n.Tensor] = &state{mix: mix{equal: n.Flags&noteEqual != 0, s0: n.Mix[0].float(), s1: n.Mix[1].float()}}
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

// between makes sure that a mark lies between two elements.
func (e *engine) between(at writer.Mark) error {
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
func (e *engine) skip(at writer.Mark) {
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
				e.large[x.Tensor] = e.tensors[x.Tensor].Action == plan.Slerp
			}
		}
	}
	e.next = c.next()
}
