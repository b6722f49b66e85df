package plan

import (
	"slerpmerge/internal/method"
	"slices"

	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/slerp"
)

// A Purpose is a reason to open models.
type Purpose uint8

const (
	Merging Purpose = iota
	Verifying
	Comparing
	Listing // to show what is in them
)

// Bytes that one tensor takes, names aside. docs/contributing.md says how they are
// measured.
const (
	parentEntry = 72        // in the table of a parent
	sideEntry   = 40        // while the parents are paired
	planEntry   = 184       // in the plan
	writeEntry  = 180       // in the layout, the order of work and the results
	verifyEntry = 130       // likewise of verify
	readEntry   = 85        // in the results and the summary of a comparison
	headerEntry = 20        // while the header of its file is made and written, names aside
	pickleEntry = 241       // while its .bin is written, likewise
	listEntry   = 58        // in what inspect shows
	indexEntry  = 102       // in an index, while the files are opened
	indexFile   = 300       // and a file of it
	unpickled   = 4         // left by reading it from a .bin
	unpickling  = 500       // while it is read
	unpickler   = 256 << 10 // for the pickle itself
	fileEntry   = 640
	fileRecord  = 300 // in the record of a merge
	openEntry   = 10 << 10
	maxOpen     = 256 // files that are mapped or have a descriptor
	memberEntry = 64  // of config.json, while its names are checked

	verifyBytes = 256 << 10 // a thread's, for what is computed and read of the output

	// Of a small run, between two runs of the collector.
	mergeGarbage  = 13 << 18
	verifyGarbage = 9 << 18

	// Bytes of a file that are not values, for each tensor, names aside.
	headerText = 60
	binText    = 200
)

// tables are the sizes on which the memory of a run depends beside its buffers.
type tables struct {
	purpose Purpose
	parents []model.Count
	out     model.Count // Files and Bytes are not used
	most    int64       // tensors of the largest output file
	files   int64       // of the output
	other   int64       // bytes of anything else
}

// A held is the most that tables hold at one time, in bytes: before the work
// begins, when the parents are read and paired, and beside the buffers of the
// work, which don't exist before. Each thread holds some more.
type held struct {
	before, running, each int64
	// Of a slerp.Sweep: the most that one tensor takes; the scratch of one goroutine; and
	// the operands of one grain.
	state, scratch, grain int64
	more                  int // outputs beside the first
}

// held estimates what is in memory.
func (t *tables) held() held {
	var before, text, sides, reading, n, mapped, config, files int64
	least := int64(-1) // text that is kept once after pairing
	for i := range t.parents {
		c := &t.parents[i]
		if c.Torch { // file by file, beside the tables of those before
			largest := c.Largest()
			earlier := (stored(c) + c.Text) / max(1, c.Tensors) * (c.Tensors - largest)
			reading = max(reading, before+text+earlier+unpickler+largest*unpickling+c.Text*2*largest/max(1, c.Tensors))
		}
		before += stored(c)
		files += c.Files
		config = max(config, c.Members*memberEntry+c.Config*3/4)
		if t.purpose.makes() && i == 0 { // the text is edited in a copy of it, twice while it is
			config = max(config, c.Config*2)
		}
		text += c.Text
		sides += c.Tensors * sideEntry
		n += c.Tensors
		mapped += c.Bytes
		if least < 0 || c.Text < least {
			least = c.Text
		}
	}
	other := t.other - max(0, minPool-mapped) // small files have fewer pages
	if t.purpose == Listing {
		list := n * listEntry
		if t.parents[0].Files > 1 {
			list = max(list, n*indexEntry+text+t.parents[0].Files*indexFile)
		}
		return held{before: withGarbage(max(reading, before+text+list, before+config)-text, 0) + text + other}
	}
	out := t.out.Tensors * planEntry
	pairing := before + text + out + max(sides, config)
	if len(t.parents) > 1 {
		text -= least
	}
	running, garbage, each := before+text+out+t.files*2*fileEntry+min(files, maxOpen)*openEntry, int64(0), int64(0)
	if t.purpose.makes() {
		entry := int64(headerEntry)
		if t.out.Torch {
			entry = pickleEntry
		}
		own := t.out.Tensors * writeEntry
		garbage = mergeGarbage
		if t.purpose == Verifying {
			own, garbage, each = t.out.Tensors*verifyEntry, verifyGarbage, verifyBytes
		}
		running += files*fileRecord + own + t.most*entry + t.out.Text*t.most/max(1, t.out.Tensors) + t.parents[0].Config
	} else {
		running += t.out.Tensors * readEntry
	}
	return held{before: withGarbage(max(reading, pairing), 0) + other, running: withGarbage(running, garbage) + other, each: each}
}

