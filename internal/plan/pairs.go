package plan

import (
	"fmt"
	"slices"

	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/text"
	"slerpmerge/writer"
)

// Pairs plans a comparison of two models: what there is to measure, whether or
// not the parents could be merged. Its tensors have a Slerp (a pair to measure, at
// the t that a merge would use), Follow (not of a floating type: only equal or
// not), Copy (one parent has it) or Differ. Nothing is laid out, and nothing
// will be written.
//
// Errors are those of New. Blockers say why a comparison would mean nothing.
func Pairs(r recipe.Request, primary, secondary *model.Model) (*Plan, error) {
	p := &planner{purpose: Comparing, Plan: &Plan{Recipe: &r.Recipe, Run: r.Run, Models: []*model.Model{primary, secondary}, Primary: primary, Secondary: secondary, DiskFree: -1, Layout: &writer.Layout{}}}
	if done, err := p.beginComparing(); done || err != nil {
		return p.Plan, err
	}
	p.measureStacks()
	profile := func(name string) (float64, bool) { return r.Value("t", 0, name, p.position(name)) }
	if r.FromFile() {
		var err error
		if profile, err = p.profileOf(r); err != nil {
			return nil, err
		}
	}
	p.pairUp(whole(primary), whole(secondary), profile)
	if len(p.Blockers) > 0 {
		return p.Plan, nil
	}
	p.sort()
	if !r.FromFile() {
		p.unused()
	}
	var err error
	p.Budget, err = readBudget(r.MaxMemory, r.Threads, p.held())
	p.Budget.gathering(r.MaxMemory, p.gatherBytes())
	return p.Plan, err
}

// pairUp pairs the parameters as a merge does. One that has several names on
// both sides is compared once.
func (p *planner) pairUp(a, b *side, profile func(string) (float64, bool)) {
	common := 0
	p.Tensors = slices.Grow(p.Tensors, max(len(a.parts), len(b.parts)))
	var vocab text.Names
	add := func(j joint, oa, ob operand.Operand) {
		common++
		name := j.name
		t := p.comparable(j, oa, ob)
		if t.Blends() && !oa.Info().SameShape(ob.Info()) {
			vocab.Add(name, t.Why)
		}
		if t.Blends() {
			if t.T, t.Mixed = profile(j.own); !t.Mixed {
				t.T, t.Mixed = profile(name)
			}
		}
		p.Tensors = append(p.Tensors, t)
	}
	only := func(name string, o operand.Operand, role string) {
		t := Tensor{Info: o.Info(), Op: method.Copy(0), Operands: []operand.Operand{o, {}}, Why: "only the primary has it"}
		if role == "secondary" {
			t.Op, t.Operands, t.Why = method.Copy(1), []operand.Operand{{}, o}, "only the secondary has it"
		}
		t.Name = name
		p.Tensors = append(p.Tensors, t)
	}
	again := map[string]bool{} // parameters of several names
	for j := range join([]*side{a, b}, 0) {
		x, y := j.parts[0], j.parts[1]
		switch {
		case x.o.None():
			only(j.name, y.o, "secondary")
		case y.o.None():
			only(j.name, x.o, "primary")
		case j.own != j.name && (again[j.own] || !a.find(j.own).None()):
		default:
			if j.own != j.name {
				again[j.own] = true
			}
			add(j, x.o, y.o)
		}
	}
	for _, m := range p.Models {
		if len(m.Tensors) == 0 {
			p.block("%s holds no tensors", m.Name())
			return
		}
	}
	if vocab.Count() > 0 {
		p.warn("the vocabularies differ, so only a part of them is compared: %s (%s)", vocab.First, vocab.String())
	}
	if common == 0 {
		p.block("%s and %s have no tensor name in common: they are different architectures", p.Primary.Name(), p.Secondary.Name())
	}
}

// comparable decides what can be said of a tensor that both have.
func (p *planner) comparable(j joint, oa, ob operand.Operand) Tensor {
	ta, tb := oa.Info(), ob.Info()
	t := Tensor{Info: ta, Op: method.Slerp{}, Operands: []operand.Operand{oa, ob}}
	t.Name = j.name
	axis, vocab := p.isVocab(oa, ob)
	switch {
	case !ta.SameShape(tb) && !vocab:
		t.Op = method.Differ{}
		t.Why = fmt.Sprintf("%s in the primary and %s in the secondary", text.Shape(ta.Shape), text.Shape(tb.Shape))
	case !ta.DType.Blends() || !tb.DType.Blends():
		t.Op, t.Why = method.Follow{}, "not of a floating type"
		if ta.DType != tb.DType || !ta.SameShape(tb) {
			t.Op, t.Why = method.Differ{}, fmt.Sprintf("%v in the primary and %v in the secondary", ta.DType, tb.DType)
		}
	case !ta.SameShape(tb):
		rows := min(ta.Shape[axis], tb.Shape[axis])
		t.Shape = withRows(ta.Shape, axis, rows)
		t.Why = fmt.Sprintf("the first %d rows, of %d in the primary and %d in the secondary", rows, ta.Shape[axis], tb.Shape[axis])
	default:
		t.Why = j.why()
	}
	return t
}

// profileOf gives the t of a recipe file for the tensors that it merges under
// their own names: one that shuffles layers has none for those.
func (p *planner) profileOf(r recipe.Request) (func(string) (float64, bool), error) {
	full, err := New(r, p.Models...)
	if err != nil {
		return nil, err
	}
	for _, s := range full.Warnings {
		if !slices.Contains(p.Warnings, s) {
			p.Warnings = append(p.Warnings, s)
		}
	}
	for _, s := range full.Blockers {
		p.warn("a merge would be refused: %s", s)
	}
	own := func(name string, o operand.Operand) bool {
		return o.None() || o.Tensor().Name == name || model.TieRank(name) > 0
	}
	t := map[string]float64{}
	for i := range full.Tensors {
		if x := &full.Tensors[i]; x.Mixed && !slices.ContainsFunc(x.Operands, func(o operand.Operand) bool { return !own(x.Name, o) }) {
			t[x.Name] = x.T
		}
	}
	return func(name string) (float64, bool) {
		v, ok := t[name]
		return v, ok
	}, nil
}
