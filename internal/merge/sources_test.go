package merge_test

import (
	"runtime"
	"testing"
	"weak"

	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
)

// Nothing of a run outlives it: batch carries out many plans in one process.
func TestNothingKeepsThePlan(t *testing.T) {
	dir := t.TempDir()
	a := makeModel(t, dir+"/a", 1, 0, layers[:3])
	b := makeModel(t, dir+"/b", 2, 0, layers[:3])
	va, vb := testdata+"models/beta", testdata+"models/beta-vocab"
	for name, c := range map[string]struct {
		primary, secondary string
		change             func(*recipe.Request)
	}{
		"rows": {va, vb, func(r *recipe.Request) { r.Vocab = recipe.VocabMean }},
		"type": {a, b, func(r *recipe.Request) { r.DType = recipe.DType{To: tensor.F16} }},
	} {
		res, _ := mergeModels(t, c.primary, c.secondary, c.change)
		plan, primary := weak.Make(res.Plan), weak.Make(res.Plan.Primary)
		res = nil
		for range 3 {
			runtime.GC()
		}
		if plan.Value() != nil || primary.Value() != nil {
			t.Errorf("%s: the plan or a model is still reachable", name)
		}
	}
}
