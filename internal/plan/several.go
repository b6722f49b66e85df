package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/text"
	"slerpmerge/writer"
)

// Several plans a comparison of any number of models. base is the index of the one
// that the others are measured from, -1 if there is none; it is the first of
// Plan.Models then. Tensors have an Angles (to be measured), Follow (not of a
// floating type: only equal or not), Copy (one model has it) or Differ. Their
// Operands are those of the models that are compared there, in the order of
// Plan.Models; there is no None among them. Names are not unique: what some models have
// in one shape and some in another is a tensor for each. Nothing is laid out, and nothing will
// be written.
//
// Errors are those of New. Blockers say why a comparison would mean nothing.
func Several(r recipe.Request, models []*model.Model, base int) (*Plan, error) {
	if base >= 0 {
		first := models[base]
		models = append([]*model.Model{first}, slices.Delete(slices.Clone(models), base, base+1)...)
	}
	p := &planner{purpose: Comparing, Plan: &Plan{Recipe: &r.Recipe, Run: r.Run, Models: models, Primary: models[0], DiskFree: -1, Layout: &writer.Layout{}}}
	if done, err := p.beginComparing(); done || err != nil {
		return p.Plan, err
	}
	sides := make([]*side, len(models))
	for i, m := range models {
		sides[i] = whole(m)
	}
	s := &several{p: p, sides: sides, based: base >= 0, common: make([]bool, len(models)), whys: map[string]string{}, op: method.Angles{From: min(base, 0)}}
	s.gather()
	if len(p.Blockers) > 0 {
		return p.Plan, nil
	}
	slices.SortStableFunc(p.Tensors, func(a, b Tensor) int { return cmp.Compare(a.Name, b.Name) })
	for i := range p.Tensors {
		for _, o := range p.Tensors[i].Operands {
			p.Tensors[i].shareTexts(o)
		}
	}
	var err error
	p.Budget, err = readBudget(r.MaxMemory, r.Threads, p.held())
	p.Budget.gathering(r.MaxMemory, p.gatherBytes())
	return p.Plan, err
}

// beginComparing takes the names of the models' tensors. done is true where Blockers
// have ended the planning.
func (p *planner) beginComparing() (done bool, err error) {
	p.label()
	for _, m := range p.Models {
		for _, note := range m.Notes {
			if !slices.Contains(p.Warnings, note) {
				p.Warnings = append(p.Warnings, note)
			}
		}
		if err := m.Mergeable(); err != nil && !slices.Contains(p.Blockers, err.Error()) {
			p.Blockers = append(p.Blockers, err.Error())
		}
	}
	if len(p.Blockers) > 0 {
		return true, nil
	}
	if err := findParameters(p.Models); err != nil {
		return true, err
	}
	p.align()
	return len(p.Blockers) > 0, nil
}

// several is the pairing of the tensors of several models.
type several struct {
	p      *planner
	sides  []*side
	based  bool // the first model is the base
	common []bool
	op     method.Op         // of all that is measured
	whys   map[string]string // texts that tensors have in common
	vocab  text.Names
}

// gather goes through the parameters. One that has several names everywhere is
// compared once.
func (s *several) gather() {
	p := s.p
	again := map[string]bool{}
	for j := range join(s.sides, 0) {
		if j.own != j.name {
			if again[j.own] || !s.sides[0].find(j.own).None() {
				continue
			}
			again[j.own] = true
		}
		p.Tensors = append(p.Tensors, s.tensors(j)...)
	}
	for i, m := range p.Models {
		if len(m.Tensors) == 0 {
			p.block("%s holds no tensors", m.Name())
			return
		}
		if !s.common[i] {
			p.block("%s has no tensor name in common with the other models: it is another architecture", m.Name())
		}
	}
	if s.vocab.Count() > 0 {
		p.warn("the vocabularies differ, so only a part of them is compared: %s (%s)", s.vocab.First, s.vocab.String())
	}
}

