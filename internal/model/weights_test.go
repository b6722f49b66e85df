package model

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slerpmerge/internal/testmodel"
	"slerpmerge/mmapio"
)

// makeFolder makes a folder of weight files without weights. Each entry is a
// name, of a folder if it ends in a slash; an index is followed by the files
// that it lists: "model.safetensors.index.json: a b".
func makeFolder(t *testing.T, entries ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, entry := range entries {
		name, rest, isIndex := strings.Cut(entry, ": ")
		path := filepath.Join(dir, filepath.FromSlash(name))
		if strings.HasSuffix(name, "/") {
			must(t, os.MkdirAll(path, 0o777))
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(path), 0o777))
		var data []byte
		switch {
		case isIndex && strings.HasPrefix(rest, "{"):
			data = []byte(rest)
		case isIndex:
			files := map[string]string{}
			for _, f := range strings.Fields(rest) {
				files["w."+f] = f
			}
			text, err := json.Marshal(map[string]any{"weight_map": files})
			must(t, err)
			data = text
		case strings.HasSuffix(name, ".safetensors"):
			data = testmodel.File(t, one("w."+filepath.Base(name)))
		}
		must(t, os.WriteFile(path, data, 0o666))
	}
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const (
	two1, two2   = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
	twoIndex     = "model.safetensors.index.json: " + two1 + " " + two2
	fp16a, fp16b = "model.fp16-00001-of-00002.safetensors", "model.fp16-00002-of-00002.safetensors"
	bin1, bin2   = "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"
	diff         = "diffusion_pytorch_model"
)

