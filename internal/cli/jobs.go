package cli

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"slerpmerge/internal/batch"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/mmapio"
)

// jobGrammar reads the jobs of a manifest as merge and convert read their
// command lines.
type jobGrammar struct {
	app     *app
	merge   jobCommand
	convert jobCommand

	mergeCmd   mergeCmd
	convertCmd convertCmd
}

// A jobCommand is a command whose flags are keys of jobs.
type jobCommand struct {
	parser *kong.Kong
	models []string // stand-ins for its arguments
	flags  []batch.FlagForm
}

func newJobGrammar(a *app) *jobGrammar {
	g := &jobGrammar{app: a, mergeCmd: mergeCmd{mergeFlags: withMethods()}}
	g.merge = newJobCommand(&g.mergeCmd, g.mergeCmd.methodFlags.names, "a", "b")
	g.convert = newJobCommand(&g.convertCmd, nil, "a")
	return g
}

// Flags that are keys of another meaning, or are for the whole run.
var notForJobs = []string{"help", "output", "recipe", "json", "dry-run"}

// Flags that can be given more than once, and those that have no place beside
// a recipe.
var (
	listFlags = []string{"t", "entry"}
	pairFlags = []string{"t", "extrapolate", "compat", "method", "base"}
)

// newJobCommand makes the command. parameters are the flags of the methods' parameters.
func newJobCommand(to any, parameters []string, models ...string) jobCommand {
	parser, err := kong.New(to, kong.Name("job"), methodNames(), kong.WithHyphenPrefixedParameters(true))
	if err != nil {
		panic("cli: internal error: " + err.Error())
	}
	c := jobCommand{parser: parser, models: models}
	for _, f := range parser.Model.Flags {
		if !slices.Contains(notForJobs, f.Name) {
			own := slices.Contains(parameters, f.Name)
			c.flags = append(c.flags, batch.FlagForm{Name: f.Name, Bool: f.IsBool() && !own, Switch: f.IsBool() && own,
				List: own || slices.Contains(listFlags, f.Name), Pair: own || slices.Contains(pairFlags, f.Name)})
		}
	}
	return c
}

func (g *jobGrammar) command(k batch.Kind) *jobCommand {
	if k == batch.Convert {
		return &g.convert
	}
	return &g.merge
}

// Flags returns the flags that a job may have as keys.
func (g *jobGrammar) Flags(k batch.Kind) []batch.FlagForm { return g.command(k).flags }

// Check reads one flag.
func (g *jobGrammar) Check(k batch.Kind, f batch.Flag) error {
	c := g.command(k)
	if err := c.parse(append(flagArgs(f), append([]string{"--"}, c.models...)...)); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "--"+f.Name+": "))
	}
	if f.Name == "t" {
		_, err := recipe.ParseTFlags(g.mergeCmd.T.args)
		return err
	}
	return nil
}

func (c *jobCommand) parse(args []string) error {
	_, err := c.parser.Parse(args)
	if usage := (*kong.ParseError)(nil); errors.As(err, &usage) {
		return usageError{usage}
	}
	return err
}

// flagArgs returns a flag as the command line takes it.
func flagArgs(f batch.Flag) []string {
	if len(f.Values) == 0 {
		return []string{"--" + f.Name}
	}
	var args []string
	for _, v := range f.Values {
		args = append(args, "--"+f.Name+"="+v)
	}
	return args
}

// Task reads a whole job.
func (g *jobGrammar) Task(j *batch.Job) (batch.Task, error) {
	args := []string{"--output=" + expandHome(j.Output.Text)}
	if j.Recipe.Text != "" {
		args = append(args, "--recipe="+expandHome(j.Recipe.Text))
	}
	for _, f := range j.Flags {
		args = append(args, flagArgs(f)...)
	}
	args = append(args, "--")
	for _, m := range append([]batch.Word{j.Model, j.Primary, j.Secondary}, j.Models...) {
		if m.Text != "" {
			args = append(args, expandHome(m.Text))
		}
	}
	if err := g.command(j.Kind).parse(args); err != nil {
		return nil, err
	}
	t := &jobTask{app: g.app, name: j.Name}
	var err error
	if j.Kind == batch.Convert {
		t.recipe, t.work, err = g.convertCmd.order()
	} else {
		var several *chain
		if t.recipe, t.work, several, err = g.mergeCmd.order(); several != nil {
			if g.mergeCmd.Sweep != "" {
				return nil, errSweptChain
			}
			return &chainTask{app: g.app, name: j.Name, chain: several}, err
		}
	}
	if doc := (*recipe.DocumentError)(nil); errors.As(err, &doc) {
		return nil, doc
	}
	if err == nil && j.Kind != batch.Convert && g.mergeCmd.Sweep != "" { // of one value, with its output
		var list []*variant
		if list, err = variants(t.recipe, g.mergeCmd.Sweep); err == nil {
			out := t.recipe.Output
			t.recipe = list[0].request
			t.recipe.Output = out
		}
	}
	return t, err
}

