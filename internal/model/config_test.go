package model

import "testing"

const sample = `{
  "_name_or_path": "/home/somebody/model",
  "architectures": ["LlamaForCausalLM"],
  "dtype": "float32",
  "rope": {"theta": 1e4, "dtype": "float32"},
  "text_config": {"num_hidden_layers": 7, "torch_dtype": null},
  "vocab_size": 1024,
  "transformers_weights": "x"
}
`

func TestConfigEdits(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*Config)
		want string
	}{
		{"nothing", func(*Config) {}, sample},
		{"first removed", func(c *Config) { c.Remove("_name_or_path") }, `{
  "architectures": ["LlamaForCausalLM"],
  "dtype": "float32",
  "rope": {"theta": 1e4, "dtype": "float32"},
  "text_config": {"num_hidden_layers": 7, "torch_dtype": null},
  "vocab_size": 1024,
  "transformers_weights": "x"
}
`},
		{"last removed, numbers keep their form", func(c *Config) {
			c.Remove("transformers_weights")
			c.Remove("_name_or_path")
			c.Remove("absent")
		}, `{
  "architectures": ["LlamaForCausalLM"],
  "dtype": "float32",
  "rope": {"theta": 1e4, "dtype": "float32"},
  "text_config": {"num_hidden_layers": 7, "torch_dtype": null},
  "vocab_size": 1024
}
`},
		{"types, nested ones too, but no null below the top", func(c *Config) {
			c.Dtype("dtype", `"bfloat16"`, true)
			c.Dtype("torch_dtype", `"bfloat16"`, true)
			c.SetAll("vocab_size", "1032")
		}, `{
  "_name_or_path": "/home/somebody/model",
  "architectures": ["LlamaForCausalLM"],
  "dtype": "bfloat16",
  "rope": {"theta": 1e4, "dtype": "bfloat16"},
  "text_config": {"num_hidden_layers": 7, "torch_dtype": null},
  "vocab_size": 1032,
  "transformers_weights": "x"
}
`},
		{"added at the end, as its neighbours stand", func(c *Config) { c.Set("tie_word_embeddings", "false") }, `{
  "_name_or_path": "/home/somebody/model",
  "architectures": ["LlamaForCausalLM"],
  "dtype": "float32",
  "rope": {"theta": 1e4, "dtype": "float32"},
  "text_config": {"num_hidden_layers": 7, "torch_dtype": null},
  "vocab_size": 1024,
  "transformers_weights": "x",
  "tie_word_embeddings": false
}
`},
	} {
		cfg, err := ParseConfig([]byte(sample))
		if err != nil {
			t.Fatal(err)
		}
		c.edit(cfg)
		if got := string(cfg.Bytes()); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

func TestConfigEditsOfSmallObjects(t *testing.T) {
	for in, want := range map[string]string{
		`{}`:               `{"x": 1}`,
		`{"x":2}`:          `{"x":1}`,
		`{"a":{"x":3}}`:    `{"a":{"x":3},"x": 1}`,
		"{\n \"a\" : 1 }":  "{\n \"a\" : 1,\n \"x\": 1 }",
		`{"a\u0062": "}"}`: `{"a\u0062": "}","x": 1}`,
		`{"limit": [0.0, Infinity, -Infinity, NaN], "s": "NaN\"Infinity"}`: `{"limit": [0.0, Infinity, -Infinity, NaN], "s": "NaN\"Infinity", "x": 1}`,
	} {
		cfg, err := ParseConfig([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		cfg.Set("x", "1")
		if got := string(cfg.Bytes()); got != want {
			t.Errorf("%s with x: %s, want %s", in, got, want)
		}
	}
}

// The parts of a model may have different types, and then say so truly.
func TestConfigKeepsTheTypesOfParts(t *testing.T) {
	const in = `{"dtype": "float32", "text_config": {"dtype": "float32"}, "vision_config": {"dtype": "float16"}}`
	for all, want := range map[bool]string{
		false: `{"dtype": "bfloat16", "text_config": {"dtype": "bfloat16"}, "vision_config": {"dtype": "float16"}}`,
		true:  `{"dtype": "bfloat16", "text_config": {"dtype": "bfloat16"}, "vision_config": {"dtype": "bfloat16"}}`,
	} {
		cfg, err := ParseConfig([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		cfg.Dtype("dtype", `"bfloat16"`, all)
		if got := string(cfg.Bytes()); got != want {
			t.Errorf("all %v: %s, want %s", all, got, want)
		}
	}
}

func TestConfigReads(t *testing.T) {
	cfg, err := ParseConfig([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := cfg.Int("n_layer", "num_hidden_layers"); !ok || n != 7 {
		t.Errorf("Int finds %d, %v in the language model's part, want 7", n, ok)
	}
	if s := cfg.String("dtype"); s != "float32" {
		t.Errorf("String(dtype) = %q", s)
	}
	if a := cfg.Strings("architectures"); len(a) != 1 || a[0] != "LlamaForCausalLM" {
		t.Errorf("Strings(architectures) = %q", a)
	}
}

func TestConfigRefuses(t *testing.T) {
	for _, bad := range []string{"", "[]", "{", `{"a":1,"a":2}`, `{"a":1}x`, `{"a":1,}`, "{\"a\":\"\xff\"}", "null", `{"a":{"b":1,"b":2}}`} {
		if _, err := ParseConfig([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// FuzzConfig: what is accepted can be edited, and stays readable.
func FuzzConfig(f *testing.F) {
	for _, s := range []string{sample, `{}`, `{"a":{"torch_dtype":"float16"}}`, "{ \"x\" :\t1 , \"torch_dtype\":null}", `{"":{"":1}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		cfg, err := ParseConfig(raw)
		if err != nil {
			return
		}
		cfg.Set("zz", "1")
		cfg.Dtype("torch_dtype", `"float32"`, true)
		cfg.Remove("a")
		cfg.Remove("x")
		cfg.SetAll("vocab_size", "7")
		if n, ok := cfg.Int("zz"); !ok || n != 1 {
			t.Errorf("%q: zz is lost: %q", raw, cfg.Bytes())
		}
		if cfg.Has("a") || cfg.Has("x") {
			t.Errorf("%q: not removed: %q", raw, cfg.Bytes())
		}
	})
}
