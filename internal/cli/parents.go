package cli

import (
	"errors"

	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/mmapio"
)

// openParents opens the models of a recipe, in the order of Recipe.Parents.
// What is wrong with those of a recipe file is told at once, as one
// *recipe.DocumentError: models that are not there, and layers that the others
// don't have. Models that were opened are returned with an error, too.
func openParents(pool *mmapio.Pool, r recipe.Recipe) ([]*model.Model, error) {
	paths := r.Parents()
	models := make([]*model.Model, len(paths))
	var absent []recipe.Problem
	var hints []string
	for i, path := range paths {
		m, err := model.Open(pool, path)
		var unusable *model.UnusableError
		switch {
		case err == nil:
			models[i] = m
		case r.Document != nil && errors.As(err, &unusable):
			absent = append(absent, recipe.Problem{Pos: r.Document.Models()[i].Pos, Message: err.Error()})
			if unusable.Hint != "" {
				hints = append(hints, unusable.Hint)
			}
		default:
			return models, err
		}
	}
	if len(absent) == 0 {
		return models, nil
	}
	err := r.Document.Reject(append(absent, plan.CheckLayers(r.Document, models)...)...)
	err.Hints = hints
	return models, err
}

// withModels adds to what is wrong with a recipe file what is wrong with its
// models, as far as it says which they are.
func withModels(d *recipe.Document, err error) error {
	var wrong, more *recipe.DocumentError
	if d == nil || !errors.As(err, &wrong) {
		return err
	}
	models, failed := openParents(mmapio.NewPool(planPool), recipe.Recipe{Document: d})
	defer closeAll(models)
	problems := wrong.Problems
	switch {
	case failed == nil:
		problems = append(problems, plan.CheckLayers(d, models)...)
	case errors.As(failed, &more):
		problems = append(problems, more.Problems...)
		wrong.Hints = more.Hints
	}
	all := d.Reject(problems...)
	all.Hints = wrong.Hints
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
