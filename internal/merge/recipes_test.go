package merge_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"slerpmerge/internal/merge"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/mmapio"
)

// The bytes of merges by recipe files. That their values are right is checked
// against the reference merges by .ci/run golden; this pins all bits of them,
// for one thread with the least memory and for several.
func TestRecipes(t *testing.T) {
	recipes, err := filepath.Abs("../recipe/testdata/golden")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("../../testdata") // recipes name ./models
	for name, want := range map[string]string{
		"gradient-classic":     "179938caa0175b5b9bc1e73aed18b684dc5be4987b056c78b37798555d5a9475",
		"gradient-base-second": "545b4b2812e7b1bd93b370a3b16aef2d4066ba51ef6d82e30a04266893885662",
		"filter-substring":     "9de44eb603ef09af46a2e9c6127515e562e24511db519322212f05acb23f7b8c",
		"slices-offset-depths": "19d9450836fa37a9121fe2391978f508ea8908360be7ce0372f47ada687ff19d",
		"franken-passthrough":  "fd7b73a44f6a437c4d5ca6dcf760bfc84011b99f37df87dd12190b41e64e8656",
		"passthrough-scale":    "4b5cfa6fe664e969c9fa5a780c03d6c420e3346853f03b14e83e379abfab87b7",
		"linear":               "ed848bab7a1bc1874e77100c1f7646639b7c1dba06e9a84af581490a199ac025",
		"vocab-union":          "e982227bc6aec3009970e93736ea120b7fd3217c3cef20fdd33f3cef6906c8b7",
		"vocab-base-alpha":     "a8219c8207ed03ce178017b15f77ce5f098699f2d415d3595ce69628731d838a",
	} {
		for _, size := range []struct {
			threads int
			memory  int64
		}{{1, 23 << 20}, {3, 64 << 20}} {
			out := mergeRecipe(t, filepath.Join(recipes, name+".yml"), size.threads, size.memory)
			if got := weightHash(t, out); got != want {
				t.Errorf("%s, %d threads: weights hash to %s, want %s", name, size.threads, got, want)
			}
		}
	}
}

func mergeRecipe(t *testing.T, file string, threads int, memory int64) string {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d, err := recipe.Parse(file, src, method.All())
	if err != nil {
		t.Fatal(err)
	}
	r := recipe.Request{Recipe: *d, Run: recipe.Run{Output: filepath.Join(t.TempDir(), "out"), MaxMemory: memory, Threads: threads}}
	r.ShardSize, r.Missing, r.NonFinite, r.Tokenizer = 5e9, recipe.MissingCopy, recipe.NonFiniteError, recipe.TokenizerPrimary
	pool := mmapio.NewPool(4 << 20)
	var models []*model.Model
	for _, path := range r.Parents() {
		m, err := model.Open(pool, path)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		models = append(models, m)
	}
	p, err := plan.New(r, models...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := merge.Run(context.Background(), p, merge.Options{Pool: pool}); err != nil {
		t.Fatal(err)
	}
	return r.Output
}
