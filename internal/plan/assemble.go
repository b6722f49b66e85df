package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/text"
)

// assemble works out the output of a recipe, slice by slice: the layers
// of its sources, and what belongs to no layer: embeddings from the first
// slice, norm and head from the last.
//
// The error is a *recipe.DocumentError: errors in the recipe show only with
// these models.
func (p *planner) assemble() error {
	d := p.Recipe
	for _, w := range d.Warnings {
		p.warn("%s", d.Warning(w))
	}
	problems := append(checkModules(d, p.Primary), CheckLayers(d, p.Models)...)
	for _, problem := range []*recipe.Problem{p.readTokens(), p.template()} {
		if problem != nil {
			problems = append(problems, *problem)
		}
	}
	if len(problems) > 0 {
		return d.Reject(problems...)
	}
	for i, m := range p.Models[1:] {
		p.at = d.Models()[1+i].Pos
		p.compare(m, !d.FromFile())
	}
	for k := range d.Slices {
		p.assembleSlice(k)
	}
	if len(p.Blockers) == 0 { // else the tensors are not those of an output
		p.checkLayers()
	}
	if len(p.Blockers) > 0 {
		return nil
	}
	var buffers text.Names
	for i := range p.Tensors {
		if t := &p.Tensors[i]; model.IsBuffer(t.Info) {
			buffers.Add(t.Name, "")
		}
	}
	if n := buffers.Count(); n > 0 && d.FromFile() {
		p.warn("%s that mergekit would leave out %s kept: %s", text.Count(n, "tensor"), text.Verb(n, "is", "are"), buffers.String())
	}
	p.unused()
	return nil
}

// CheckLayers looks for layers in a recipe that its models don't have. models
// are those of d.Models; nil stands for one that could not be opened.
func CheckLayers(d *recipe.Recipe, models []*model.Model) []recipe.Problem {
	var problems []recipe.Problem
	for k, s := range d.Slices {
		for _, src := range s.Sources {
			i := src.Parent
			if src.Whole || i < 0 || models[i] == nil {
				continue
			}
			m := models[i]
			_, n, err := stackFor(d, k, m)
			switch {
			case err != nil:
				problems = append(problems, recipe.Problem{Pos: src.Pos, Message: err.Error()})
			case src.Layers.To > n:
				problems = append(problems, recipe.Problem{Pos: src.Layers.Pos,
					Message: fmt.Sprintf("layer_range %v goes beyond the %d layers of %s; [0, %d] is all of them", src.Layers, n, m.Name(), n)})
			}
		}
	}
	return problems
}

// assembleSlice adds the tensors of one slice of the recipe.
func (p *planner) assembleSlice(k int) {
	d := p.Recipe
	s := &d.Slices[k]
	p.at = s.Pos
	sides := make([]*side, len(s.Sources))
	for j := range s.Sources {
		sides[j] = p.sideOf(k, j)
	}
	ofText := textModule(d, k, p.Primary)
	if ofText && k == lastOf(d, k) {
		p.untieHead(sides)
	}
	if s.Sources[0].Whole {
		p.measureStacks()
	} else {
		own := s.Sources[max(0, s.Base)] // the base model's settings belong to its layers
		for l := range own.Layers.Len() {
			if !ofText {
				break
			}
			m := p.Models[own.Parent]
			_, depth, _ := m.TextStack()
			p.layers = append(p.layers, model.LayerSettings{Config: m.Config, Layer: own.Layers.From + l, Depth: depth})
		}
		stack, _, _ := stackFor(d, k, p.Primary)
		p.depth, p.from = map[string]int{stack: own.Layers.Len()}, startOf(d, k)
	}
	rules := d.Rules.(method.Method)
	switch {
	case rules.Pairs() && len(sides) == 2:
		var without text.Names
		named, lacks := map[string]bool{}, ""
		base := max(0, s.Base)
		sources := make([]source, 2)
		p.op = func(name string) method.Op {
			sources[0], sources[1] = source{base, name}, source{1 - base, name}
			op, missing := rules.Op(params{p, k, name, p.position(name), sources})
			if missing != "" {
				if !named[name] { // it may be asked for twice
					without.Add(name, "")
				}
				named[name], lacks = true, missing
				op = method.Copy(0) // the plan is blocked
			}
			return p.shared(op)
		}
		p.at = s.Sources[1-base].Model.Pos
		p.match(sides[base], sides[1-base])
		p.at = s.Pos
		if n := without.Count(); n > 0 {
			p.block("the recipe has no %s for %s: %s; a last entry without a filter would take the rest", lacks, text.Count(n, "tensor"), without.String())
		}
	default:
		if rules.Pairs() { // a module that is taken from one model
			rules = method.PassthroughMethod{}
		}
		p.add(k, rules, sides)
	}
}

