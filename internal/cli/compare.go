package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"text/tabwriter"

	"slerpmerge/internal/compare"
	"slerpmerge/internal/method"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/report"
	"slerpmerge/internal/text"
	"slerpmerge/mmapio"
)

type compareCmd struct {
	Primary   *string `arg:"" optional:"" help:"The model that t = 0 would give. Distances are shares of its norms."`
	Secondary *string `arg:"" optional:"" help:"The model that t = 1 would give."`
	Recipe    string  `short:"r" placeholder:"FILE" help:"A mergekit YAML (slerp) that names the models and t."`

	T           tFlags     `short:"t" name:"t" placeholder:"[NAME=]VALUE[,...]" help:"The t of a merge, as for merge: it is shown beside the angles (default 0.5)."`
	Extrapolate bool       `help:"Allow -t outside 0 to 1."`
	JSON        bool       `name:"json" help:"Print the result as JSON."`
	CSV         string     `name:"csv" placeholder:"FILE" help:"Write a line for each tensor to FILE, to standard output for -."`
	HTML        string     `name:"html" placeholder:"FILE" help:"Write a page with pictures and a table of all tensors to FILE, to standard output for -."`
	MaxMemory   byteSize   `placeholder:"SIZE" default:"64MiB" help:"Resident memory that the run stays below (default ${default})."`
	Entry       entryFlags `placeholder:"[N:]KEY" help:"Entry of a PyTorch checkpoint that holds the model, as for merge. Repeatable."`
	Threads     int        `placeholder:"N" help:"Worker threads (default all cores)."`
}

// Help returns the text below the flags.
func (compareCmd) Help() string {
	return "Example: slerpmerge compare ./alpha ./beta --html compare.html\n\nBoth models are read once. -v shows every layer and every tensor."
}

// Run compares.
func (c *compareCmd) Run(ctx context.Context, a *app) error {
	var models []string
	for _, m := range []*string{c.Primary, c.Secondary} {
		if m != nil {
			models = append(models, *m)
		}
	}
	flags := mergeFlags{Models: models, Recipe: c.Recipe, T: c.T, Extrapolate: c.Extrapolate,
		outputFlags: outputFlags{DType: dtypeFlag{recipe.DType{Auto: true}}, Format: string(recipe.Safetensors), ShardSize: 5e9, MaxMemory: c.MaxMemory, Threads: c.Threads, Entry: c.Entry},
		Missing:     string(recipe.MissingCopy), NonFinite: string(recipe.NonFiniteWarn), Vocab: string(recipe.VocabError), Tokenizer: string(recipe.TokenizerPrimary)}
	r, err := flags.recipe("")
	if err != nil {
		return err
	}
	if r.FromFile() && (!r.Rules.(method.Method).Pairs() || len(r.Parents()) != 2) {
		return &requestError{msg: fmt.Sprintf("--recipe %s is not about a pair of models: compare takes recipes of merge_method slerp with two models", c.Recipe)}
	}
	toStdout := 0
	for _, yes := range []bool{c.JSON, c.CSV == "-", c.HTML == "-"} {
		if yes {
			toStdout++
		}
	}
	if toStdout > 1 {
		return &requestError{msg: "only one of --json, --csv - and --html - can go to standard output"}
	}
	return c.carryOut(ctx, a, r)
}

func (c *compareCmd) carryOut(ctx context.Context, a *app, r recipe.Request) error {
	pool := mmapio.NewPool(planPool)
	bound(r.MaxMemory, planPool)
	models, err := openParents(pool, r, plan.Comparing)
	defer func() { closeAll(models) }()
	if err != nil {
		return err
	}
	if err := settleTies(ctx, models); err != nil {
		return err
	}
	p, err := plan.Pairs(r, models[0], models[1])
	if err != nil {
		return err
	}
	if err := p.Refusal(); err != nil {
		return err
	}
	bound(r.MaxMemory, p.Budget.Pool)
	tighten(p.Budget.Least, r.MaxMemory)
	var files [2]*saved
	for i, f := range []struct{ flag, path, head string }{{"--csv", c.CSV, report.CSVHead()}, {"--html", c.HTML, report.PageHead()}} {
		if f.path == "" || f.path == "-" {
			continue
		}
		if files[i], err = newSaved(f.flag, f.path, f.head); err != nil {
			return err
		}
		defer files[i].drop()
	}
	for _, w := range p.Warnings {
		a.log.warn(w)
	}
	bar := a.progress(pairBytes(p))
	res, err := compare.Run(ctx, p, compare.Options{Pool: pool, Progress: bar.add})
	bar.close()
	if err != nil {
		return err
	}
	if first, n := nonFinite(res); n > 0 {
		a.log.warn(fmt.Sprintf("a NaN or Inf in a parent leaves %s without angle and distance: %s", text.Count(n, "tensor"), text.Some([]string{first}, n)))
	}
	s := report.NewSurvey(p, res.Tensors, res.Warnings, false)
	csv := func(w io.Writer) error { return report.CSV(w, s) }
	html := func(w io.Writer) error { return report.Page(w, s, a.version) }
	for i, content := range []func(io.Writer) error{csv, html} {
		if files[i] != nil {
			if err := files[i].write(ctx, content); err != nil {
				return err
			}
		}
	}
	switch {
	case c.JSON:
		err = report.JSON(a.stdout, s)
	case c.CSV == "-":
		err = csv(a.stdout)
	case c.HTML == "-":
		err = html(a.stdout)
	default:
		err = a.printSurvey(s)
	}
	if err != nil {
		return err
	}
	seconds, bytes, peak := res.Duration.Seconds(), pairBytes(p), peakMemory()
	msg := fmt.Sprintf("%s compared, %s read in %.1f s (%s/s), peak memory %s", text.Count(s.All.Tensors, "tensor"), size(bytes), seconds,
		size(int64(float64(bytes)/max(seconds, 1e-9))), mib(peak))
	a.log.info("done", msg, "tensors", s.All.Tensors, "bytes", bytes, "seconds", seconds, "peak_memory", peak, "branches", s.All.Branches, "warnings", len(p.Warnings))
	return nil
}

// nonFinite counts the tensors with a NaN or Inf, and names the first.
func nonFinite(res *compare.Result) (first string, n int) {
	for i := range res.Tensors {
		if !res.Tensors[i].NonFinite {
			continue
		}
		if n++; n == 1 {
			first = text.Quote(res.Plan.Tensors[i].Name)
		}
	}
	return first, n
}

// pairBytes returns the number of bytes that a comparison reads.
func pairBytes(p *plan.Plan) int64 {
	var n int64
	for i := range p.Tensors {
		if t := &p.Tensors[i]; t.Op.Needs() != method.Nothing {
			n += t.Operands[0].Info().Bytes() + t.Operands[1].Info().Bytes()
		}
	}
	return n
}

// foldTo is the largest number of lines of layers without -v.
const foldTo = 24

// printSurvey shows a comparison to people, in 80 columns.
func (a *app) printSurvey(s *report.Survey) error {
	out := bufio.NewWriter(a.stdout)
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
		printLayers(out, &s.Stacks[i], a.globs.Verbose)
	}
	printLeftovers(out, s.Leftovers(), a.globs.Verbose)
	if a.globs.Verbose {
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
