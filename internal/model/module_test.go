package model

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slerpmerge/internal/testmodel"
	"slerpmerge/mmapio"
)

const transformerType = "sentence_transformers.models.Transformer"

// modulesJSON lists modules: folders, each of which may have its type behind a
// comma.
func modulesJSON(folders ...string) string {
	var list []string
	for i, f := range folders {
		folder, kind, ok := strings.Cut(f, ",")
		if !ok {
			_, kind, _ = strings.Cut(strings.TrimSuffix(f, "/"), "_")
			kind = "sentence_transformers.models." + kind
		}
		list = append(list, fmt.Sprintf(`{"idx": %d, "name": "%d", "path": %q, "type": %q}`, i, i, folder, kind))
	}
	return "modules.json: [" + strings.Join(list, ",") + "]"
}

// TestModules is what the modules of sentence-transformers add to a model.
func TestModules(t *testing.T) {
	var many []string
	for i := range maxModules + 1 {
		many = append(many, fmt.Sprint(i, "_Dense"))
	}
	for _, c := range []struct {
		name    string
		modules string
		entries []string
		home    string
		tensors string
		files   string // small ones
		err     string
	}{
		{name: "pooling", modules: modulesJSON("", "1_Pooling"), entries: []string{"model.safetensors", "1_Pooling/config.json"},
			tensors: "w.model.safetensors", files: "1_Pooling/config.json"},
		{name: "dense", modules: modulesJSON("", "1_Pooling", "2_Dense/"), entries: []string{"model.safetensors", "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors"},
			tensors: "w.model.safetensors 2_Dense/w.model.safetensors", files: "1_Pooling/config.json 2_Dense/config.json"},
		{name: "a folder that is not there", modules: modulesJSON("", "1_Pooling", "2_Normalize"), entries: []string{"model.safetensors", "1_Pooling/config.json"},
			tensors: "w.model.safetensors", files: "1_Pooling/config.json"},
		{name: "pooling that is not there", modules: modulesJSON("", "1_Pooling"), entries: []string{"model.safetensors"}, err: "modules.json names the folder 1_Pooling, which is not there"},
		{name: "a module without its weights", modules: modulesJSON("", "2_Dense"), entries: []string{"model.safetensors", "2_Dense/config.json"}, err: "2_Dense has no weights"},
		{name: "a branch without its weights", modules: modulesJSON("," + transformerType + ".Router"),
			entries: []string{"model.safetensors", `router_config.json: {"types": {"query": "sentence_transformers.models.StaticEmbedding.StaticEmbedding"}}`, "query/tokenizer.json"}, err: "query has no weights"},
		{name: "own code that is not there", modules: modulesJSON("", "2_Mine,my.Module"), entries: []string{"model.safetensors"}, tensors: "w.model.safetensors"},
		{name: "the transformer in a folder", modules: modulesJSON("0_Transformer", "1_Pooling", "2_Dense"),
			entries: []string{"0_Transformer/model.safetensors", "0_Transformer/config.json: {}", "1_Pooling/config.json", "2_Dense/model.safetensors"},
			home:    "0_Transformer", tensors: "w.model.safetensors 2_Dense/w.model.safetensors", files: "1_Pooling/config.json"},
		{name: "the transformer in shards in a folder", modules: modulesJSON("0_Transformer"), entries: []string{"0_Transformer/" + two1, "0_Transformer/" + two2, "0_Transformer/" + twoIndex},
			home: "0_Transformer", tensors: "w." + two1 + " w." + two2},
		{name: "a module in shards", modules: modulesJSON("", "1_T"), entries: []string{"model.safetensors", "1_T/" + two1, "1_T/" + two2, "1_T/" + twoIndex},
			tensors: "w.model.safetensors 1_T/w." + two1 + " 1_T/w." + two2},
		{name: "part of a module", modules: modulesJSON("", "1_T"), entries: []string{"model.safetensors", "1_T/" + two1, "1_T/" + twoIndex}, err: "is incomplete: 1 of 2 weight files is not there: 1_T/" + two2},
		{name: "shards of a module alone", modules: modulesJSON("", "1_T"), entries: []string{"model.safetensors", "1_T/" + two1}, err: "has shards but no index"},
		{name: "router", modules: modulesJSON("," + transformerType + ".Router"),
			entries: []string{"model.safetensors", `router_config.json: {"types": {"query_0_Dense": "x", "document_0_Pooling": "y"}}`, "query_0_Dense/model.safetensors", "document_0_Pooling/config.json"},
			tensors: "w.model.safetensors query_0_Dense/w.model.safetensors", files: "document_0_Pooling/config.json"},
		{name: "not sentence-transformers", modules: `modules.json: {"a": 1}`, entries: []string{"model.safetensors"}, tensors: "w.model.safetensors"},

		{name: "outside", modules: modulesJSON("../x"), entries: []string{"model.safetensors"}, err: "is not one of the model's own"},
		{name: "absolute", modules: modulesJSON("/etc"), entries: []string{"model.safetensors"}, err: "is not one of the model's own"},
		{name: "backslash", modules: modulesJSON(`..\x`), entries: []string{"model.safetensors"}, err: "is not one of the model's own"},
		{name: "hidden", modules: modulesJSON(".git"), entries: []string{"model.safetensors"}, err: "is not one of the model's own"},
		{name: "a folder in a folder", modules: modulesJSON("a/b"), entries: []string{"model.safetensors"}, err: "in a folder of a folder"},
		{name: "branches outside", modules: modulesJSON(""), entries: []string{"model.safetensors", `router_config.json: {"types": {"../x": "y"}}`}, err: "is not one of the model's own"},
		{name: "too many", modules: modulesJSON(many...), entries: append([]string{"model.safetensors"}, slices.Collect(func(yield func(string) bool) {
			for _, m := range many {
				if !yield(m + "/") {
					return
				}
			}
		})...), err: "more than 64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := makeFolder(t, c.entries...)
			_, text, _ := strings.Cut(c.modules, ": ")
			must(t, os.WriteFile(filepath.Join(dir, "modules.json"), []byte(text), 0o666))
			m, err := Open(mmapio.NewPool(1<<20), dir)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				return
			}
			must(t, err)
			defer m.Close()
			var names []string
			for i := range m.Tensors {
				names = append(names, m.Tensors[i].Name)
				if j, ok := m.Lookup(m.Tensors[i].Name); !ok || i != j {
					t.Errorf("%s is not found", m.Tensors[i].Name)
				}
				file := &m.Files[m.Tensors[i].File]
				if file.Module != "" && !strings.HasPrefix(file.Name, file.Module+"/") {
					t.Errorf("file %s of module %s", file.Name, file.Module)
				}
			}
			if got := strings.Join(names, " "); got != c.tensors || m.Home != c.home || (m.Config != nil) != (c.name == "the transformer in a folder") {
				t.Errorf("tensors %s, want %s; home %q, config.json %v", got, c.tensors, m.Home, m.Config != nil)
			}
			if got := strings.Join(m.ModuleFiles(), " "); got != c.files {
				t.Errorf("small files %s, want %s", got, c.files)
			}
		})
	}
}

