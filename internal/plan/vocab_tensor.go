package plan

import (
	"slices"
	"strings"

	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/tensor"
)

// vocabAxis finds the dimension in which a tensor of that shape counts
// tokens: the first one, of rows; or the last one where it is the only one that
// is not 1, as of the final_logits_bias of BART. A row is one element then.
func vocabAxis(shape []uint64) int {
	for _, n := range shape[:max(0, len(shape)-1)] {
		if n != 1 {
			return 0
		}
	}
	return max(0, len(shape)-1)
}

// vocabAxisOf returns the same of two tensors that differ in this dimension alone;
// ok is false if they differ in another one.
func vocabAxisOf(a, b []uint64) (axis int, ok bool) {
	if len(a) == 0 || len(a) != len(b) {
		return 0, false
	}
	longer := a
	for i := range a {
		if a[i] != b[i] {
			axis = i
			if a[i] < b[i] {
				longer = b
			}
		}
	}
	if !slices.Equal(a[:axis], b[:axis]) || !slices.Equal(a[axis+1:], b[axis+1:]) {
		return 0, false
	}
	return axis, axis == 0 || axis == vocabAxis(longer)
}

// withRows returns the shape with another number of tokens.
func withRows(shape []uint64, axis int, rows uint64) []uint64 {
	out := slices.Clone(shape)
	out[axis] = rows
	return out
}

// isVocab reports whether two tensors differ in the number of tokens alone, by
// the names of the tensors or by the vocabularies that their models have, and
// in which dimension.
func (p *planner) isVocab(oa, ob operand.Operand) (axis int, ok bool) {
	a, b := oa.Info(), ob.Info()
	if axis, ok = vocabAxisOf(a.Shape, b.Shape); !ok || a.Shape[axis] == b.Shape[axis] {
		return 0, false
	}
	if axis == 0 && (model.IsEmbedding(a.Name) || model.IsHead(a.Name)) {
		return axis, true
	}
	if inLayer(a.Name) {
		return 0, false
	}
	return axis, slices.Contains(p.vocabularies(oa.Model), oa.Tensor().Shape[axis]) &&
		(ob.Model.Config == nil || slices.Contains(p.vocabularies(ob.Model), ob.Tensor().Shape[axis]))
}

// inLayer reports whether a tensor belongs to a layer, and not to a head of its
// own there, as layers for multi-token prediction have it: it counts no tokens
// then, and is as long by chance.
func inLayer(name string) bool {
	_, _, ok := model.LayerOf(name)
	return ok && !strings.Contains(name, "head")
}

// vocabularies returns the numbers of tokens that a model has by its config.json
// and by its embeddings and heads: more than one where its parts have their
// own, or where an embedding has rows to spare.
func (p *planner) vocabularies(m *model.Model) []uint64 {
	if sizes, ok := p.sizes[m]; ok {
		return sizes
	}
	var sizes []uint64
	if m.Config != nil {
		for _, v := range m.Config.VocabSizes() {
			sizes = append(sizes, uint64(v.Size))
		}
	}
	for i := range m.Tensors {
		t := &m.Tensors[i]
		if len(t.Shape) == 2 && (model.IsEmbedding(t.Name) || model.IsHead(t.Name)) {
			sizes = append(sizes, t.Shape[0])
		}
	}
	slices.Sort(sizes)
	sizes = slices.Compact(sizes)
	if p.sizes == nil {
		p.sizes = map[*model.Model][]uint64{}
	}
	p.sizes[m] = sizes
	return sizes
}

// textTokens returns the numbers of tokens of the text vocabulary: by config.json,
// and the rows of the embedding, which may be more.
func (p *planner) textTokens(m *model.Model) []uint64 {
	if sizes, ok := p.tokenRows[m]; ok {
		return sizes
	}
	var sizes []uint64
	if m.Config != nil {
		if n, ok := m.Config.VocabSize(); ok && n > 0 {
			sizes = append(sizes, uint64(n))
		}
	}
	for i := range m.Tensors {
		t := &m.Tensors[i]
		if len(t.Shape) == 2 && (model.IsEmbedding(t.Name) || model.IsHead(t.Name)) && !model.OtherInput(t.Name) {
			sizes = append(sizes, t.Shape[0])
		}
	}
	if p.tokenRows == nil {
		p.tokenRows = map[*model.Model][]uint64{}
	}
	p.tokenRows[m] = sizes
	return sizes
}

// tokenAxis returns the dimension in which a tensor counts the tokens of the text,
// by its name or by their number. Tensors of layers do not, nor do norms and
// positions, which may be as long by chance.
func (p *planner) tokenAxis(m *model.Model, t *model.Tensor) (axis int, ok bool) {
	if len(t.Shape) == 0 || t.Elems() == 0 || model.OtherInput(t.Name) {
		return 0, false
	}
	if model.IsEmbedding(t.Name) || model.IsHead(t.Name) {
		return 0, true
	}
	if inLayer(t.Name) {
		return 0, false
	}
	for _, word := range []string{"norm", "ln_", "position", "pos_emb", "wpe", "token_type"} {
		if strings.Contains(t.Name, word) {
			return 0, false
		}
	}
	axis = vocabAxis(t.Shape)
	return axis, slices.Contains(p.textTokens(m), t.Shape[axis])
}

// A vocabChange is a vocabulary that is of another length in one parent.
type vocabChange struct {
	a, b, out uint64 // in the primary, in the other model, in the output
	other     *model.Model
	info      tensor.Info
}
