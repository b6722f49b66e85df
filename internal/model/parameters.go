package model

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"slerpmerge/internal/tensor"
)

// Parameters say which tensors and names of a model are one parameter. The
// zero value is that of a model in which every tensor is its own.
type Parameters struct {
	first []int32 // of tensors an earlier one of the same parameter, or themselves; those beyond its end share nothing
	// Differ are tensors that config.json ties, and that differ all the same.
	Differ []Pair
}

// An Alias is one more name of Tensors[Index], which no file stores.
type Alias struct {
	Name   string
	Index  int32
	stored string // as the file gives it
}

// A Pair is a target and the tensor that it would be tied to, as indexes into
// Tensors.
type Pair struct{ Target, Source int32 }

// First returns the index of the first tensor of the parameter that Tensors[i]
// belongs to, i itself as a rule.
func (p *Parameters) First(i int32) int32 {
	for int(i) < len(p.first) && p.first[i] != i {
		i = p.first[i]
	}
	return i
}

// Shared reports whether any two tensors are one parameter.
func (p *Parameters) Shared() bool { return p.first != nil }

// join makes one parameter of two.
func (p *Parameters) join(i, j int32) {
	for k := len(p.first); k <= int(max(i, j)); k++ {
		p.first = append(p.first, int32(k))
	}
	i, j = p.First(i), p.First(j)
	p.first[max(i, j)] = min(i, j)
}

// Parameters says what Settle found. Before Settle it knows storages alone.
func (m *Model) Parameters() *Parameters {
	if m.params == nil {
		m.params = &Parameters{first: m.storages}
	}
	return m.params
}

// Settle finds out whether tensors that config.json ties, and that are stored
// one by one, are equal. As transformers does, it takes them for one parameter
// only if they are. With exact every byte is compared. Else, of tensors that
// are large, only samples: enough for a plan, not for a run.
func (m *Model) Settle(ctx context.Context, exact bool) error {
	if m.settled == settledExactly || m.settled == settledBySamples && !exact {
		return nil
	}
	p := &Parameters{first: slices.Clone(m.storages)}
	level := settledExactly
	for _, pair := range m.claims() {
		if p.First(pair.Target) == p.First(pair.Source) {
			continue
		}
		same, sampled, err := m.equal(ctx, pair, exact)
		if err != nil {
			return err
		}
		if same {
			p.join(pair.Target, pair.Source)
		} else {
			p.Differ = append(p.Differ, pair)
		}
		if sampled {
			level = settledBySamples
		}
	}
	m.params, m.settled = p, level
	return nil
}

// How far Settle has gone.
const (
	settledBySamples = 1 + iota
	settledExactly
)

// claims lists the pairs that config.json ties and of which both are stored.
func (m *Model) claims() []Pair {
	if m.Config == nil {
		return nil
	}
	var pairs []Pair
	stored := func(name string) bool { _, ok := m.Lookup(name); return ok }
	for i := range m.Tensors {
		name := m.Tensors[i].Name
		if TieRank(name) == 0 && !HasTwins(name) {
			continue
		}
		if source, ok := m.TieSource(name, stored); ok {
			j, _ := m.Lookup(source)
			if a, b := &m.Tensors[i], &m.Tensors[j]; j != i && a.DType == b.DType && a.SameShape(b.Info) && a.Bytes() > 0 {
				pairs = append(pairs, Pair{int32(i), int32(j)})
			}
		}
	}
	return pairs
}

// tiedIn reports whether config.json ties the weights of the part of the model
// whose names begin with prefix.
func (m *Model) tiedIn(prefix string) bool {
	if m.Config == nil {
		return false
	}
	tied, known := m.tiedParts[prefix]
	if !known {
		if m.tiedParts == nil {
			m.tiedParts = map[string]bool{}
		}
		tied = m.Config.part(prefix).Tied()
		m.tiedParts[prefix] = tied
	}
	return tied
}

// Named finds the tensor that a name of the model means: one of that name, or
// the one that metadata, or the class and config.json, make of it.
func (m *Model) Named(name string) (int, bool) {
	if i, ok := m.Lookup(name); ok {
		return i, true
	}
	lent := m.Aliases()
	if k, ok := slices.BinarySearchFunc(lent, name, func(a Alias, name string) int { return strings.Compare(a.Name, name) }); ok {
		return int(lent[k].Index), true
	}
	i, _, ok := m.TiedTo(name, m.Lookup)
	return i, ok
}

// TiesHead reports whether transformers ties the head of a model with this
// config.json to the embedding.
func (m *Model) TiesHead() bool { return m.tiedIn("") }

// Aliases returns the names that save_model of safetensors leaves out, each with
// the tensor that it keeps instead, by the metadata of the files; sorted.
func (m *Model) Aliases() []Alias {
	dropped := m.dropped
	m.dropped = nil
	for _, d := range dropped {
		if _, stored := m.Lookup(d.name); stored {
			continue
		}
		i, ok := m.Lookup(d.kept)
		if ok && m.Tensors[i].Bytes() > 0 && !slices.ContainsFunc(m.lent, func(a Alias) bool { return a.stored == d.name }) {
			m.lent = append(m.lent, Alias{d.name, int32(i), d.name})
		}
	}
	if dropped != nil {
		m.sortAliases()
	}
	return m.lent
}