// TestModuleLinks lets no link lead out of the model.
func TestModuleLinks(t *testing.T) {
	dir := makeFolder(t, "model.safetensors", "other/model.safetensors", "model/model.safetensors")
	must(t, os.WriteFile(filepath.Join(dir, "model", "modules.json"), []byte(`[{"path": "1_Dense", "type": "x"}]`), 0o666))
	if err := os.Symlink(filepath.Join(dir, "other"), filepath.Join(dir, "model", "1_Dense")); err != nil {
		t.Skip(err)
	}
	_, err := Open(mmapio.NewPool(1<<20), filepath.Join(dir, "model"))
	if err == nil || !strings.Contains(err.Error(), "leads out of the model's folder") {
		t.Errorf("error %v", err)
	}
}

// TestModulesNotThere refuses a list of modules whose download is missing.
func TestModulesNotThere(t *testing.T) {
	dir := makeFolder(t, "model.safetensors")
	if err := os.Symlink("blobs/none", filepath.Join(dir, "modules.json")); err != nil {
		t.Skip(err)
	}
	if _, err := Open(mmapio.NewPool(1<<20), dir); err == nil || !strings.Contains(err.Error(), "modules.json") {
		t.Errorf("error %v", err)
	}
}

// TestModuleNamesCollide refuses a model of which one tensor is called as that
// of a module.
func TestModuleNamesCollide(t *testing.T) {
	dir := makeFolder(t, "2_Dense/model.safetensors")
	must(t, os.WriteFile(filepath.Join(dir, "modules.json"), []byte(`[{"path": ""}, {"path": "2_Dense"}]`), 0o666))
	testmodel.Make(t, dir, testmodel.Model{Tensors: []testmodel.Tensor{one("2_Dense/w.model.safetensors")}})
	if _, err := Open(mmapio.NewPool(1<<20), dir); err == nil || !strings.Contains(err.Error(), "which is the name of a tensor of the module 2_Dense too") {
		t.Errorf("error %v", err)
	}
}
