package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"slerpmerge/internal/compare"
	"slerpmerge/internal/method"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/report"
	"slerpmerge/internal/text"
	"slerpmerge/mmapio"
)

type compareCmd struct {
	Models []string `arg:"" optional:"" name:"model" help:"The models, two or more. Of two, the first is what t = 0 would give, and distances are shares of its norms; the second is what t = 1 would give."`
	Recipe string   `short:"r" placeholder:"FILE" help:"A mergekit YAML that names the models, and t for slerp."`
	Base   string   `placeholder:"MODEL" help:"The model that the others were tuned from: the angles are those between their differences from it."`

	T           tFlags     `short:"t" name:"t" placeholder:"[NAME=]VALUE[,...]" help:"The t of a merge, as for merge: it is shown beside the angles of two models (default 0.5)."`
	Extrapolate bool       `help:"Allow -t outside 0 to 1."`
	JSON        bool       `name:"json" help:"Print the result as JSON."`
	CSV         string     `name:"csv" placeholder:"FILE" help:"Write a line for each tensor to FILE, to standard output for -."`
	HTML        string     `name:"html" placeholder:"FILE" help:"Write a page with pictures and a table of all tensors to FILE, to standard output for -."`
	MaxMemory   byteSize   `placeholder:"SIZE" default:"64MiB" help:"Resident memory that the run stays below (default ${default})."`
	Entry       entryFlags `placeholder:"[N:]KEY" help:"Entry of a PyTorch checkpoint that holds the model, as for merge; a base that is not among the models is the last. Repeatable."`
	Threads     int        `placeholder:"N" help:"Worker threads (default all cores)."`
}

// Help returns the text below the flags.
func (compareCmd) Help() string {
	return "Example: slerpmerge compare ./alpha ./beta --html compare.html\n\nAll models are read once. -v shows every layer and every tensor. Of three or more models, those that stand apart are named."
}

// A comparison is what a compareCmd asks for.
type comparison struct {
	recipe.Request
	several bool // the models are compared each with each; else the second with the first
	base    int  // of several: the place of the one that they are measured from, -1 for none
}

