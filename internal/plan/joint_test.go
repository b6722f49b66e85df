package plan

import (
	"context"
	"slices"
	"strings"
	"testing"

	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/testmodel"
	"slerpmerge/mmapio"
)

// opened makes a model of tensors of one element, given as NAME=VALUE, with
// metadata of NAME>KEPT.
func opened(t *testing.T, config string, specs ...string) *model.Model {
	t.Helper()
	folder := testmodel.Model{Config: config, Metadata: map[string]string{}}
	for _, x := range specs {
		if name, kept, ok := strings.Cut(x, ">"); ok {
			folder.Metadata[name] = kept
			continue
		}
		name, value, _ := strings.Cut(x, "=")
		info := tensor.Info{Name: name, DType: tensor.U8, Shape: []uint64{1}}
		folder.Tensors = append(folder.Tensors, testmodel.Tensor{Info: info, Values: testmodel.First(value[0])})
	}
	dir := testmodel.Make(t, t.TempDir(), folder)
	m, err := model.Open(mmapio.NewPool(1<<20), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	if err := m.Settle(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	return m
}

// Each joint is given as NAME(what the sides have), with the name that t goes
// by where that is another one.
func TestJoin(t *testing.T) {
	const (
		tied   = `{"model_type": "gemma"}`
		untied = `{"model_type": "llama"}`
		t5     = `{"model_type": "t5"}`
		fsmt   = `{"model_type": "fsmt", "tie_word_embeddings": true}`
		zamba  = `{"model_type": "zamba2", "tie_word_embeddings": true, "num_mem_blocks": 2, "layers_block_type": ["mamba", "hybrid", "hybrid", "hybrid"]}`
		e, h   = "model.embed_tokens.weight", "lm_head.weight"
	)
	for _, c := range []struct {
		what    string
		configs []string
		models  [][]string
		want    []string
	}{
		{"one name", []string{tied, tied}, [][]string{{e + "=1"}, {e + "=2"}}, []string{"e(e e)"}},
		{"a repeated head", []string{tied, tied}, [][]string{{e + "=1"}, {e + "=2", h + "=2"}}, []string{"e(e e)"}},
		{"a head of its own", []string{tied, tied}, [][]string{{e + "=1"}, {e + "=2", h + "=3"}}, []string{"e(e e)", "h(e h)"}},
		{"the primary has a head of its own", []string{tied, tied}, [][]string{{e + "=2", h + "=3"}, {e + "=1"}}, []string{"h(h e)", "e(e e)"}},
		{"the head alone", []string{tied, tied}, [][]string{{e + "=1"}, {h + "=2"}}, []string{"e(e h)"}},
		{"the head alone in the primary", []string{tied, tied}, [][]string{{h + "=1"}, {e + "=2"}}, []string{"h(h e) e"}},
		{"the head alone, by metadata", []string{untied, untied}, [][]string{{e + "=1"}, {h + "=2", e + ">" + h}}, []string{"e(e h)"}},
		{"a head alone beside one of its own", []string{tied, untied}, [][]string{{h + "=1"}, {e + "=2", h + "=3"}}, []string{"h(h h)", "e(h e)"}},
		{"not tied", []string{untied, untied}, [][]string{{e + "=1"}, {e + "=2", h + "=2"}}, []string{"e(e e)", "h(- h)"}},
		{"only the secondary is tied", []string{untied, tied}, [][]string{{e + "=1", h + "=1"}, {e + "=2"}}, []string{"h(h e)", "e(e e)"}},
		{"both repeat it", []string{tied, tied}, [][]string{{e + "=1", h + "=1"}, {e + "=2", h + "=2"}}, []string{"h(h h) e", "e(e e)"}},
		{"T5, the encoder's name alone", []string{t5, t5}, [][]string{{"encoder.embed_tokens.weight=1"}, {"shared.weight=2", h + "=3"}},
			[]string{"encoder.embed_tokens.weight(encoder.embed_tokens.weight shared.weight) shared.weight", "h(encoder.embed_tokens.weight h)"}},
		{"shared modules, each name by itself", []string{zamba, zamba}, [][]string{{"layers.1.shared_transformer.x=1"},
			{"layers.1.shared_transformer.x=2", "layers.3.shared_transformer.x=2"}}, []string{"layers.1.shared_transformer.x(layers.1.shared_transformer.x layers.1.shared_transformer.x)"}},
		{"shared modules, another name alone", []string{zamba, zamba}, [][]string{{"layers.1.shared_transformer.x=1"}, {"layers.3.shared_transformer.x=2"}},
			[]string{"layers.1.shared_transformer.x(layers.1.shared_transformer.x layers.3.shared_transformer.x)"}},
		{"shared modules that differ", []string{zamba, zamba}, [][]string{{"layers.1.shared_transformer.x=1"},
			{"layers.1.shared_transformer.x=2", "layers.3.shared_transformer.x=3"}}, []string{"layers.1.shared_transformer.x(layers.1.shared_transformer.x layers.1.shared_transformer.x)",
			"layers.3.shared_transformer.x(layers.1.shared_transformer.x layers.3.shared_transformer.x)"}},
		{"equal modules of two blocks", []string{zamba, zamba}, [][]string{{"layers.1.shared_transformer.x=1"},
			{"layers.1.shared_transformer.x=2", "layers.2.shared_transformer.x=2"}}, []string{"layers.1.shared_transformer.x(layers.1.shared_transformer.x layers.1.shared_transformer.x)",
			"layers.2.shared_transformer.x(- layers.2.shared_transformer.x)"}},
		{"equal layers that the class does not tie", []string{untied, untied}, [][]string{{"layers.1.x=1"}, {"layers.1.x=2", "layers.3.x=2"}},
			[]string{"layers.1.x(layers.1.x layers.1.x)", "layers.3.x(- layers.3.x)"}},
		{"FSMT's embeddings", []string{fsmt, fsmt}, [][]string{{"decoder.embed_tokens.weight=1"}, {"decoder.embed_tokens.weight=2", "encoder.embed_tokens.weight=2"}},
			[]string{"decoder.embed_tokens.weight(decoder.embed_tokens.weight decoder.embed_tokens.weight)"}},
		{"three models", []string{tied, tied, tied}, [][]string{{e + "=1"}, {h + "=2"}, {e + "=3", h + "=4"}}, []string{"e(e h e)", "h(e h h)"}},
		{"the third one knows two names", []string{untied, untied, untied}, [][]string{{"a.x=1"}, {"b.x=2"}, {"b.x=3", "a.x>b.x"}}, []string{"a.x(a.x b.x b.x)"}},
	} {
		var sides []*side
		for i, specs := range c.models {
			sides = append(sides, whole(opened(t, c.configs[i], specs...)))
		}
		var got []string
		for j := range join(sides, 0) {
			var parts []string
			for _, x := range j.parts {
				if x.o.None() {
					parts = append(parts, "-")
				} else {
					parts = append(parts, x.name)
				}
			}
			text := j.name + "(" + strings.Join(parts, " ") + ")"
			if j.own != j.name {
				text += " " + j.own
			}
			got = append(got, text)
		}
		var want []string
		for _, text := range c.want {
			words := strings.FieldsFunc(text, func(r rune) bool { return r == '(' || r == ')' || r == ' ' })
			for i, w := range words {
				words[i] = map[string]string{"e": e, "h": h}[w]
				if words[i] == "" {
					words[i] = w
				}
			}
			n := 1 + len(sides)
			text = words[0] + "(" + strings.Join(words[1:n], " ") + ")"
			if len(words) > n {
				text += " " + words[n]
			}
			want = append(want, text)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%q, want\n%q", c.what, got, want)
		}
	}
}

// A metadata alias keeps its meaning where the names are changed for the
// primary's.
func TestJoinRenamed(t *testing.T) {
	a := opened(t, `{"model_type": "x"}`, "model.embed_tokens.weight=1", "model.norm.weight=1", "model.layers.0.a.weight=1", "model.layers.1.a.weight=1")
	b := opened(t, `{"model_type": "x"}`, "_orig_mod.lm_head.weight=2", "_orig_mod.model.norm.weight=1", "_orig_mod.model.layers.0.a.weight=1", "_orig_mod.model.layers.1.a.weight=1",
		"_orig_mod.model.embed_tokens.weight>_orig_mod.lm_head.weight")
	r := recipe.Request{Recipe: recipe.Pair(method.SlerpMethod{}, "a", "b", recipe.Setting{{Values: []float64{0.5}}}), Run: recipe.Run{MaxMemory: 64 << 20, Threads: 1}}
	r.Missing, r.ShardSize = recipe.MissingError, 1<<30
	p, err := New(r, a, b)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Blockers) > 0 {
		t.Fatal(p.Blockers)
	}
	if len(p.Tensors) != 4 {
		t.Errorf("%d tensors, want 4", len(p.Tensors))
	}
}