// TestFolders is what a folder means: the files that are read, or the reason
// why none are.
func TestFolders(t *testing.T) {
	for _, c := range []struct {
		name    string
		entries []string
		config  string
		files   string // that are read
		note    string // of what is not
		err     string // or why nothing is read
		hint    string
		lacks   string // of the error and its hint
	}{
		{name: "single", entries: []string{"model.safetensors"}, files: "model.safetensors"},
		{name: "shards", entries: []string{two1, two2, twoIndex}, files: two1 + " " + two2},
		{name: "bin shards", entries: []string{bin1, bin2, "pytorch_model.bin.index.json: " + bin1 + " " + bin2}, files: bin1 + " " + bin2},
		{name: "both formats", entries: []string{"model.safetensors", "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack"}, files: "model.safetensors",
			note: "pytorch_model.bin is not read: the model is model.safetensors"},
		{name: "index of the single file", entries: []string{"model.safetensors", "model.safetensors.index.json: model.safetensors"}, files: "model.safetensors"},
		{name: "hidden files beside", entries: []string{"model.safetensors", "._model.safetensors", "._model.safetensors.index.json: x.safetensors"}, files: "model.safetensors"},
		{name: "trainer's state beside", entries: []string{"model.safetensors", "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state_0.pth", "scaler.pt", "optimizer.bin"},
			files: "model.safetensors"},

		// A part never passes for a whole.
		{name: "left out", entries: []string{two1, two2, twoIndex, "model-mtp-of-00003.safetensors"}, files: two1 + " " + two2,
			note: "model-mtp-of-00003.safetensors is not read: model.safetensors.index.json does not list it"},
		{name: "many left out", entries: []string{two1, two2, twoIndex, "a.safetensors", "b.safetensors", "c.safetensors", "d.safetensors", "e.safetensors"}, files: two1 + " " + two2,
			note: "a.safetensors, b.safetensors, c.safetensors, d.safetensors and 1 more are not read: model.safetensors.index.json does not list them"},
		{name: "shards alone", entries: []string{two1, two2}, err: "has shards but no index", hint: "model.safetensors.index.json", lacks: "name the file"},
		{name: "bin shards alone", entries: []string{bin1}, err: "has shards but no index", hint: "pytorch_model.bin.index.json", lacks: "name the file"},
		{name: "variant shards alone", entries: []string{fp16a, fp16b}, err: "has shards but no index", hint: "model.safetensors.index.fp16.json"},
		{name: "several sets of shards", entries: []string{fp16a, two1, two2}, err: "several sets of shards", hint: "model.safetensors.index.json, model.safetensors.index.fp16.json"},
		{name: "shards of any name", entries: []string{"flux1-00001-of-00003.safetensors"}, err: "has shards but no index", hint: "flux1.safetensors.index.json"},
		{name: "a whole of one part", entries: []string{"model-00001-of-00001.safetensors"}, files: "model-00001-of-00001.safetensors"},

		// Names of variants and of other libraries.
		{name: "variant", entries: []string{"model.fp16.safetensors"}, files: "model.fp16.safetensors"},
		{name: "variant bin", entries: []string{"pytorch_model.fp16.bin"}, files: "pytorch_model.fp16.bin"},
		{name: "variant in both formats", entries: []string{"model.fp16.safetensors", "pytorch_model.fp16.bin"}, files: "model.fp16.safetensors", note: "pytorch_model.fp16.bin is not read"},
		{name: "variant beside the model", entries: []string{"model.safetensors", "model.fp16.safetensors"}, files: "model.safetensors",
			note: "model.fp16.safetensors is not read"},
		{name: "variant shards", entries: []string{fp16a, fp16b, "model.safetensors.index.fp16.json: " + fp16a + " " + fp16b}, files: fp16a + " " + fp16b},
		{name: "variant shards, other index", entries: []string{fp16a, fp16b, "model.fp16.safetensors.index.json: " + fp16a + " " + fp16b}, files: fp16a + " " + fp16b},
		{name: "variant shards beside the model", entries: []string{two1, two2, twoIndex, fp16a, fp16b, "model.safetensors.index.fp16.json: " + fp16a + " " + fp16b},
			files: two1 + " " + two2, note: fp16a + ", " + fp16b + " are not read"},
		{name: "several variants", entries: []string{"model.fp16.safetensors", "model.ema.safetensors"}, err: "holds several sets of weights",
			hint: "name the one that you mean, for example", lacks: "name the file itself"},
		{name: "several variants, one in shards", entries: []string{"model.ema.safetensors", fp16a, fp16b, "model.safetensors.index.fp16.json: " + fp16a + " " + fp16b},
			err: "model.safetensors.index.fp16.json, model.ema.safetensors"},
		{name: "diffusers", entries: []string{diff + ".safetensors", diff + ".bin"}, files: diff + ".safetensors", note: diff + ".bin is not read"},
		{name: "diffusers' variant", entries: []string{diff + ".fp16.safetensors", diff + ".safetensors"}, files: diff + ".safetensors", note: diff + ".fp16.safetensors is not read"},
		{name: "diffusers' shards", entries: []string{diff + "-00001-of-00002.safetensors", diff + "-00002-of-00002.safetensors",
			diff + ".safetensors.index.json: " + diff + "-00001-of-00002.safetensors " + diff + "-00002-of-00002.safetensors"},
			files: diff + "-00001-of-00002.safetensors " + diff + "-00002-of-00002.safetensors"},
		{name: "diffusers' old variant shards", entries: []string{diff + "-00001-of-00001.fp16.safetensors", diff + ".safetensors.index.fp16.json: " + diff + "-00001-of-00001.fp16.safetensors"},
			files: diff + "-00001-of-00001.fp16.safetensors"},
		{name: "index of any name", entries: []string{"x1.safetensors", "x2.safetensors", "flux.safetensors.index.json: x1.safetensors x2.safetensors"}, files: "x1.safetensors x2.safetensors"},
		{name: "partly present index of any name", entries: []string{"x1.safetensors", "flux.safetensors.index.json: x1.safetensors x2.safetensors"}, err: "x2.safetensors"},
		{name: "several indexes", entries: []string{"a-1.safetensors", "b-1.safetensors", "a.safetensors.index.json: a-1.safetensors", "b.safetensors.index.json: b-1.safetensors"},
			err: "several sets of weights", hint: "a.safetensors.index.json"},
		{name: "a file of another name", entries: []string{"lora.safetensors"}, err: "has no model.safetensors", hint: "name the file itself"},

		// An index that does not fit.
		{name: "complete index beside a single file", entries: []string{"model.safetensors", two1, two2, twoIndex}, files: two1 + " " + two2,
			note: "model.safetensors is not read: model.safetensors.index.json does not list it"},
		{name: "stale index beside a single file", entries: []string{"model.safetensors", twoIndex}, files: "model.safetensors",
			note: "model.safetensors.index.json is not read"},
		{name: "stale bin index", entries: []string{"pytorch_model.bin", "pytorch_model.bin.index.json: " + bin1 + " " + bin2}, files: "pytorch_model.bin",
			note: "pytorch_model.bin.index.json is not read"},
		{name: "broken index beside a single file", entries: []string{"model.safetensors", "model.safetensors.index.json: {"}, files: "model.safetensors",
			note: "model.safetensors.index.json is not read"},
		{name: "broken index beside a single file and shards", entries: []string{"model.safetensors", two1, two2, "model.safetensors.index.json: {"}, err: "model.safetensors.index.json"},
		{name: "partly present index", entries: []string{"model.safetensors", two1, twoIndex}, err: "is incomplete: 1 of 2", hint: "or name "},
		{name: "stale index of other shards", entries: []string{two1, two2, "model.safetensors.index.json: model-00001-of-00004.safetensors"},
			err: "shards of another set are: " + two1 + ", " + two2, hint: "get the index that belongs to them", lacks: "download it again"},
		{name: "stale index alone", entries: []string{"config.json", twoIndex}, err: "is incomplete: 2 of 2"},
		{name: "stale index of safetensors beside .bin", entries: []string{"pytorch_model.bin", twoIndex}, err: "is incomplete: 2 of 2"},

		// config.json's transformers_weights.
		{name: "weights of the config", entries: []string{"model.safetensors", "ema.safetensors"}, config: "ema.safetensors", files: "ema.safetensors",
			note: "model.safetensors is not read: the model is ema.safetensors"},
		{name: "sharded weights of the config", entries: []string{"model.safetensors", "e1.safetensors", "ema.safetensors.index.json: e1.safetensors"},
			config: "ema.safetensors.index.json", files: "e1.safetensors", note: "model.safetensors is not read"},
		{name: "weights of the config in a folder", entries: []string{"sub/ema.safetensors"}, config: "sub/ema.safetensors", files: "sub/ema.safetensors"},
		{name: "weights of the config that are not there", entries: []string{"model.safetensors"}, config: "ema.safetensors", err: "ema.safetensors"},
		{name: "index of the config that is not there", entries: []string{"model.safetensors"}, config: "ema.safetensors.index.json", err: "which is not there"},
		{name: "weights of the config outside", entries: []string{"model.safetensors"}, config: "../ema.safetensors", err: "leads out of"},
		{name: "absolute weights of the config", entries: []string{"model.safetensors"}, config: "/tmp/ema.safetensors", err: "leads out of"},
		{name: "weights of the config on a drive", entries: []string{"model.safetensors"}, config: `C:\\ema.safetensors`, err: "leads out of"},
		{name: "weights of the config in .bin", entries: []string{"ema.bin"}, config: "ema.bin", err: "neither a .safetensors file nor"},
		{name: "adapter of the config", entries: []string{"adapter_model.bin"}, config: "adapter_model.bin", err: "is a LoRA adapter"},

		// Folders that hold no model.
		{name: "empty", err: "no model here"},
		{name: "trainer", entries: []string{"training_args.bin", "checkpoint-500/model.safetensors", "checkpoint-1000/model.safetensors"},
			err: "checkpoint-1000, checkpoint-500", hint: "checkpoint-1000", lacks: "training_args.bin"},
		{name: "trainer's checkpoints of shards", entries: []string{"trainer_state.json", "checkpoint-9/" + two1, "checkpoint-9/model.safetensors.index.json: " + two1, "checkpoint-10/" + two1},
			err: "checkpoint-10, checkpoint-9", hint: "checkpoint-10"},
		{name: "checkpoints further below", entries: []string{"run/checkpoint-3/pytorch_model.bin", "logs/"}, err: "run", hint: "checkpoint-3"},
		{name: "trainer's state alone", entries: []string{"training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "rng_state_1.pth", "scaler.pt", "random_states_0.pkl"},
			err: "only the state of a trainer", lacks: ".pt"},
		{name: "pipeline", entries: []string{"model_index.json", "unet/" + diff + ".safetensors", "vae/" + diff + ".safetensors", "tokenizer/vocab.json"}, err: "unet", lacks: "tokenizer"},
		{name: "the cache itself", entries: []string{"models--org--alpha/refs/main", "models--org--alpha/snapshots/00/model.safetensors"}, err: "is a cache", hint: "org/alpha"},
		{name: "adapter", entries: []string{"adapter_model.safetensors", "adapter_config.json"}, err: "is a LoRA adapter"},
		{name: "original release", entries: []string{"consolidated.00.pth", "consolidated.01.pth", "params.json"}, err: "original release", lacks: "name the file"},
		{name: "GGUF", entries: []string{"model-Q4.gguf"}, err: "a GGUF file"},
		{name: "TensorFlow", entries: []string{"tf_model.h5"}, err: "TensorFlow or Flax"},
		{name: "checkpoint of another name", entries: []string{"last.pt", "optimizer.pt"}, err: "has no pytorch_model.bin", hint: "last.pt", lacks: "optimizer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &Model{Dir: makeFolder(t, c.entries...)}
			m.Path = m.Dir
			if c.config != "" {
				config, err := ParseConfig([]byte(`{"transformers_weights": "` + c.config + `"}`))
				must(t, err)
				m.Config = config
			}
			s, err := m.newWeightFolder(mmapio.NewPool(1<<20), m.Dir, "")
			must(t, err)
			w, err := m.weights(s, "")
			if err == nil {
				err = m.complete(s, w)
			}
			if c.err != "" {
				text, hint := "nothing", ""
				var unusable *UnusableError
				var format *FormatError
				switch {
				case errors.As(err, &unusable):
					text, hint = err.Error(), unusable.Hint
				case errors.As(err, &format):
					text, hint = err.Error(), format.Hint
				case err != nil:
					text = err.Error()
				}
				if !strings.Contains(text, c.err) || !strings.Contains(hint, c.hint) || c.lacks != "" && strings.Contains(text+hint, c.lacks) {
					t.Errorf("error: %s\nhint: %s\nwant %q and %q, not %q", text, hint, c.err, c.hint, c.lacks)
				}
				return
			}
			must(t, err)
			if got := strings.Join(w.files, " "); got != c.files {
				t.Errorf("read %s, want %s", got, c.files)
			}
			m.noteLeft(s, w)
			if notes := strings.Join(m.Notes, "\n"); !strings.Contains(notes, c.note) || c.note == "" && notes != "" {
				t.Errorf("notes %q, want %q", notes, c.note)
			}
		})
	}
}

