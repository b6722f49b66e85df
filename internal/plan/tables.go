package plan

import (
	"strings"

	"slerpmerge/internal/model"
	"slerpmerge/internal/recipe"
)

// A Purpose is what models are opened for.
type Purpose uint8

const (
	Merging Purpose = iota
	Comparing
	Listing // to show what is in them
)

// Bytes that one tensor takes, measured with 46,000 of them (names aside).
const (
	parentEntry  = 76        // in the table of a parent
	sideEntry    = 40        // while the parents are paired
	planEntry    = 144       // in the plan
	writeEntry   = 165       // in the layout, the order of work and the results
	readEntry    = 130       // in the results and the summary of a comparison
	headerEntry  = 200       // while the header of its file is made and written
	pickleEntry  = 315       // while its .bin is written
	unpickled    = 16        // left by reading it from a .bin
	unpickling   = 600       // while that goes on
	unpickler    = 192 << 10 // of one model
	fileEntry    = 1 << 10
	configCopies = 5 // of config.json: read, parsed, edited, written
)

// tables are what the memory of a run depends on beside its buffers.
type tables struct {
	purpose Purpose
	parents []model.Count
	out     model.Count // Files and Bytes are not used
	most    int64       // tensors of the largest output file
	files   int64       // of the output
	other   int64       // bytes of anything else
}

// bytes estimates the most that is in memory at one time.
func (t *tables) bytes() int64 {
	var stored, text, sides, reading, n, mapped int64
	least := int64(-1) // text that is kept once after pairing
	for _, c := range t.parents {
		entry := int64(parentEntry)
		if c.Torch {
			reading = max(reading, stored+text+c.Tensors*unpickling+c.Text*2)
			entry += unpickled
			stored += unpickler
		}
		stored += c.Tensors*entry + c.Files*fileEntry + c.Config*configCopies
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
		return max(reading+reading/16, withGarbage(stored+text+n*64)) + other
	}
	out := t.out.Tensors * planEntry
	pairing := stored + text + sides + out
	if len(t.parents) > 1 {
		text -= least
	}
	running := stored + text + out + t.files*2*fileEntry
	if t.purpose == Comparing {
		running += t.out.Tensors * readEntry
	} else {
		entry := int64(headerEntry)
		if t.out.Torch {
			entry = pickleEntry
		}
		running += t.out.Tensors*writeEntry + t.most*entry + t.out.Text*t.most/max(1, t.out.Tensors)
	}
	return max(reading+reading/16, withGarbage(max(pairing, running))) + other
}

// withGarbage leaves the collector room enough not to run all the time.
func withGarbage(live int64) int64 { return live + live/8 }

// Admit says whether a model can be opened beside others within the memory of
// a recipe, for the purpose that they are opened for. It is a *MemoryError if
// even with the smallest buffers it can't. Of the models only those opened and
// the next one are known then. The least that it names takes it that they all
// have the same names, and that the others, of models in all, are like the next.
func Admit(r recipe.Request, purpose Purpose, opened []*model.Model, next model.Count, of int) error {
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
			t.files = max(t.files, c.Bytes/r.ShardSize+1)
		}
	}
	t.files = max(1, min(t.files, t.out.Tensors)) // whatever the shard size, none is empty
	least := func() int64 {
		switch purpose {
		case Listing:
			return fixedBytes + minPool + t.bytes()
		case Comparing:
			return budgetLeast(t.bytes())
		}
		return budget(1, minPiece, t.bytes()).Total
	}
	t.most = t.out.Tensors / t.files
	if least() <= r.MaxMemory {
		return nil
	}
	t.most = min(t.out.Tensors, 2*t.most) // shards are uneven
	for len(t.parents) < of {
		t.parents = append(t.parents, next)
	}
	n := least()
	return &MemoryError{Limit: r.MaxMemory, Least: n + max(n/64, 1<<20)}
}

// tableBytes estimates what the tables of all models, of the plan, the layout
// and the run hold in memory.
func (p *planner) tableBytes(purpose Purpose) int64 {
	t := tables{purpose: purpose, other: p.rowBytes()}
	for _, m := range p.Models {
		t.parents = append(t.parents, m.Count())
		if p.tokens != nil { // its vocabulary and the places of its rows
			t.other += 48 * int64(p.tokens.Size())
		}
	}
	t.other += p.gatherBytes()
	t.out = model.Count{Tensors: int64(len(p.Tensors)), Torch: p.Recipe.Format == recipe.Bin}
	for i := range p.Tensors {
		x := &p.Tensors[i]
		t.out.Text += int64(len(x.Name))
		if x.Sum() != nil {
			t.other += sumEntry * int64(1+len(x.Operands))
		}
		if strings.Contains(x.Why, " rows") { // made for this tensor
			t.other += 128
		}
	}
	if p.Layout != nil {
		t.files = int64(len(p.Layout.Files))
		for i := range p.Layout.Files {
			t.most = max(t.most, int64(p.Layout.Files[i].Tensors))
		}
	}
	return t.bytes()
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
