package model

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"slerpmerge/internal/tensor"
	"slerpmerge/internal/text"
)

func isAdapter(dir string) error {
	return &UnusableError{Path: dir, Msg: "is a LoRA adapter, not a whole model",
		Hint: "merge the adapter into its base model with peft first: merge_and_unload(), save_pretrained(FOLDER)"}
}

// none explains a folder without a model by what else is in it.
func (s *weightFolder) none() error {
	has := func(pattern string) string {
		for _, name := range s.names {
			if ok, _ := filepath.Match(pattern, name); ok {
				return name
			}
		}
		return ""
	}
	e := &UnusableError{Path: s.dir}
	if e.Msg, e.Hint = s.shardsAlone(); e.Msg != "" {
		return e
	}
	switch {
	case has("adapter_config.json") != "" || has("adapter_model.*") != "":
		return isAdapter(s.dir)
	case has("*.gguf") != "":
		e.Msg = "holds only " + text.Quote(has("*.gguf")) + ", a GGUF file: llama.cpp's format can't be merged"
		e.Hint = foreign[tensor.GGUFFile].hint
		return e
	case has("consolidated*") != "":
		e.Msg = "holds consolidated weights in the naming of the original release, not a Hugging Face model"
		e.Hint = "use the Hugging Face conversion of this model (with config.json and model.safetensors)"
		return e
	case has("*.incomplete") != "":
		e.Msg = "holds an unfinished download and no model"
		return e
	}
	if e.Msg, e.Hint = s.modelsBelow(); e.Msg != "" {
		return e
	}
	var odd []string // weights by their endings alone
	for _, ext := range []string{".safetensors", ".bin", ".pt", ".pth"} {
		for _, name := range s.names {
			if n, ok := parseWeightName(name); ok && n.ext == ext && !n.index {
				odd = append(odd, name)
			}
		}
		if len(odd) > 0 {
			break
		}
	}
	switch {
	case has("tf_model*.h5") != "" || has("flax_model*.msgpack") != "":
		e.Msg = "holds TensorFlow or Flax weights only"
		e.Hint = "load the model in transformers with from_tf or from_flax and save it as safetensors"
	case len(odd) > 0 && strings.HasSuffix(odd[0], ".safetensors"):
		e.Msg = "has no model.safetensors and no model.safetensors.index.json"
		e.Hint = "name the file itself: " + filepath.Join(s.dir, odd[0])
	case len(odd) > 0:
		e.Msg = "has no pytorch_model.bin and no pytorch_model.bin.index.json"
		e.Hint = "name the file itself, if it is a checkpoint: " + filepath.Join(s.dir, odd[0])
	case slices.ContainsFunc(s.names, trainerState):
		e.Err = errors.New("no model here, only the state of a trainer")
	default:
		e.Err = errors.New("no model here: no model.safetensors or pytorch_model.bin, and no index of shards")
	}
	return e
}

// shardsAlone says that there are parts of a model, and how they are named.
func (s *weightFolder) shardsAlone() (msg, hint string) {
	var sets []string
	for _, name := range s.names {
		n, ok := parseWeightName(name)
		if !ok || !n.shard {
			continue
		}
		// transformers puts the variant where diffusers does now.
		index := n.stem + n.ext + ".index.json"
		if n.variant != "" {
			index = n.stem + n.ext + ".index." + n.variant + ".json"
		}
		if !slices.Contains(sets, index) {
			sets = append(sets, index)
		}
	}
	switch len(sets) {
	case 0:
		return "", ""
	case 1:
		return "has shards but no index that says which tensor is in which", "download " + sets[0] + " too"
	}
	return "has several sets of shards, but no index that says which tensor is in which", "download the index of the set that you mean: " + nameList(sets)
}

// modelsBelow looks for models in the folders below, such as the checkpoints of
// a trainer or the parts of a pipeline.
func (s *weightFolder) modelsBelow() (msg, hint string) {
	var found []string
	for depth := 1; depth <= 2 && len(found) == 0; depth++ {
		found = modelFolders(s.dir, depth)
	}
	if len(found) == 0 {
		return "", ""
	}
	if repo, ok := cachedRepo(found[0]); ok {
		return "is a cache of the Hugging Face Hub", "name one of its models, such as " + repo
	}
	slices.SortFunc(found, func(a, b string) int { return cmp.Or(cmp.Compare(lastNumber(a), lastNumber(b)), strings.Compare(a, b)) })
	last := found[len(found)-1]
	slices.Reverse(found)
	verb := "folders below it do"
	if len(found) == 1 {
		verb = "a folder below it does"
	}
	return fmt.Sprintf("holds no weights, but %s: %s", verb, nameList(found)), "name the folder of the model: " + filepath.Join(s.dir, last)
}

// maxFolders bounds the search for models below a folder.
const maxFolders = 1000

// modelFolders returns the folders so deep below dir that hold weights, relative
// to it.
func modelFolders(dir string, depth int) []string {
	var found []string
	entries, _ := os.ReadDir(dir)
	left := maxFolders
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || left == 0 {
			continue
		}
		sub := filepath.Join(dir, name)
		if st, err := os.Stat(sub); err != nil || !st.IsDir() {
			continue
		}
		left--
		if depth > 1 {
			for _, below := range modelFolders(sub, depth-1) {
				found = append(found, filepath.Join(name, below))
			}
			continue
		}
		if _, repo := cachedRepo(name); repo {
			found = append(found, name)
			continue
		}
		files, _ := os.ReadDir(sub)
		for _, f := range files {
			n, ok := parseWeightName(f.Name())
			if ok && (n.index || n.ofLibrary()) {
				found = append(found, name)
				break
			}
		}
	}
	return found
}

// lastNumber returns the number at the end of a name, such as that of a
// checkpoint; -1 if there is none.
func lastNumber(name string) int {
	digits := name[len(strings.TrimRight(name, "0123456789")):]
	n, err := strconv.Atoi(digits)
	if err != nil {
		return -1
	}
	return n
}
