package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"slerpmerge/internal/compare"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/report"
	"slerpmerge/internal/text"
)

// compareSeveral compares models each with each. based says that the plan's first is
// the one that the others are measured from.
func (a *app) compareSeveral(ctx context.Context, p *plan.Plan, based bool, opt compare.Options) (*found, error) {
	res, err := compare.RunSeveral(ctx, p, opt)
	if err != nil {
		return nil, err
	}
	s := report.NewAngles(p, res.Tensors, based)
	f := &found{tensors: s.All.Tensors, duration: res.Duration, attrs: []any{"models", len(s.Models)},
		what: fmt.Sprintf("%s of %s compared", text.Count(s.All.Tensors, "tensor"), text.Count(len(p.Models), "model"))}
	if first, n := s.NonFinite(); n > 0 {
		f.spoiled = fmt.Sprintf("a NaN or Inf in a model leaves %s without some of the angles: %s", text.Count(n, "tensor"), text.Some([]string{first}, n))
	}
	f.shown.text = func(w io.Writer) error { return printAngles(w, s, a.globs.Verbose) }
	f.shown.json = func(w io.Writer) error { return report.AnglesJSON(w, s) }
	f.shown.csv = func(w io.Writer) error { return report.AnglesCSV(w, s) }
	f.shown.html = func(w io.Writer) error { return report.AnglesPage(w, s, a.version) }
	return f, nil
}

// screen is the width that tables keep to.
const screen = 80

// printAngles shows a comparison of several models to people, in 80 columns.
func printAngles(to io.Writer, s *report.Angles, verbose bool) error {
	out := bufio.NewWriter(to)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(label string, m *model.Model) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", label, clean(m.Path), text.Count(len(m.Tensors), "tensor"), size(m.Bytes()))
	}
	if s.Base != nil {
		line("base", s.Base)
	}
	for i, m := range s.Models {
		line(strconv.Itoa(i+1), m)
	}
	w.Flush()
	title := "angle between the models"
	if s.Base != nil {
		title = "angle between the differences from the base"
	}
	fmt.Fprintf(out, "\n%s\n", title)
	printMatrix(out, s)
	for _, line := range s.Sentences(func(i int) string { return clean(s.Models[i].Name()) }) {
		fmt.Fprintln(out, wrapped(line))
	}
	printKinds(out, s)
	if s.Base != nil {
		printShares(out, s)
	}
	for i := range s.Stacks {
		printSpreads(out, &s.Stacks[i], verbose)
	}
	printApart(out, s, verbose)
	if verbose {
		printTensors(out, s)
	}
	return out.Flush() // with the first error of all
}

// wrapped breaks a text into lines of the screen.
func wrapped(s string) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(s) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+n > screen:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}

// A grid is a table of cells with heads of rows and columns. Columns that do not fit
// the screen follow below, under the same heads of rows.
type grid struct {
	corner        string
	rows, columns []string
	cells         [][]string // by row; a short row ends early
}

func (g *grid) print(out io.Writer) {
	left := utf8.RuneCountInString(g.corner)
	for _, r := range g.rows {
		left = max(left, utf8.RuneCountInString(r))
	}
	wide := make([]int, len(g.columns))
	for c := range wide {
		wide[c] = utf8.RuneCountInString(g.columns[c])
		for _, row := range g.cells {
			if c < len(row) {
				wide[c] = max(wide[c], utf8.RuneCountInString(row[c]))
			}
		}
	}
	for from := 0; from < len(wide); {
		to, sum := from, left
		for to < len(wide) && (to == from || sum+2+wide[to] <= screen) {
			sum += 2 + wide[to]
			to++
		}
		if from > 0 {
			fmt.Fprintln(out)
		}
		line := func(head string, cells []string) {
			text := pad(head, -left)
			for c := from; c < min(to, len(cells)); c++ {
				text += "  " + pad(cells[c], wide[c])
			}
			fmt.Fprintln(out, strings.TrimRight(text, " "))
		}
		line(g.corner, g.columns)
		for i, r := range g.rows {
			if len(g.cells[i]) > from {
				line(r, g.cells[i])
			}
		}
		from = to
	}
}

// pad returns a text as wide as n, to the right of blanks, or to their left for -n.
func pad(s string, n int) string {
	blanks := strings.Repeat(" ", max(0, max(n, -n)-utf8.RuneCountInString(s)))
	if n < 0 {
		return s + blanks
	}
	return blanks + s
}

// maxNamed is the largest number of models that the heads of a matrix name.
const maxNamed = 8

// printMatrix shows the angle of each pair. Columns have names as long as they fit the
// screen, else the numbers of the models.
func printMatrix(out io.Writer, s *report.Angles) {
	n := len(s.Models)
	g := &grid{}
	wide := 0
	for i := 1; i < n; i++ {
		var row []string
		for j := range i {
			row = append(row, degrees(s.All.At(i, j)))
		}
		g.cells = append(g.cells, row)
		g.rows = append(g.rows, strconv.Itoa(i+1))
		g.columns = append(g.columns, strconv.Itoa(i))
	}
	if n <= maxNamed {
		var names []string
		longest := 0
		for _, m := range s.Models {
			names = append(names, clean(m.Name()))
			longest = max(longest, utf8.RuneCountInString(names[len(names)-1]))
		}
		for j := range n - 1 {
			wide += 2 + max(utf8.RuneCountInString(names[j]), utf8.RuneCountInString(degrees(s.All.At(j+1, j))))
		}
		for i := range g.rows {
			if longest+wide <= screen {
				g.rows[i], g.columns[i] = names[i+1], names[i]
			} else if longest <= screen/4 {
				g.rows[i] += "  " + names[i+1]
			}
		}
	}
	g.print(out)
}

