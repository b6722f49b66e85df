package cli

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"text/tabwriter"

	"slerpmerge/internal/method"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/report"
	"slerpmerge/internal/text"
)

// foldTo is the largest number of lines of layers without -v.
const foldTo = 24

// printSurvey shows a comparison of two models to people, in 80 columns.
func printSurvey(to io.Writer, s *report.Survey, verbose bool) error {
	out := bufio.NewWriter(to)
	p := s.Plan
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, m := range p.Models {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", []string{"primary", "secondary"}[i], clean(m.Path), text.Count(len(m.Tensors), "tensor"), size(m.Bytes()))
	}
	w.Flush()
	w = tabwriter.NewWriter(out, 0, 0, 1, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "\nkind     \ttensors\tangle\tlowest\thighest\tdistance\tslerp\tlinear\tequal\tt\t\n")
	row := func(name string, g *report.Group) {
		fmt.Fprintf(w, "%-9s\t%d\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t\n", name, g.Tensors, degrees(g.Angle()), degrees(g.Least), degrees(g.Most), share(g),
			g.Branches[method.Spherical], g.Branches[method.Straight], g.Branches[method.Equal], span(g.TLeast, g.TMost))
	}
	for i := range s.Kinds {
		row(string(s.Kinds[i].Kind), &s.Kinds[i])
	}
	row("all", &s.All)
	w.Flush()
	for i := range s.Stacks {
		printLayers(out, &s.Stacks[i], verbose)
	}
	printLeftovers(out, s.Leftovers(), verbose)
	if verbose {
		printPairs(out, s)
	}
	return out.Flush() // with the first error of all
}

// printPairs shows every tensor.
func printPairs(out io.Writer, s *report.Survey) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "\nangle\tcosine\tdistance\tbranch\tt\ttensor\n")
	for n, i := range s.Order() {
		t, res := &s.Plan.Tensors[i], &s.Tensors[i]
		theta, cos, far, branch, at := "-", "-", "-", string(res.Outcome), "-"
		if x := report.Degrees(res); !math.IsNaN(x) {
			theta, cos = degrees(x), fmt.Sprintf("%.6f", res.Cos)
		}
		if res.Measured && !math.IsNaN(res.Distance) {
			far = fraction(res.Distance, res.NormA)
		}
		if res.NonFinite {
			branch = "NaN or Inf"
		}
		if t.Mixed {
			at = fmt.Sprintf("%.4g", t.T)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", theta, cos, far, branch, at, text.Quote(t.Name))
		if n%10000 == 9999 { // else a large table is held whole for its column widths
			w.Flush()
		}
	}
	w.Flush()
}

// printLayers shows the angle of every kind along one stack.
func printLayers(out io.Writer, s *report.Stack, all bool) {
	layers := s.Layers
	if !all {
		layers = s.Fold(foldTo)
	}
	fmt.Fprintf(out, "\nangle by layer of %s\n", text.Quote(s.Name))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "layer\t")
	for _, k := range s.Kinds {
		fmt.Fprintf(w, "%s\t", k)
	}
	fmt.Fprint(w, "t\t\n")
	for _, l := range layers {
		fmt.Fprintf(w, "%s\t", l)
		low, high := math.NaN(), math.NaN()
		for _, k := range s.Kinds {
			g := l.Groups[k]
			if g == nil {
				fmt.Fprint(w, "-\t")
				continue
			}
			fmt.Fprintf(w, "%s\t", degrees(g.Angle()))
			if !(g.TLeast >= low) {
				low = g.TLeast
			}
			if !(g.TMost <= high) {
				high = g.TMost
			}
		}
		fmt.Fprintf(w, "%s\t\n", span(low, high))
	}
	w.Flush()
}

// printLeftovers names the tensors that were not compared.
func printLeftovers(out io.Writer, l report.Leftovers, all bool) {
	if l.None() {
		return
	}
	fmt.Fprintln(out, "\nnot compared")
	for _, part := range []struct {
		title string
		list  []*plan.Tensor
	}{{"only in the primary", l.OnlyPrimary}, {"only in the secondary", l.OnlySecondary}, {"of other shapes or types", l.Incomparable}} {
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
			msg := text.Quote(t.Name)
			if t.Op == (method.Differ{}) {
				msg += ": " + clean(t.Why)
			}
			fmt.Fprintf(out, "    %s\n", msg)
		}
	}
}

// degrees returns an angle for a table.
func degrees(x float64) string {
	switch {
	case math.IsNaN(x):
		return "-"
	case x == 0 || x >= 0.1:
		return fmt.Sprintf("%.2f°", x)
	case x >= 0.0005:
		return fmt.Sprintf("%.4f°", x)
	}
	return fmt.Sprintf("%.0e°", x)
}

// share returns a relative distance for a table.
func share(g *report.Group) string {
	if d := g.Distance(); !math.IsNaN(d) {
		return fmt.Sprintf("%.3g", d)
	}
	return "-"
}

// fraction returns the relative distance of one tensor.
func fraction(distance, norm float64) string {
	switch {
	case distance == 0:
		return "0"
	case norm == 0 || math.IsInf(norm, 0): // the norm of F64 values can be beyond a float64
		return "-"
	}
	return fmt.Sprintf("%.4g", distance/norm)
}

// span returns one t, or a range of them.
func span(from, to float64) string {
	switch {
	case math.IsNaN(from):
		return "-"
	case from == to:
		return fmt.Sprintf("%.3g", from)
	}
	return fmt.Sprintf("%.2g-%.2g", from, to)
}
