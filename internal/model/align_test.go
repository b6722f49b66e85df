package model

import (
	"slices"
	"strings"
	"testing"

	"slerpmerge/internal/tensor"
)

// The tensors of a layer of a small Llama, and of other layers.
const (
	llama = "{self_attn.q_proj,self_attn.o_proj}.weight:8x8 L.mlp.up_proj.weight:12x8 L.input_layernorm.weight:8"
	tower = "{attn.qkv,attn.proj}.weight:6x6 L.norm1.weight:6"
)

// layersOf makes two layers of what is in one, given as above: the L of later
// tensors stands for the layer.
func layersOf(stack, layer string) string {
	layer = strings.ReplaceAll(" L."+layer, " L.", " "+stack+".{0,1}.")
	return layer
}

func TestAlign(t *testing.T) {
	text := func(prefix, head string) string {
		return prefix + "embed_tokens.weight:24x8" + layersOf(prefix+"layers", llama) + " " + prefix + "norm.weight:8 " + head
	}
	plain := text("model.", "lm_head.weight:24x8")
	for _, c := range []struct {
		name, base, m string
		config        string // of base
		same          string // names that m must have after; those of base without what only it has if ""
		lacks         string // names of base that only it has
		said          string
		err           string
	}{
		{name: "identity", base: plain, m: plain},
		{name: "one lacks a head", base: plain, m: text("model.", "")},
		{name: "a vision tower", base: text("model.language_model.", "lm_head.weight:24x8") + layersOf("model.visual.blocks", tower), m: plain,
			lacks: "model.visual.", said: "model.layers>model.language_model.layers"},
		{name: "the other way round", base: plain, m: text("model.language_model.", "lm_head.weight:24x8") + layersOf("model.visual.blocks", tower),
			said: "model.language_model.layers>model.layers"},
		{name: "the head has the prefix too", base: text("language_model.model.", "language_model.lm_head.weight:24x8"), m: plain, said: "model.layers>language_model.model.layers"},
		{name: "two layouts of a vision model", base: text("model.language_model.", "lm_head.weight:24x8") + layersOf("model.vision_tower.layers", tower) + " model.multi_modal_projector.linear_1.weight:8x6",
			m:    text("language_model.model.", "language_model.lm_head.weight:24x8") + layersOf("vision_tower.layers", tower) + " multi_modal_projector.linear_1.weight:8x6",
			said: "language_model.model.layers>model.language_model.layers vision_tower.layers>model.vision_tower.layers language_model.>"},
		{name: "thinker", base: text("thinker.model.", "thinker.lm_head.weight:24x8") + layersOf("thinker.visual.blocks", tower), m: plain + layersOf("visual.blocks", tower),
			said: "model.layers>thinker.model.layers visual.blocks>thinker.visual.blocks"},
		{name: "no prefix", base: "transformer.wte.weight:24x8" + layersOf("transformer.h", llama) + " transformer.ln_f.weight:8", m: "wte.weight:24x8" + layersOf("h", llama) + " ln_f.weight:8", said: "h>transformer.h"},
		{name: "a prefix nobody knows", base: plain, m: text("student.net.model.", "student.net.lm_head.weight:24x8"), said: "student.net.model.layers>model.layers"},
		{name: "a bare model and its pooler", base: "bert.embeddings.word_embeddings.weight:24x8" + layersOf("bert.encoder.layer", llama) + " cls.predictions.bias:24",
			m: "embeddings.word_embeddings.weight:24x8" + layersOf("encoder.layer", llama) + " pooler.dense.weight:8x8", lacks: "cls.",
			same: "bert.embeddings.word_embeddings.weight bert.pooler.dense.weight", said: "encoder.layer>bert.encoder.layer"},
		{name: "an encoder and a decoder", base: "model.shared.weight:24x8" + layersOf("model.encoder.layers", llama) + layersOf("model.decoder.layers", llama+" L.encoder_attn.q_proj.weight:8x8"),
			m: "shared.weight:24x8" + layersOf("encoder.layers", llama) + layersOf("decoder.layers", llama+" L.encoder_attn.q_proj.weight:8x8"), said: "decoder.layers>model.decoder.layers encoder.layers>model.encoder.layers"},
		{name: "alike except for their names", base: "model.shared.weight:24x8" + layersOf("model.encoder.layers", llama) + layersOf("model.decoder.layers", llama),
			m: "shared.weight:24x8" + layersOf("encoder.layers", llama) + layersOf("decoder.layers", llama), said: "decoder.layers>model.decoder.layers encoder.layers>model.encoder.layers"},
		{name: "another name of the stack", base: "net.norm.weight:8" + layersOf("net.layers", llama), m: "model.norm.weight:8" + layersOf("model.blocks", llama), said: "model.blocks>net.layers"},
		{name: "a module between", base: plain, m: strings.NewReplacer("layers.{0,1}.", "layers.{0,1}.inner.").Replace(plain), said: "model.layers.N.inner>model.layers.N"},
		{name: "biases in one", base: text("language_model.model.", "language_model.lm_head.weight:24x8"), m: plain + " model.layers.0.self_attn.q_proj.bias:8",
			same: "language_model.model.layers.0.self_attn.q_proj.bias", said: "model.layers>language_model.model.layers"},
		{name: "more rows", base: text("language_model.model.", "language_model.lm_head.weight:24x8"), m: text("model.", "lm_head.weight:25x8"), said: "model.layers>language_model.model.layers"},
		{name: "other widths", base: text("language_model.model.", "language_model.lm_head.weight:24x8"), m: strings.ReplaceAll(plain, "8", "16"), same: "model.norm.weight"},
		{name: "another network", base: plain, m: layersOf("h", "attn.c_attn.weight:24x8 L.ln_1.weight:8"), same: "h.0.ln_1.weight"},
		{name: "no layers", base: "net.fc1.weight net.fc2.weight", m: "fc1.weight fc2.weight", said: ">net."},
		{name: "one tensor proves nothing", base: "net.fc1.weight", m: "fc1.weight", same: "fc1.weight"},
		{name: "two that fit", base: layersOf("a.layers", llama) + layersOf("b.layers", llama), m: layersOf("model.layers", llama), err: "model.layers of m may be a.layers or b.layers of m"},
		{name: "one for two", base: layersOf("model.layers", llama), m: layersOf("a.layers", llama) + layersOf("b.layers", llama), err: "model.layers of m may be a.layers or b.layers of m"},
		{name: "the text of two that fit", base: layersOf("a.language_model.layers", llama) + layersOf("a.vision_model.layers", llama), m: layersOf("layers", llama), lacks: "a.vision_model.", said: "layers>a.language_model.layers"},
		{name: "what stands beside them tells", base: layersOf("a.encoder.layers", llama) + " a.patch.weight:8x3" + layersOf("b.encoder.layers", llama) + " b.token.weight:24x8",
			m: layersOf("encoder.layers", llama) + " patch.weight:8x3", lacks: "b.", said: "encoder.layers>a.encoder.layers"},
		{name: "two places for a norm", base: layersOf("x.a.layers", llama) + layersOf("x.b.blocks", tower) + " x.a.norm.weight:8 x.b.norm.weight:8",
			m: layersOf("layers", llama) + layersOf("blocks", tower) + " norm.weight:8", err: "norm.weight of m may be x.a.norm.weight or x.b.norm.weight of m"},
	} {
		base, m := tableOf(t, c.config, strings.Fields(c.base)...), tableOf(t, "", strings.Fields(c.m)...)
		stored := namesOf(m)
		said, err := m.Align(base)
		if err != nil || c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || c.err == "" {
				t.Errorf("%s: %v, want %q", c.name, err, c.err)
			}
			continue
		}
		var got []string
		for _, r := range said {
			got = append(got, r.From+">"+r.To)
		}
		if strings.Join(got, " ") != c.said {
			t.Errorf("%s: said %q, want %q", c.name, got, c.said)
		}
		for _, name := range strings.Fields(c.same) {
			if _, ok := m.Lookup(name); !ok {
				t.Errorf("%s: no %s among %q", c.name, name, namesOf(m))
			}
		}
		for i := range m.Tensors {
			if _, ok := base.Lookup(m.Tensors[i].Name); !ok && c.same == "" && !strings.Contains(c.m, "visual") {
				t.Errorf("%s: %s is %s, which the base has not", c.name, m.StoredName(i), m.Tensors[i].Name)
			}
			if m.StoredName(i) != stored[i] {
				t.Errorf("%s: %s is stored as %s", c.name, stored[i], m.StoredName(i))
			}
		}
		for _, name := range namesOf(base) {
			if _, ok := m.Lookup(name); !ok && c.said != "" && (c.lacks == "" || !strings.HasPrefix(name, c.lacks)) && !strings.Contains(c.m, name) {
				t.Errorf("%s: nothing is called %s", c.name, name)
			}
		}
		if m.Unwrap(); !slices.Equal(namesOf(m), stored) {
			t.Errorf("%s: Unwrap does not undo it", c.name)
		}
	}
}

