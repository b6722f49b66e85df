package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/mmapio"
)

type planCmd struct {
	mergeFlags
	Output string `short:"o" placeholder:"DIR" help:"Folder that would be made; its disk is looked at."`
}

// Help is shown below the flags.
func (planCmd) Help() string {
	return "Example: slerpmerge plan ./alpha ./beta -o ./merged --json"
}

// Run plans.
func (c *planCmd) Run(a *app) error {
	r, err := c.recipe(c.Output)
	if err != nil {
		return err
	}
	return a.showPlan(r, c.JSON)
}

// showPlan prints a plan; one with blockers fails after it was shown.
func (a *app) showPlan(r recipe.Recipe, asJSON bool) error {
	p, done, err := a.plan(mmapio.NewPool(planPool), r)
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
	Parent string `json:"parent"`
	Name   string `json:"name"`
	DType  string `json:"dtype"`
	File   string `json:"file"`
}

type tensorJSON struct {
	Name    string       `json:"name"`
	DType   string       `json:"dtype"`
	Shape   shapeJSON    `json:"shape"`
	Bytes   int64        `json:"bytes"`
	Action  plan.Action  `json:"action"`
	T       *float64     `json:"t"`
	Sources []sourceJSON `json:"sources"`
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
}

func planOf(p *plan.Plan) planJSON {
	v := planJSON{Tensors: []tensorJSON{}, Files: planFiles(p), OutputBytes: p.OutputBytes, Memory: p.Budget.Total, Threads: p.Budget.Threads,
		Warnings: append([]string{}, p.Warnings...), Blockers: append([]string{}, p.Blockers...)}
	if p.DiskFree >= 0 {
		v.DiskFree = &p.DiskFree
	}
	if p.Layout == nil { // the parents don't fit, so the pairing means nothing
		return v
	}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		j := tensorJSON{Name: t.Name, DType: t.DType.String(), Shape: shapeJSON(t.Shape), Bytes: t.Bytes(), Action: t.Action, Sources: []sourceJSON{}, Note: t.Why}
		if t.Action == plan.Slerp {
			j.T = &t.T
		}
		for _, s := range []struct {
			parent string
			o      plan.Operand
		}{{"primary", t.A}, {"secondary", t.B}} {
			if !s.o.None() {
				src := s.o.Tensor()
				j.Sources = append(j.Sources, sourceJSON{s.parent, src.Name, src.DType.String(), s.o.Model.Files[src.File].Name})
			}
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
		files = append(files, fileJSON{f.Name, f.Size, len(f.Extents)})
	}
	return files
}

// printPlan shows a plan to people.
func (a *app) printPlan(p *plan.Plan) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "primary\t%s\t%s\t%s\n", clean(p.Recipe.Primary), plural(len(p.Primary.Tensors), "tensor"), size(p.Primary.Bytes()))
	fmt.Fprintf(w, "secondary\t%s\t%s\t%s\n", clean(p.Recipe.Secondary), plural(len(p.Secondary.Tensors), "tensor"), size(p.Secondary.Bytes()))
	if p.Layout != nil {
		type key struct {
			action plan.Action
			dtype  tensor.DType
		}
		count, bytes := map[key]int{}, map[key]int64{}
		var keys []key
		for i := range p.Tensors {
			t := &p.Tensors[i]
			k := key{t.Action, t.DType}
			if count[k] == 0 {
				keys = append(keys, k)
			}
			count[k]++
			bytes[k] += t.Bytes()
		}
		for _, k := range keys {
			what := string(k.action)
			if k.action == plan.Slerp {
				what = fmt.Sprintf("slerp, t %v", p.Recipe.T)
			}
			fmt.Fprintf(w, "%s\t%v\t%s\t%s\n", what, k.dtype, plural(count[k], "tensor"), size(bytes[k]))
		}
		for _, f := range p.Layout.Files {
			fmt.Fprintf(w, "file\t%s\t%s\t%d bytes\n", f.Name, plural(len(f.Extents), "tensor"), f.Size)
		}
		output := clean(p.Recipe.Output)
		if output == "" {
			output = "(no folder named)"
		}
		fmt.Fprintf(w, "output\t%s\t\t%s\n", output, size(p.OutputBytes))
		if p.DiskFree >= 0 {
			fmt.Fprintf(w, "disk\t\t\t%s free\n", size(p.DiskFree))
		}
		fmt.Fprintf(w, "memory\t%s\t\t%s\n", plural(p.Budget.Threads, "thread"), mib(p.Budget.Total))
	}
	if a.globs.Verbose {
		for i := range p.Tensors {
			t := &p.Tensors[i]
			fmt.Fprintf(w, "%s\t%v\t%s\t%s\t%s\n", t.Action, t.DType, size(t.Bytes()), model.Quote(t.Name), t.Why)
		}
	}
	for _, s := range p.Warnings {
		fmt.Fprintf(w, "warning\t%s\n", clean(s))
	}
	for _, s := range p.Blockers {
		fmt.Fprintf(w, "blocker\t%s\n", clean(s))
	}
	return w.Flush()
}