// untieHead gives the last slice a head where its models are tied and the
// output, by the config that is copied, is not: the embedding of each.
func (p *planner) untieHead(sides []*side) {
	if p.Primary.TiesHead() {
		return
	}
	for i := range p.Primary.Tensors {
		name := p.Primary.Tensors[i].Name
		if !model.IsHead(name) {
			continue
		}
		for _, s := range sides {
			if !s.find(name).None() {
				return
			}
		}
		for _, s := range sides {
			if x := s.lent(name); !x.o.None() {
				s.parts = append(s.parts, part{name, x.o})
				s.sort()
			}
		}
	}
}

// sideOf returns the layers that one source gives to a slice.
func (p *planner) sideOf(k, j int) *side {
	d := p.Recipe
	src := d.Slices[k].Sources[j]
	m := p.Models[src.Parent]
	s := whole(m)
	cast := tensor.BOOL
	if !d.Cast.Auto {
		cast = d.Cast.To
	}
	if len(d.Slices) > 1 {
		for _, x := range s.parts {
			if _, _, ok := model.LayerOf(x.name); !ok {
				s.whole = append(s.whole, x)
			}
		}
	}
	if d.Several() {
		s.parts = slices.DeleteFunc(s.parts, func(x part) bool { return moduleOf(d, x.name) != d.Slices[k].Module })
	}
	if !src.Whole {
		stack, depth, _ := stackFor(d, k, m)
		s.parts = slices.DeleteFunc(s.parts, func(x part) bool {
			if in, l, ok := model.LayerOf(x.name); ok && in == stack && l < depth {
				return l < src.Layers.From || l >= src.Layers.To
			}
			if model.BeforeLayers(x.name) {
				return k != firstOf(d, k)
			}
			return k != lastOf(d, k)
		})
		out, _, _ := stackFor(d, k, p.Primary)
		for i := range s.parts {
			name := s.parts[i].name
			if in, l, ok := model.LayerOf(name); ok && in == stack {
				rest := strings.TrimPrefix(name, in+"."+strconv.Itoa(l))
				at := l - src.Layers.From
				if l >= depth { // extra layers stand behind all others
					at = src.Layers.Len() + l - depth
				}
				s.parts[i].name = out + "." + strconv.Itoa(startOf(d, k)+at) + rest
			}
		}
		s.sort()
	}
	s.wrap = func(name string, o operand.Operand) operand.Operand {
		if cast != tensor.BOOL && o.Tensor().DType.Blends() && o.Tensor().DType != cast {
			o.As = cast
		}
		return p.remapRows(name, o)
	}
	for _, list := range [][]part{s.parts, s.aliases} {
		for i := range list {
			list[i].o = s.wrap(list[i].name, list[i].o)
		}
	}
	return s
}

// add adds the tensors of a slice whose method takes any number of sources.
func (p *planner) add(k int, rules method.Method, sides []*side) {
	d := p.Recipe
	for _, other := range sides[1:] {
		if p.layouts(sides[0], other) {
			return
		}
	}
	lead := max(0, slices.IndexFunc(sides, func(s *side) bool { return s.last == p.Primary }))
	var shapes, without, missing, zero, unfit text.Names
	lacks := ""
	gaps := gaps{rules: rules, base: d.Slices[k].Base, sides: sides}
	for joint := range join(sides, lead) {
		if p.leavesOut(sides, lead, joint) {
			continue
		}
		name := joint.name
		if sides[lead].last.WorksOut(name) && slices.ContainsFunc(joint.parts, func(x part) bool { return x.o.None() }) {
			if o := joint.parts[lead].o; !o.None() { // save_pretrained does not write it
				p.Tensors = append(p.Tensors, p.lone(name, o))
			}
			continue
		}
		p.note(joint)
		t := Tensor{Info: tensor.Info{Name: name}}
		values := params{p: p, slice: k, name: joint.own, at: p.position(joint.own)}
		for j, x := range joint.parts {
			if x.o.None() {
				continue
			}
			own := joint.own // filters go by the name in the source
			if x.name == own {
				own = x.o.Tensor().Name
			}
			values.sources = append(values.sources, source{j, own})
			t.Operands = append(t.Operands, x.o)
		}
		if len(t.Operands) < len(sides) {
			switch gaps.rule(name, joint) {
			case leaveOut, refuse:
				continue
			case takeOnly:
				p.Tensors = append(p.Tensors, p.lone(name, t.Operands[0]))
				continue
			}
			missing.Add(name, "")
		}
		op, lack := rules.Op(values)
		if lack != "" {
			without.Add(name, "")
			lacks = lack
			continue
		}
		if r, ok := op.(method.Refuser); ok && r.Refusal() != "" {
			unfit.Add(name, r.Refusal())
			continue
		}
		t.Op = op
		first := t.Operands[0].Info()
		t.Shape, t.DType = first.Shape, first.DType
		for _, o := range t.Operands[1:] {
			if info := o.Info(); !info.SameShape(first) {
				shapes.Add(name, fmt.Sprintf("%s is %s in %s and %s in %s", text.Quote(name), text.Shape(first.Shape), t.Operands[0].Model.Name(), text.Shape(info.Shape), o.Model.Name()))
			}
		}
		if method.ZeroSum(op) {
			zero.Add(name, "")
		}
		p.Tensors = append(p.Tensors, p.finishType(t, values.Base()))
	}
	if n := shapes.Count(); n > 0 {
		p.block("shapes differ: %s (%s); vocabularies that differ can be merged with tokenizer_source: union", shapes.First, shapes.String())
	}
	if n := zero.Count(); n > 0 {
		p.block("the weights of %s add up to 0, and can't be normalised: %s", text.Count(n, "tensor"), zero.String())
	}
	if n := unfit.Count(); n > 0 {
		p.block("the parameters of %s do not fit together: %s (%s)", text.Count(n, "tensor"), unfit.First, unfit.String())
	}
	if n := missing.Count(); n > 0 {
		what := fmt.Sprintf("%s in some of the models only: %s", text.Count(n, "tensor"), missing.String())
		if p.Recipe.Missing == recipe.MissingError {
			p.block("%s", what)
		} else {
			p.warn("%s%s: the others are merged", p.placed(), what)
		}
	}
	gaps.tell(p)
	if n := without.Count(); n > 0 {
		p.block("the recipe has no %s for %s: %s", lacks, text.Count(n, "tensor"), without.String())
	}
}

