package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"slerpmerge/internal/disk"
	"slerpmerge/internal/fault"
	"slerpmerge/internal/merge"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/report"
	"slerpmerge/internal/text"
	"slerpmerge/mmapio"
	"slerpmerge/writer"
)

// A chain is a recipe file of several documents on its way to its output. The outputs of
// the others, the intermediates, are written too: a stage reads them as any model.
type chain struct {
	stages []*stage // in the order in which they run
	output *stage   // whose folder is OUT; nil if all are intermediates
	dir    string   // of the intermediates
	own    bool     // it is of this chain alone, and removed at the end
	work   work     // of the output
	notes  []string // warnings about the file
}

// A stage is a document of a chain.
type stage struct {
	*recipe.Stage
	request     recipe.Request
	work        work
	needs       []*stage
	fingerprint string // of the run that makes it, whether its parents are there or not
	state       stageState
	ours        bool   // this program made what is there
	wrong       string // what is not as it was made
}

// A stageState says what is to be done about a stage.
type stageState int

const (
	stageIdle stageState = iota // nothing: all that need it are done
	stageDone                   // nothing: its output is there
	stageOpen                   // it is to be made
)

// stagesFolder is the folder of the intermediates of an output if no other is named.
func stagesFolder(output string) string {
	output = filepath.Clean(cmp.Or(output, "OUT"))
	return filepath.Join(filepath.Dir(output), "."+filepath.Base(output)+".stages")
}

// isStagesFolder reports whether a folder has such a name.
func isStagesFolder(dir string) bool {
	name := filepath.Base(dir)
	return strings.HasPrefix(name, ".") && strings.HasSuffix(name, ".stages")
}

// chain makes the chain of a file. Only if all documents are to be made and kept may the file leave
// open which one is the output.
func (f *mergeFlags) chain(s *recipe.Stages, output string, w work) (*chain, error) {
	all := f.all && f.IntermediateDir != ""
	c := &chain{dir: f.IntermediateDir, work: w}
	if len(f.Entry.entries) > 0 {
		return nil, &requestError{msg: "--entry names entries of the models of one merge, and " + f.Recipe + " has several documents"}
	}
	if s.Output == nil && !all {
		var ends []string
		for _, end := range s.Ends() {
			ends = append(ends, fmt.Sprintf("%s on line %d", text.QuoteWord(end.Name), end.Pos.Line))
		}
		return nil, &requestError{msg: fmt.Sprintf("%s leaves open which document is the output: no other needs %s", f.Recipe, text.List(ends, "and")),
			hint: "leave out the name of the one that is; mergekit-multi FILE --intermediate-dir DIR makes all of them"}
	}
	if c.dir == "" {
		c.dir, c.own = stagesFolder(output), true
	}
	made := map[*recipe.Stage]*stage{}
	for _, x := range s.All {
		st := &stage{Stage: x, work: work{card: !c.own && w.card, run: w.run}}
		made[x] = st
		if why := x.Unfit(); why != "" && (x != s.Output || output == "") {
			return nil, &requestError{msg: x.Recipe.Place(x.Pos) + ": " + why}
		}
		out := filepath.Join(c.dir, filepath.FromSlash(x.Name))
		if x == s.Output && (output != "" || x.Name == "" || !all) {
			c.output, out, st.work = st, output, w
		}
		st.work.run.TimeBudget = 0 // it is of the whole chain
		for _, n := range x.Needs {
			st.needs = append(st.needs, made[n])
		}
		x.Place(func(n *recipe.Stage) string { return made[n].request.Output })
		st.request.Recipe = *x.Recipe
		own := *f
		if st != c.output {
			own.DType, own.Format, st.work.run.Checksums = dtypeFlag{recipe.DType{Auto: true}}, string(recipe.Safetensors), false
		}
		if err := own.fill(&st.request, out); err != nil {
			return nil, err
		}
		c.stages = append(c.stages, st)
	}
	if c.own && c.output != nil { // what the output does not need would be made for nothing
		c.stages = slices.DeleteFunc(c.stages, func(st *stage) bool {
			if st == c.output || c.output.reads(st) {
				return false
			}
			c.notes = append(c.notes, fmt.Sprintf("%s: %s is not made, since the output does not need it; with --intermediate-dir it is",
				st.request.Place(st.Pos), text.QuoteWord(st.Name)))
			return true
		})
	}
	return c, nil
}

// reads reports whether a stage needs another one, directly or not.
func (st *stage) reads(other *stage) bool {
	return slices.ContainsFunc(st.needs, func(n *stage) bool { return n == other || n.reads(other) })
}

