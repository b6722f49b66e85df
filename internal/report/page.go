package report

import (
	"bufio"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"

	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/text"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

// pageTemplate is parsed when the first page is made: no other command should
// wait for it.
var pageTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Parse(pageHTML))
})

// PageHead returns the first lines of every page.
func PageHead() string {
	head, _, _ := strings.Cut(pageHTML, "<meta name=\"viewport\"")
	return head
}

// Data beyond these limits are counted, or pooled, so that a page of any model
// can be read.
const (
	maxStacks    = 6
	maxColumns   = 256 // of a picture
	maxLeftovers = 500
)

// Page writes a page of HTML that needs nothing beside it: no network, and no
// script to be read. It holds the pictures and the table of a comparison or a
// merge. Nothing in it depends on the clock or the machine.
func Page(w io.Writer, s *Survey, version string) error {
	b := bufio.NewWriterSize(w, 64<<10)
	if err := pageTemplate().Execute(b, newPage(s, version)); err != nil {
		return err
	}
	return b.Flush()
}

// A page is the template's data: texts, and lists of them.
type page struct {
	s *Survey

	Version             string
	CSS                 template.CSS
	JS                  template.JS
	Title, Eyebrow, And string
	Models              []modelView
	Facts, Words        []labelled
	Warnings            []string
	Merged              bool
	Roles               bool // it matters which model is which
	Angles              bool // some were measured
	Ts                  bool // some tensor has a t
	Notes               bool // some tensor has one
	KindsLead           string
	TensorsLead         string
	DoneLabel           string
	BranchLabel         string
	Kinds               []kindView
	Stacks              []stackView
	ManyStacks          bool
	MoreStacks          string
	Widest              string
	Leftovers           []leftView

	widest float64 // the angle that the darkest colour stands for
}

type modelView struct{ Name, Role string }

type labelled struct{ Value, Label string }

type kindView struct {
	Name                  string
	Tensors, Step         int
	Angle, Least, Most    string
	Distance, T, Branches string
}

type leftView struct {
	Title string
	Items []string
}

func newPage(s *Survey, version string) *page {
	p := &page{s: s, Version: version, CSS: template.CSS(pageCSS), JS: template.JS(pageJS), Merged: s.Merged, Angles: s.All.Measured > 0, Ts: s.All.mixed > 0}
	pl := s.Plan
	var names []string
	for i, m := range pl.Models {
		name := plain(m.Name())
		names = append(names, name)
		p.Models = append(p.Models, modelView{name, "the " + pl.Recipe.Role(i)})
	}
	p.Roles = pl.Pairs() && len(names) == 2
	for _, text := range s.Warnings {
		p.Warnings = append(p.Warnings, plain(text))
	}
	p.Eyebrow, p.And = "How far two models are apart, tensor by tensor", "and"
	p.DoneLabel, p.BranchLabel = "SLERP would do", "branch"
	p.Title = strings.Join(names, " and ") + " compared"
	if s.Merged {
		p.Eyebrow, p.And = title(pl), "+"
		p.DoneLabel, p.BranchLabel = "what was done", "done"
		p.Title = strings.Join(names, " + ") + ", merged"
	}
	p.facts()
	p.kinds()
	p.stacks()
	p.leftovers()
	p.words()
	for i := range pl.Tensors {
		p.Notes = p.Notes || p.note(i) != ""
	}
	p.TensorsLead = fmt.Sprintf("%s.", text.Count(s.All.Tensors, "tensor"))
	return p
}

func (p *page) facts() {
	g := &p.s.All
	pl := p.s.Plan
	var elems int64
	for i := range pl.Tensors {
		if t := &pl.Tensors[i]; p.Merged || compared(t) {
			elems += t.Elems()
		}
	}
	add := func(value, label string) { p.Facts = append(p.Facts, labelled{value, label}) }
	what := "compared"
	if p.Merged {
		what = "written"
	}
	add(grouped(g.Tensors), "tensors "+what)
	add(short(elems), "parameters")
	if p.Angles {
		add(angle(g.Angle()), "angle between the parents as a whole")
		if !p.Merged {
			add(figure(g.Distance()), "distance as a share of the primary")
		}
	}
	if p.Merged {
		add(p.types(), "element type")
	}
	for _, b := range branches {
		if n := g.Branches[b.branch]; n > 0 {
			text := b.would
			if p.Merged {
				text = b.done
			}
			add(grouped(n), text)
		}
	}
}