// tensors decides what is compared of one parameter: one tensor for each form that
// several models have it in, as a rule one.
func (s *several) tensors(j joint) []Tensor {
	var have []int
	for k, x := range j.parts {
		if !x.o.None() {
			have = append(have, k)
		}
	}
	if len(have) > 1 {
		for _, k := range have {
			s.common[k] = true
		}
	}
	apart := Tensor{Info: j.parts[have[0]].o.Info(), Op: method.Differ{}, Operands: s.operands(j, have)}
	apart.Name = j.name
	groups := s.groups(j, have)
	switch {
	case len(have) == 1:
		apart.Op, apart.Why = method.Copy(0), s.why("only "+s.names(have)+" has it")
	case s.based && have[0] != 0:
		apart.Why = s.why("not in " + s.p.Models[0].Name())
	case s.based && len(have) == 2:
		apart.Why = s.why("only " + s.names(have) + " have it")
	case groups == nil:
		apart.Why = s.why(s.forms(j, have, false))
	default:
		var list []Tensor
		for _, fit := range groups {
			list = append(list, s.tensor(j, have, fit))
		}
		return list
	}
	return []Tensor{apart}
}

// tensor returns a parameter as those of the models that fit have it.
func (s *several) tensor(j joint, have, fit []int) Tensor {
	t := Tensor{Info: j.parts[fit[0]].o.Info(), Op: s.op, Operands: s.operands(j, fit)}
	t.Name = j.name
	var whys []string
	if !t.DType.Blends() {
		t.Op, whys = method.Follow{}, append(whys, "not of a floating type")
	}
	if rows := s.commonRows(&t); rows != "" {
		whys = append(whys, rows)
		s.vocab.Add(t.Name, rows)
	}
	if other := without(have, fit); other != nil {
		whys = append(whys, "not with "+s.forms(j, other, true))
	}
	if len(have) < len(j.parts) {
		all := make([]int, len(j.parts))
		for k := range all {
			all[k] = k
		}
		whys = append(whys, "not in "+s.names(without(all, have)))
	}
	if j.own == j.name {
		for _, k := range fit {
			if x := j.parts[k]; x.name != j.name {
				whys = append(whys, fmt.Sprintf("in %s it is %s", s.p.Models[k].Name(), text.Quote(x.name)))
				break
			}
		}
	}
	t.Why = s.why(strings.Join(whys, "; "))
	return t
}

// groups puts the models together that have a parameter in forms that can be compared,
// the largest group first; with a base, those that fit the base's. It is nil where
// too few do.
func (s *several) groups(j joint, have []int) [][]int {
	var groups [][]int
	for left := have; len(left) > 1; {
		var best []int
		for _, ref := range left {
			var fit []int
			for _, k := range left {
				if s.fits(j.parts[ref].o, j.parts[k].o) {
					fit = append(fit, k)
				}
			}
			if len(fit) > len(best) {
				best = fit
			}
			if s.based || len(best) > len(left)/2 {
				break
			}
		}
		if s.based {
			if len(best) > 2 {
				groups = [][]int{best}
			}
			break
		}
		if len(best) < 2 {
			break
		}
		groups, left = append(groups, best), without(left, best)
	}
	return groups
}

// fits reports whether two operands can be compared, in part at least.
func (s *several) fits(a, b operand.Operand) bool {
	x, y := a.Info(), b.Info()
	if !x.DType.Blends() || !y.DType.Blends() {
		return x.DType == y.DType && x.SameShape(y)
	}
	if x.SameShape(y) {
		return true
	}
	_, ok := s.p.isVocab(a, b)
	return ok
}

