package cli

import (
	"errors"
	"fmt"

	"slerpmerge/internal/fault"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/text"
	"slerpmerge/mmapio"
	"slerpmerge/torchbin"
)

// openParents opens the models of a recipe, in the order of Recipe.Parents. All
// errors in those of a recipe file are reported together, as one
// *recipe.DocumentError: models that are not there, and layers that the others
// don't have. Models that were opened are returned with an error, too.
func openParents(pool *mmapio.Pool, r recipe.Request, purpose plan.Purpose) ([]*model.Model, error) {
	paths := r.Parents()
	models := make([]*model.Model, len(paths))
	gatherer := torchbin.NewGatherer()
	if err := checkEntries(r.Entries, len(paths)); err != nil {
		return models, err
	}
	var absent []recipe.Problem
	var hints []fault.Hint
	for i, path := range paths {
		m, err := model.OpenWith(pool, path, model.Options{Entry: r.Entry(i).Key, Memory: plan.Unpickling(r.MaxMemory, models[:i]), Gatherer: gatherer, Admit: admission(r, purpose, models[:i], len(paths))})
		var unusable *model.UnusableError
		switch {
		case err == nil:
			models[i] = m
		case r.FromFile() && errors.As(err, &unusable):
			absent = append(absent, recipe.Problem{Pos: r.Models()[i].Pos, Message: err.Error()})
			hints = append(hints, unusable.Hints()...)
		default:
			return models, outOfMemory(err, r.MaxMemory, models)
		}
	}
	if len(absent) == 0 {
		return models, useEntries(r.Entries, models)
	}
	err := r.Reject(append(absent, plan.CheckLayers(&r.Recipe, models)...)...)
	err.Advice = hints
	return models, err
}

// outOfMemory names the --max-memory that a table is too large for.
func outOfMemory(err error, limit int64, opened []*model.Model) error {
	var me *model.MemoryError
	if errors.As(err, &me) {
		return &plan.MemoryError{Limit: limit, Least: plan.LeastUnpickling(me.Need, opened)}
	}
	return err
}

// admission refuses models whose tables do not fit in the memory of the recipe.
func admission(r recipe.Request, purpose plan.Purpose, opened []*model.Model, of int) model.Admit {
	if r.MaxMemory == 0 { // nobody has said how much there is
		return nil
	}
	return func(c model.Count) error {
		least, err := plan.Admit(r, purpose, opened, c, of)
		tighten(least, r.MaxMemory)
		return err
	}
}

// openModels opens models that no recipe names.
func openModels(pool *mmapio.Pool, paths []string, entries []recipe.Entry, r recipe.Request, purpose plan.Purpose) ([]*model.Model, error) {
	var models []*model.Model
	gatherer := torchbin.NewGatherer()
	if err := checkEntries(entries, len(paths)); err != nil {
		return nil, err
	}
	for i, path := range paths {
		m, err := model.OpenWith(pool, path, model.Options{Entry: (&recipe.Recipe{Entries: entries}).Entry(i).Key, Memory: plan.Unpickling(r.MaxMemory, models), Gatherer: gatherer, Admit: admission(r, purpose, models, len(paths))})
		if err != nil {
			return models, outOfMemory(err, r.MaxMemory, models)
		}
		models = append(models, m)
	}
	return models, useEntries(entries, models)
}

// checkEntries refuses an entry of a model that there is not.
func checkEntries(entries []recipe.Entry, n int) error {
	for _, e := range entries {
		if e.Model > n {
			return badEntry("--entry %s: there are only %s", e, text.Count(n, "model"))
		}
	}
	return nil
}

// useEntries refuses an entry that says nothing, because it is about a model of
// a format that has none.
func useEntries(entries []recipe.Entry, models []*model.Model) error {
	for _, e := range entries {
		found := false
		for i, m := range models {
			found = found || m.HasEntries() && (e.Model == 0 || e.Model == i+1)
		}
		switch {
		case found:
		case e.Model > 0:
			return badEntry("--entry %s: %s is not a PyTorch checkpoint, so it has no entries", e, models[e.Model-1].Path)
		default:
			return badEntry("--entry %s: none of the models is a PyTorch checkpoint, so there are no entries", e)
		}
	}
	return nil
}

func badEntry(format string, args ...any) error {
	return &requestError{err: &fault.FlagError{Name: "entry", Err: fmt.Errorf(format, args...)}}
}

// withModels adds to the errors in a recipe file those of its models, as far as
// it says which they are.
func withModels(d *recipe.Recipe, err error) error {
	var wrong, more *recipe.DocumentError
	if d == nil || !errors.As(err, &wrong) {
		return err
	}
	models, failed := openParents(mmapio.NewPool(planPool), recipe.Request{Recipe: *d}, plan.Merging)
	defer closeAll(models)
	problems := wrong.Problems
	switch {
	case failed == nil:
		problems = append(problems, plan.CheckLayers(d, models)...)
	case errors.As(failed, &more):
		problems = append(problems, more.Problems...)
		wrong.Advice = more.Advice
	}
	all := d.Reject(problems...)
	all.Advice = wrong.Advice
	return all
}

// closeAll closes models; nil stands for one that was not opened.
func closeAll(models []*model.Model) {
	for _, m := range models {
		if m != nil {
			m.Close()
		}
	}
}
