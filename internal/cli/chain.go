package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slerpmerge/internal/disk"
	"slerpmerge/internal/fault"
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
	return c, c.apart()
}

// apart makes sure that no two stages write to one place, and none to that of a model that
// is read.
func (c *chain) apart() error {
	var taken []string // without links
	for _, path := range c.leaves() {
		if _, err := os.Stat(path); err != nil { // a name on the hub, or said later
			continue
		}
		real, err := disk.Resolve(path)
		if err != nil {
			continue
		}
		taken = append(taken, real)
	}
	for _, st := range c.stages {
		if st.request.Output == "" {
			continue
		}
		out, err := disk.Resolve(st.request.Output)
		if err != nil {
			return &requestError{err: err}
		}
		if slices.ContainsFunc(taken, func(path string) bool {
			return path == out || strings.HasPrefix(path, out+string(filepath.Separator))
		}) {
			return &requestError{msg: fmt.Sprintf("%s is, or contains, a model that the recipe reads or another output of it", st.request.Output)}
		}
		taken = append(taken, out)
	}
	return nil
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
