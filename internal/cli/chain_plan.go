package cli

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"slerpmerge/internal/plan"
	"slerpmerge/internal/text"
	"slerpmerge/mmapio"
)

// stageJSON is a stage in the output of plan --json.
type stageJSON struct {
	Name   string   `json:"name"`
	Line   int      `json:"line"`
	Method string   `json:"method"`
	Models []string `json:"models"`
	Output string   `json:"output"`
	State  string   `json:"state"` // "done", "new", "changed", or "waiting" for others
	Bytes  int64    `json:"output_bytes"`
	// About says that Bytes is the size of the primary: the parents are not there yet.
	About bool      `json:"about,omitempty"`
	Plan  *planJSON `json:"plan,omitempty"`
}

// chainJSON is what plan --json says of a recipe of several documents.
type chainJSON struct {
	Stages            []stageJSON `json:"stages"`
	IntermediateBytes int64       `json:"intermediate_bytes"` // to be written
	Kept              bool        `json:"intermediates_kept"`
	Warnings          []string    `json:"warnings"`
}

// view makes what there is to show of the stages. A stage whose parents are all there is
// planned; others need those that make them. The error is the first refusal; each gets its
// plan shown by show first.
func (c *chain) view(ctx context.Context, a *app, show func(*stage, *plan.Plan) error) (v chainJSON, err error) {
	v = chainJSON{Kept: !c.own, Warnings: append([]string{}, c.notes...)}
	if err := c.identify(ctx, a); err != nil {
		return v, err
	}
	if err := c.look(ctx); err != nil {
		return v, err
	}
	sizes := map[*stage]int64{}
	var refusal error
	for _, st := range c.stages {
		j := stageJSON{Name: st.Label(), Line: st.Pos.Line, Method: string(st.request.Method), Output: st.request.Output}
		waiting := false
		for _, m := range st.request.Models() {
			name := m.String()
			if maker := st.maker(m); maker != nil {
				name = maker.Label()
				waiting = waiting || maker.state != stageDone
			}
			j.Models = append(j.Models, name)
		}
		switch {
		case st.state != stageOpen:
			j.State = "done"
		case waiting:
			j.State, j.About = "waiting", true
		case st.ours:
			j.State = "changed"
		default:
			j.State = "new"
		}
		if waiting {
			j.Bytes, err = c.guess(st, sizes)
		} else {
			err = c.planOne(ctx, a, st, &j, func(p *plan.Plan) error {
				if no := p.Refusal(); no != nil && refusal == nil {
					refusal = no
				}
				return show(st, p)
			})
		}
		if err != nil {
			return v, err
		}
		sizes[st] = j.Bytes
		if st != c.output && st.state == stageOpen {
			v.IntermediateBytes += j.Bytes
		}
		v.Stages = append(v.Stages, j)
	}
	return v, refusal
}

// planOne plans a stage whose parents are there.
func (c *chain) planOne(ctx context.Context, a *app, st *stage, j *stageJSON, show func(*plan.Plan) error) error {
	r := st.request
	r.Overwrite = true // look has seen to it
	p, done, err := a.plan(ctx, mmapio.NewPool(planPool), r, false)
	if err != nil {
		return err
	}
	defer done()
	j.Bytes = p.OutputBytes
	of := planOf(p)
	j.Plan = &of
	return show(p)
}

// guess returns the size of the primary, which the output resembles.
func (c *chain) guess(st *stage, sizes map[*stage]int64) (int64, error) {
	first := st.request.Models()[0]
	if maker := st.maker(first); maker != nil {
		return sizes[maker], nil
	}
	models, err := openModels(mmapio.NewPool(planPool), []string{first.String()}, nil, st.request, plan.Merging)
	defer closeAll(models)
	if err != nil {
		return 0, err
	}
	return models[0].Bytes(), nil
}

// showChain prints the plan of a chain; one that is refused fails after it was shown.
func (a *app) showChain(ctx context.Context, c *chain, asJSON bool) error {
	var plans strings.Builder
	v, refusal := c.view(ctx, a, func(st *stage, p *plan.Plan) error {
		if !a.globs.Verbose && len(p.Blockers)+len(p.Warnings) == 0 {
			return nil
		}
		fmt.Fprintf(&plans, "\n%s:\n", clean(st.Label()))
		if a.globs.Verbose || len(p.Blockers) > 0 {
			one := *a
			one.stdout = &plans
			return one.printPlan(p)
		}
		for _, w := range p.Warnings {
			fmt.Fprintf(&plans, "warning  %s\n", clean(w))
		}
		return nil
	})
	if len(v.Stages) < len(c.stages) {
		return refusal
	}
	if asJSON {
		if err := a.printJSON(v); err != nil {
			return err
		}
		return refusal
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STAGE\tLINE\tMETHOD\tMODELS\tTO DO\tSIZE\tOUTPUT")
	for _, j := range v.Stages {
		todo, about, out := j.State, "", j.Output
		switch {
		case j.State == "done":
			todo = "nothing"
		case j.About:
			todo, about = "after others", "about "
		}
		if out == "" {
			out = "(no folder named)"
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s%s\t%s\n", clean(j.Name), j.Line, j.Method, clean(strings.Join(j.Models, ", ")), todo, about, size(j.Bytes), clean(out))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range v.Warnings {
		fmt.Fprintf(a.stdout, "warning  %s\n", clean(s))
	}
	if n := len(c.stages) - 1; v.IntermediateBytes > 0 {
		what := "and removed at the end; --intermediate-dir DIR keeps them"
		if v.Kept {
			what = "and kept"
		}
		if _, err := fmt.Fprintf(a.stdout, "\nthe outputs of %s are written to %s, about %s in all, %s\n", text.Count(n, "other stage"), clean(c.dir), size(v.IntermediateBytes), what); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprint(a.stdout, plans.String()); err != nil {
		return err
	}
	return refusal
}
