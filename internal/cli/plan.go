package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"slerpmerge/internal/disk"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/mmapio"
)

type planCmd struct {
	Output string `short:"o" placeholder:"DIR" help:"Folder that would be made; the free space of its disk is checked."`

	mergeFlags
	Sweep       string `placeholder:"NAME=VALUE,..." help:"Show the outputs of a sweep, as merge would make them."`
	WriteRecipe string `placeholder:"FILE" help:"Write the two models, -t and --dtype as a mergekit YAML, to standard output for -."`
}

// Help returns the text below the flags.
func (planCmd) Help() string {
	return "Example: slerpmerge plan ./alpha ./beta -o ./merged --json"
}

// Run plans.
func (c *planCmd) Run(ctx context.Context, a *app) error {
	r, several, err := c.orders(c.Output, work{card: true})
	switch {
	case err != nil:
		return err
	case several != nil && c.WriteRecipe != "":
		return errWrittenRecipe
	case several != nil && c.Sweep != "":
		return errSweptChain
	case several != nil:
		return a.showChain(ctx, several, c.JSON)
	}
	if c.Sweep != "" {
		if c.WriteRecipe != "" {
			return &requestError{msg: "--write-recipe writes one recipe, and --sweep makes several"}
		}
		return a.carryOutSweep(ctx, r, work{dryRun: true, json: c.JSON}, c.Sweep)
	}
	if c.WriteRecipe != "" {
		if err := a.writeRecipe(r, c.WriteRecipe); err != nil || c.WriteRecipe == "-" {
			return err
		}
	}
	return a.showPlan(ctx, r, c.JSON)
}

var errWrittenRecipe = &requestError{msg: "--write-recipe turns flags into a recipe, and --recipe is one already"}

// writeRecipe writes a merge by flags as a recipe file.
func (a *app) writeRecipe(r recipe.Request, file string) error {
	if r.FromFile() {
		return errWrittenRecipe
	}
	models, err := openParents(mmapio.NewPool(planPool), r, plan.Merging)
	defer closeAll(models)
	if err != nil {
		return err
	}
	out := r.DType
	if out.Auto {
		same := true
		for _, other := range models[1:] {
			kept, alike, err := plan.KeptType(models[0], other)
			if err != nil {
				return err
			}
			same = same && alike
			if !kept.Auto {
				out = kept
			}
		}
		if !same {
			a.log.warn("the recipe can't say that every tensor keeps the primary's type: where the parents' types differ, mergekit takes the wider one; --dtype names one for all")
		}
	}
	names, layers := make([]recipe.ModelRef, len(models)), make([]int, len(models))
	for i, m := range models {
		names[i] = reference(m)
		_, layers[i], _ = m.TextStack()
	}
	text, err := r.YAML(names, layers, out)
	if err != nil {
		return &requestError{msg: err.Error()}
	}
	if r.Seed != 0 {
		a.log.warn(fmt.Sprintf("the recipe does not have the seed: run it with --seed %d", r.Seed))
	}
	if file == "-" {
		_, err = a.stdout.Write(text)
		return err
	}
	err = disk.CreateFile(file, text)
	if errors.Is(err, fs.ErrExist) {
		return &requestError{msg: "--write-recipe: " + file + " exists already"}
	}
	return err
}

// reference returns a model as a recipe names it: of the hub by its name, or a path
// that mergekit takes for one; it asks the hub for whatever has exactly one
// slash.
func reference(m *model.Model) recipe.ModelRef {
	path := m.Path
	if name, revision := m.Repo(); m.Place() != path && name != "" { // in the cache
		return recipe.ModelRef{Path: name, Revision: revision}
	}
	if !filepath.IsAbs(path) && !strings.HasPrefix(path, ".") {
		path = "./" + path
	}
	return recipe.ModelRef{Path: path}
}

// showPlan prints a plan; one with blockers fails after it was shown.
func (a *app) showPlan(ctx context.Context, r recipe.Request, asJSON bool) error {
	p, done, err := a.plan(ctx, mmapio.NewPool(planPool), r, false)
	if err != nil {
		return err
	}
	defer done()
	if asJSON {
		err = a.printJSON(planOf(p))
	} else {
		err = a.printPlan(p)
	}
	if err != nil {
		return err
	}
	return p.Refusal()
}