// TestNamedFiles is what a file named as a model means.
func TestNamedFiles(t *testing.T) {
	shards := []string{two1, two2, twoIndex}
	for _, c := range []struct {
		name    string
		entries []string
		file    string
		tensors int
		config  bool
		err     string
	}{
		{"index", shards, "model.safetensors.index.json", 2, false, ""},
		{"shard", shards, two2, 2, false, ""},
		{"shard of any name", []string{"x.safetensors", "y.safetensors", "z.safetensors.index.json: x.safetensors y.safetensors"}, "x.safetensors", 2, false, ""},
		{"shard of a variant", []string{fp16a, fp16b, "model.safetensors", "model.safetensors.index.fp16.json: " + fp16a + " " + fp16b}, fp16b, 2, false, ""},
		{"shard without an index", []string{two1, two2}, two1, 0, false, "one part of a model"},
		{"shard of another index", []string{two1, two2, "model.safetensors.index.json: model-00001-of-00003.safetensors"}, two1, 0, false, "one part of a model"},
		{"shard of a partly present index", []string{two1, twoIndex}, two1, 0, false, "is incomplete: 1 of 2"},
		{"shard of a broken index", []string{two1, two2, "model.safetensors.index.json: {"}, two1, 0, false, "model.safetensors.index.json"},
		{"part of an original release", []string{"consolidated.00.safetensors", "consolidated.01.safetensors"}, "consolidated.00.safetensors", 0, false, "one part of a model"},
		{"original release in one part", []string{"consolidated.00.safetensors"}, "consolidated.00.safetensors", 1, false, ""},
		{"single file beside a complete index", append([]string{"model.safetensors"}, shards...), "model.safetensors", 1, false, ""},
		{"single file beside a broken index", []string{"model.safetensors", "model.safetensors.index.json: {"}, "model.safetensors", 1, false, ""},
		{"whole of one part", []string{"model-00001-of-00001.safetensors"}, "model-00001-of-00001.safetensors", 1, false, ""},
		{"variant beside its config", []string{"model.fp16.safetensors", "model.safetensors", "config.json: {}"}, "model.fp16.safetensors", 1, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := makeFolder(t, c.entries...)
			m, err := Open(mmapio.NewPool(1<<20), filepath.Join(dir, c.file))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				return
			}
			must(t, err)
			defer m.Close()
			if len(m.Tensors) != c.tensors || (m.Config != nil) != c.config {
				t.Errorf("%d tensors, config.json %v; want %d, %v", len(m.Tensors), m.Config != nil, c.tensors, c.config)
			}
		})
	}
}