func namesOf(m *Model) []string {
	var names []string
	for i := range m.Tensors {
		names = append(names, m.Tensors[i].Name)
	}
	return names
}

func TestUnwrap(t *testing.T) {
	for _, c := range []struct{ stored, want, found string }{
		{"model.norm.weight", "model.norm.weight", ""},
		{"_orig_mod.model.norm.weight _orig_mod.lm_head.weight", "model.norm.weight lm_head.weight", "_orig_mod"},
		{"module.a.weight module.b.weight", "a.weight b.weight", "module"},
		{"module._orig_mod.a.weight module._orig_mod.b.weight", "a.weight b.weight", "module _orig_mod"},
		{"_orig_mod.module.a.weight _orig_mod.module.b.weight", "a.weight b.weight", "module _orig_mod"},
		{"model.layers.0._orig_mod.w model.layers.1._checkpoint_wrapped_module.w lm_head.weight", "model.layers.0.w model.layers.1.w lm_head.weight", "_orig_mod _checkpoint_wrapped_module"},
		{"_fsdp_wrapped_module.layers.0._fsdp_wrapped_module._checkpoint_wrapped_module.w", "layers.0.w", "_fsdp_wrapped_module _checkpoint_wrapped_module"},
		{"lm_head._orig_mod.weight", "lm_head.weight", "_orig_mod"},
		// the word module is a wrapper in front of every name alone
		{"module.a.weight b.weight", "module.a.weight b.weight", ""},
		{"a.module.weight", "a.module.weight", ""},
		{"a._orig_module.weight", "a._orig_module.weight", ""},
		// names that would be the same
		{"_orig_mod.a.weight a.weight", "_orig_mod.a.weight a.weight", ""},
		{"_orig_mod", "_orig_mod", ""},
	} {
		m := tableOf(t, "", strings.Fields(c.stored)...)
		found := m.Unwrap()
		if got := strings.Join(namesOf(m), " "); got != c.want || strings.Join(found, " ") != c.found {
			t.Errorf("%s: %q, %q", c.stored, got, found)
		}
		if again := m.Unwrap(); !slices.Equal(again, found) || strings.Join(namesOf(m), " ") != c.want {
			t.Errorf("%s: a second time %q", c.stored, again)
		}
	}
	// AveragedModel counts in a scalar beside its module
	m := tableOf(t, "", "n_averaged", "module.w")
	m.Tensors[0].Shape, m.Tensors[0].DType = nil, tensor.I64
	if found := m.Unwrap(); len(found) != 1 || m.Tensors[0].Name != "n_averaged" || m.Tensors[1].Name != "w" {
		t.Errorf("%q %q", found, namesOf(m))
	}
	// what shares a storage is called by its new name
	m = tableOf(t, "", "module.a", "module.b")
	m.storages = []int32{0, 0}
	if m.Unwrap(); m.SharesWith(1) != "a" {
		t.Errorf("shares with %s", m.SharesWith(1))
	}
	if _, err := m.Align(tableOf(t, "", "net.a", "net.b")); err != nil || m.SharesWith(1) != "net.a" {
		t.Errorf("%v: shares with %s", err, m.SharesWith(1))
	}
}
