package plan

import (
	"fmt"
	"slices"
	"strings"

	"slerpmerge/internal/model"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
)

// A mismatch collects the tensors that disagree in one way.
type mismatch struct {
	names []string
	first string // the first one, spelled out
	skip  int    // beyond those named
}

// maxNamed is how many tensors of one kind a message names.
const maxNamed = 4

func (m *mismatch) add(name, detail string) {
	if m.first == "" {
		m.first = detail
	}
	if len(m.names) < maxNamed {
		m.names = append(m.names, model.Quote(name))
	} else {
		m.skip++
	}
}

func (m *mismatch) count() int { return len(m.names) + m.skip }

func (m *mismatch) list() string {
	s := strings.Join(m.names, ", ")
	if m.skip > 0 {
		s += fmt.Sprintf(" and %d more", m.skip)
	}
	return s
}

// match pairs the sides' tensors by name and decides what happens to each.
func (p *Plan) match(a, b *side) {
	var layers stackDiff
	if p.layers == nil { // whole models
		layers = p.compareStacks(a.last, b.last)
	}
	if len(layers) == 0 && p.layouts(a, b) {
		return
	}
	tiedA, tiedB := a.tied, b.tied
	var shapes, vocab, onlyA, onlyB, ints mismatch
	common := 0
	p.Tensors = slices.Grow(p.Tensors, max(len(a.parts), len(b.parts)))
	add := func(name string, oa, ob Operand, why string) {
		ta, tb := oa.Info(), ob.Info()
		if !ta.SameShape(tb) {
			detail := fmt.Sprintf("%s is %s in %s and %s in %s", model.Quote(name), shape(ta.Shape), oa.Model.Name(), shape(tb.Shape), ob.Model.Name())
			if axis, ok := p.isVocab(oa, ob); ok {
				if p.Recipe.Vocab != recipe.VocabError && p.Recipe.Vocab != "" && ta.DType.Blends() && tb.DType.Blends() {
					p.Tensors = append(p.Tensors, p.vocabulary(name, oa, ob, axis))
					common++
					return
				}
				vocab.add(name, fmt.Sprintf("%d rows in %s and %d in %s", ta.Shape[axis], oa.Model.Name(), tb.Shape[axis], ob.Model.Name()))
			} else {
				shapes.add(name, detail)
			}
			return
		}
		t := p.pair(name, oa, ob)
		if why != "" {
			t.Why = why
		}
		if t.Action == Follow && ta.DType != tb.DType {
			ints.add(name, fmt.Sprintf("%s is %v and %v", model.Quote(name), ta.DType, tb.DType))
			t.Action, t.B = Copy, Operand{}
		}
		p.Tensors = append(p.Tensors, t)
	}
	for _, x := range a.parts {
		name, ob := x.name, b.find(x.name)
		if x.o.sharedHead() {
			if stays := ob.None() && !tiedB(name).None() || ob.sharedHead(); !stays {
				p.untied = true
			} else if p.Recipe.Format != recipe.Bin && x.o.Model.TiedFlag() {
				continue // tied stays tied: one tensor
			}
		}
		if !ob.None() {
			common++
			add(name, x.o, ob, "")
		} else if model.IsHead(name) && !tiedB(name).None() {
			add(name, x.o, tiedB(name), "the secondary's head is tied: its embedding stands in")
		} else {
			onlyA.add(name, "")
			if !layers.covers(name) {
				p.Tensors = append(p.Tensors, p.single(name, x.o, false))
			}
		}
	}
	for _, x := range b.parts {
		name := x.name
		if !a.find(name).None() {
			continue
		}
		if model.IsHead(name) && !tiedA(name).None() {
			if x.o.sharedHead() {
				continue // tied stays tied
			}
			if x.o.Model.TiedFlag() { // transformers does not look at this copy
				p.warn("%s of %s repeats its tied embedding and is left out", model.Quote(name), x.o.Model.Name())
				continue
			}
			add(name, tiedA(name), x.o, "the primary's head is tied: its embedding stands in")
			continue
		}
		onlyB.add(name, "")
		if !layers.covers(name) {
			p.Tensors = append(p.Tensors, p.single(name, x.o, true))
		}
	}

	for _, m := range p.Models {
		if len(m.Tensors) == 0 {
			p.block("%s holds no tensors", m.Name())
			return
		}
	}
	if common == 0 {
		p.block("%s and %s have no tensor name in common: they are different architectures", a.last.Name(), b.last.Name())
		return
	}
	if vocab.count() > 0 {
		p.Unlike = vocab.first
		tokens := ""
		if p.Recipe.Document != nil {
			tokens = "tokenizer_source: union or base takes them by tokens, and "
		}
		p.block("the vocabularies differ: %s (%s); %s--vocab says what becomes of the rows that only one has: base, extend, truncate, zero, mean or gradient",
			vocab.first, vocab.list(), tokens)
	}
	if n := shapes.count(); n > 0 {
		s := "1 tensor differs in shape: " + shapes.first
		if n > 1 {
			s = fmt.Sprintf("%s differ in shape: %s", tensors(n), shapes.first)
			s += fmt.Sprintf(" (%s)", shapes.list())
		}
		p.block("%s", s)
	}
	p.missing(&onlyA, a.last, b.last)
	p.missing(&onlyB, b.last, a.last)
	p.towers(a, b)
	if n := ints.count(); n > 0 {
		p.warn("%s not of a floating type %s of unlike types in the parents, the primary's go along: %s", tensors(n), isAre(n), ints.first)
	}
}

