package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"slerpmerge/internal/method"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/testmodel"
)

// Recipes as people share them run unchanged, by models of their depths. Each method has
// one at least.
func TestPublicRecipes(t *testing.T) {
	files, err := filepath.Glob("../../testdata/recipes/*.yml")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d recipes, %v", len(files), err)
	}
	tokens := map[string]string{}
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		text, err := os.ReadFile("../../testdata/models/alpha/" + name)
		if err != nil {
			t.Fatal(err)
		}
		tokens[name] = string(text)
	}
	used := map[string]bool{}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		depth := regexp.MustCompile(`(?m)^# layers: (\d+)$`).FindSubmatch(src)
		s, err := recipe.ParseStages(filepath.Base(file), src, method.All())
		if err != nil || depth == nil {
			t.Errorf("%s: depth %s, %v", file, depth, err)
			continue
		}
		n, _ := strconv.Atoi(string(depth[1]))
		for _, stage := range s.All {
			used[string(stage.Recipe.Method)] = true
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yml"), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			made := 0
			for _, stage := range s.All {
				for _, m := range stage.Recipe.Models() {
					if slices.ContainsFunc(stage.Needs, func(o *recipe.Stage) bool { return o.Name == m.Path }) {
						continue
					}
					made++
					makeLayers(t, filepath.Join(dir, m.Path), n, uint64(made), tokens)
				}
			}
			if err := os.WriteFile(filepath.Join(dir, "recipe.yml"), src, 0o666); err != nil {
				t.Fatal(err)
			}
			c := exec.Command("slerpmerge", "merge", "--recipe", "recipe.yml", "-o", "out", "--threads", "1")
			c.Dir = dir
			if out, err := c.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if _, err := os.Stat(filepath.Join(dir, "out", "model.safetensors")); err != nil {
				t.Error(err)
			}
		})
	}
	for _, m := range method.All() {
		if !used[string(m.Name())] {
			t.Errorf("no recipe for %s", m.Name())
		}
	}
}

// makeLayers writes a model of n small layers.
func makeLayers(t *testing.T, dir string, n int, seed uint64, files map[string]string) {
	t.Helper()
	specs := []string{"model.embed_tokens.weight:BF16:1024x4:rand", "model.norm.weight:BF16:4:rand", "lm_head.weight:BF16:1024x4:rand"}
	for _, tensor := range []string{"self_attn.q_proj.weight:BF16:4x4:rand", "mlp.up_proj.weight:BF16:8x4:rand", "input_layernorm.weight:BF16:4:rand"} {
		specs = append(specs, fmt.Sprintf("model.layers.{0..%d}.%s", n-1, tensor))
	}
	tensors, err := testmodel.Parse(seed, specs...)
	if err != nil {
		t.Fatal(err)
	}
	testmodel.Make(t, dir, testmodel.Model{Tensors: tensors, Files: files,
		Config: fmt.Sprintf(`{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": %d, "hidden_size": 4, "vocab_size": 1024}`, n)})
}