// makes reports whether an output is laid out.
func (p Purpose) makes() bool { return p == Merging || p == Verifying }

// stored is what the table of a parent takes, names aside.
func stored(c *model.Count) int64 {
	n := c.Tensors*parentEntry + c.Files*fileEntry + c.Config
	if c.Torch {
		n += c.Tensors * unpickled
	}
	return n
}

// values is about how many bytes of the files of a model are values.
func values(c *model.Count) int64 {
	text := int64(headerText)
	if c.Torch {
		text = binText
	}
	return max(0, c.Bytes-c.Text-c.Tensors*text)
}

// withGarbage leaves the collector room enough not to run all the time. Up to
// small bytes gather where little lives, though no more than half of that.
func withGarbage(live, small int64) int64 {
	return live + max(live/12, min(live/2, small-live/6))
}

// Admit says whether a model can be opened beside others within the memory of
// a recipe, for the purpose that they are opened for. It is a *MemoryError if
// even with the smallest buffers it can't. Of the models only those opened and
// the next one are known then. The least that it names takes it that they all
// have the same names, and that the others, of models in all, are like the next.
//
// It returns the least limit for those that are known.
func Admit(r recipe.Request, purpose Purpose, opened []*model.Model, next model.Count, of int) (int64, error) {
	t := tables{purpose: purpose}
	for _, m := range opened {
		if m != nil {
			t.parents = append(t.parents, m.Count())
		}
	}
	t.parents = append(t.parents, next)
	t.out.Torch = r.Format == recipe.Bin
	for _, c := range t.parents {
		t.out.Tensors, t.out.Text = max(t.out.Tensors, c.Tensors), max(t.out.Text, c.Text)
		if r.ShardSize > 0 {
			t.files = max(t.files, values(&c)/r.ShardSize+1)
		}
	}
	if purpose == Comparing && of > 2 {
		t.other = t.out.Tensors*severalEntry(of, false) + severalWorker(of)
	}
	t.files = max(1, min(t.files, t.out.Tensors)) // whatever the shard size, none is empty
	t.most = t.out.Tensors / t.files
	least := t.least()
	if least <= r.MaxMemory {
		return least, nil
	}
	t.most = min(t.out.Tensors, 2*t.most) // shards are uneven
	for len(t.parents) < of {
		t.parents = append(t.parents, next)
	}
	least = t.least()
	return least, &MemoryError{Limit: r.MaxMemory, Least: least + max(least/64, 1<<18)}
}

// least is the least limit with which the tables fit.
func (t *tables) least() int64 {
	h := t.held()
	switch t.purpose {
	case Listing:
		return withHeap(h.before, minPool)
	case Comparing, Verifying:
		return readers(1, minPool, h).Total
	}
	return budget(1, minPiece, h).Total
}

// DigestBuffer is what a thread reads at once that hashes values.
const DigestBuffer = 256 << 10

// Digesting is the budget of hashing the values of a model that was admitted
// for Listing.
func Digesting(limit int64, threads int, m *model.Model) Budget {
	t := tables{purpose: Listing, parents: []model.Count{m.Count()}}
	h := t.held().before
	for n := threads; n > 1; n-- {
		for pool := int64(maxPool); pool >= minPool; pool /= 2 {
			if withHeap(h+int64(n)*(DigestBuffer+threadBytes), pool) <= limit {
				return Budget{Threads: n, Pool: pool}
			}
		}
	}
	return Budget{Threads: 1, Pool: minPool}
}

