package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"slerpmerge/internal/model"
	"slerpmerge/internal/text"
)

// A stackView is the pictures of one stack of layers, and their figures.
type stackView struct {
	ID, Name   string
	Columns    int
	Heat       []heatRow // nil where nothing was measured
	HeatText   string
	Ticks      []tick
	AngleChart *chart
	TChart     *chart // nil where t is the same everywhere
	TText      string
	Kinds      []model.Kind
	Table      []tableRow
}

type heatRow struct {
	Kind  model.Kind
	Label string
	Cells []cell
}

type cell struct {
	X, Step int
	Title   string
}

// A tick is a number below a picture, at per cent of its width.
type tick struct {
	At   float64
	Text string
}

type tableRow struct {
	Layer string
	Cells []string
}

// A chart has a line for each kind, drawn in 1000 by 100 units.
type chart struct {
	Label               string
	Top, Middle, Bottom string
	Lines               []line
	Ticks               []tick
}

// A line is cut in runs where layers have no such tensor. Band is the range of
// the tensors about it, "" where there is none.
type line struct {
	Kind model.Kind
	Runs []string
	Band string
}

func (p *page) stacks() {
	s := p.s
	for i := range s.Stacks[:min(len(s.Stacks), maxStacks)] {
		if v, ok := p.stack(i); ok {
			p.Stacks = append(p.Stacks, v)
		}
	}
	p.ManyStacks = len(p.Stacks) > 1
	if more := len(s.Stacks) - maxStacks; more > 0 {
		p.MoreStacks = fmt.Sprintf("There are %d more series of layers; all their tensors are in the table below.", more)
	}
}

// stack draws one stack; ok is false when there is nothing to draw.
func (p *page) stack(i int) (v stackView, ok bool) {
	s := &p.s.Stacks[i]
	layers := s.Fold(maxColumns)
	first, last := s.Layers[0].First, s.Layers[len(s.Layers)-1].Last
	width := layers[0].Last - layers[0].First + 1 // of a column; only the last may be narrower
	v = stackView{ID: "s" + strconv.Itoa(i), Name: text.Quote(s.Name), Kinds: s.Kinds, Columns: (last - first + width) / width}
	column := func(l Layer) int { return (l.First - first) / width }
	v.Ticks = ticks(first, width, v.Columns)

	var low, high float64 = math.NaN(), math.NaN()
	var lowAt, highAt string
	for _, k := range s.Kinds {
		row := heatRow{Kind: k}
		rowLow, rowHigh := math.NaN(), math.NaN()
		for _, l := range layers {
			g := l.Groups[k]
			if g == nil || math.IsNaN(g.Angle()) {
				continue
			}
			a := g.Angle()
			where := fmt.Sprintf("%s, layer %s", k, l)
			row.Cells = append(row.Cells, cell{column(l), p.step(a), fmt.Sprintf("%s: %s, %s", where, angle(a), text.Count(g.Measured, "tensor"))})
			rowLow, rowHigh = least(rowLow, a), most(rowHigh, a)
			if !(a >= low) {
				low, lowAt = a, where
			}
			if !(a <= high) {
				high, highAt = a, where
			}
		}
		if row.Cells != nil {
			row.Label = fmt.Sprintf("%s: %s to %s in %s", k, angle(rowLow), angle(rowHigh), text.Count(len(row.Cells), "layer"))
			v.Heat = append(v.Heat, row)
		}
	}
	if v.Heat != nil {
		v.HeatText = fmt.Sprintf("All tensors of a kind in a layer taken as one: from %s (%s) to %s (%s).", angle(low), lowAt, angle(high), highAt)
		if p.Merged && hasGaps(v.Heat, layers) {
			v.HeatText += " Where one parent was copied, as at t = 0, nothing was measured."
		}
		v.AngleChart = v.draw(0, min(180, nice(high)), "°", pointsOf(layers, column, func(g *Group) (at, from, to float64) { return g.Angle(), math.NaN(), math.NaN() }))
		v.AngleChart.Label = fmt.Sprintf("Angle by layer, a line for each kind, between %s and %s.", angle(low), angle(high))
	}
	tLow, tHigh := math.NaN(), math.NaN()
	for _, l := range layers {
		for _, g := range l.Groups {
			tLow, tHigh = least(tLow, g.TLeast), most(tHigh, g.TMost)
		}
	}
	switch {
	case math.IsNaN(tLow):
		v.TText = "The recipe has no t for these layers."
	case tLow == tHigh:
		v.TText = fmt.Sprintf("t is %s in all layers.", figure(tLow))
	default:
		v.TText = fmt.Sprintf("The mean t of each kind, from %s to %s; a band is the range of its tensors.", figure(tLow), figure(tHigh))
		v.TChart = v.draw(min(0, tLow), max(1, tHigh), "", pointsOf(layers, column, func(g *Group) (at, from, to float64) { return g.T(), g.TLeast, g.TMost }))
		v.TChart.Label = fmt.Sprintf("t by layer, a line for each kind, between %s and %s.", figure(tLow), figure(tHigh))
	}
	for _, l := range layers {
		row := tableRow{Layer: l.String()}
		for _, k := range s.Kinds {
			g := l.Groups[k]
			if g == nil {
				g = newGroup(k)
			}
			if p.Angles {
				row.Cells = append(row.Cells, angle(g.Angle()))
			}
			row.Cells = append(row.Cells, span(g.TLeast, g.TMost))
		}
		v.Table = append(v.Table, row)
	}
	return v, v.Heat != nil || !math.IsNaN(tLow)
}