// Run compares.
func (c *compareCmd) Run(ctx context.Context, a *app) error {
	r, err := c.comparison()
	if err != nil {
		return err
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

// comparison reads the flags.
func (c *compareCmd) comparison() (r comparison, err error) {
	r.base = -1
	flags := mergeFlags{Recipe: c.Recipe, T: c.T, Extrapolate: c.Extrapolate,
		outputFlags: outputFlags{DType: dtypeFlag{recipe.DType{Auto: true}}, Format: string(recipe.Safetensors), ShardSize: 5e9, MaxMemory: c.MaxMemory, Threads: c.Threads, Entry: c.Entry},
		Missing:     string(recipe.MissingCopy), NonFinite: string(recipe.NonFiniteWarn), Vocab: string(recipe.VocabError), Tokenizer: string(recipe.TokenizerPrimary)}
	if c.Recipe == "" && (len(c.Models) > 2 || c.Base != "") {
		r.several = true
		if r.Recipe, r.base, err = c.manifold(); err != nil {
			return r, err
		}
		return r, flags.put(&r.Request)
	}
	flags.Models = c.Models
	if c.Recipe != "" && c.Base != "" {
		return r, &requestError{msg: "--recipe names the models: omit --base"}
	}
	if r.Request, err = flags.recipe(""); err != nil || !r.FromFile() {
		return r, err
	}
	switch n := len(r.Parents()); {
	case n > maxCompared:
		return r, &requestError{msg: fmt.Sprintf("--recipe %s has %d models: compare takes at most %d", c.Recipe, n, maxCompared)}
	case n < 2:
		return r, &requestError{msg: fmt.Sprintf("--recipe %s has only one model: compare needs two", c.Recipe)}
	case n > 2:
		r.several, r.base = true, baseIn(&r.Recipe)
	}
	return r, nil
}

// baseIn returns the place of the model that a recipe's others are measured from, -1
// if its method does not do that.
func baseIn(r *recipe.Recipe) int {
	if role := r.Rules.Base(); r.Base == nil || role != recipe.BaseIsRequired && role != recipe.BaseIsOptional {
		return -1
	}
	return slices.IndexFunc(r.Models(), r.Base.Same)
}

// maxCompared is the largest number of models of one comparison: each has files that
// are mapped, and each pair has sums of its own.
const maxCompared = 256

// manifold returns the recipe of any number of models, and the place of the base.
func (c *compareCmd) manifold() (r recipe.Recipe, base int, err error) {
	base = -1
	if len(c.T.args) > 0 {
		return r, base, &requestError{msg: "-t is about a merge of two models: omit it, or --base and the other models"}
	}
	if len(c.Models) > maxCompared || len(c.Models) == maxCompared && c.Base != "" {
		return r, base, &requestError{msg: fmt.Sprintf("there are %d models: compare takes at most %d, the base counted", len(c.Models), maxCompared)}
	}
	var models []string
	for i, path := range c.Models {
		same := func(m string) bool { return recipe.ModelRef{Path: m}.Same(recipe.ModelRef{Path: path}) }
		switch {
		case path == "":
			return r, base, &requestError{msg: fmt.Sprintf("model %d is empty: name a model folder or weight file", i+1)}
		case slices.ContainsFunc(models, same):
			return r, base, &requestError{msg: path + " is named twice"}
		case c.Base != "" && same(c.Base):
			base = i
		}
		models = append(models, path)
	}
	if c.Base != "" && base < 0 {
		base = len(models)
		models = append(models, c.Base)
	}
	if base >= 0 && len(models) < 3 {
		return r, base, &requestError{msg: "--base needs two models beside it, whose differences from it are compared",
			hint: "slerpmerge compare BASE MODEL says how far one model is from another"}
	}
	return recipe.Comparison(models...), base, nil
}

// A found is a finished comparison, and the forms in which it can be shown.
type found struct {
	tensors  int // that were compared
	what     string
	duration time.Duration
	spoiled  string // a warning of NaN or Inf, "" for none
	attrs    []any  // for the log
	shown    struct{ text, json, csv, html func(w io.Writer) error }
}

func (c *compareCmd) carryOut(ctx context.Context, a *app, r comparison) error {
	pool := mmapio.NewPool(planPool)
	bound(r.MaxMemory, planPool)
	models, err := openParents(pool, r.Request, plan.Comparing)
	defer func() { closeAll(models) }()
	if err != nil {
		return err
	}
	if err := settleTies(ctx, models); err != nil {
		return err
	}
	var p *plan.Plan
	if r.several {
		p, err = plan.Several(r.Request, models, r.base)
	} else {
		p, err = plan.Pairs(r.Request, models[0], models[1])
	}
	if err != nil {
		return err
	}
	if err := p.Refusal(); err != nil {
		return err
	}
	bound(r.MaxMemory, p.Budget.Pool)
	tighten(p.Budget.Least, r.MaxMemory)
	var files [2]*saved
	for i, f := range []struct{ flag, path, head string }{{"--csv", c.CSV, report.CSVBegin}, {"--html", c.HTML, report.PageHead()}} {
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
	bar := a.progress(comparedBytes(p))
	opt := compare.Options{Pool: pool, Progress: bar.add}
	var f *found
	if r.several {
		f, err = a.compareSeveral(ctx, p, r.base >= 0, opt)
	} else {
		f, err = a.comparePair(ctx, p, opt)
	}
	bar.close()
	if err != nil {
		return err
	}
	if f.spoiled != "" {
		a.log.warn(f.spoiled)
	}
	for i, content := range []func(io.Writer) error{f.shown.csv, f.shown.html} {
		if files[i] != nil {
			if err := files[i].write(ctx, content); err != nil {
				return err
			}
		}
	}
	show := f.shown.text
	switch {
	case c.JSON:
		show = f.shown.json
	case c.CSV == "-":
		show = f.shown.csv
	case c.HTML == "-":
		show = f.shown.html
	}
	if err := show(a.stdout); err != nil {
		return err
	}
	seconds, bytes, peak := f.duration.Seconds(), comparedBytes(p), peakMemory()
	msg := fmt.Sprintf("%s, %s read in %.1f s (%s/s), peak memory %s", f.what, size(bytes), seconds,
		size(int64(float64(bytes)/max(seconds, 1e-9))), mib(peak))
	a.log.info("done", msg, append([]any{"tensors", f.tensors, "bytes", bytes, "seconds", seconds, "peak_memory", peak}, append(f.attrs, "warnings", len(p.Warnings))...)...)
	return nil
}

// comparePair compares two models.
func (a *app) comparePair(ctx context.Context, p *plan.Plan, opt compare.Options) (*found, error) {
	res, err := compare.Run(ctx, p, opt)
	if err != nil {
		return nil, err
	}
	s := report.NewSurvey(p, res.Tensors, res.Warnings, false)
	f := &found{tensors: s.All.Tensors, what: text.Count(s.All.Tensors, "tensor") + " compared", duration: res.Duration, attrs: []any{"branches", s.All.Branches}}
	if first, n := nonFinite(res); n > 0 {
		f.spoiled = fmt.Sprintf("a NaN or Inf in a parent leaves %s without angle and distance: %s", text.Count(n, "tensor"), text.Some([]string{first}, n))
	}
	f.shown.text = func(w io.Writer) error { return printSurvey(w, s, a.globs.Verbose) }
	f.shown.json = func(w io.Writer) error { return report.JSON(w, s) }
	f.shown.csv = func(w io.Writer) error { return report.CSV(w, s) }
	f.shown.html = func(w io.Writer) error { return report.Page(w, s, a.version) }
	return f, nil
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

// comparedBytes returns the number of bytes that a comparison reads.
func comparedBytes(p *plan.Plan) int64 {
	var n int64
	for i := range p.Tensors {
		if t := &p.Tensors[i]; t.Op.Needs() != method.Nothing {
			for _, o := range t.Operands {
				n += o.Info().Bytes()
			}
		}
	}
	return n
}
