package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
)

// maxFiles is how many weight files are listed one by one without -v.
const maxFiles = 8

// printPlan shows a plan to people.
func (a *app) printPlan(p *plan.Plan) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for i, m := range p.Models {
		role := "model"
		switch {
		case p.Recipe.Method != recipe.Slerp:
		case i == 0 && p.Recipe.Document != nil:
			role = "base"
		case p.Recipe.Document == nil:
			role = []string{"primary", "secondary"}[i]
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", role, clean(m.Path), plural(len(m.Tensors), "tensor"), size(m.Bytes()))
	}
	if p.Layout != nil {
		fmt.Fprintln(w)
		if err := w.Flush(); err != nil { // the table has columns of its own
			return err
		}
		printParts(w, p)
		fmt.Fprintln(w)
		if a.globs.Verbose {
			for i := range p.Tensors {
				t := &p.Tensors[i]
				fmt.Fprintf(w, "%s\t%v\t%s\t%s\t%s\n", what(t), t.DType, size(t.Bytes()), model.Quote(t.Name), t.Why)
				if i%10000 == 9999 { // else a large table is held whole for its column widths
					if err := w.Flush(); err != nil {
						return err
					}
				}
			}
			fmt.Fprintln(w)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		a.printOutput(w, p)
	}
	if len(p.Warnings)+len(p.Differences)+len(p.Blockers) > 0 {
		fmt.Fprintln(w)
		if err := w.Flush(); err != nil {
			return err
		}
	}
	for _, s := range p.Blockers {
		fmt.Fprintf(w, "blocker\t%s\n", clean(s))
	}
	for _, s := range p.Warnings {
		fmt.Fprintf(w, "warning\t%s\n", clean(s))
	}
	for _, s := range p.Differences {
		fmt.Fprintf(w, "note\t%s\n", clean(s))
	}
	return w.Flush()
}

// printOutput shows what would be written, and what that takes.
func (a *app) printOutput(w io.Writer, p *plan.Plan) {
	files := p.Layout.Files
	for i, f := range files {
		if !a.globs.Verbose && len(files) > maxFiles && i == maxFiles-2 {
			fmt.Fprintf(w, "\t%s\t\t\t(all with -v)\n", fmt.Sprintf("%d more files", len(files)-maxFiles+1))
		}
		if a.globs.Verbose || len(files) <= maxFiles || i < maxFiles-2 || i == len(files)-1 {
			fmt.Fprintf(w, "file\t%s\t%s\t%d bytes\n", f.Name, plural(f.Tensors, "tensor"), f.Size)
		}
	}
	if p.Layout.Index != nil {
		fmt.Fprintf(w, "file\t%s\t\t%d bytes\n", p.Layout.IndexName, len(p.Layout.Index))
	}
	if names, n := beside(p); len(names) > 0 {
		fmt.Fprintf(w, "with\t%s\t\t%s\n", strings.Join(names, ", "), size(n))
	}
	output := clean(p.Recipe.Output)
	if output == "" {
		output = "(no folder named)"
	}
	fmt.Fprintf(w, "output\t%s\t\t%s\n", output, size(p.OutputBytes))
	if p.DiskFree >= 0 {
		fmt.Fprintf(w, "disk\t\t\t%s free\n", size(p.DiskFree))
	}
	fmt.Fprintf(w, "memory\t%s\t\t%s of %s\n", plural(p.Budget.Threads, "thread"), mib(p.Budget.Total), mib(p.Recipe.MaxMemory))
}

// maxBeside is how many of the small files are named.
const maxBeside = 2

// beside names the files that go along with the weights.
func beside(p *plan.Plan) (names []string, bytes int64) {
	if p.Config != nil {
		names, bytes = []string{"config.json"}, int64(len(p.Config))
	}
	for _, c := range p.Companions {
		if n, err := c.Size(); err == nil {
			bytes += n
		}
		names = append(names, clean(c.Name))
	}
	if n := len(names); n > maxBeside+1 {
		names = append(names[:maxBeside], fmt.Sprintf("%d more", n-maxBeside))
	}
	return names, bytes
}

// what says in a word what happens to a tensor, with its t.
func what(t *plan.Tensor) string {
	if t.Mixed {
		return fmt.Sprintf("%s, t %v", t.Action, t.T)
	}
	return string(t.Action)
}

// A partKey is what the tensors of one line of the table have in common.
type partKey struct {
	kind    model.Kind
	stack   string // "" for what belongs to no layer
	inLayer bool
	action  plan.Action
	types   string
	why     string
}

// A part is one line of the table.
type part struct {
	partKey
	layers  []int // sorted, each once
	tensors int
	bytes   int64
	mixed   bool
	t0, t1  float64 // the least t and the greatest
}

// maxStacks is how many stacks of layers the table tells apart.
const maxStacks = 4

// parts groups the tensors of a plan: kind by kind, layers that are treated
// alike together.
func parts(p *plan.Plan) []*part {
	stacks := map[string]bool{}
	for i := range p.Tensors {
		if stack, _, ok := model.LayerOf(p.Tensors[i].Name); ok {
			stacks[stack] = true
		}
	}
	groups := map[partKey]*part{}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		stack, layer, inLayer := model.LayerOf(t.Name)
		if len(stacks) == 1 || len(stacks) > maxStacks {
			stack = ""
		}
		k := partKey{model.KindOf(t.Name), stack, inLayer, t.Action, typesOf(t), t.Why}
		g := groups[k]
		if g == nil {
			g = &part{partKey: k, mixed: t.Mixed, t0: t.T, t1: t.T}
			groups[k] = g
		}
		g.tensors++
		g.bytes += t.Bytes()
		g.t0, g.t1 = min(g.t0, t.T), max(g.t1, t.T)
		if at, found := slices.BinarySearch(g.layers, layer); inLayer && !found {
			g.layers = slices.Insert(g.layers, at, layer)
		}
	}
	list := make([]*part, 0, len(groups))
	for _, g := range groups {
		list = append(list, g)
	}
	kinds := model.Kinds()
	slices.SortFunc(list, func(x, y *part) int {
		first := func(g *part) int {
			if len(g.layers) == 0 {
				return -1
			}
			return g.layers[0]
		}
		return cmp.Or(
			cmp.Compare(slices.Index(kinds, x.kind), slices.Index(kinds, y.kind)),
			cmp.Compare(x.stack, y.stack),
			cmp.Compare(first(x), first(y)),
			cmp.Compare(x.t0, y.t0), cmp.Compare(x.action, y.action), cmp.Compare(x.types, y.types), cmp.Compare(x.why, y.why))
	})
	return list
}