// commonRows limits a tensor to the rows that all operands have, and says so; "" if
// these are all.
func (s *several) commonRows(t *Tensor) string {
	first := t.Operands[0]
	var axis int
	differ := false
	for _, o := range t.Operands[1:] {
		if !o.Info().SameShape(first.Info()) {
			axis, _ = s.p.isVocab(first, o)
			differ = true
		}
	}
	if !differ {
		return ""
	}
	rows := first.Info().Shape[axis]
	var counts []uint64
	for _, o := range t.Operands {
		n := o.Info().Shape[axis]
		rows = min(rows, n)
		if !slices.Contains(counts, n) {
			counts = append(counts, n)
		}
	}
	t.Shape = withRows(first.Info().Shape, axis, rows)
	var words []string
	for _, n := range counts {
		var of []string
		for _, o := range t.Operands {
			if o.Info().Shape[axis] == n {
				of = append(of, o.Model.Name())
			}
		}
		words = append(words, fmt.Sprintf("%d in %s", n, text.List(of, "and")))
	}
	return fmt.Sprintf("the first %d rows, of %s", rows, text.List(words, "and"))
}

// forms says which shapes a parameter has, or where these are all the same which
// types; both of those that are not compared with it.
func (s *several) forms(j joint, models []int, both bool) string {
	shape := func(k int) string { return text.Shape(j.parts[k].o.Info().Shape) }
	dtype := func(k int) string { return j.parts[k].o.Info().DType.String() }
	form := shape
	switch {
	case both:
		form = func(k int) string { return dtype(k) + " " + shape(k) }
	case !slices.ContainsFunc(models, func(k int) bool { return shape(k) != shape(models[0]) }):
		form = dtype
	}
	var words []string
	for i, k := range models {
		if slices.ContainsFunc(models[:i], func(m int) bool { return form(m) == form(k) }) {
			continue
		}
		var of []int
		for _, m := range models[i:] {
			if form(m) == form(k) {
				of = append(of, m)
			}
		}
		words = append(words, form(k)+" in "+s.names(of))
	}
	return strings.Join(words, ", ")
}

// names lists models.
func (s *several) names(models []int) string {
	var names []string
	for _, k := range models {
		names = append(names, s.p.Models[k].Name())
	}
	return text.List(names, "and")
}

func (s *several) operands(j joint, models []int) []operand.Operand {
	list := make([]operand.Operand, len(models))
	for i, k := range models {
		list[i] = j.parts[k].o
	}
	return list
}

// why returns a text that is in memory once.
func (s *several) why(text string) string {
	if known, ok := s.whys[text]; ok {
		return known
	}
	s.whys[text] = text
	return text
}

// without returns the numbers of list that are not among others.
func without(list, others []int) []int {
	var left []int
	for _, k := range list {
		if !slices.Contains(others, k) {
			left = append(left, k)
		}
	}
	return left
}

// severalBytes is what a comparison of several models holds that one of two does not:
// the results, and what the workers measure.
func (p *planner) severalBytes() (n int64) {
	most := 0
	for i := range p.Tensors {
		t := &p.Tensors[i]
		op, ok := t.Op.(method.Angles)
		if !ok {
			continue
		}
		n += severalEntry(len(t.Operands), op.From >= 0)
		most = max(most, len(t.Operands))
	}
	return n + int64(p.Run.Threads)*severalWorker(most)
}

// severalEntry is what a tensor of n operands takes, in the plan and in the results.
func severalEntry(n int, based bool) int64 {
	const number, first, entry = 8, 2, int64(unsafe.Sizeof(operand.Operand{}))
	vectors := n
	if based {
		vectors--
	}
	return number*int64(vectors+method.Pairs(vectors)) + first*int64(n) + entry*int64(max(0, n-2))
}

// severalWorker is what a worker holds for n operands: sums in eight lanes, the Gram
// matrices of a few blocks that wait for others, and a strip of each operand in float64.
func severalWorker(n int) int64 {
	const lanes, gram, strip = 64, 48, 8 << 10
	return int64(method.Pairs(n)+n)*(lanes+4*gram) + int64(n)*strip
}