// lone returns a tensor that is taken from one model whatever the method.
func (p *planner) lone(name string, o operand.Operand) Tensor {
	t := Tensor{Info: o.Info(), Op: method.Copy(0), Operands: []operand.Operand{o}}
	t.Name = name
	if from := t.DType; from.Blends() {
		t.DType = p.outType(from)
		t.Op = copyOrConvert(0, from, t.DType)
	}
	return t
}

// finishType decides the type of a tensor that is made of several, of which one may be
// the base's, and makes of one that is only one of them a copy of it.
func (p *planner) finishType(t Tensor, base int) Tensor {
	var types []tensor.DType
	blends := true
	for _, o := range t.Operands {
		types = append(types, o.Info().DType)
		blends = blends && o.Info().DType.Blends()
	}
	if !blends { // integers are not added up: the base's or the first one is taken
		if base > 0 {
			t.Operands[0], t.Operands[base] = t.Operands[base], t.Operands[0]
			types[0], types[base] = types[base], types[0]
		}
		one := t.Operands[0]
		t.DType = types[0]
		if len(types) > 1 && !slices.ContainsFunc(types, func(d tensor.DType) bool { return d != types[0] }) {
			t.Op = method.Follow{}
			return t
		}
		if len(types) > 1 {
			p.warn("%s is not of a floating type in every model; that of %s is copied", text.Quote(t.Name), one.Model.Name())
		}
		t.Op, t.Operands = method.Copy(0), t.Operands[:1]
		return t
	}
	t.DType = p.outType(types...)
	sum := t.Sum()
	if sum != nil {
		sum, t.Operands = withoutZeros(sum, t.Operands)
		t.Op = sum
	}
	if k, ok := method.Sole(t.Op); ok && t.Blends() {
		t.Operands = t.Operands[k : k+1]
	}
	if len(t.Operands) == 1 && (t.Blends() || sum != nil && sum.Weights[0] == sum.Divisor) {
		one := t.Operands[0].Info().DType
		t.Op = copyOrConvert(0, one, t.DType)
	}
	return t
}

// withoutZeros leaves out the operands of a sum that have no weight: they are not
// read. If none has any, the first stays.
func withoutZeros(sum *method.Linear, list []operand.Operand) (*method.Linear, []operand.Operand) {
	if !slices.Contains(sum.Weights, 0) {
		return sum, list
	}
	out, kept := &method.Linear{Divisor: sum.Divisor}, []operand.Operand(nil)
	for k, w := range sum.Weights {
		if w != 0 {
			out.Weights, kept = append(out.Weights, w), append(kept, list[k])
		}
	}
	if kept == nil {
		return &method.Linear{Weights: sum.Weights[:1], Divisor: sum.Divisor}, list[:1]
	}
	return out, kept
}

// namesOf lists the tensors of a slice, by the names they have in a source or,
// for source -1, in the output.
func (p *planner) namesOf(slice, source int) []string {
	var names []string
	if source < 0 && len(p.Recipe.Slices) == 1 {
		for i := range p.Tensors {
			names = append(names, p.Tensors[i].Name)
		}
	}
	s := p.sideOf(slice, max(0, source))
	for _, x := range s.parts {
		if source < 0 {
			names = append(names, x.name)
		} else {
			names = append(names, x.o.Tensor().Name)
		}
	}
	for i := range p.Tensors { // a lent head is called by the head's name
		if name := p.Tensors[i].Name; model.TieRank(name) > 0 {
			names = append(names, name)
		}
	}
	return names
}