// Unpickling is what a limit leaves for reading one .bin beside the models that
// are opened; 0 means that there is no limit.
func Unpickling(limit int64, opened []*model.Model) int64 {
	if limit == 0 {
		return 0
	}
	return max(1, Heap(limit, minPool)-baseBytes-openedBytes(opened))
}

// LeastUnpickling is the least limit for a .bin that takes need bytes to read.
func LeastUnpickling(need int64, opened []*model.Model) int64 {
	return withHeap(need+openedBytes(opened), minPool)
}

// openedBytes is what the tables of models take.
func openedBytes(models []*model.Model) int64 {
	var n int64
	for _, m := range models {
		if m != nil {
			c := m.Count()
			n += stored(&c) + c.Text
		}
	}
	return n
}

// held estimates what the tables of all models, of the plan, the layout and the
// run hold in memory.
func (p *planner) held() held {
	t := tables{purpose: p.purpose, other: p.sourceBytes()}
	for _, m := range p.Models {
		t.parents = append(t.parents, m.Count())
		if p.tokens != nil { // its vocabulary and the places of its rows
			t.other += 48 * int64(p.tokens.Size())
		}
	}
	t.other += p.gatherBytes() + p.severalBytes()
	t.out = model.Count{Tensors: int64(len(p.Tensors)), Torch: p.Recipe.Format == recipe.Bin}
	for i := range p.Tensors {
		x := &p.Tensors[i]
		t.out.Text += int64(len(x.Name))
		if x.Sum() != nil {
			t.other += sumEntry * int64(1+len(x.Operands))
		}
		if x.Tail != nil || slices.ContainsFunc(x.Operands, func(o operand.Operand) bool { return o.Rows != nil }) { // with a text made for it
			t.other += 128
		}
	}
	if p.Layout != nil {
		t.files = int64(len(p.Layout.Files))
		for i := range p.Layout.Files {
			t.most = max(t.most, int64(p.Layout.Files[i].Tensors))
		}
	}
	h := t.held()
	p.sweepBytes(&h)
	return h
}

// sweepBytes finds the most that the sweep of a tensor takes.
func (p *planner) sweepBytes(h *held) {
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if t.Op.Needs() != method.Passes {
			continue
		}
		o := t.Shapes()
		sweep := t.Op.(method.Sweeper).Sweep(o)
		state, scratch := sweep.Memory()
		if g, ok := sweep.(slerp.Grained); ok && g.Grain() > 1 {
			grain, width := g.Grain(), int64(0)
			for _, d := range o.In {
				width += int64(d.Size())
			}
			h.grain = max(h.grain, grain*width)
			scratch += grain * int64(t.DType.Size())
		}
		h.state, h.scratch = max(h.state, state), max(h.scratch, scratch)
	}
}

// sourceBytes is what the operands hold when they are read: the lists of all
// rows, and the most that the sources of one tensor hold at a time. Stored
// tensors hold nothing but what gatherBytes is for.
func (p *planner) sourceBytes() int64 {
	type kind struct {
		from, as tensor.DType
		rows     *operand.Rows
	}
	var opener operand.Opener
	known := map[kind]int64{}
	var lists, most int64
	for i := range p.Tensors {
		var n int64
		for _, o := range p.Tensors[i].Operands {
			if o.None() || o.Rows == nil && o.As == tensor.BOOL {
				continue
			}
			k := kind{o.Tensor().DType, o.As, o.Rows}
			bytes, ok := known[k]
			if !ok {
				bytes = opener.Open(o).Memory()
				known[k] = bytes
				if o.Rows != nil {
					lists += o.Rows.Bytes()
				}
			}
			n += bytes
		}
		most = max(most, n)
	}
	return lists + most
}

// gatherBytes is the least that is kept to put tensors in order; 0 if there are none.
func (p *planner) gatherBytes() (n int64) {
	for _, m := range p.Models {
		n = max(n, m.GatherBytes())
	}
	return n
}

// sumEntry is what a summand, and the sum itself, take.
const sumEntry = 40