// printKinds shows the spread of each kind.
func printKinds(out io.Writer, s *report.Angles) {
	g := &grid{corner: "kind", columns: []string{"tensors", "equal", "lowest", "median", "highest", "between"}}
	apart := len(s.Models) > 2
	if apart {
		g.columns = append(g.columns, "apart")
	}
	for _, k := range append(slices.Clone(s.Kinds), s.All) {
		row := append([]string{strconv.Itoa(k.Tensors), strconv.Itoa(k.Equal)}, spreadCells(k)...)
		if apart {
			row = append(row, apartText(k))
		}
		g.cells, g.rows = append(g.cells, row), append(g.rows, kindName(k))
	}
	fmt.Fprintln(out)
	g.print(out)
}

func kindName(k *report.Spread) string {
	if k.Kind == "" {
		return "all"
	}
	return string(k.Kind)
}

// spreadCells are the lowest, the median and the highest angle, and the models that
// this one is between.
func spreadCells(k *report.Spread) []string {
	low, _, _ := k.Least()
	high, i, j := k.Most()
	between := "-"
	if i >= 0 {
		between = fmt.Sprintf("%d, %d", i+1, j+1)
	}
	return []string{degrees(low), degrees(k.Median()), degrees(high), between}
}

// apartText has the numbers of the models that stand apart.
func apartText(k *report.Spread) string {
	var list []string
	for _, o := range k.Outliers().Out {
		list = append(list, strconv.Itoa(o.Model+1))
	}
	if list == nil {
		return "-"
	}
	return text.Some(list[:min(len(list), 3)], len(list))
}

// printShares shows how long the differences from the base are, by kind.
func printShares(out io.Writer, s *report.Angles) {
	fmt.Fprint(out, "\nlength of the difference as a share of the base's\n")
	g := &grid{corner: "model"}
	kinds := append(slices.Clone(s.Kinds), s.All)
	for _, k := range kinds {
		g.columns = append(g.columns, kindName(k))
	}
	for i := range s.Models {
		var row []string
		for _, k := range kinds {
			row = append(row, shareText(k.Shares[i]))
		}
		g.cells, g.rows = append(g.cells, row), append(g.rows, strconv.Itoa(i+1))
	}
	g.print(out)
}

func shareText(x float64) string {
	if math.IsNaN(x) {
		return "-"
	}
	return fmt.Sprintf("%.3g", x)
}

// printSpreads shows the lowest and the highest angle of each kind along one stack.
func printSpreads(out io.Writer, st *report.AngleStack, all bool) {
	n := foldTo
	if all {
		n = 0
	}
	fmt.Fprintf(out, "\nlowest and highest angle by layer of %s\n", text.Quote(st.Name))
	g := &grid{corner: "layer"}
	for _, k := range st.Kinds {
		g.columns = append(g.columns, string(k))
	}
	for l := range st.Fold(n) {
		var row []string
		for _, k := range st.Kinds {
			cell := "-"
			if x := l.Spreads[k]; x != nil {
				low, _, _ := x.Least()
				high, _, _ := x.Most()
				if cell = degrees(low); degrees(high) != cell {
					cell += "-" + degrees(high)
				}
			}
			row = append(row, cell)
		}
		g.cells, g.rows = append(g.cells, row), append(g.rows, l.String())
	}
	g.print(out)
}

// printApart names the tensors that were not compared.
func printApart(out io.Writer, s *report.Angles, all bool) {
	single, unlike := s.Apart()
	if len(single)+len(unlike) == 0 {
		return
	}
	fmt.Fprintln(out, "\nnot compared")
	other := "of other shapes or types"
	if s.Base != nil {
		other = "not in the base and two models, or of other shapes or types"
	}
	for _, part := range []struct {
		title string
		list  []*plan.Tensor
	}{{"only in one model", single}, {other, unlike}} {
		if len(part.list) == 0 {
			continue
		}
		fmt.Fprintf(out, "  %s: %s\n", part.title, text.Count(len(part.list), "tensor"))
		const some = 5
		for i, t := range part.list {
			if i == some && !all {
				fmt.Fprintf(out, "    and %d more; -v names all\n", len(part.list)-some)
				break
			}
			fmt.Fprintf(out, "    %s: %s\n", text.Quote(t.Name), clean(t.Why))
		}
	}
}

// printTensors shows every tensor.
func printTensors(out io.Writer, s *report.Angles) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "\nlowest\tmedian\thighest\tbetween\tvalues\ttensor\n")
	for n, i := range s.Order() {
		t, state := &s.Plan.Tensors[i], s.State(i)
		if state == "" {
			state = "-"
		}
		name := text.Quote(t.Name)
		if t.Why != "" {
			name += ": " + clean(t.Why)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", strings.Join(spreadCells(s.Tensor(i)), "\t"), state, name)
		if n%10000 == 9999 { // else a large table is held whole for its column widths
			w.Flush()
		}
	}
	w.Flush()
}
