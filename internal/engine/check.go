package engine

import (
	"context"
	"math"
	"slices"

	"slerpmerge/internal/method"
	"slerpmerge/internal/plan"
	"slerpmerge/slerp"
	"slerpmerge/writer"
)

// A Checker compares the values of the extents of a layout with what it has.
// Its methods are called from several goroutines.
type Checker interface {
	// Compare takes bytes that should stand at byte off of a file, within an extent
	// of it. They are valid until it returns. The parts of an extent come in any
	// order.
	Compare(file, extent int, p []byte, off int64) error
	// Again takes back all that Compare was given of an extent. Other bytes follow.
	Again(file, extent int)
	// Done says that all of an extent was given to Compare. crc is the CRC-32 of its
	// bytes, where the layout has such checksums.
	Done(file, extent int, crc uint32)
}

// Check computes the tensors of a layout, which may leave out tensors of the plan,
// and gives their bytes to a Checker. It writes nothing.
//
// A tensor that is measured has to be read once more to be blended, unless its
// coefficients are known beforehand. results say what is expected of it: if the
// Outcome is that of a measured tensor and Cos is its cosine, blocks are blended
// and compared as they are measured. If measuring finds the same coefficients in
// the end, that is all; else all of the tensor is blended again. So what is expected
// costs time if it is wrong, and decides nothing.
//
// Check puts the results of the layout's tensors into results, which is parallel to
// the tensors of the plan. Errors are those of the readers, of the Checker, and
// the cause of ctx.
func Check(ctx context.Context, p *plan.Plan, layout *writer.Layout, opt Options, results []TensorResult, to Checker) error {
	c := &check{files: layout.Files, to: to, results: results, progress: opt.Progress}
	c.init(p, opt)
	for _, f := range c.files {
		for _, x := range f.Extents {
			c.order = append(c.order, int32(x.Tensor))
		}
	}
	listed := make([]bool, len(results))
	for _, i := range c.order {
		listed[i] = true
	}
	for i := range results {
		if !listed[i] {
			results[i] = TensorResult{}
		}
	}
	c.readAhead = newReadAhead(&c.work, func() bool { return c.file == len(c.files) && len(c.ready) == 0 })
	stages := make([]func(context.Context), c.budget.Threads)
	for k := range stages {
		stages[k] = c.worker
	}
	if err := c.run(ctx, stages...); err != nil {
		return err
	}
	finish(c.tensors, p.Storage, results)
	return nil
}

// A check is the pipeline of Check. Workers take blocks of extents in the order of
// the files; those of an extent that comes again go first.
type check struct {
	work
	files []writer.File
	to    Checker

	// The fields below are guarded by mu.

	file, extent int        // to be begun next
	ready        []*checked // have blocks to be handed out
	begun        int        // extents that are not done
	results      []TensorResult
	progress     func(int64)
}

// A checked is an extent that is being computed.
type checked struct {
	tensor, file, extent int
	off                  int64 // in the file
	blocks               int   // of the pass, or of the output
	parts                int   // blocks of the output that are blended
	hasCRC               bool
	mix                  mix         // of a tensor that is blended, if known
	known                bool        // so its bytes can be made
	measured             bool        // by measuring, or there is nothing to measure
	counted              bool        // as progress
	again                bool        // it comes again
	sweep                slerp.Sweep // nil where there is none
	pass                 int         // of the sweep that is being measured, from 1; 0 for the output

	// The fields below are guarded by mu of the check.

	next, left int // blocks to be handed out, and not done
	grams      []method.Gram
	other      bool // some bytes of the operands are not the same
	crcs       []uint32
	over       int64
	under      int64
}

// A blockCheck is what was found in one block.
type blockCheck struct {
	gram        method.Gram
	meter       slerp.Meter
	same        bool
	crc         uint32
	over, under int64
}