// missing reports the tensors that only one parent has, by the policy.
func (p *Plan) missing(only *mismatch, has, lacks *model.Model) {
	n := only.count()
	if n == 0 {
		return
	}
	what := fmt.Sprintf("%s of %s %s missing from %s: %s", tensors(n), has.Name(), isAre(n), lacks.Name(), only.list())
	switch p.Recipe.Missing {
	case recipe.MissingError:
		p.block("%s; --missing copy takes what only one parent has", what)
	case recipe.MissingZero:
		p.warn("%s: merged with zeros", what)
	default:
		if len(p.Blockers) == 0 { // else the missing layers are named already
			p.warn("%s: copied", what)
		}
	}
}

// pair decides about a tensor that both parents have in the same shape.
func (p *Plan) pair(name string, oa, ob Operand) Tensor {
	ta, tb := oa.Info(), ob.Info()
	t := Tensor{Info: ta, T: p.t(sharedName(name, oa, ob)), A: oa, B: ob, Action: Slerp}
	t.Name = name
	if !ta.DType.Blends() || !tb.DType.Blends() {
		t.Action = Follow
		return t
	}
	t.DType, t.Mixed = p.outType(ta.DType, tb.DType), true
	switch t.T {
	case 0:
		t.B, t.Why = Operand{}, "t = 0"
		t.Action = copyOrConvert(ta.DType, t.DType)
	case 1:
		t.A, t.Why = Operand{}, "t = 1"
		t.Action = copyOrConvert(tb.DType, t.DType)
	}
	return t
}

// sharedName is the name that t goes by: of a head that is the embedding on
// both sides, the embedding's, so that the two stay one.
func sharedName(name string, oa, ob Operand) string {
	if !oa.sharedHead() || !model.IsEmbedding(ob.Tensor().Name) && !ob.sharedHead() {
		return name
	}
	root := oa.root()
	for i := range oa.Model.Tensors {
		e := Operand{Model: oa.Model, Index: int32(i), As: oa.As, Rows: oa.Rows}
		if model.IsEmbedding(e.Tensor().Name) && e.root() == root {
			return e.Tensor().Name
		}
	}
	return name
}

// single decides about a tensor that one parent has.
func (p *Plan) single(name string, o Operand, second bool) Tensor {
	src := o.Info()
	t := Tensor{Info: src, T: p.t(name), Action: Copy}
	t.Name = name
	if second {
		t.B, t.Why = o, "only the secondary has it"
	} else {
		t.A, t.Why = o, "only the primary has it"
	}
	if src.DType.Blends() {
		t.DType = p.outType(src.DType)
		t.Action = copyOrConvert(src.DType, t.DType)
		if p.Recipe.Missing == recipe.MissingZero {
			t.Action, t.ZeroA, t.ZeroB = Slerp, second, !second
			t.Why += ", merged with zeros"
		}
	}
	return t
}

func copyOrConvert(from, to tensor.DType) Action {
	if from == to {
		return Copy
	}
	return Convert
}

// outType is the type in which a floating tensor is written: the one asked
// for; else the primary's, which comes first, or in a recipe file the type
// that holds the values of all, as mergekit has it.
func (p *Plan) outType(in ...tensor.DType) tensor.DType {
	if !p.Recipe.DType.Auto {
		return p.Recipe.DType.To
	}
	out := in[0]
	if p.Recipe.Document != nil {
		for _, d := range in[1:] {
			out = wider(out, d)
		}
	}
	return out
}

// KeptType is what a recipe must have as out_dtype to mean what Auto means
// without one, that every tensor keeps the primary's type: Auto where the
// parents' types are alike, else the one type that the primary has. ok is false
// if it has several.
func KeptType(primary, secondary *model.Model) (out recipe.DType, ok bool) {
	var kept []tensor.DType
	alike := true
	for i := range primary.Tensors {
		t := &primary.Tensors[i]
		if !t.DType.Blends() {
			continue
		}
		if !slices.Contains(kept, t.DType) {
			kept = append(kept, t.DType)
		}
		k, both := secondary.Lookup(t.Name)
		alike = alike && (!both || secondary.Tensors[k].DType == t.DType)
	}
	if alike || len(kept) > 1 {
		return recipe.DType{Auto: true}, alike
	}
	return recipe.DType{To: kept[0]}, true
}

// wider is the least type that holds the values of both, as torch promotes.
func wider(a, b tensor.DType) tensor.DType {
	switch {
	case a == b:
		return a
	case a == tensor.F64 || b == tensor.F64:
		return tensor.F64
	case a.Size() == 1 && b.Size() > 1:
		return b
	case b.Size() == 1 && a.Size() > 1:
		return a
	}
	return tensor.F32
}

func tensors(n int) string {
	if n == 1 {
		return "1 tensor"
	}
	return fmt.Sprintf("%d tensors", n)
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func shape(s []uint64) string {
	return strings.ReplaceAll(fmt.Sprint(s), " ", ", ")
}
