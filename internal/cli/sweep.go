package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"slerpmerge/internal/merge"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/report"
	"slerpmerge/internal/text"
	"slerpmerge/mmapio"
	"slerpmerge/writer"
)

// A variant is one output of a sweep.
type variant struct {
	request     recipe.Request
	plan        *plan.Plan
	fingerprint string
}

// variants returns the requests of a sweep, which differ in the value of one
// parameter and in the name of the output.
func variants(r recipe.Request, arg string) ([]*variant, error) {
	s, err := recipe.ParseSweep(arg)
	if err != nil {
		return nil, &requestError{err: err}
	}
	if r.Rules == nil {
		return nil, &requestError{msg: "--sweep is for merges"}
	}
	var list []*variant
	for _, v := range s.Values {
		own := r
		err := own.Override(s.Name, v)
		if err == nil {
			err = own.Validate()
		}
		if err != nil {
			return nil, &requestError{err: err}
		}
		if r.Output != "" {
			own.Output = strings.TrimRight(r.Output, "/") + s.Suffix(v)
		}
		list = append(list, &variant{request: own})
	}
	return list, nil
}

// carryOutSweep makes one output for each value of a parameter. Outputs that exist
// already are passed over; the others are made together as far as the memory allows.
func (a *app) carryOutSweep(ctx context.Context, r recipe.Request, w work, arg string) error {
	list, err := variants(r, arg)
	switch {
	case err != nil:
		return err
	case w.html != "":
		return &requestError{msg: "--html is about one merge, and --sweep makes several"}
	case r.Output == "" && !w.dryRun:
		return errNoOutput
	}
	if w.dryRun {
		for _, v := range list {
			if err := a.showPlan(ctx, v.request, w.json); err != nil {
				return err
			}
			if !w.json {
				fmt.Fprintln(a.stdout)
			}
		}
		return nil
	}
	if w.run.Nice {
		beNice()
	}
	ctx, cancel := within(ctx, w.run.TimeBudget)
	defer cancel()
	pool := mmapio.NewPool(planPool)
	bound(r.MaxMemory, planPool)
	models, err := openParents(pool, list[0].request, plan.Merging)
	defer func() { closeAll(models) }()
	if err == nil {
		err = settleTies(ctx, models)
	}
	if err != nil {
		return err
	}
	todo, err := a.planSweep(ctx, list, models, w)
	if err != nil {
		return err
	}
	for len(todo) > 0 {
		group, budget, err := together(todo)
		if err != nil {
			return err
		}
		if err := a.runSweep(ctx, group, budget, pool, w); err != nil {
			return err
		}
		for _, v := range group {
			v.plan = nil // which can be large
		}
		todo = slices.DeleteFunc(todo, func(v *variant) bool { return v.plan == nil })
	}
	return nil
}

// planSweep plans all outputs, and returns those that are to be made. One that cannot be
// made refuses all, before anything is written.
func (a *app) planSweep(ctx context.Context, list []*variant, models []*model.Model, w work) (todo []*variant, err error) {
	var warned []string
	for _, v := range list {
		if v.plan, err = plan.New(v.request, models...); err != nil {
			return nil, err
		}
		refusal := v.plan.Refusal()
		var exists *writer.ExistsError
		if refusal != nil && !errors.As(refusal, &exists) {
			return nil, refusal
		}
		if v.fingerprint, err = v.plan.Fingerprint(a.version, w.choices()...); err != nil {
			return nil, err
		}
		for _, s := range v.plan.Warnings {
			if !slices.Contains(warned, s) {
				warned = append(warned, s)
				a.log.warn(s)
			}
		}
		if exists == nil {
			todo = append(todo, v)
			continue
		}
		there, err := report.OpenFinished(ctx, v.request.Output)
		switch {
		case err != nil:
			return nil, err
		case there == nil || there.Fingerprint != v.fingerprint:
			return nil, exists
		case there.Wrong != "":
			a.log.warn(fmt.Sprintf("%s is not as it was made: %s; it is made again", v.request.Output, there.Wrong))
			v.request.Overwrite = true
			if v.plan, err = plan.New(v.request, models...); err != nil {
				return nil, err
			}
			todo = append(todo, v)
			continue
		}
		writer.Cleanup(v.request.Output)
		if err := a.nothingToDo(v.plan, w.json); err != nil {
			return nil, err
		}
		v.plan = nil
	}
	return todo, nil
}

// together returns the outputs that can be made with the first, as many as the memory
// allows beside the plans of the others, and the budget for them.
func together(todo []*variant) ([]*variant, plan.Budget, error) {
	group, plans := todo[:1:1], []*plan.Plan{todo[0].plan}
	budget, err := plan.Together(plans, len(todo)-1)
	if err != nil {
		return nil, budget, err
	}
	for _, v := range todo[1:] {
		if !todo[0].plan.Alike(v.plan) {
			continue
		}
		b, err := plan.Together(append(plans, v.plan), len(todo)-len(plans)-1)
		if errors.As(err, new(*plan.MemoryError)) {
			break
		}
		if err != nil {
			return nil, b, err
		}
		group, plans, budget = append(group, v), append(plans, v.plan), b
	}
	return group, budget, nil
}

// runSweep makes some outputs together.
func (a *app) runSweep(ctx context.Context, group []*variant, budget plan.Budget, pool *mmapio.Pool, w work) error {
	var plans []*plan.Plan
	var opts []merge.Options
	var names []string
	var total int64
	first := group[0].request
	bound(first.MaxMemory, budget.Pool)
	tighten(budget.Least, first.MaxMemory)
	for _, v := range group {
		total += v.plan.Layout.TotalBytes
		names = append(names, v.request.Output)
	}
	a.log.info("start", "", "method", first.Method, "outputs", names, "tensors", len(group[0].plan.Tensors), "bytes", total, "threads", budget.Threads)
	bar := a.progress(total)
	for _, v := range group {
		plans = append(plans, v.plan)
		opts = append(opts, merge.Options{Pool: pool, Fingerprint: v.fingerprint, Restart: w.run.Restart,
			Checksums: w.run.Checksums, IOLimit: int64(w.run.IOLimit), DropPages: exceeds(v.plan, freeMemory()), KeepCached: w.run.KeepCached,
			Progress: bar.add, Warn: a.log.warn,
			Resumed: func(r merge.Resumed) {
				a.resumed(r)
				bar.skip(r.Done)
			},
			Sidecars: func(res *merge.Result) []merge.Sidecar { return sidecars(res, w.card, a.version) },
		})
	}
	results, err := merge.Together(ctx, plans, budget, opts)
	bar.close()
	if err == nil && len(results) > 1 {
		a.log.info("sweep", fmt.Sprintf("%s made of one reading of the parents", text.Count(len(results), "output")))
	}
	for _, r := range results {
		if serr := a.summary(r, "done", w.json); serr != nil && err == nil {
			err = serr
		}
	}
	return err
}