// blendedBytes is the length of the part of the output that is blended after it
// was measured. The rest is made block by block.
func blendedBytes(t *plan.Tensor) int64 {
	if !t.Blends() {
		return 0
	}
	return t.BlendElems() * int64(t.DType.Size())
}

// begin begins the next extent. The caller holds mu.
func (c *check) begin() bool {
	for c.file < len(c.files) && c.extent == len(c.files[c.file].Extents) {
		c.file, c.extent = c.file+1, 0
	}
	if c.file == len(c.files) {
		return false
	}
	x := &c.files[c.file].Extents[c.extent]
	t := &c.tensors[x.Tensor]
	n := 0
	if t.Blends() {
		n = blocks(t)
	}
	k := &checked{tensor: x.Tensor, file: c.file, extent: c.extent, off: x.Off, hasCRC: len(x.CRCSlots) > 0, parts: n,
		blocks: n + int((x.Len-blendedBytes(t)+followBytes-1)/followBytes)}
	c.extent++
	switch k.measured, k.known = n == 0, n == 0; {
	case n == 0:
	case t.Op.Needs() == method.Passes:
		k.sweep = newSweep(t)
		if blocks := k.sweep.Pass(); blocks > 0 {
			k.blocks, k.pass = blocks, 1
		} else {
			k.other = true // nobody looks
			c.swept(k)
		}
	default:
		k.grams = make([]method.Gram, n)
		k.mix, k.known = expected(t, &c.results[x.Tensor])
	}
	if k.sweep == nil || k.pass > 0 {
		c.results[x.Tensor] = TensorResult{}
	}
	if k.blocks > 0 {
		k.rewind()
		c.ready = append(c.ready, k)
		c.begun++
	}
	return true
}

// measuring reports whether nothing was compared yet.
func (k *checked) measuring() bool { return k.sweep != nil }

// rewind begins with the first block. The caller holds mu.
func (k *checked) rewind() {
	k.next, k.left = 0, k.blocks
	k.over, k.under = 0, 0
	if k.hasCRC {
		k.crcs = make([]uint32, k.blocks)
	}
}

// expected is the mix of a tensor with an expected result.
func expected(t *plan.Tensor, r *TensorResult) (m mix, ok bool) {
	switch {
	case r.Outcome == method.Equal:
		return mix{equal: true}, true
	case (r.Outcome == method.Spherical || r.Outcome == method.Straight) && len(t.Operands) == 2:
		var s method.Solution
		if s, ok = method.AtCosine(t.Op, r.Cos); ok {
			m = mix{weights: s.Weights, divisor: s.Divisor, paired: s.Spherical}
		}
	}
	return m, ok
}

// is reports whether two mixes give the same bytes.
func (m *mix) is(o *mix) bool {
	same := func(x, y float64) bool { return math.Float64bits(x) == math.Float64bits(y) }
	return m.equal == o.equal && m.paired == o.paired && same(m.divisor, o.divisor) && slices.EqualFunc(m.weights, o.weights, same)
}

// take waits for a block; k is nil when there are no more.
func (c *check) take() (k *checked, block int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil {
		switch {
		case len(c.ready) > 0:
			k = c.ready[0]
			block = k.next
			if k.next++; k.next == k.blocks {
				c.ready = slices.Delete(c.ready, 0, 1)
			}
			if !k.again {
				c.asked(parentBytes(&c.tensors[k.tensor]) / int64(k.blocks))
			}
			return k, block
		case c.begin():
		case c.begun == 0:
			c.readAhead.poke()
			return nil, 0
		default:
			c.wake.Wait()
		}
	}
	return nil, 0
}

func (c *check) worker(ctx context.Context) {
	w := &checkWorker{c: c, arithmetic: newArithmetic(c.budget), out: make([]byte, chunkBytes)}
	for {
		k, block := c.take()
		if k == nil {
			return
		}
		r, err := w.do(ctx, k, block)
		if err != nil {
			c.fail(err)
			return
		}
		c.add(k, block, r)
	}
}