// hasGaps reports whether some layer has tensors of a kind, but no angle.
func hasGaps(heat []heatRow, layers []Layer) bool {
	cells, groups := 0, 0
	for _, row := range heat {
		cells += len(row.Cells)
	}
	for _, l := range layers {
		groups += len(l.Groups)
	}
	return cells < groups
}

// String returns the number of a layer, or of the first and the last of a run.
func (l Layer) String() string {
	if l.First == l.Last {
		return strconv.Itoa(l.First)
	}
	return fmt.Sprintf("%d–%d", l.First, l.Last)
}

// A point is a value in one column of a chart, and the range about it.
type point struct {
	column       int
	at, from, to float64
}

// pointsOf returns the points of one kind, for groups that have a value.
func pointsOf(layers []Layer, column func(Layer) int, of func(*Group) (at, from, to float64)) func(model.Kind) []point {
	return func(k model.Kind) []point {
		var list []point
		for _, l := range layers {
			g := l.Groups[k]
			if g == nil {
				continue
			}
			if at, from, to := of(g); !math.IsNaN(at) {
				list = append(list, point{column(l), at, from, to})
			}
		}
		return list
	}
}

// draw makes a chart between two values. points are those of a kind, in the order of
// their columns.
func (v *stackView) draw(bottom, top float64, unit string, points func(model.Kind) []point) *chart {
	c := &chart{Top: axis(top) + unit, Middle: axis((top+bottom)/2) + unit, Bottom: axis(bottom) + unit, Ticks: v.Ticks}
	x := func(p point) string { return coordinate((float64(p.column) + 0.5) / float64(v.Columns) * 1000) }
	y := func(value float64) string { return coordinate((top - value) / (top - bottom) * 100) }
	for _, k := range v.Kinds {
		ln := line{Kind: k}
		var run, above, below []string
		end := func() {
			if len(run) == 1 {
				run = append(run, run[0]) // a dot
			}
			if len(run) > 0 {
				ln.Runs = append(ln.Runs, strings.Join(run, " "))
			}
			run = nil
		}
		before, wide := -1, false
		for _, p := range points(k) {
			if p.column != before+1 {
				end()
			}
			before = p.column
			run = append(run, x(p)+","+y(p.at))
			if p.from <= p.to {
				wide = wide || p.from < p.to
				above, below = append(above, x(p)+","+y(p.to)), append(below, x(p)+","+y(p.from))
			}
		}
		end()
		if wide {
			for i := len(below) - 1; i >= 0; i-- {
				above = append(above, below[i])
			}
			ln.Band = strings.Join(above, " ")
		}
		if ln.Runs != nil {
			c.Lines = append(c.Lines, ln)
		}
	}
	return c
}

func coordinate(x float64) string {
	s := strconv.FormatFloat(x, 'f', 1, 64)
	return strings.TrimSuffix(s, ".0")
}

func axis(x float64) string { return strconv.FormatFloat(x, 'g', 3, 64) }

// nice returns the next of 1, 2, 3, 4, 5, 6, 8 and 10 times a power of ten.
func nice(x float64) float64 {
	if !(x > 0) {
		return 1
	}
	p := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 3, 4, 5, 6, 8} {
		if x <= m*p {
			return m * p
		}
	}
	return 10 * p
}

// ticks numbers at most 9 columns of a picture, round numbers at best; a phone
// has no room for more.
func ticks(first, width, columns int) []tick {
	step := 1
	for _, s := range []int{1, 2, 4, 5, 8, 10, 20, 25, 50, 100, 200, 500, 1000} {
		step = s
		if (columns+s-1)/s <= 9 {
			break
		}
	}
	for columns/step > 9 {
		step *= 2
	}
	var list []tick
	for c := 0; c < columns; c += step {
		at := (float64(c) + 0.5) / float64(columns) * 100
		list = append(list, tick{math.Round(at*100) / 100, strconv.Itoa(first + c*width)})
	}
	return list
}
