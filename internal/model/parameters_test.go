package model_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slerpmerge/internal/model"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/testmodel"
	"slerpmerge/mmapio"
)

// write makes a model folder of float32 vectors of size bytes, given as
// NAME=VALUE: the first letter of a value is the tensor's first byte, a second one
// its last. The rest is zeros. Metadata is members of a JSON object.
func write(t *testing.T, config, metadata string, size int, tensors ...string) string {
	t.Helper()
	m := testmodel.Model{Config: config}
	if err := json.Unmarshal([]byte("{"+metadata+"}"), &m.Metadata); err != nil {
		t.Fatal(err)
	}
	for _, x := range tensors {
		name, value, _ := strings.Cut(x, "=")
		info := tensor.Info{Name: name, DType: tensor.F32, Shape: []uint64{uint64(size / 4)}}
		m.Tensors = append(m.Tensors, testmodel.Tensor{Info: info, Values: ends(value)})
	}
	return testmodel.Make(t, t.TempDir(), m)
}

// ends sets the first byte and, if value has a second one, the last.
func ends(value string) testmodel.Values {
	return func(info tensor.Info) func(b []byte) {
		left := info.Bytes()
		return func(b []byte) {
			if left == info.Bytes() {
				b[0] = value[0]
			}
			if left -= int64(len(b)); left == 0 {
				copy(b[len(b)-1:], value[1:])
			}
		}
	}
}

func open(t *testing.T, dir string) *model.Model {
	t.Helper()
	m, err := model.Open(mmapio.NewPool(1<<20), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// one reports whether two names of a model are one parameter.
func one(m *model.Model, a, b string) bool {
	i, ok := m.Named(a)
	j, also := m.Named(b)
	p := m.Parameters()
	return ok && also && p.First(int32(i)) == p.First(int32(j))
}

func TestParameters(t *testing.T) {
	const tied, untied = `{"model_type": "llama", "tie_word_embeddings": true}`, `{"model_type": "llama", "tie_word_embeddings": false}`
	for _, c := range []struct {
		what, config, metadata, a, b string
		tensors                      []string
		want                         bool
	}{
		{"equal and tied", tied, "", "lm_head.weight", "model.embed_tokens.weight", []string{"model.embed_tokens.weight=x", "lm_head.weight=x"}, true},
		{"tied, but they differ", tied, "", "lm_head.weight", "model.embed_tokens.weight", []string{"model.embed_tokens.weight=x", "lm_head.weight=y"}, false},
		{"they differ in the last byte", tied, "", "lm_head.weight", "model.embed_tokens.weight", []string{"model.embed_tokens.weight=x", "lm_head.weight=xy"}, false},
		{"equal and not tied", untied, "", "lm_head.weight", "model.embed_tokens.weight", []string{"model.embed_tokens.weight=x", "lm_head.weight=x"}, false},
		{"no config", `{}`, "", "a.weight", "b.weight", []string{"a.weight=x", "b.weight=x"}, false},
		{"only the embedding", tied, "", "lm_head.weight", "model.embed_tokens.weight", []string{"model.embed_tokens.weight=x"}, true},
		{"only the head", tied, "", "lm_head.weight", "model.embed_tokens.weight", []string{"lm_head.weight=x"}, true},
		{"only the embedding, not tied", untied, "", "lm_head.weight", "model.embed_tokens.weight", []string{"model.embed_tokens.weight=x"}, false},
		{"a class without a head", `{"architectures": ["MistralModel"], "tie_word_embeddings": true}`, "", "lm_head.weight", "model.embed_tokens.weight",
			[]string{"model.embed_tokens.weight=x"}, false},
		{"T5, whatever is said", `{"model_type": "t5", "tie_word_embeddings": false}`, "", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight", []string{"shared.weight=x"}, true},
		{"T5's own head", `{"model_type": "t5", "tie_word_embeddings": false}`, "", "lm_head.weight", "shared.weight", []string{"shared.weight=x", "lm_head.weight=y"}, false},
		{"Mamba", `{"model_type": "mamba"}`, "", "lm_head.weight", "backbone.embeddings.weight", []string{"backbone.embeddings.weight=x"}, true},
		{"BERT's bias", `{"model_type": "bert", "architectures": ["BertForMaskedLM"]}`, "", "cls.predictions.decoder.bias", "cls.predictions.bias", []string{"cls.predictions.bias=x"}, true},
		{"GPT-2 as its base model names it", `{"model_type": "gpt2"}`, "", "lm_head.weight", "wte.weight", []string{"wte.weight=x", "wpe.weight=y"}, true},
		{"a part of a model", `{"model_type": "m", "tie_word_embeddings": false, "thinker_config": {"model_type": "t", "tie_word_embeddings": true}}`, "",
			"thinker.lm_head.weight", "thinker.model.embed_tokens.weight", []string{"thinker.model.embed_tokens.weight=x"}, true},
		{"a class that nobody knows", `{"model_type": "mine", "tie_word_embeddings": true}`, "", "lm_head.weight", "trunk.wte.weight", []string{"trunk.wte.weight=x"}, true},
		{"metadata", untied, `"a.weight": "b.weight"`, "a.weight", "b.weight", []string{"b.weight=x"}, true},
		{"metadata about a tensor that is stored", untied, `"a.weight": "b.weight"`, "a.weight", "b.weight", []string{"a.weight=x", "b.weight=x"}, false},
		{"metadata about nothing", untied, `"a.weight": "c.weight"`, "a.weight", "b.weight", []string{"b.weight=x"}, false},
	} {
		m := open(t, write(t, c.config, c.metadata, 64, c.tensors...))
		if err := m.Settle(context.Background(), true); err != nil {
			t.Fatal(err)
		}
		if got := one(m, c.a, c.b); got != c.want {
			t.Errorf("%s: one parameter %v, want %v", c.what, got, c.want)
		}
	}
}

// A plan compares samples of large tensors, a run every byte.
func TestSettleBySamples(t *testing.T) {
	const size = 40 << 20
	dir := write(t, `{"model_type": "llama", "tie_word_embeddings": true}`, "", size, "model.embed_tokens.weight=x", "lm_head.weight=x")
	path := filepath.Join(dir, "model.safetensors")
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{1}, st.Size()-size/2-200_000); err != nil { // between two samples
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m := open(t, dir)
	for _, exact := range []bool{false, true, false} {
		if err := m.Settle(context.Background(), exact); err != nil {
			t.Fatal(err)
		}
		if !exact {
			continue
		}
		if one(m, "lm_head.weight", "model.embed_tokens.weight") {
			t.Error("tensors that differ in one byte are one parameter of a run")
		}
	}
	if p := m.Parameters(); len(p.Differ) != 1 {
		t.Errorf("a plan after a run has forgotten what the run found: %v", p.Differ)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := open(t, dir).Settle(ctx, true); err == nil {
		t.Error("comparing does not end with its context")
	}
}