// maker returns the stage that makes a model that st reads, nil for any other model.
func (st *stage) maker(m recipe.ModelRef) *stage {
	i := slices.IndexFunc(st.needs, func(n *stage) bool { return n.request.Output == m.Path })
	if i < 0 {
		return nil
	}
	return st.needs[i]
}

// leaves lists the models that no stage makes, each once.
func (c *chain) leaves() (paths []string) {
	for _, st := range c.stages {
		for _, m := range st.request.Models() {
			if st.maker(m) == nil && !slices.Contains(paths, m.String()) {
				paths = append(paths, m.String())
			}
		}
	}
	return paths
}

// identify finds the fingerprint of every stage. Models that are not there are reported
// together, with their places.
func (c *chain) identify(ctx context.Context, a *app) error {
	ids := map[string]string{}
	var absent []recipe.Problem
	var hints []fault.Hint
	for _, st := range c.stages {
		var parents []string
		refs := st.request.Models()
		if v := st.request.Vocabulary; v != nil && v.Model != nil && !slices.ContainsFunc(refs, v.Model.Same) {
			refs = append(refs, *v.Model)
		}
		for i, m := range refs {
			if maker := st.maker(m); maker != nil {
				parents = append(parents, maker.fingerprint)
				continue
			}
			id, known := ids[m.String()]
			if !known {
				var err error
				id, err = identity(ctx, m.String(), st.request, i == len(st.request.Models()))
				var unusable *model.UnusableError
				switch {
				case errors.As(err, &unusable):
					absent = append(absent, recipe.Problem{Pos: m.Pos, Message: err.Error()})
					hints = append(hints, unusable.Hints()...)
				case err != nil:
					return err
				}
				ids[m.String()] = id
			}
			parents = append(parents, id)
		}
		st.fingerprint = plan.FingerprintOf(a.version, &st.request.Recipe, parents, st.work.choices()...)
		st.work.fingerprint = st.fingerprint
	}
	if len(absent) > 0 {
		err := c.stages[0].request.Reject(absent...)
		err.Advice = hints
		return err
	}
	return nil
}

// identity opens one model for its identity. Of a model that only gives its tokenizer
// the weights do not count.
func identity(ctx context.Context, path string, r recipe.Request, tokenizer bool) (string, error) {
	if tokenizer {
		m, err := model.Locate(path)
		if err != nil {
			return "", err
		}
		return plan.Identity(m)
	}
	bound(r.MaxMemory, planPool)
	models, err := openModels(mmapio.NewPool(planPool), []string{path}, nil, r, plan.Merging)
	defer closeAll(models)
	if err != nil {
		return "", err
	}
	if err := models[0].Settle(ctx, false); err != nil {
		return "", err
	}
	return plan.Identity(models[0])
}

// look finds out which stages are done, and which are to be made. The error is that of
// something else in the place of an output.
func (c *chain) look(ctx context.Context) error {
	for _, st := range c.stages {
		if st.request.Output == "" { // a plan without a folder
			continue
		}
		err := writer.Check(st.request.Output, writer.Options{})
		var exists *writer.ExistsError
		if err == nil || !errors.As(err, &exists) {
			continue // the plan says what else is wrong
		}
		there, err := report.OpenFinished(ctx, st.request.Output)
		switch {
		case err != nil:
			return err
		case there != nil && there.Fingerprint == st.fingerprint && there.Wrong == "":
			st.state = stageDone
		case there != nil && there.Fingerprint == st.fingerprint:
			st.ours, st.wrong = true, there.Wrong
		case there != nil && st != c.output: // what is kept between runs is made anew
			st.ours = true
		case !st.request.Overwrite:
			return exists
		}
	}
	for _, st := range c.stages {
		if st == c.output || !c.own {
			st.open()
		}
	}
	return nil
}

// open marks a stage and what it needs as to be made, as far as they are not done.
func (st *stage) open() {
	if st.state != stageIdle {
		return
	}
	st.state = stageOpen
	for _, n := range st.needs {
		n.open()
	}
}

