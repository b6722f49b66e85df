package report

import (
	"bufio"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/text"
)

//go:embed angles.html
var anglesHTML string

//go:embed angles.css
var anglesCSS string

// anglesTemplate has the head of all pages, and their charts.
var anglesTemplate = sync.OnceValue(func() *template.Template {
	t := template.Must(template.New("page").Parse(pageHTML))
	head, _, _ := strings.Cut(pageHTML, "<body>")
	return template.Must(t.New("angles").Parse(head + anglesHTML))
})

// AnglesPage writes the page of a comparison of several models, of the kind of Page.
func AnglesPage(w io.Writer, s *Angles, version string) error {
	b := bufio.NewWriterSize(w, 64<<10)
	if err := anglesTemplate().Execute(b, newAnglesPage(s, version)); err != nil {
		return err
	}
	return b.Flush()
}

// An anglesPage is the template's data: texts, and lists of them.
type anglesPage struct {
	s     *Angles
	names []string

	Version        string
	CSS            template.CSS
	JS             template.JS
	Title, Eyebrow string
	Models         []string // with their numbers
	Base           string
	Facts, Words   []labelled
	Warnings       []string
	MatrixTitle    string
	Sentences      []string
	Matrix         matrixView
	Matrices       []matrixView
	KindsLead      string
	Kinds          []spreadView
	Stacks         []stackView
	ManyStacks     bool
	MoreStacks     string
	Widest         string
	Leftovers      []leftView
	TensorsLead    string
	Notes          bool // some tensor has one

	widest float64 // the angle that the darkest colour of the pictures of layers stands for
}

type matrixView struct {
	Kind   string
	Heads  []numbered
	Rows   []matrixRow
	Widest string
}

type numbered struct {
	Number int
	Name   string
}

type matrixRow struct {
	numbered
	Cells []matrixCell
}

type matrixCell struct {
	Step        int
	Text, Title string
}

type spreadView struct {
	Name                                string
	Tensors, Equal, Step                int
	Least, Median, Most, Between, Apart string
	Shares                              []string
}

// maxKindMatrices is the largest number of models for which there is a matrix for
// each kind.
const maxKindMatrices = 16

func newAnglesPage(s *Angles, version string) *anglesPage {
	p := &anglesPage{s: s, Version: version, CSS: template.CSS(pageCSS + anglesCSS), JS: template.JS(pageJS), Eyebrow: "How far models are apart, tensor by tensor", MatrixTitle: "Angles between the models"}
	for i, m := range s.Models {
		p.names = append(p.names, plain(m.Name()))
		p.Models = append(p.Models, fmt.Sprintf("%d %s", i+1, p.names[i]))
	}
	p.Title = text.List(p.names, "and") + " compared"
	if s.Base != nil {
		p.Base, p.MatrixTitle = plain(s.Base.Name()), "Angles between the differences from the base"
	}
	for _, text := range s.Warnings {
		p.Warnings = append(p.Warnings, plain(text))
	}
	p.Sentences = s.Sentences(func(i int) string { return p.names[i] })
	p.facts()
	p.matrices()
	p.scale()
	for _, k := range s.Kinds {
		p.Kinds = append(p.Kinds, p.spread(k))
	}
	if len(s.Kinds) > 1 {
		p.Kinds = append(p.Kinds, p.spread(s.All))
	}
	p.KindsLead = "The tensors of a kind laid end to end as one vector for each model: the lowest and the highest angle of two models, and the models that stand apart from the others."
	for i := range s.Stacks[:min(len(s.Stacks), maxStacks)] {
		if v, ok := p.stack(i); ok {
			p.Stacks = append(p.Stacks, v)
		}
	}
	p.ManyStacks = len(p.Stacks) > 1
	if more := len(s.Stacks) - maxStacks; more > 0 {
		p.MoreStacks = fmt.Sprintf("There are %d more series of layers; all their tensors are in the table below.", more)
	}
	p.leftovers()
	p.words()
	for i := range s.Plan.Tensors {
		p.Notes = p.Notes || compared(&s.Plan.Tensors[i]) && s.Plan.Tensors[i].Why != ""
	}
	p.TensorsLead = fmt.Sprintf("%s.", text.Count(s.All.Tensors, "tensor"))
	return p
}

func (p *anglesPage) facts() {
	g := p.s.All
	var elems int64
	for i := range p.s.Plan.Tensors {
		if t := &p.s.Plan.Tensors[i]; compared(t) {
			elems += t.Elems()
		}
	}
	add := func(value, label string) { p.Facts = append(p.Facts, labelled{value, label}) }
	add(grouped(len(p.s.Models)), "models")
	add(grouped(g.Tensors), "tensors compared")
	add(short(elems), "parameters")
	if low, _, _ := g.Least(); !math.IsNaN(low) {
		high, _, _ := g.Most()
		add(angle(low), "lowest angle of two models")
		add(angle(high), "highest angle of two models")
	}
	if g.Equal > 0 {
		add(grouped(g.Equal), "equal in all models")
	}
}