// types returns the types of the floating tensors written.
func (p *page) types() string {
	var names []string
	for i := range p.s.Plan.Tensors {
		if d := p.s.Plan.Tensors[i].DType; d.Blends() && !slices.Contains(names, d.String()) {
			names = append(names, d.String())
		}
	}
	return strings.Join(names, ", ")
}

// branches say in words what was or would be done.
var branches = []struct {
	branch      method.Outcome
	would, done string
}{
	{method.Spherical, "to be interpolated on the sphere", "interpolated on the sphere"},
	{method.Straight, "almost parallel or opposite, so linear", "linear"},
	{method.Equal, "equal in both parents", "equal in both parents, copied"},
	{method.Copied, "not of a floating type, and not equal", "copied from one parent"},
	{method.Converted, "", "of one parent, in another type"},
}

func (p *page) kinds() {
	s := p.s
	p.widest = 0
	for i := range s.Kinds {
		p.widest = most(p.widest, s.Kinds[i].Angle())
	}
	for _, st := range s.Stacks[:min(len(s.Stacks), maxStacks)] {
		for _, l := range st.Fold(maxColumns) {
			for _, g := range l.Groups {
				p.widest = most(p.widest, g.Angle())
			}
		}
	}
	p.Widest = angle(p.widest)
	row := func(name string, g *Group) {
		var done []string
		for _, b := range branches {
			if n := g.Branches[b.branch]; n > 0 {
				done = append(done, fmt.Sprintf("%d %s", n, b.branch))
			}
		}
		p.Kinds = append(p.Kinds, kindView{name, g.Tensors, p.step(g.Angle()), angle(g.Angle()), angle(g.Least), angle(g.Most),
			figure(g.Distance()), span(g.TLeast, g.TMost), strings.Join(done, ", ")})
	}
	for i := range s.Kinds {
		row(string(s.Kinds[i].Kind), &s.Kinds[i])
	}
	if len(s.Kinds) > 1 {
		row("all", &s.All)
	}
	p.KindsLead = "What becomes of the tensors of each kind."
	if p.Angles {
		p.KindsLead = "The angle is that of all tensors of a kind laid end to end as one vector; lowest and highest are those of single tensors."
	}
}

// step returns the colour of an angle: 0 to 9 on the way from 0 to the widest.
func (p *page) step(angle float64) int {
	if !(angle > 0) || p.widest == 0 {
		return 0
	}
	return min(9, int(angle/p.widest*10))
}

func (p *page) leftovers() {
	l := p.s.Leftovers()
	names := []string{"the primary", "the secondary"}
	for i, m := range p.s.Plan.Models[:min(2, len(p.s.Plan.Models))] {
		names[i] = plain(m.Name())
	}
	add := func(title string, list []*plan.Tensor, item func(*plan.Tensor) string) {
		if len(list) == 0 {
			return
		}
		v := leftView{Title: fmt.Sprintf("%s: %s", title, text.Count(len(list), "tensor"))}
		for _, t := range list[:min(len(list), maxLeftovers)] {
			v.Items = append(v.Items, item(t))
		}
		if more := len(list) - maxLeftovers; more > 0 {
			v.Items = append(v.Items, fmt.Sprintf("and %d more; compare --csv lists all", more))
		}
		p.Leftovers = append(p.Leftovers, v)
	}
	sole := func(t *plan.Tensor) string {
		return fmt.Sprintf("%s, %v, %s", text.Quote(t.Name), t.DType, shapeText(t.Shape))
	}
	add("Only in "+names[0], l.OnlyPrimary, sole)
	add("Only in "+names[1], l.OnlySecondary, sole)
	add("Of other shapes or types", l.Incomparable, func(t *plan.Tensor) string { return fmt.Sprintf("%s: %s", text.Quote(t.Name), t.Why) })
}

