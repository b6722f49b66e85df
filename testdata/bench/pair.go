//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"slerpmerge/internal/tensor"
	"slerpmerge/writer"
)

// A shape is that of a Llama model, or so many norms.
type shape struct {
	vocab, hidden, layers, inner, kv int
	tied                             bool
	norms                            int
}

var shapes = map[string]shape{
	"1b":   {128256, 2048, 16, 8192, 512, true, 0},
	"3b":   {128256, 3072, 28, 8192, 1024, true, 0},
	"13b":  {32000, 5120, 40, 13824, 5120, false, 0},
	"70b":  {128256, 8192, 80, 28672, 1024, false, 0},
	"405b": {128256, 16384, 126, 53248, 1024, false, 0},
	"tiny": {hidden: 2048, norms: 45000},
}

func (s shape) tensors() []tensor.Info {
	var list []tensor.Info
	add := func(name string, dims ...int) {
		t := tensor.Info{Name: name, DType: tensor.BF16}
		for _, d := range dims {
			t.Shape = append(t.Shape, uint64(d))
		}
		list = append(list, t)
	}
	for i := range s.norms {
		add(fmt.Sprintf("norms.%d.weight", i), s.hidden)
	}
	if s.norms > 0 {
		return list
	}
	add("model.embed_tokens.weight", s.vocab, s.hidden)
	for i := range s.layers {
		p := fmt.Sprintf("model.layers.%d.", i)
		add(p+"input_layernorm.weight", s.hidden)
		add(p+"mlp.down_proj.weight", s.hidden, s.inner)
		add(p+"mlp.gate_proj.weight", s.inner, s.hidden)
		add(p+"mlp.up_proj.weight", s.inner, s.hidden)
		add(p+"post_attention_layernorm.weight", s.hidden)
		add(p+"self_attn.k_proj.weight", s.kv, s.hidden)
		add(p+"self_attn.o_proj.weight", s.hidden, s.hidden)
		add(p+"self_attn.q_proj.weight", s.hidden, s.hidden)
		add(p+"self_attn.v_proj.weight", s.kv, s.hidden)
	}
	add("model.norm.weight", s.hidden)
	if !s.tied {
		add("lm_head.weight", s.vocab, s.hidden)
	}
	return list
}

// makePair makes two models of one shape.
func makePair(a, b string, s shape, sparse bool, format writer.Format) {
	makeModel(a, s, 1, sparse, format, shardSize)
	makeModel(b, s, 2, sparse, format, shardSize)
}

// makeModel writes a model folder, unless it is there with the right sizes.
// Weights are normal numbers of about 0.02, another stream for every seed; in
// a sparse model only the first 64 elements of each tensor are written.
func makeModel(dir string, s shape, seed uint64, sparse bool, format writer.Format, shardSize int64) {
	l, err := writer.NewLayout(s.tensors(), nil, shardSize, format)
	check(err)
	if complete(dir, l) {
		return
	}
	check(os.RemoveAll(dir))
	check(os.MkdirAll(dir, 0o777))
	noise := make([]byte, 8<<20+4096)
	r := rand.New(rand.NewPCG(seed, 7))
	for i := 0; i < len(noise); i += 2 {
		// sign and mantissa at random, exponents of 2^-9 to 2^-6
		v := uint16(r.Uint32())&0x807f | uint16(118+r.IntN(4))<<7
		binary.LittleEndian.PutUint16(noise[i:], v)
	}
	for _, f := range l.Files {
		w, err := os.Create(filepath.Join(dir, f.Name))
		check(err)
		check(w.Truncate(f.Size))
		for _, seg := range f.Literals {
			_, err := w.WriteAt(seg.Data, seg.Off)
			check(err)
		}
		for _, x := range f.Extents {
			n := x.Len
			if sparse {
				n = min(n, 128)
			}
			for at := int64(0); at < n; at += 8 << 20 {
				from := r.IntN(2048) * 2
				_, err := w.WriteAt(noise[from:][:min(8<<20, n-at)], x.Off+at)
				check(err)
			}
		}
		check(w.Close())
	}
	if l.Index() != nil {
		check(os.WriteFile(filepath.Join(dir, l.IndexName), l.Index(), 0o666))
	}
	config := fmt.Sprintf(`{
  "architectures": ["LlamaForCausalLM"],
  "hidden_size": %d,
  "intermediate_size": %d,
  "model_type": "llama",
  "num_attention_heads": %d,
  "num_hidden_layers": %d,
  "tie_word_embeddings": %v,
  "torch_dtype": "bfloat16",
  "vocab_size": %d
}
`, s.hidden, s.inner, s.hidden/128, s.layers, s.tied, s.vocab)
	check(os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o666))
}

func complete(dir string, l *writer.Layout) bool {
	for _, f := range l.Files {
		if st, err := os.Stat(filepath.Join(dir, f.Name)); err != nil || st.Size() != f.Size {
			return false
		}
	}
	_, err := os.Stat(filepath.Join(dir, "config.json"))
	return err == nil
}