// Sweep takes the values of a sweep apart.
func (g *jobGrammar) Sweep(arg string) (suffixes, args []string, err error) {
	s, err := recipe.ParseSweep(arg)
	for _, v := range s.Values {
		suffixes, args = append(suffixes, s.Suffix(v)), append(args, s.Name+"="+v.Word)
	}
	return suffixes, args, err
}

// A jobTask is a job as merge and convert understand it.
type jobTask struct {
	app    *app
	name   string
	recipe recipe.Request
	work   work
}

// Output returns the folder to be made.
func (t *jobTask) Output() string { return t.recipe.Output }

// Parents returns the models that are read.
func (t *jobTask) Parents() []string { return t.recipe.Parents() }

// Survey plans.
func (t *jobTask) Survey(ctx context.Context, overwrite bool) (*batch.Survey, error) {
	p, done, err := t.app.plan(ctx, mmapio.NewPool(planPool), t.with(overwrite), false)
	if err != nil {
		return nil, err
	}
	defer done()
	s := &batch.Survey{Bytes: p.OutputBytes, Warnings: p.Warnings, Refusal: p.Refusal()}
	s.Fingerprint, err = p.Fingerprint(t.app.version, t.work.choices()...)
	return s, err
}

// Run merges or converts.
func (t *jobTask) Run(ctx context.Context, overwrite bool) (*batch.Result, error) {
	a := *t.app
	a.log = t.app.log.named(t.name)
	r, err := a.perform(ctx, t.with(overwrite), t.work)
	if err != nil {
		return nil, err
	}
	return &batch.Result{Bytes: r.Written}, a.summary(r, batch.EventJobDone, false)
}

// with returns the recipe, allowed to replace the output or not.
func (t *jobTask) with(overwrite bool) recipe.Request {
	r := t.recipe
	r.Overwrite = r.Overwrite || overwrite
	return r
}

// A chainTask is a job whose recipe has several documents.
type chainTask struct {
	app   *app
	name  string
	chain *chain
}

// Output returns the folder to be made.
func (t *chainTask) Output() string { return t.chain.output.request.Output }

// Parents returns the models that are read and that are not made on the way.
func (t *chainTask) Parents() []string { return t.chain.leaves() }

// Survey plans the stages that can be planned.
func (t *chainTask) Survey(ctx context.Context, overwrite bool) (*batch.Survey, error) {
	c := t.with(overwrite)
	s := &batch.Survey{}
	v, err := c.view(ctx, t.app, func(_ *stage, p *plan.Plan) error {
		s.Warnings = append(s.Warnings, p.Warnings...)
		return nil
	})
	if len(v.Stages) < len(c.stages) {
		return nil, err
	}
	s.Fingerprint, s.Refusal = c.output.fingerprint, err
	for _, j := range v.Stages {
		if j.State != "done" {
			s.Bytes += j.Bytes
		}
	}
	return s, nil
}

// Run makes the stages.
func (t *chainTask) Run(ctx context.Context, overwrite bool) (*batch.Result, error) {
	a := *t.app
	a.log = t.app.log.named(t.name)
	r, err := t.with(overwrite).run(ctx, &a)
	if err != nil || r == nil {
		return &batch.Result{}, err
	}
	return &batch.Result{Bytes: r.Written}, a.summary(r, batch.EventJobDone, false)
}

// with returns the chain as it was before anything was looked at, allowed to replace the
// output or not.
func (t *chainTask) with(overwrite bool) *chain {
	c := t.chain
	c.output.request.Overwrite = c.output.request.Overwrite || overwrite
	for _, st := range c.stages {
		st.state, st.ours, st.wrong = stageIdle, false, ""
	}
	return c
}
