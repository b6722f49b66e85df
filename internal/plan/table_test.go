package plan_test

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/testmodel"
	"slerpmerge/mmapio"
)

// A parent is a model of NAME:DTYPE:SHAPE[:VALUES] with a config.
type parent struct{ config, tensors string }

// make writes the model into a folder.
func (p parent) make(t *testing.T, dir string) {
	t.Helper()
	var specs []string
	bin := false
	for spec := range strings.FieldsSeq(p.tensors) {
		if strings.Count(spec, ":") < 3 {
			spec += ":rand"
		}
		bin = bin || strings.Contains(spec, ":=")
		specs = append(specs, spec)
	}
	list, err := testmodel.Parse(uint64(len(dir)), specs...)
	if err != nil {
		t.Fatal(err)
	}
	testmodel.Make(t, dir, testmodel.Model{Tensors: list, Config: cmp.Or(p.config, "{}"), Bin: bin})
}

func (p parent) open(t *testing.T, dir string) *model.Model {
	t.Helper()
	p.make(t, dir)
	return open(t, dir)
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

// layers is a model of n layers under names with a prefix.
func layers(n int, prefix string) parent {
	return parent{fmt.Sprintf(`{"model_type": "llama", "num_hidden_layers": %d}`, n),
		fmt.Sprintf("%[1]smodel.layers.{0..%[2]d}.mlp:F32:4 %[1]smodel.layers.{0..%[2]d}.attn:F32:4 %[1]slm_head.weight:F32:4", prefix, n-1)}
}

// vocab is a model with a vocabulary of n.
func vocab(n int) parent {
	return parent{fmt.Sprintf(`{"vocab_size": %d}`, n), fmt.Sprintf("model.embed_tokens.weight:F32:%dx2 w:F32:4", n)}
}

// request makes a recipe of flags as the command line has them.
func request(t *testing.T, flags string) recipe.Request {
	t.Helper()
	r := recipe.Request{Recipe: recipe.Pair(method.SlerpMethod{}, "a", "bb", nil), Run: recipe.Run{MaxMemory: 64 << 20, Threads: 1}}
	r.ShardSize = 5e9
	r.Missing, r.NonFinite, r.Tokenizer, r.Vocab = recipe.MissingCopy, recipe.NonFiniteError, recipe.TokenizerPrimary, recipe.VocabError
	var ts []string
	plain := false
	words := strings.Fields(flags)
	for ; len(words) > 1; words = words[2:] {
		var err error
		switch value := words[1]; words[0] {
		case "-t":
			ts = append(ts, value)
			plain = plain || !strings.Contains(value, "=")
		case "--dtype":
			r.DType, err = recipe.ParseDType(value)
		case "--missing":
			r.Missing = recipe.Missing(value)
		case "--vocab":
			r.Vocab = recipe.Vocab(value)
		case "--format":
			r.Format = recipe.Format(value)
		case "--shard-size":
			_, err = fmt.Sscan(value, &r.ShardSize)
		case "--max-memory":
			_, err = fmt.Sscan(value, &r.MaxMemory)
		default:
			t.Fatalf("no flag %s", words[0])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !plain {
		ts = append(ts, "0.5")
	}
	setting, err := recipe.ParseTFlags(ts)
	if err != nil {
		t.Fatal(err)
	}
	r.Set("t", setting)
	return r
}

// lines are what a plan says: a line for each tensor, warning, difference and
// blocker.
func lines(p *plan.Plan) []string {
	var all []string
	for i := range p.Tensors {
		x := &p.Tensors[i]
		shape := strings.Trim(strings.ReplaceAll(fmt.Sprint(x.Shape), " ", "x"), "[]")
		line := fmt.Sprintf("%s %s %s %s", x.Name, x.DType, shape, x.Op.Word()) + operands(x)
		if x.Mixed {
			line += fmt.Sprint(" ", x.T)
		}
		if x.Tail != nil {
			line += fmt.Sprintf(" of %d rows", x.Tail.Shared)
		}
		if x.Why != "" {
			line += ": " + x.Why
		}
		if p.Storage != nil && p.Storage[i] != i {
			line += " = " + p.Tensors[p.Storage[i]].Name
		}
		all = append(all, line)
	}
	for _, s := range p.Warnings {
		all = append(all, "warning: "+s)
	}
	for _, s := range p.Differences {
		all = append(all, "differs: "+s)
	}
	for _, s := range p.Blockers {
		all = append(all, "blocked: "+s)
	}
	return all
}

// TestPlans is what two parents and some flags come to. Want has a line for
// each tensor, warning and blocker; of the last two the beginning is enough.
func TestPlans(t *testing.T) {
	const (
		tied   = `{"model_type": "llama", "tie_word_embeddings": true}`
		untied = `{"model_type": "llama", "tie_word_embeddings": false}`

		// A class with two ties: of the weights of its head and of their biases.
		bert      = `{"model_type": "bert", "architectures": ["BertForMaskedLM"], "tie_word_embeddings": true}`
		bertNames = "bert.embeddings.word_embeddings.weight:F32:4x2 cls.predictions.bias:F32:4"
		bertHead  = " cls.predictions.decoder.weight:F32:4x2:=bert.embeddings.word_embeddings.weight"
		bertLoose = " cls.predictions.decoder.bias:F32:4"
		marian    = `{"model_type": "marian", "architectures": ["MarianMTModel"], "tie_word_embeddings": true}`
		marianOf  = "model.shared.weight:F32:4x2 model.encoder.w:F32:2 model.decoder.w:F32:2"
	)
	for _, c := range []struct {
		name  string
		a, b  parent
		flags string
		want  []string
	}{
		// types and values
		{"a pair", parent{"", "w:F32:2x3"}, parent{"", "w:F32:2x3"}, "", []string{"w F32 2x3 slerp 0.5"}},
		{"types of the primary", parent{"", "w:BF16:4 x:F32:4 h:F16:4"}, parent{"", "w:F32:4 x:BF16:4 h:F64:4"}, "",
			[]string{"h F16 4 slerp 0.5", "w BF16 4 slerp 0.5", "x F32 4 slerp 0.5"}},
		{"another type", parent{"", "w:BF16:4 i:I64:2:1"}, parent{"", "w:F32:4 i:I64:2:1"}, "--dtype float16", []string{"i I64 2 follow", "w F16 4 slerp 0.5"}},
		{"another type at the ends", parent{"", "w:BF16:4 h:F16:4"}, parent{"", "w:F16:4 h:F16:4"}, "-t 1 --dtype float16",
			[]string{"h F16 4 copy bb:h 1: t = 1", "w F16 4 copy bb:w 1: t = 1"}},
		{"the primary alone in its type", parent{"", "w:BF16:4"}, parent{"", "w:F16:4"}, "-t 0", []string{"w BF16 4 copy a:w 0: t = 0"}},
		{"the secondary alone in the primary's type", parent{"", "w:BF16:4"}, parent{"", "w:F16:4"}, "-t 1", []string{"w BF16 4 convert bb:w 1: t = 1"}},
		{"integers", parent{"", "w:F32:4 ids:I64:4:1 mask:BOOL:3:1"}, parent{"", "w:F32:4 ids:I64:4:2 mask:BOOL:3:1"}, "",
			[]string{"ids I64 4 follow", "mask BOOL 3 follow", "w F32 4 slerp 0.5"}},
		{"integers of other types", parent{"", "w:F32:4 ids:I64:4:1"}, parent{"", "w:F32:4 ids:I32:4:1"}, "",
			[]string{"ids I64 4 copy a:ids", "w F32 4 slerp 0.5", "warning: 1 tensor not of a floating type is of different types in the parents"}},
		{"empty tensors", parent{"", "w:F32:4 e:F32:0x4:1"}, parent{"", "w:F32:4 e:F32:0x4:1"}, "", []string{"e F32 0x4 slerp 0.5", "w F32 4 slerp 0.5"}},
		{"a type unknown to old releases", parent{"", "w:F32:4 u:U16:2:1"}, parent{"", "w:F32:4 u:U16:2:1"}, "--format bin",
			[]string{"u U16 2 follow", "w F32 4 slerp 0.5", "warning: 1 tensor is of types that old releases of PyTorch do not know (U16)"}},

		// t
		{"t by name", layers(2, ""), layers(2, ""), "-t mlp=0.25 -t attn=0.75",
			[]string{"lm_head.weight F32 4 slerp 0.5", "model.layers.0.attn F32 4 slerp 0.75", "model.layers.0.mlp F32 4 slerp 0.25",
				"model.layers.1.attn F32 4 slerp 0.75", "model.layers.1.mlp F32 4 slerp 0.25"}},
		{"a gradient", layers(3, ""), layers(3, ""), "-t mlp=0,1",
			[]string{"lm_head.weight F32 4 slerp 0.5", "model.layers.0.attn F32 4 slerp 0.5", "model.layers.0.mlp F32 4 copy a:model.layers.0.mlp 0: t = 0", "model.layers.1.attn F32 4 slerp 0.5", "model.layers.1.mlp F32 4 slerp 0.5", "model.layers.2.attn F32 4 slerp 0.5", "model.layers.2.mlp F32 4 copy bb:model.layers.2.mlp 1: t = 1"}},
		{"a filter that matches nothing", parent{"", "w:F32:4"}, parent{"", "w:F32:4"}, "-t attn=0.1", []string{"w F32 4 slerp 0.5", `warning: -t: filter "attn" matches no tensor`}},

		// what only one has, and what does not fit
		{"other shapes", parent{"", "w:F32:4x2 v:F32:4"}, parent{"", "w:F32:2x4 v:F32:4"}, "",
			[]string{"v F32 4 slerp 0.5", "blocked: 1 tensor differs in shape: w is [4, 2] in a and [2, 4] in bb"}},
		{"one more in the primary", parent{"", "w:F32:4 x.bias:F32:2"}, parent{"", "w:F32:4"}, "",
			[]string{"w F32 4 slerp 0.5", "x.bias F32 2 copy a:x.bias: only the primary has it", "warning: 1 tensor of a is missing from bb: x.bias: copied"}},
		{"one more in the secondary", parent{"", "w:F32:4"}, parent{"", "w:F32:4 x.bias:F32:2"}, "",
			[]string{"w F32 4 slerp 0.5", "x.bias F32 2 copy bb:x.bias: only the secondary has it", "warning: 1 tensor of bb is missing from a: x.bias: copied"}},
		{"one more in each, refused", parent{"", "w:F32:4 x.bias:F32:2"}, parent{"", "w:F32:4 y.bias:F32:2"}, "--missing error",
			[]string{"w F32 4 slerp 0.5", "x.bias F32 2 copy a:x.bias: only the primary has it", "y.bias F32 2 copy bb:y.bias: only the secondary has it", "blocked: 1 tensor of a is missing from bb: x.bias; ", "blocked: 1 tensor of bb is missing from a: y.bias; "}},
		{"one more in each, zeros", parent{"", "w:F32:4 x.bias:F32:2"}, parent{"", "w:F32:4 y.bias:F32:2"}, "--missing zero",
			[]string{"w F32 4 slerp 0.5", "x.bias F32 2 slerp a:x.bias: only the primary has it, merged with zeros", "y.bias F32 2 slerp bb:y.bias: only the secondary has it, merged with zeros", "warning: 1 tensor of a is missing from bb: x.bias: ", "warning: 1 tensor of bb is missing from a: y.bias: "}},
		{"nothing in common", parent{"", "a.w:F32:4"}, parent{"", "b.w:F32:3"}, "",
			[]string{"a.w F32 4 copy a:a.w: only the primary has it", "b.w F32 3 copy bb:b.w: only the secondary has it", "blocked: a and bb have no tensor name in common"}},
		{"other numbers of layers", layers(1, ""), layers(2, ""), "",
			[]string{"lm_head.weight F32 4 slerp 0.5", "model.layers.0.attn F32 4 slerp 0.5", "model.layers.0.mlp F32 4 slerp 0.5", "blocked: num_hidden_layers is 1 in a and 2 in bb"}},
		{"a prefix", layers(1, ""), layers(1, "module."), "",
			[]string{"lm_head.weight F32 4 slerp 0.5", "model.layers.0.attn F32 4 slerp 0.5", "model.layers.0.mlp F32 4 slerp 0.5",
				"warning: bb was saved from a wrapped model: module. is left out of its names"}},
		{"quantised", parent{"", "a.weight:U32:64x8:1 a.scales:F16:64x1 a.biases:F16:64x1"}, parent{"", "w:F32:4"}, "", []string{"blocked: a is quantised (MLX: "}},
		{"little memory", parent{"", "w:F32:4"}, parent{"", "w:F32:4"}, "--max-memory 1000000", []string{"error: --max-memory of 1.0 MiB is not enough for these models; the least that works is "}},

		// settings
		{"other classes", parent{`{"model_type": "llama"}`, "w:F32:4"}, parent{`{"model_type": "mistral"}`, "w:F32:4"}, "",
			[]string{"w F32 4 slerp 0.5", "warning: model_type differs: llama in a, mistral in bb"}},
		{"other settings", parent{`{"rope_theta": 10000, "rms_norm_eps": 1e-5, "use_cache": true}`, "w:F32:4"}, parent{`{"rope_theta": 500000, "rms_norm_eps": 1e-6, "use_cache": false}`, "w:F32:4"}, "",
			[]string{"w F32 4 slerp 0.5", "warning: rope_theta differs: 10000 in a, 500000 in bb", "warning: rms_norm_eps differs: 1e-5 in a, 1e-6 in bb"}},

		// vocabularies
		{"vocabularies", vocab(8), vocab(6), "", []string{"w F32 4 slerp 0.5", "blocked: the vocabularies differ: 8 rows in a and 6 in bb (model.embed_tokens.weight); "}},
		{"vocabularies, extended", vocab(6), vocab(8), "--vocab extend", []string{"model.embed_tokens.weight F32 8x2 slerp 0.5 of 6 rows: rows from 6 on are those of bb", "w F32 4 slerp 0.5"}},
		{"vocabularies, the primary's", vocab(6), vocab(8), "--vocab base", []string{"model.embed_tokens.weight F32 6x2 slerp 0.5: the first 6 rows", "w F32 4 slerp 0.5"}},

		// ties
		{"tied in both", parent{tied, "model.embed_tokens.weight:F32:4x2 lm_head.weight:F32:4x2:=model.embed_tokens.weight"},
			parent{tied, "model.embed_tokens.weight:F32:4x2 lm_head.weight:F32:4x2:=model.embed_tokens.weight"}, "--format bin",
			[]string{"lm_head.weight F32 4x2 slerp 0.5", "model.embed_tokens.weight F32 4x2 slerp 0.5 = lm_head.weight"}},
		{"tied in the primary alone", parent{tied, "model.embed_tokens.weight:F32:4x2"}, parent{untied, "model.embed_tokens.weight:F32:4x2 lm_head.weight:F32:4x2:3"}, "",
			[]string{"lm_head.weight F32 4x2 slerp a:model.embed_tokens.weight, bb:lm_head.weight 0.5: in the primary it is model.embed_tokens.weight", "model.embed_tokens.weight F32 4x2 slerp 0.5", "warning: lm_head.weight is tied to model.embed_tokens.weight in a and not in bb: both are written, tie_word_embeddings becomes false"}},
		// One tie is contradicted: what the others tie is written as well, for the output's config ties nothing.
		{"an untied bias, .bin", parent{bert, bertNames + bertHead}, parent{bert, bertNames + bertHead + bertLoose}, "--missing error",
			[]string{"bert.embeddings.word_embeddings.weight F32 4x2 slerp 0.5", "cls.predictions.bias F32 4 slerp 0.5",
				"cls.predictions.decoder.bias F32 4 slerp a:cls.predictions.bias, bb:cls.predictions.decoder.bias 0.5: in the primary it is cls.predictions.bias",
				"cls.predictions.decoder.weight F32 4x2 slerp a:bert.embeddings.word_embeddings.weight, bb:bert.embeddings.word_embeddings.weight 0.5: tied to bert.embeddings.word_embeddings.weight",
				"warning: cls.predictions.decoder.bias is tied to cls.predictions.bias in a and not in bb: both are written, tie_word_embeddings becomes false, so cls.predictions.decoder.weight is written too"}},
		{"an untied bias, safetensors to .bin", parent{bert, bertNames}, parent{bert, bertNames + bertLoose}, "--missing error --format bin",
			[]string{"bert.embeddings.word_embeddings.weight F32 4x2 slerp 0.5", "cls.predictions.bias F32 4 slerp 0.5",
				"cls.predictions.decoder.bias F32 4 slerp a:cls.predictions.bias, bb:cls.predictions.decoder.bias 0.5: in the primary it is cls.predictions.bias",
				"cls.predictions.decoder.weight F32 4x2 slerp a:bert.embeddings.word_embeddings.weight, bb:bert.embeddings.word_embeddings.weight 0.5: tied to bert.embeddings.word_embeddings.weight = bert.embeddings.word_embeddings.weight",
				"warning: cls.predictions.decoder.bias is tied to cls.predictions.bias in a and not in bb: "}},
		{"an untied head", parent{marian, marianOf}, parent{marian, marianOf + " lm_head.weight:F32:4x2"}, "-t 0",
			[]string{"lm_head.weight F32 4x2 copy a:model.shared.weight 0: in the primary it is model.shared.weight",
				"model.decoder.embed_tokens.weight F32 4x2 copy a:model.shared.weight 0: t = 0", "model.decoder.w F32 2 copy a:model.decoder.w 0: t = 0",
				"model.encoder.embed_tokens.weight F32 4x2 copy a:model.shared.weight 0: t = 0", "model.encoder.w F32 2 copy a:model.encoder.w 0: t = 0",
				"model.shared.weight F32 4x2 copy a:model.shared.weight 0: t = 0",
				`warning: lm_head.weight is tied to model.shared.weight in a and not in bb: both are written, tie_word_embeddings becomes false, so "model.decoder.embed_tokens.weight, model.encoder.embed_tokens.weight" are written too`}},
		{"an untied embedding", parent{marian, marianOf}, parent{marian, marianOf + " model.encoder.embed_tokens.weight:F32:4x2"}, "-t 0",
			[]string{"lm_head.weight F32 4x2 copy a:model.shared.weight 0: t = 0",
				"model.decoder.embed_tokens.weight F32 4x2 copy a:model.shared.weight 0: t = 0", "model.decoder.w F32 2 copy a:model.decoder.w 0: t = 0",
				"model.encoder.embed_tokens.weight F32 4x2 copy a:model.shared.weight 0: in the primary it is model.shared.weight", "model.encoder.w F32 2 copy a:model.encoder.w 0: t = 0",
				"model.shared.weight F32 4x2 copy a:model.shared.weight 0: t = 0",
				"warning: model.encoder.embed_tokens.weight is tied to model.shared.weight in a and not in bb: "}},
		{"an untied head, other names stored", parent{marian, marianOf}, parent{marian, marianOf + " model.decoder.embed_tokens.weight:F32:4x2:=model.shared.weight lm_head.weight:F32:4x2"}, "-t 0",
			[]string{"lm_head.weight F32 4x2 copy a:model.shared.weight 0: in the primary it is model.shared.weight",
				"model.decoder.embed_tokens.weight F32 4x2 copy a:model.shared.weight 0: t = 0", "model.decoder.w F32 2 copy a:model.decoder.w 0: t = 0",
				"model.encoder.embed_tokens.weight F32 4x2 copy a:model.shared.weight 0: t = 0", "model.encoder.w F32 2 copy a:model.encoder.w 0: t = 0",
				"model.shared.weight F32 4x2 copy a:model.shared.weight 0: t = 0",
				"warning: lm_head.weight is tied to model.shared.weight in a and not in bb: "}},
		{"an untied embedding of the decoder", parent{marian, marianOf}, parent{marian, marianOf + " model.decoder.embed_tokens.weight:F32:4x2"}, "-t 1",
			[]string{"lm_head.weight F32 4x2 copy bb:model.shared.weight 1: t = 1",
				"model.decoder.embed_tokens.weight F32 4x2 copy bb:model.decoder.embed_tokens.weight 1: ", "model.decoder.w F32 2 copy bb:model.decoder.w 1: t = 1",
				"model.encoder.embed_tokens.weight F32 4x2 copy bb:model.shared.weight 1: t = 1", "model.encoder.w F32 2 copy bb:model.encoder.w 1: t = 1",
				"model.shared.weight F32 4x2 copy bb:model.shared.weight 1: t = 1",
				"warning: model.decoder.embed_tokens.weight is tied to model.shared.weight in a and not in bb: "}},
		{"a head under another name", parent{`{"model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"]}`, "model.decoder.embed_tokens.weight:F32:4x2"},
			parent{`{"model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"]}`, "model.decoder.embed_tokens.weight:F32:4x2 proj_out.weight:F32:4x2"}, "-t 0",
			[]string{"model.decoder.embed_tokens.weight F32 4x2 copy a:model.decoder.embed_tokens.weight 0: t = 0", "proj_out.weight F32 4x2 copy a:model.decoder.embed_tokens.weight 0: in the primary it is model.decoder.embed_tokens.weight",
				"warning: proj_out.weight is tied to model.decoder.embed_tokens.weight in a and not in bb: both are written, tie_word_embeddings becomes false"}},
		{"a type that can't untie", parent{`{"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}`, "shared.weight:F32:4x2 encoder.w:F32:2"},
			parent{`{"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}`, "shared.weight:F32:4x2 encoder.w:F32:2 lm_head.weight:F32:4x2"}, "-t 0",
			[]string{"encoder.w F32 2 copy a:encoder.w 0: t = 0", "lm_head.weight F32 4x2 copy a:shared.weight 0: in the primary it is shared.weight", "shared.weight F32 4x2 copy a:shared.weight 0: t = 0",
				"warning: lm_head.weight is tied to shared.weight in a and not in bb: both are written, config.json of this model type can't say"}},
		{"a head with a bias and no decoder", parent{tied, "model.embed_tokens.weight:F32:4x2 lm_head.bias:F32:4"}, parent{tied, "model.embed_tokens.weight:F32:4x2 lm_head.bias:F32:4 lm_head.weight:F32:4x2"}, "-t 0",
			[]string{"lm_head.bias F32 4 copy a:lm_head.bias 0: t = 0", "lm_head.weight F32 4x2 copy a:model.embed_tokens.weight 0: in the primary it is model.embed_tokens.weight", "model.embed_tokens.weight F32 4x2 copy a:model.embed_tokens.weight 0: t = 0",
				"warning: lm_head.weight is tied to model.embed_tokens.weight in a and not in bb: both are written, tie_word_embeddings becomes false"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			p, err := plan.New(request(t, c.flags), c.a.open(t, filepath.Join(dir, "a")), c.b.open(t, filepath.Join(dir, "bb")))
			compareLines(t, dir, p, err, c.want)
		})
	}
}

var column = regexp.MustCompile(`recipe\.yml:([0-9]+):[0-9]+`)

// compareLines compares the lines of a plan of models in dir; of those with a
// text the beginning is enough.
func compareLines(t *testing.T, dir string, p *plan.Plan, err error, want []string) {
	t.Helper()
	var got []string
	if err == nil {
		got = lines(p)
	} else {
		text, _, _ := strings.Cut("error: "+err.Error(), "\n")
		got = []string{column.ReplaceAllString(text, "recipe.yml:$1")} // columns depend on the length of paths
	}
	ok := len(got) == len(want)
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], dir+string(filepath.Separator), "")
		ok = ok && (got[i] == want[i] || strings.Contains(want[i], ": ") && strings.HasPrefix(got[i], want[i]))
	}
	if !ok {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}
