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

// match pairs the parents' tensors by name and decides what happens to each.
func (p *Plan) match() {
	a, b := p.Primary, p.Secondary
	layers := p.compareStacks()
	tiedA, aTied := a.TiedEmbedding()
	tiedB, bTied := b.TiedEmbedding()
	var shapes, vocab, onlyA, onlyB, ints mismatch
	common := 0
	add := func(name string, oa, ob Operand, why string) {
		ta, tb := oa.Tensor(), ob.Tensor()
		if !ta.SameShape(tb.Info) {
			detail := fmt.Sprintf("%s is %s in %s and %s in %s", model.Quote(name), shape(ta.Shape), a.Name(), shape(tb.Shape), b.Name())
			if isVocab(a, ta.Info, tb.Info) {
				vocab.add(name, fmt.Sprintf("%d rows in %s and %d in %s", ta.Shape[0], a.Name(), tb.Shape[0], b.Name()))
			} else {
				shapes.add(name, detail)
			}
			return
		}
		t := p.pair(oa, ob)
		t.Name = name
		if why != "" {
			t.Why = why
		}
		if t.Action == Follow && ta.DType != tb.DType {
			ints.add(name, fmt.Sprintf("%s is %v and %v", model.Quote(name), ta.DType, tb.DType))
			t.Action, t.B = Copy, Operand{}
		}
		p.Tensors = append(p.Tensors, t)
	}
	for i := range a.Tensors {
		name := a.Tensors[i].Name
		oa := Operand{a, i}
		if a.SharedHead(i) {
			j, ok := b.Lookup(name)
			if !ok && bTied || ok && b.SharedHead(j) {
				continue // tied stays tied: one tensor
			}
			p.untied = true
		}
		if j, ok := b.Lookup(name); ok {
			common++
			add(name, oa, Operand{b, j}, "")
		} else if bTied && model.IsHead(name) {
			add(name, oa, Operand{b, tiedB}, "the secondary's head is tied: its embedding stands in")
		} else {
			onlyA.add(name, "")
			if !layers.covers(name) {
				p.Tensors = append(p.Tensors, p.single(oa, false))
			}
		}
	}
	for j := range b.Tensors {
		name := b.Tensors[j].Name
		if _, ok := a.Lookup(name); ok {
			continue
		}
		ob := Operand{b, j}
		if aTied && model.IsHead(name) {
			if b.SharedHead(j) {
				continue // tied stays tied
			}
			if b.TiedFlag() { // transformers does not look at this copy
				p.warn("%s of %s repeats its tied embedding and is left out", model.Quote(name), b.Name())
				continue
			}
			add(name, Operand{a, tiedA}, ob, "the primary's head is tied: its embedding stands in")
			continue
		}
		onlyB.add(name, "")
		if !layers.covers(name) {
			p.Tensors = append(p.Tensors, p.single(ob, true))
		}
	}

	for _, m := range []*model.Model{a, b} {
		if len(m.Tensors) == 0 {
			p.block("%s holds no tensors", m.Name())
			return
		}
	}
	if common == 0 {
		p.block("%s and %s have no tensor name in common: they are different architectures", a.Name(), b.Name())
		return
	}
	if vocab.count() > 0 {
		p.block("the vocabularies differ: %s (%s); this version merges equal vocabularies only (--vocab base, extend, truncate, zero, mean and gradient are to come)",
			vocab.first, vocab.list())
	}
	if n := shapes.count(); n > 0 {
		s := fmt.Sprintf("%s differ in shape: %s", tensors(n), shapes.first)
		if n > 1 {
			s += fmt.Sprintf(" (%s)", shapes.list())
		}
		p.Blockers = append(p.Blockers, s)
	}
	p.missing(&onlyA, a, b)
	p.missing(&onlyB, b, a)
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
func (p *Plan) pair(oa, ob Operand) Tensor {
	ta := oa.Tensor()
	tb := ob.Tensor()
	t := Tensor{Info: ta.Info, T: p.Recipe.T, A: oa, B: ob, Action: Slerp}
	if !ta.DType.Blends() || !tb.DType.Blends() {
		t.Action = Follow
		return t
	}
	t.DType = p.outType(ta.DType)
	switch p.Recipe.T {
	case 0:
		t.B, t.Why = Operand{}, "t = 0"
		t.Action = copyOrConvert(ta.DType, t.DType)
	case 1:
		t.A, t.Why = Operand{}, "t = 1"
		t.Action = copyOrConvert(tb.DType, t.DType)
	}
	return t
}

// single decides about a tensor that one parent has.
func (p *Plan) single(o Operand, second bool) Tensor {
	src := o.Tensor()
	t := Tensor{Info: src.Info, T: p.Recipe.T, Action: Copy}
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

// outType is the type a floating tensor is written in.
func (p *Plan) outType(primary tensor.DType) tensor.DType {
	if p.Recipe.DType.Auto {
		return primary
	}
	return p.Recipe.DType.To
}

// isVocab reports whether two shapes differ in the number of rows alone and
// those rows are a vocabulary, by the tensor's name or by vocab_size.
func isVocab(m *model.Model, a, b tensor.Info) bool {
	if len(a.Shape) == 0 || len(a.Shape) != len(b.Shape) || a.Shape[0] == b.Shape[0] || !slices.Equal(a.Shape[1:], b.Shape[1:]) {
		return false
	}
	if model.IsEmbedding(a.Name) || model.IsHead(a.Name) {
		return true
	}
	if m.Config != nil {
		n, ok := m.Config.Int("vocab_size")
		return ok && n > 0 && a.Shape[0] == uint64(n)
	}
	return false
}

func (p *Plan) warn(format string, args ...any) {
	p.Warnings = append(p.Warnings, fmt.Sprintf(format, args...))
}

func (p *Plan) block(format string, args ...any) {
	p.Blockers = append(p.Blockers, fmt.Sprintf(format, args...))
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