// TestCacheHome is what the folders of the Hub's cache mean.
func TestCacheHome(t *testing.T) {
	dir := makeFolder(t, "models--org--tiny/snapshots/0123/model.safetensors", "models--org--tiny/blobs/", "models--org--none/snapshots/0123/model.safetensors",
		"models--gone/refs/")
	must(t, os.MkdirAll(filepath.Join(dir, "models--org--tiny", "refs"), 0o777))
	must(t, os.WriteFile(filepath.Join(dir, "models--org--tiny", "refs", "main"), []byte("0123"), 0o666))
	for _, name := range []string{"", "snapshots", "refs", "blobs"} {
		m, err := Open(mmapio.NewPool(1<<20), filepath.Join(dir, "models--org--tiny", name))
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if repo, _ := m.Repo(); m.Name() != "org/tiny" || repo != "org/tiny" || len(m.Tensors) != 1 {
			t.Errorf("%q: %s, %s, %d tensors", name, m.Name(), repo, len(m.Tensors))
		}
		m.Close()
	}
	for name, want := range map[string]string{
		"models--org--none": "org/none: revision main is not in the Hugging Face cache, only 0123",
		"models--gone":      "no model here",
	} {
		if _, err := Open(mmapio.NewPool(1<<20), filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

// TestTrainerState keeps apart what a trainer writes beside a model.
func TestTrainerState(t *testing.T) {
	for _, name := range strings.Fields("training_args.bin optimizer.pt optimizer.bin optimizer_1.bin scheduler.pt scheduler.bin scaler.pt rng_state.pth rng_state_12.pth " +
		"random_states_0.pkl sampler.bin zero_pp_rank_0_mp_rank_00_optim_states.pt zero_pp_rank_0_mp_rank_00_model_states.pt custom_checkpoint_0.pkl") {
		if !trainerState(name) {
			t.Errorf("%s is the state of a trainer", name)
		}
	}
	for _, name := range strings.Fields("pytorch_model.bin model.safetensors last.pt scheduler-model.bin my_optimizer.safetensors") {
		if trainerState(name) {
			t.Errorf("%s is not the state of a trainer", name)
		}
	}
}