func (p *anglesPage) matrices() {
	p.Matrix = p.matrix(p.s.All)
	if len(p.s.Kinds) > 1 && len(p.s.Models) <= maxKindMatrices {
		for _, k := range p.s.Kinds {
			if high, _, _ := k.Most(); !math.IsNaN(high) {
				p.Matrices = append(p.Matrices, p.matrix(k))
			}
		}
	}
}

// matrix draws the angles of all pairs, in the colours of their share of the highest.
func (p *anglesPage) matrix(g *Spread) matrixView {
	high, _, _ := g.Most()
	v := matrixView{Kind: string(g.Kind), Widest: angle(high)}
	for i, name := range p.names {
		row := matrixRow{numbered: numbered{i + 1, name}}
		v.Heads = append(v.Heads, row.numbered)
		for j, other := range p.names {
			var c matrixCell
			if x := g.At(i, j); i != j && !math.IsNaN(x) {
				c = matrixCell{step(x, high), angle(x), fmt.Sprintf("%s and %s: %s, %s", name, other, angle(x), text.Count(g.Both[pairOf(g.Models, i, j)], "tensor"))}
			}
			row.Cells = append(row.Cells, c)
		}
		v.Rows = append(v.Rows, row)
	}
	return v
}

// step returns the colour of an angle: 0 to 9 on the way from 0 to the widest.
func step(angle, widest float64) int {
	if !(angle > 0) || !(widest > 0) {
		return 0
	}
	return min(9, int(angle/widest*10))
}

// scale finds the highest angle of the pictures of layers.
func (p *anglesPage) scale() {
	take := func(g *Spread) {
		high, _, _ := g.Most()
		p.widest = most(p.widest, high)
	}
	for _, k := range p.s.Kinds {
		take(k)
	}
	for i := range p.s.Stacks[:min(len(p.s.Stacks), maxStacks)] {
		for l := range p.s.Stacks[i].Fold(maxColumns) {
			for _, g := range l.Spreads {
				take(g)
			}
		}
	}
	p.Widest = angle(p.widest)
}

func (p *anglesPage) spread(g *Spread) spreadView {
	low, _, _ := g.Least()
	high, _, _ := g.Most()
	v := spreadView{Name: "all", Tensors: g.Tensors, Equal: g.Equal, Step: step(high, p.widest), Least: angle(low), Median: angle(g.Median()), Most: angle(high), Between: between(g)}
	if g.Kind != "" {
		v.Name = string(g.Kind)
	}
	var apart []string
	for _, o := range g.Outliers().Out {
		apart = append(apart, strconv.Itoa(o.Model+1))
	}
	v.Apart = strings.Join(apart, ", ")
	for _, x := range g.Shares {
		v.Shares = append(v.Shares, figure(x))
	}
	return v
}

// between has the numbers of the models that the highest angle is between.
func between(g *Spread) string {
	_, i, j := g.Most()
	if i < 0 {
		return ""
	}
	return fmt.Sprintf("%d, %d", i+1, j+1)
}