// typesOf says what types a tensor comes from and goes to: BF16, or where they
// are not all one, F32 + BF16 > F32.
func typesOf(t *plan.Tensor) string {
	var from []string
	add := func(o plan.Operand) {
		if o.None() {
			return
		}
		if d := o.Tensor().DType.String(); !slices.Contains(from, d) {
			from = append(from, d)
		}
	}
	add(t.A)
	add(t.B)
	for i := range t.Terms {
		add(t.Terms[i].Operand)
	}
	to := t.DType.String()
	if len(from) == 0 || len(from) == 1 && from[0] == to {
		return to
	}
	return strings.Join(from, " + ") + " > " + to
}

// maxParts keeps the table of a plan readable, whatever names a file holds.
const maxParts = 60

func printParts(w io.Writer, p *plan.Plan) {
	list := parts(p)
	fmt.Fprintf(w, "KIND\tLAYERS\tTENSORS\tACTION\tT\tTYPE\tSIZE\n")
	for i, g := range list {
		if i == maxParts {
			fmt.Fprintf(w, "%d more lines\t\t\t\t\t\t\t(all tensors with -v)\n", len(list)-i)
			break
		}
		t := "-"
		if g.mixed {
			t = shortNumber(g.t0)
			if g.t1 > g.t0 {
				t += " to " + shortNumber(g.t1)
			}
		}
		layers := "-"
		if g.inLayer {
			layers = strings.TrimSpace(g.stack + " " + ranges(g.layers))
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s", g.kind, clean(layers), g.tensors, g.action, t, g.types, size(g.bytes))
		if g.why != "" && (!g.mixed || g.action == plan.Slerp) { // else it is t, which has its column
			fmt.Fprintf(w, "\t%s", clean(g.why))
		}
		fmt.Fprintln(w)
	}
}

func shortNumber(x float64) string {
	if rounded, err := strconv.ParseFloat(strconv.FormatFloat(x, 'f', 4, 64), 64); err == nil {
		x = rounded
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}

// maxRanges is how many gaps in a series of layers are shown.
const maxRanges = 6

// ranges writes sorted numbers as 0-7, 9, 11-12.
func ranges(numbers []int) string {
	var out []string
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		text := strconv.Itoa(numbers[i])
		if j > i {
			text += "-" + strconv.Itoa(numbers[j])
		}
		out = append(out, text)
		i = j + 1
	}
	if len(out) > maxRanges {
		out = append(out[:maxRanges-1], "..., "+out[len(out)-1])
	}
	return strings.Join(out, ", ")
}