// run makes the stages. The result is that of the output, or of the last one without one;
// nil where there was nothing to do.
func (c *chain) run(ctx context.Context, a *app) (last *merge.Result, err error) {
	if c.work.run.Nice {
		beNice()
	}
	ctx, cancel := within(ctx, c.work.run.TimeBudget)
	defer cancel()
	if err := c.identify(ctx, a); err != nil {
		return nil, err
	}
	if err := c.look(ctx); err != nil {
		return nil, err
	}
	for _, w := range c.notes {
		a.log.warn(w)
	}
	if err := c.makeFolders(); err != nil {
		return nil, err
	}
	for _, st := range c.stages {
		if st.state != stageOpen {
			continue
		}
		if ctx.Err() != nil {
			return nil, c.fail(context.Cause(ctx))
		}
		one := *a
		if st != c.output {
			one.log = a.log.named(strings.TrimPrefix(a.log.job+"/"+st.Name, "/"))
		}
		if st.wrong != "" {
			one.log.warn(fmt.Sprintf("%s is not as it was made: %s; it is made again", st.request.Output, st.wrong))
		}
		st.request.Overwrite = st.request.Overwrite || st.ours
		res, err := one.perform(ctx, st.request, st.work)
		switch done := (*doneError)(nil); {
		case errors.As(err, &done): // by another run, meanwhile
		case err != nil:
			return nil, c.fail(err)
		case st == c.output:
			last = res
		default:
			if err := one.summary(res, "stage", false); err != nil {
				return nil, err
			}
			if c.output == nil {
				last = res
			}
			debug.FreeOSMemory() // the next stage is to begin as the first did
		}
		st.state = stageDone
	}
	return last, c.cleanUp(ctx, a)
}

// A stageError is that of one stage.
type stageError struct {
	err  error
	kept bool // other stages are done
}

// fail returns the error of a stage.
func (c *chain) fail(err error) error {
	return &stageError{err, slices.ContainsFunc(c.stages, func(st *stage) bool { return st.state == stageDone })}
}

func (e *stageError) Error() string { return e.err.Error() }
func (e *stageError) Unwrap() error { return e.err }

// Hints are those of the error; of a run that was stopped, that it need not begin anew.
func (e *stageError) Hints() []fault.Hint {
	if class, _ := classOf(e.err); e.kept && (class == fault.Stopped || class == fault.Interrupted) {
		return fault.Advise("the stages before it are done and kept: the same command goes on there")
	}
	_, hints := classOf(e.err)
	return hints
}

// makeFolders makes the folder of the intermediates.
func (c *chain) makeFolders() error {
	if !slices.ContainsFunc(c.stages, func(st *stage) bool { return st != c.output && st.state == stageOpen }) {
		return nil
	}
	if c.own {
		if err := os.MkdirAll(filepath.Dir(c.dir), 0o777); err != nil {
			return err
		}
		err := os.Mkdir(c.dir, 0o700)
		if errors.Is(err, fs.ErrExist) { // of a run that did not end
			err = disk.VetPath(c.dir)
		}
		if err != nil {
			return err
		}
	} else if err := os.MkdirAll(c.dir, 0o777); err != nil {
		return err
	}
	for _, st := range c.stages {
		if up := filepath.Dir(st.request.Output); st != c.output && up != filepath.Clean(c.dir) {
			if err := os.MkdirAll(up, 0o777); err != nil {
				return err
			}
		}
	}
	return nil
}

// cleanUp removes the intermediates that this chain has made, if nobody asked for them.
func (c *chain) cleanUp(ctx context.Context, a *app) error {
	if !c.own {
		return nil
	}
	if _, err := os.Lstat(c.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, st := range slices.Backward(c.stages) {
		if st == c.output {
			continue
		}
		there, err := report.OpenFinished(ctx, st.request.Output)
		if err != nil {
			return err
		}
		if there != nil && there.Fingerprint == st.fingerprint {
			if err := os.RemoveAll(st.request.Output); err != nil {
				return err
			}
		}
		for up := filepath.Dir(st.request.Output); up != filepath.Clean(c.dir) && os.Remove(up) == nil; up = filepath.Dir(up) {
		}
	}
	if err := os.Remove(c.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.log.warn(fmt.Sprintf("%s stays: there is something else in it", c.dir))
	}
	return nil
}

// carryOutChain does what merge does for a file of several documents.
func (a *app) carryOutChain(ctx context.Context, c *chain) error {
	w := c.work
	switch {
	case w.dryRun && w.html != "":
		return errDryPage
	case w.dryRun:
		return a.showChain(ctx, c, w.json)
	case c.output != nil && c.output.request.Output == "":
		return errNoOutput
	}
	res, err := c.run(ctx, a)
	switch {
	case err != nil:
		return err
	case res != nil && c.output != nil:
		return a.summary(res, "done", w.json)
	case res != nil:
		return nil
	}
	out := c.dir
	if c.output != nil {
		out = c.output.request.Output
	}
	a.log.info("done", out+": nothing left to do: it is what this command makes", "output", out, "bytes", 0, "nothing_to_do", true)
	if w.html != "" {
		a.log.warn(noPage)
	}
	if !w.json {
		return nil
	}
	return a.printJSON(map[string]any{"output": out, "bytes": 0, "stages": len(c.stages)})
}