// add takes what was found in one block; with the last one the extent is done, or
// comes again.
func (c *check) add(k *checked, block int, r blockCheck) {
	again, done, err := c.complete(k, block, r)
	if err != nil {
		c.fail(err)
	}
	if again && !k.measuring() {
		c.to.Again(k.file, k.extent)
	}
	if done {
		crc := uint32(0)
		for i, sum := range k.crcs {
			crc = writer.CombineCRC32(crc, sum, c.blockBytes(k, i))
		}
		c.to.Done(k.file, k.extent, crc)
	}
	if again || done {
		c.settle(k, again)
	}
}

// complete adds one block to its extent. After the last one, again says that other
// bytes than those that were compared are right, done that all were compared.
func (c *check) complete(k *checked, block int, r blockCheck) (again, done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k.pass > 0 {
		return c.completePass(k, block, r), false, nil
	}
	if block < len(k.grams) && !k.measured {
		k.grams[block] = r.gram
		k.other = k.other || !r.same
	}
	if k.crcs != nil {
		k.crcs[block] = r.crc
	}
	k.over, k.under = k.over+r.over, k.under+r.under
	if c.progress != nil && k.known && !k.counted {
		c.progress(c.blockBytes(k, block))
	}
	if k.left--; k.left > 0 {
		return false, false, nil
	}
	k.counted = k.known
	if !k.measured {
		var sum method.Gram
		for _, g := range k.grams {
			sum = sum.Add(g)
		}
		found, m, err := c.decide(&c.tensors[k.tensor], sum, nil, !k.other)
		if err != nil {
			return false, false, err
		}
		c.results[k.tensor] = found
		right := k.known && m.is(&k.mix)
		k.mix, k.known, k.measured = m, true, true
		if !right {
			return true, false, nil
		}
	}
	c.results[k.tensor].Overflow, c.results[k.tensor].Underflow = k.over, k.under
	return false, true, nil
}

// completePass adds one block to the pass of a sweep; again says that something else
// follows the pass.
func (c *check) completePass(k *checked, block int, r blockCheck) (again bool) {
	k.sweep.Take(block, r.meter)
	if k.pass == 1 {
		k.other = k.other || !r.same
	}
	if k.left--; k.left > 0 {
		return false
	}
	if k.other {
		if k.blocks = k.sweep.Pass(); k.blocks > 0 {
			k.pass++
			return true
		}
	}
	c.swept(k)
	return true
}

// swept goes on to the output of a sweep that is measured.
func (c *check) swept(k *checked) {
	t := &c.tensors[k.tensor]
	c.results[k.tensor], k.mix, _ = c.decide(t, nil, k.sweep, !k.other) // it does not fail
	k.pass, k.measured, k.known = 0, true, true
	k.blocks = k.parts + int((t.Bytes()-blendedBytes(t)+followBytes-1)/followBytes)
}

// settle goes on after the last block of an extent.
func (c *check) settle(k *checked, again bool) {
	c.mu.Lock()
	if again {
		k.again = true
		k.rewind()
		c.ready = slices.Insert(c.ready, 0, k)
	} else {
		c.begun--
		c.done(k.tensor)
	}
	c.mu.Unlock()
	c.wake.Broadcast()
}

// blockRange is the part of the output's values that a block is.
func (c *check) blockRange(k *checked, block int) (from, to int64) {
	t := &c.tensors[k.tensor]
	blended, step := blendedBytes(t), slerp.BlockElems*int64(t.DType.Size())
	if n := k.parts; block >= n {
		from = blended + int64(block-n)*followBytes
		return from, min(from+followBytes, t.Bytes())
	}
	return int64(block) * step, min(int64(block+1)*step, blended)
}

func (c *check) blockBytes(k *checked, block int) int64 {
	from, to := c.blockRange(k, block)
	return to - from
}
