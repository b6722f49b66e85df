package plan_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/mmapio"
)

const testdata = "../../testdata/"

// planGolden plans a recipe of the reference merges with the models of testdata.
func planGolden(t *testing.T, name string) (*plan.Plan, error) {
	t.Helper()
	file := "../recipe/testdata/golden/" + name + ".yml"
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs(testdata + "models")
	if err != nil {
		t.Fatal(err)
	}
	d, err := recipe.Parse(file, []byte(strings.ReplaceAll(string(src), "./models", dir)), method.All())
	if err != nil {
		return nil, err
	}
	r := request(t, "")
	d.ShardSize, d.Missing, d.NonFinite, d.Tokenizer, d.Vocab = r.ShardSize, r.Missing, r.NonFinite, r.Tokenizer, r.Vocab
	r.Recipe = *d
	pool := mmapio.NewPool(1 << 20)
	var models []*model.Model
	for _, path := range r.Parents() {
		m, err := model.Open(pool, path)
		if err != nil {
			return nil, err
		}
		t.Cleanup(m.Close)
		models = append(models, m)
	}
	return plan.New(r, models...)
}

// The plans of the reference recipes have the t, weights or scale of every tensor
// with which the reference merges were checked, in twelve digits.
func TestGoldenValues(t *testing.T) {
	files, err := filepath.Glob("../recipe/testdata/golden/*.json")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d plans, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := planGolden(t, name)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Refusal(); err != nil {
				t.Fatal(err)
			}
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want map[string]any
			if err := json.Unmarshal(src, &want); err != nil {
				t.Fatal(err)
			}
			if len(p.Tensors) != len(want) {
				t.Errorf("%d tensors, want %d", len(p.Tensors), len(want))
			}
			for i := range p.Tensors {
				x := &p.Tensors[i]
				if w, known := want[x.Name]; !known || !hasValue(x, w) {
					t.Errorf("%s: %s, t = %v, %+v; want %v", x.Name, x.Op.Word(), x.T, x.Sum(), w)
				}
			}
		})
	}
}

// hasValue compares a tensor with its t, its weights, or its scale, which is nil
// where there is none.
func hasValue(x *plan.Tensor, want any) bool {
	near := func(got float64, want any) bool {
		w, ok := want.(float64)
		return ok && math.Abs(got-w) <= 1e-12
	}
	switch w := want.(type) {
	case []any:
		if x.Sum() == nil || len(x.Sum().Weights) != len(w) {
			return false
		}
		for k, v := range x.Sum().Weights {
			if !near(v, w[k]) {
				return false
			}
		}
		return true
	case float64:
		if x.Sum() != nil {
			return len(x.Operands) == 1 && near(x.Sum().Weights[0], w)
		}
		return x.Mixed && near(x.T, w) || !x.Mixed && w == 1 // a scale of 1 copies
	}
	return want == nil && !x.Mixed && x.Sum() == nil && x.Op.Word() != "slerp"
}

// The recipes that give tokenizers are planned with all rows.
func TestGoldenVocabularies(t *testing.T) {
	for name, want := range map[string]struct {
		rows  uint64
		files string
	}{
		"vocab-union":      {0, "tokenizer.json"},
		"vocab-base-alpha": {512, ""},
	} {
		p, err := planGolden(t, name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := p.Refusal(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		made := 0
		for i := range p.Tensors {
			x := &p.Tensors[i]
			if !strings.Contains(x.Name, "embed_tokens") && !strings.Contains(x.Name, "lm_head") {
				continue
			}
			for _, o := range x.Operands {
				if o.Rows != nil {
					made++
					if n := o.Info().Shape[0]; n != x.Shape[0] {
						t.Errorf("%s: %s has %d rows, its operand %d", name, x.Name, x.Shape[0], n)
					}
				}
			}
			if !strings.Contains(string(p.Config), "\"vocab_size\"") {
				t.Errorf("%s: config %s", name, p.Config)
			}
		}
		if made == 0 {
			t.Errorf("%s: no rows are moved", name)
		}
		edited := false
		for _, c := range p.Companions {
			edited = edited || c.Name == want.files && c.Edit != nil
			r, err := c.Open()
			if err != nil {
				t.Fatal(err)
			}
			size, err := c.Size()
			if err != nil {
				t.Fatal(err)
			}
			n := int64(0)
			for buf := make([]byte, 4096); ; {
				k, err := r.Read(buf)
				n += int64(k)
				if err != nil {
					break
				}
			}
			r.Close()
			if n != size {
				t.Errorf("%s: %s has %d bytes, and says %d", name, c.Name, n, size)
			}
		}
		if want.files != "" && !edited {
			t.Errorf("%s: %s is not edited", name, want.files)
		}
	}
}

// A recipe that the reference refuses is refused.
func TestGoldenRefusals(t *testing.T) {
	files, err := filepath.Glob("../recipe/testdata/golden/err-*.yml")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yml")
		p, err := planGolden(t, name)
		if err == nil {
			err = p.Refusal()
		}
		if err == nil {
			t.Errorf("%s is planned", name)
		}
	}
}
