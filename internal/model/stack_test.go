package model

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"

	"slerpmerge/internal/tensor"
)

func TestStacks(t *testing.T) {
	m := &Model{}
	for _, name := range []string{
		"model.embed_tokens.weight", "model.layers.0.mlp.experts.7.w1", "model.layers.11.norm", "visual.blocks.3.attn.qkv.weight",
		"h.2.ln", "3.weight", "a.b.c", "x.4", "y.99999999999999999999.z", "model.layers..w",
	} {
		m.Tensors = append(m.Tensors, Tensor{Info: tensor.Info{Name: name}})
	}
	want := map[string]int{"model.layers": 12, "visual.blocks": 4, "h": 3}
	if got := m.Stacks(); !maps.Equal(got, want) {
		t.Errorf("Stacks() = %v, want %v", got, want)
	}
}

// tableOf makes a model of tensors that are given as NAME or NAME:SHAPE, such
// as 4x8; {a,b} in a name stands for either.
func tableOf(t *testing.T, config string, specs ...string) *Model {
	t.Helper()
	m := &Model{Path: "m"}
	if config != "" {
		c, err := ParseConfig([]byte(config))
		if err != nil {
			t.Fatal(err)
		}
		m.Config = c
	}
	for len(specs) > 0 {
		spec := specs[0]
		specs = specs[1:]
		if open, end := strings.IndexByte(spec, '{'), strings.IndexByte(spec, '}'); open >= 0 {
			var all []string
			for word := range strings.SplitSeq(spec[open+1:end], ",") {
				all = append(all, spec[:open]+word+spec[end+1:])
			}
			specs = append(all, specs...)
			continue
		}
		info := tensor.Info{Name: spec, DType: tensor.BF16, Shape: []uint64{4, 4}}
		if name, shape, ok := strings.Cut(spec, ":"); ok {
			info.Name, info.Shape = name, nil
			for d := range strings.SplitSeq(shape, "x") {
				n, err := strconv.ParseUint(d, 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				info.Shape = append(info.Shape, n)
			}
		}
		m.Tensors = append(m.Tensors, Tensor{Info: info})
	}
	return m
}

func TestTextStack(t *testing.T) {
	const two = `{"text_config": {"num_hidden_layers": 2, "hidden_size": 8}, "vision_config": {"num_hidden_layers": 2}}`
	for _, c := range []struct {
		config, tensors string
		want            string // the stack and the layers, or words of the error
	}{
		{"", "model.layers.0.w model.layers.1.w", "model.layers 2"},
		{`{"num_hidden_layers": 2}`, "model.layers.0.w model.layers.1.w model.layers.2.mtp", "model.layers 2"},
		{`{"num_hidden_layers": 3}`, "model.layers.0.w model.layers.1.w", "no stack of the 3 layers"},
		{"", "norm.weight", "no numbered layers"},
		// vision and text of one depth
		{two, "model.language_model.layers.1.w model.visual.blocks.1.w", "model.language_model.layers 2"},
		{two, "language_model.model.layers.1.w vision_tower.encoder.layers.1.w", "language_model.model.layers 2"},
		{two, "model.layers.1.w model.audio_tower.layers.1.w", "model.layers 2"},
		// the tower has the depth, the text has an extra layer beyond it
		{two, "model.layers.2.w visual.blocks.1.w", "model.layers 2"},
		// by the embedding, where no name tells
		{two, "model.embed_tokens.weight model.layers.1.w mtp.layers.1.w", "model.layers 2"},
		{two, "a.wte.weight a.h.1.w b.h.1.w", "a.h 2"},
		{two, "a.layers.1.w b.layers.1.w b.layers.1.embed_tokens.weight", "several stacks of layers (a.layers, b.layers)"},
		// by the width
		{two, "a.layers.0.norm:8 a.layers.1.norm:8 b.layers.0.norm:6 b.layers.1.norm:6", "a.layers 2"},
		// by the depth
		{two, "a.layers.1.w b.layers.5.w", "a.layers 2"},
		// an encoder and its decoder are both text
		{two, "model.encoder.layers.1.w model.decoder.layers.1.w model.decoder.embed_tokens.weight", "several stacks"},
		// a word is a whole word
		{two, "provision.layers.1.w x.layers.1.w", "several stacks"},
		// a model that only sees
		{two, "vision_model.encoder.layers.1.w", "vision_model.encoder.layers 2"},
	} {
		stack, n, err := tableOf(t, c.config, strings.Fields(c.tensors)...).TextStack()
		got := fmt.Sprint(stack, " ", n)
		if err != nil {
			got = err.Error()
		}
		if err == nil && got != c.want || err != nil && !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.tensors, got, c.want)
		}
	}
}