func (p *page) words() {
	add := func(label, text string) { p.Words = append(p.Words, labelled{text, label}) }
	if p.Angles {
		add("angle", "Between the parents' tensors, each taken as one long vector: 0° is the same direction, 90° nothing in common.")
		add("|a|, |b|", "The length of that vector in the primary and in the secondary.")
	}
	if !p.Merged {
		add("distance", "|a-b|/|a|: how far the secondary's tensor is from the primary's, as a share of the primary's length.")
	}
	switch {
	case !p.Merged || p.s.Plan.Pairs():
		add("slerp, linear", "The formula: along the arc between the parents, or along the straight line where they are almost parallel or opposite (|cosine| above 0.9995). Equal tensors are copied.")
		add("t", "How far the merge goes from the primary (0) to the secondary (1).")
	case p.s.All.Branches[method.Straight] > 0:
		add("linear", "A weighted sum, by the weights of the recipe.")
	default:
		add("copy, convert", "One parent's values, in its type or in another.")
	}
}

// A rowView is a line of the table of tensors.
type rowView struct {
	Name []string // in parts between which a line may break

	Angle, Distance, Branch, T, Cos, NormA, NormB, Kind, Type, Shape, Note string
}

// Rows returns the lines of the table, made one at a time.
func (p *page) Rows() iter.Seq[rowView] {
	pl := p.s.Plan
	return func(yield func(rowView) bool) {
		for _, i := range p.s.Order() {
			t, r := &pl.Tensors[i], &p.s.Tensors[i]
			v := rowView{Name: strings.SplitAfter(text.Quote(t.Name), "."), Branch: string(r.Outcome), Kind: string(model.KindOf(t.Name)), Type: t.DType.String(),
				Shape: shapeText(t.Shape), Note: p.note(i)}
			if t.Mixed {
				v.T = figure(t.T)
			}
			if r.Measured {
				v.Angle, v.Distance, v.Cos = angle(Degrees(r)), figure(ratio(r.Distance, r.NormA)), ""
				if v.Angle != "" {
					v.Cos = cosine(r.Cos)
				}
				v.NormA, v.NormB = figure(r.NormA), figure(r.NormB)
			}
			if a, b := t.Operands[0], t.Operands[len(t.Operands)-1]; !p.Merged && a.Info().DType != b.Info().DType {
				v.Type = fmt.Sprintf("%v, %v", a.Info().DType, b.Info().DType)
			}
			if !yield(v) {
				return
			}
		}
	}
}

// note returns a remark on what is unusual about a tensor.
func (p *page) note(i int) string {
	t, r := &p.s.Plan.Tensors[i], &p.s.Tensors[i]
	if !p.Merged && !compared(t) {
		return ""
	}
	msg := plain(t.Why)
	sum := t.Sum()
	if p.Merged && sum == nil && !t.Blends() {
		msg = joined("from "+plain(from(p.s.Plan, t)), msg)
	}
	if sum != nil {
		for k, o := range t.Operands {
			w := fmt.Sprintf("%v × %s", sum.Weights[k], plain(o.Model.Name()))
			if k == len(t.Operands)-1 && sum.Divisor != 1 {
				w += fmt.Sprintf(", over %v", sum.Divisor)
			}
			msg = joined(msg, w)
		}
	}
	if r.NonFinite {
		msg = joined(msg, nonFiniteNote)
	}
	if r.Differs {
		msg = joined(msg, "the secondary has other values")
	}
	if r.Overflow > 0 {
		msg = joined(msg, text.Count(r.Overflow, "value")+" too large for the type")
	}
	if r.Underflow > 0 {
		msg = joined(msg, text.Count(r.Underflow, "value")+text.Verb(r.Underflow, " becomes", " become")+" zero")
	}
	if s := p.s.Plan.Storage; s != nil && s[i] != i {
		msg = joined(msg, "shares "+text.Quote(p.s.Plan.Tensors[s[i]].Name))
	}
	return msg
}