type fileJSON struct {
	Name    string `json:"name"`
	Bytes   int64  `json:"bytes"`
	Tensors int    `json:"tensors"`
}

type sourceJSON struct {
	Parent string   `json:"parent"`
	Name   string   `json:"name"`
	DType  string   `json:"dtype"`
	File   string   `json:"file"`
	Weight *float64 `json:"weight,omitempty"`
}

type tensorJSON struct {
	Name    string       `json:"name"`
	DType   string       `json:"dtype"`
	Shape   shapeJSON    `json:"shape"`
	Bytes   int64        `json:"bytes"`
	Action  string       `json:"action"`
	T       *float64     `json:"t"`
	Sources []sourceJSON `json:"sources"`
	Shares  string       `json:"shares_with,omitempty"`
	Note    string       `json:"note,omitempty"`
}

// shapeJSON is [] for a scalar, never null.
type shapeJSON []uint64

func (s shapeJSON) MarshalJSON() ([]byte, error) {
	if s == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]uint64(s))
}

type planJSON struct {
	Tensors     []tensorJSON `json:"tensors"`
	Files       []fileJSON   `json:"files"`
	OutputBytes int64        `json:"output_bytes"`
	DiskFree    *int64       `json:"disk_free"`
	Memory      int64        `json:"memory"`
	Threads     int          `json:"threads"`
	Warnings    []string     `json:"warnings"`
	Blockers    []string     `json:"blockers"`
	LeftBehind  []leftJSON   `json:"left_behind"`
}

// leftJSON lists the files of a parent that are not copied.
type leftJSON struct {
	Parent string   `json:"parent"`
	Names  []string `json:"names"`
}

func planOf(p *plan.Plan) planJSON {
	v := planJSON{Tensors: []tensorJSON{}, Files: planFiles(p), OutputBytes: p.OutputBytes, Memory: p.Budget.Total, Threads: p.Budget.Threads,
		Warnings: append([]string{}, p.Warnings...), Blockers: append([]string{}, p.Blockers...), LeftBehind: []leftJSON{}}
	for _, l := range p.LeftBehind {
		v.LeftBehind = append(v.LeftBehind, leftJSON{l.Model.Path, l.Names})
	}
	if p.DiskFree >= 0 {
		v.DiskFree = &p.DiskFree
	}
	if p.Layout == nil { // the parents don't fit, so the pairing means nothing
		return v
	}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		j := tensorJSON{Name: t.Name, DType: t.DType.String(), Shape: shapeJSON(t.Shape), Bytes: t.Bytes(), Action: t.Op.Word(), Sources: []sourceJSON{}, Note: t.Why}
		if t.Mixed {
			j.T = &t.T
		}
		if p.Storage != nil && p.Storage[i] != i {
			j.Shares = p.Tensors[p.Storage[i]].Name
		}
		for k, o := range t.Operands {
			if o.None() {
				continue
			}
			src := o.Tensor()
			s := sourceJSON{Name: src.Name, DType: src.DType.String(), File: o.Model.Files[src.File].Name}
			if sum := t.Sum(); sum != nil {
				weight := sum.Weights[k] / sum.Divisor
				s.Parent, s.Weight = o.Model.Name(), &weight
			} else {
				s.Parent = o.Model.Name()
				if p.Pairs() || p.Recipe.Method == recipe.Convert {
					s.Parent = []string{"primary", "secondary"}[k]
				}
			}
			j.Sources = append(j.Sources, s)
		}
		v.Tensors = append(v.Tensors, j)
	}
	return v
}

func planFiles(p *plan.Plan) []fileJSON {
	files := []fileJSON{}
	if p.Layout == nil {
		return files
	}
	for _, f := range p.Layout.Files {
		files = append(files, fileJSON{f.Name, f.Size, f.Tensors})
	}
	return files
}
