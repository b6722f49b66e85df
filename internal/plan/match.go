package plan

import (
	"fmt"
	"slices"
	"strings"

	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/text"
)

// match pairs the sides' parameters and decides what happens to each
// tensor.
func (p *planner) match(a, b *side) {
	var layers stackDiff
	if p.layers == nil { // whole models
		layers = p.compareStacks(a.last, b.last)
	}
	if len(layers) == 0 && p.layouts(a, b) {
		return
	}
	var shapes, vocab, onlyA, onlyB, ints, codes text.Names
	common := 0
	p.Tensors = slices.Grow(p.Tensors, max(len(a.parts), len(b.parts)))
	add := func(name, own string, oa, ob operand.Operand, why string) {
		ta, tb := oa.Info(), ob.Info()
		if !ta.SameShape(tb) {
			detail := fmt.Sprintf("%s is %s in %s and %s in %s", text.Quote(name), text.Shape(ta.Shape), oa.Model.Name(), text.Shape(tb.Shape), ob.Model.Name())
			if axis, ok := p.isVocab(oa, ob); ok {
				if p.Recipe.Vocab != recipe.VocabError && p.Recipe.Vocab != "" && ta.DType.Blends() && tb.DType.Blends() {
					p.Tensors = append(p.Tensors, p.vocabulary(name, own, oa, ob, axis))
					common++
					return
				}
				vocab.Add(name, fmt.Sprintf("%d rows in %s and %d in %s", ta.Shape[axis], oa.Model.Name(), tb.Shape[axis], ob.Model.Name()))
			} else {
				shapes.Add(name, detail)
			}
			return
		}
		t := p.pair(name, own, oa, ob)
		if why != "" {
			t.Why = why
		}
		if t.Op == (method.Follow{}) && ta.DType != tb.DType {
			if (isWeight8(name, ta) || isWeight8(name, tb)) && ta.DType.Blends() != tb.DType.Blends() {
				codes.Add(name, fmt.Sprintf("%s is %v in %s and %v in %s", text.Quote(name), ta.DType, oa.Model.Name(), tb.DType, ob.Model.Name()))
			}
			ints.Add(name, fmt.Sprintf("%s is %v and %v", text.Quote(name), ta.DType, tb.DType))
			t.Op, t.Operands = method.Copy(0), []operand.Operand{oa, {}}
		}
		p.Tensors = append(p.Tensors, t)
	}
	sides := []*side{a, b}
	for j := range join(sides, 0) {
		if p.leavesOut(sides, 0, j) {
			continue
		}
		x, y := j.parts[0], j.parts[1]
		switch {
		case y.o.None() && a.last.WorksOut(j.name):
			p.Tensors = append(p.Tensors, p.single(j.name, x.o, false))
		case x.o.None() && a.last.WorksOut(j.name): // nor does save_pretrained write it
		case y.o.None():
			onlyA.Add(j.name, "")
			if !layers.covers(j.name) {
				p.Tensors = append(p.Tensors, p.single(j.name, x.o, false))
			}
		case x.o.None() && p.Recipe.Missing != recipe.MissingError && p.lacksModule(y.o):
			p.Tensors = append(p.Tensors, p.single(j.name, y.o, true)) // dropModules says so
		case x.o.None():
			onlyB.Add(j.name, "")
			if !layers.covers(j.name) {
				p.Tensors = append(p.Tensors, p.single(j.name, y.o, true))
			}
		default:
			common++
			p.note(j)
			add(j.name, j.own, x.o, y.o, j.why())
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
	if vocab.Count() > 0 {
		p.VocabMismatch = vocab.First
		tokens := ""
		if p.Recipe.FromFile() {
			tokens = "tokenizer_source: union or base takes them by tokens, and "
		}
		p.block("the vocabularies differ: %s (%s); %s--vocab says what becomes of the rows that only one has: base, extend, truncate, zero, mean or gradient",
			vocab.First, vocab.String(), tokens)
	}
	if n := shapes.Count(); n > 0 {
		s := "1 tensor differs in shape: " + shapes.First
		if n > 1 {
			s = fmt.Sprintf("%s differ in shape: %s", text.Count(n, "tensor"), shapes.First)
			s += fmt.Sprintf(" (%s)", shapes.String())
		}
		p.block("%s", s)
	}
	if n := codes.Count(); n > 0 {
		p.block("%s %s an integer type in one parent only, as in a quantised model: %s", text.Count(n, "tensor"), text.Verb(n, "has", "have"), codes.First)
	}
	p.missing(&onlyA, a.last, b.last)
	p.missing(&onlyB, b.last, a.last)
	p.towers(a, b)
	if n := ints.Count(); n > 0 {
		p.warn("%s not of a floating type %s of different types in the parents, and the primary's are taken: %s", text.Count(n, "tensor"), text.Verb(n, "is", "are"), ints.First)
	}
}

// isWeight8 reports whether a tensor is a weight matrix of 8-bit integers.
func isWeight8(name string, t tensor.Info) bool {
	return (t.DType == tensor.I8 || t.DType == tensor.U8) && len(t.Shape) > 1 && strings.HasSuffix(name, ".weight")
}

// missing reports the tensors that only one parent has, by the policy.
func (p *planner) missing(only *text.Names, has, lacks *model.Model) {
	n := only.Count()
	if n == 0 {
		return
	}
	what := fmt.Sprintf("%s of %s %s missing from %s: %s", text.Count(n, "tensor"), has.Name(), text.Verb(n, "is", "are"), lacks.Name(), only.String())
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
// own is the name by which the recipe gives it parameters.
func (p *planner) pair(name, own string, oa, ob operand.Operand) Tensor {
	ta, tb := oa.Info(), ob.Info()
	t := Tensor{Info: ta, Op: p.op(own), Operands: []operand.Operand{oa, ob}}
	t.Name = name
	if !ta.DType.Blends() || !tb.DType.Blends() {
		t.Op = method.Follow{}
		return t
	}
	t.DType = p.outType(ta.DType, tb.DType)
	if s, ok := t.Op.(method.Slerp); ok {
		t.T, t.Mixed = s.T, true
	}
	if k, ok := method.Sole(t.Op); ok {
		t.Why = fmt.Sprintf("t = %d", k)
		t.Op = copyOrConvert(k, t.Operands[k].Info().DType, t.DType)
		t.Operands[1-k] = operand.Operand{}
	}
	return t
}

// single decides about a tensor that one parent has.
func (p *planner) single(name string, o operand.Operand, second bool) Tensor {
	src := o.Info()
	blend := p.op(name)
	t := Tensor{Info: src, Op: method.Copy(0), Operands: []operand.Operand{o, {}}}
	t.Name = name
	at := 0
	if second {
		at, t.Op, t.Operands = 1, method.Copy(1), []operand.Operand{{}, o}
		t.Why = "only the secondary has it"
	} else {
		t.Why = "only the primary has it"
	}
	if src.DType.Blends() {
		t.DType = p.outType(src.DType)
		t.Op = copyOrConvert(at, src.DType, t.DType)
		if p.Recipe.Missing == recipe.MissingZero && !o.Model.WorksOut(name) {
			t.Op = blend
			t.Why += ", merged with zeros"
		}
	}
	return t
}

// shared returns an operation that equals the one before it: tensors in a row that have
// the same share one in memory.
func (p *planner) shared(op method.Op) method.Op {
	if op != p.lastOp {
		p.lastOp = op
	}
	return p.lastOp
}

// copyOrConvert takes operand k.
func copyOrConvert(k int, from, to tensor.DType) method.Op {
	if from == to {
		return method.Copy(k)
	}
	return method.Convert(k)
}

// outType returns the type in which a floating tensor is written: the one asked
// for; else the primary's, which comes first, or in a recipe file the type
// that holds the values of all, as mergekit has it.
func (p *planner) outType(in ...tensor.DType) tensor.DType {
	if !p.Recipe.OutputType().Auto {
		return p.Recipe.OutputType().To
	}
	out := in[0]
	if p.Recipe.Promote {
		for _, d := range in[1:] {
			out = wider(out, d)
		}
	}
	return out
}

// KeptType returns the out_dtype with which a recipe means that every tensor keeps
// the primary's type: Auto where those of each parameter are alike in both
// parents, else the one type that the primary has. ok is false if it has several.
func KeptType(primary, secondary *model.Model) (out recipe.DType, ok bool, err error) {
	pair := recipe.Pair(method.SlerpMethod{}, primary.Path, secondary.Path, nil)
	p := &planner{Plan: &Plan{Recipe: &pair, Models: []*model.Model{primary, secondary}, Primary: primary}}
	if err := findParameters(p.Models); err != nil {
		return out, false, err
	}
	p.align()
	var kept []tensor.DType
	alike := true
	sides := []*side{whole(primary), whole(secondary)}
	for _, x := range sides[0].parts {
		own := x.o.Tensor().DType
		if !own.Blends() {
			continue
		}
		if !slices.Contains(kept, own) {
			kept = append(kept, own)
		}
		other := gather(sides, x.name).parts[1].o
		alike = alike && (other.None() || other.Tensor().DType == own)
	}
	if alike || len(kept) > 1 {
		return recipe.DType{Auto: true}, alike, nil
	}
	return recipe.DType{To: kept[0]}, true, nil
}

// wider returns the least type that holds the values of both, as torch promotes.
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