func (m *Model) sortAliases() {
	slices.SortFunc(m.lent, func(a, b Alias) int { return strings.Compare(a.Name, b.Name) })
}

// renameAliases gives each alias the name that it would have if it were stored:
// its beginning is changed as that of the tensor with the most in common.
func (m *Model) renameAliases() {
	for k := range m.lent {
		a := &m.lent[k]
		best, common := -1, 0
		for i := range m.Tensors {
			if n := commonParts(m.StoredName(i), a.stored); n > common {
				best, common = i, n
			}
		}
		a.Name = a.stored
		if best < 0 {
			continue
		}
		from, to := m.StoredName(best), m.Tensors[best].Name
		n := 0 // the end that the two names have in common, whole parts of it
		for i := 0; i < min(len(from), len(to)) && from[len(from)-1-i] == to[len(to)-1-i]; i++ {
			if from[len(from)-1-i] == '.' {
				n = i
			}
		}
		if rest, ok := strings.CutPrefix(a.stored, from[:len(from)-n]); ok && from != to {
			a.Name = to[:len(to)-n] + rest
		}
	}
	m.sortAliases()
}

// commonParts returns the length of the beginning that two names have in common, in
// whole parts.
func commonParts(a, b string) int {
	n := 0
	for i := 0; i < min(len(a), len(b)) && a[i] == b[i]; i++ {
		if a[i] == '.' {
			n = i + 1
		}
	}
	return n
}

// A droppedName is a name in the metadata of a file, and the tensor there that
// has its values.
type droppedName struct{ name, kept string }

// maxDropped bounds the names that were left out and are looked for.
const maxDropped = 1 << 12

// drop notes the names that metadata may give as aliases.
func (m *Model) drop(metadata map[string]string) {
	for name, kept := range metadata {
		if name != "format" && strings.Contains(kept, ".") && len(m.dropped) < maxDropped {
			m.dropped = append(m.dropped, droppedName{name, kept})
		}
	}
}

// OneStorage reports whether two tensors are the same bytes of one file.
func (m *Model) OneStorage(i, j int32) bool {
	first := func(i int32) int32 {
		if int(i) < len(m.storages) {
			return m.storages[i]
		}
		return i
	}
	return first(i) == first(j)
}

// StoresApart reports whether a tensor of that name is stored, and its bytes
// are those of no other.
func (m *Model) StoresApart(name string) bool {
	i, ok := m.Lookup(name)
	if !ok || m.SharesWith(i) != "" {
		return false
	}
	n := 0
	for _, first := range m.storages {
		if int(first) == i {
			n++
		}
	}
	return n < 2
}

// OnlyRepeats reports whether the layers of a stack from the given one on hold
// nothing but more names of parameters that have a name elsewhere.
func (m *Model) OnlyRepeats(stack string, from int) bool {
	p := m.Parameters()
	if !p.Shared() {
		return false
	}
	beyond := func(i int) bool {
		prefix, layer, ok := LayerOf(m.Tensors[i].Name)
		return ok && prefix == stack && layer >= from
	}
	elsewhere := map[int32]bool{}
	for i := range m.Tensors {
		if !beyond(i) {
			elsewhere[p.First(int32(i))] = true
		}
	}
	for i := range m.Tensors {
		if beyond(i) && !elsewhere[p.First(int32(i))] {
			return false
		}
	}
	return true
}

// SharesWith names an earlier tensor of the same file with the same storage,
// offset, shape and strides as Tensors[i]; "" if there is none.
func (m *Model) SharesWith(i int) string {
	if i >= len(m.storages) || int(m.storages[i]) == i {
		return ""
	}
	return m.Tensors[m.storages[i]].Name
}

// chunk is the number of bytes of each tensor that are compared at a time.
const chunk = 128 << 10

// Tensors of up to wholeBytes are always compared whole. Of larger ones a plan
// compares as many chunks as make samples, spread evenly.
const (
	wholeBytes = 32 << 20
	samples    = 64
)

// equal compares two tensors of one type and shape, up to the first chunk that
// differs.
func (m *Model) equal(ctx context.Context, pair Pair, exact bool) (same, sampled bool, err error) {
	a, b := m.Source(int(pair.Target)), m.Source(int(pair.Source))
	size := m.Tensors[pair.Target].Bytes()
	step := int64(chunk)
	if !exact && size > wholeBytes {
		step, sampled = max(chunk, (size-chunk)/samples), true
	}
	x, y := make([]byte, chunk), make([]byte, chunk)
	compare := func(off int64) (same bool, err error) {
		if err := ctx.Err(); err != nil {
			return false, context.Cause(ctx)
		}
		n := min(chunk, size-off)
		err = tensor.View(a, x[:n], off, func(p []byte) error {
			return tensor.View(b, y[:n], off, func(q []byte) error {
				same = bytes.Equal(p, q)
				return nil
			})
		})
		return same, err
	}
	for off := int64(0); off < size; off += step {
		if ok, err := compare(off); err != nil || !ok {
			return false, false, err
		}
	}
	if sampled {
		ok, err := compare(size - chunk)
		return ok, ok, err
	}
	return true, false, nil
}