// stack draws one stack; ok is false when there is nothing to draw.
func (p *anglesPage) stack(i int) (v stackView, ok bool) {
	st := &p.s.Stacks[i]
	layers := slices.Collect(st.Fold(maxColumns))
	first, last := layers[0].First, layers[len(layers)-1].Last
	width := layers[0].Last - layers[0].First + 1 // of a column; only the last may be narrower
	v = stackView{ID: "s" + strconv.Itoa(i), Name: text.Quote(st.Name), Kinds: st.Kinds, Columns: (last - first + width) / width}
	column := func(l SpreadLayer) int { return (l.First - first) / width }
	v.Ticks = ticks(first, width, v.Columns)
	low, high := math.NaN(), math.NaN()
	points := map[model.Kind][]point{}
	for _, k := range st.Kinds {
		row := heatRow{Kind: k}
		rowLow, rowHigh := math.NaN(), math.NaN()
		for _, l := range layers {
			g := l.Spreads[k]
			if g == nil {
				continue
			}
			from, _, _ := g.Least()
			to, x, y := g.Most()
			if x < 0 {
				continue
			}
			title := fmt.Sprintf("%s, layer %s: %s, the highest between %s and %s, %s", k, l, fromTo(from, to), p.names[x], p.names[y], text.Count(g.Tensors, "tensor"))
			row.Cells = append(row.Cells, cell{column(l), step(to, p.widest), title})
			points[k] = append(points[k], point{column(l), g.Median(), from, to})
			rowLow, rowHigh = least(rowLow, to), most(rowHigh, to)
			low, high = least(low, from), most(high, to)
		}
		if row.Cells != nil {
			row.Label = fmt.Sprintf("%s: %s to %s in %s", k, angle(rowLow), angle(rowHigh), text.Count(len(row.Cells), "layer"))
			v.Heat = append(v.Heat, row)
		}
	}
	if v.Heat == nil {
		return v, false
	}
	v.HeatText = fmt.Sprintf("All tensors of a kind in a layer taken as one. The angles of all pairs are from %s to %s.", angle(low), angle(high))
	v.AngleChart = v.draw(0, min(180, nice(high)), "°", func(k model.Kind) []point { return points[k] })
	v.AngleChart.Label = fmt.Sprintf("Median angle by layer, a line for each kind, between %s and %s.", angle(low), angle(high))
	for _, l := range layers {
		row := tableRow{Layer: l.String()}
		for _, k := range st.Kinds {
			from, to := math.NaN(), math.NaN()
			if g := l.Spreads[k]; g != nil {
				from, _, _ = g.Least()
				to, _, _ = g.Most()
			}
			row.Cells = append(row.Cells, angle(from), angle(to))
		}
		v.Table = append(v.Table, row)
	}
	return v, true
}

func (p *anglesPage) leftovers() {
	single, unlike := p.s.Apart()
	other := "Of other shapes or types"
	if p.s.Base != nil {
		other = "Not in the base and two models, or of other shapes or types"
	}
	for _, part := range []struct {
		title string
		list  []*plan.Tensor
	}{{"Only in one model", single}, {other, unlike}} {
		if len(part.list) == 0 {
			continue
		}
		v := leftView{Title: fmt.Sprintf("%s: %s", part.title, text.Count(len(part.list), "tensor"))}
		for _, t := range part.list[:min(len(part.list), maxLeftovers)] {
			v.Items = append(v.Items, fmt.Sprintf("%s: %s", text.Quote(t.Name), plain(t.Why)))
		}
		if more := len(part.list) - maxLeftovers; more > 0 {
			v.Items = append(v.Items, fmt.Sprintf("and %d more; compare --csv lists all", more))
		}
		p.Leftovers = append(p.Leftovers, v)
	}
}

func (p *anglesPage) words() {
	add := func(label, text string) { p.Words = append(p.Words, labelled{text, label}) }
	if p.s.Base == nil {
		add("angle", "Between two models' tensors, each taken as one long vector: 0° is the same direction, 90° nothing in common.")
	} else {
		add("angle", "Between two models' differences from the base, each taken as one long vector: 0° is a change in the same direction, 90° changes that have nothing in common, 180° opposite ones.")
		add("nearest to base, farthest", "The least and the greatest length of a model's difference, as a share of the base's length.")
	}
	add("lowest, median, highest", "Of the angles of all pairs of models; the highest is between the two whose numbers are given.")
	if len(p.s.Models) > 2 {
		add("apart", fmt.Sprintf("A model whose angles to more than half of the models are all greater than %d times the highest angle between those.", apartBy))
	}
	add("equal", "The same type and the same bytes in all models.")
}

// An anglesRow is a line of the table of tensors.
type anglesRow struct {
	Name []string // in parts between which a line may break

	Least, Median, Most, Between, Near, Far, State, Kind, Type, Shape, Note string
}

// Rows returns the lines of the table, made one at a time.
func (p *anglesPage) Rows() iter.Seq[anglesRow] {
	s := p.s
	return func(yield func(anglesRow) bool) {
		for _, i := range s.Order() {
			t, g := &s.Plan.Tensors[i], s.Tensor(i)
			low, _, _ := g.Least()
			high, _, _ := g.Most()
			v := anglesRow{Name: strings.SplitAfter(text.Quote(t.Name), "."), Least: angle(low), Median: angle(g.Median()), Most: angle(high), Between: between(g),
				State: s.State(i), Kind: string(g.Kind), Shape: shapeText(t.Shape), Note: plain(t.Why)}
			near, far := math.NaN(), math.NaN()
			for _, x := range g.Shares {
				near, far = least(near, x), most(far, x)
			}
			v.Near, v.Far = figure(near), figure(far)
			var types []string
			for _, o := range t.Operands {
				if d := o.Info().DType.String(); !slices.Contains(types, d) {
					types = append(types, d)
				}
			}
			v.Type = strings.Join(types, ", ")
			if !yield(v) {
				return
			}
		}
	}
}
