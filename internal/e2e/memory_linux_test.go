package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"slerpmerge/internal/tensor"
	"slerpmerge/writer"
)

// The least memory that a refusal names is enough, is kept to with mapped pages
// and all, and is hardly more than what the run takes.
func TestLeastMemory(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tensors  int
		in, out  writer.Format
		name     string
		outNamed string
	}{
		{100, writer.Safetensors, writer.Safetensors, "safetensors", "safetensors"},
		{5000, writer.Safetensors, writer.Safetensors, "safetensors", "safetensors"},
		{2000, writer.Bin, writer.Bin, "bin", "bin"},
	} {
		t.Run(fmt.Sprintf("%d %s", c.tensors, c.name), func(t *testing.T) {
			dir := t.TempDir()
			for _, parent := range []string{"a", "b"} {
				makeSmallTensors(t, filepath.Join(dir, parent), c.tensors, c.in)
			}
			run := func(memory string) ([]byte, int) {
				cmd := exec.Command("slerpmerge", "merge", "a", "b", "-o", "out", "--format", c.outNamed, "--json", "-q", "--max-memory", memory)
				cmd.Dir = dir
				out, err := cmd.Output()
				if exit, ok := err.(*exec.ExitError); ok {
					return exit.Stderr, exit.ExitCode()
				}
				if err != nil {
					t.Fatal(err)
				}
				return out, 0
			}
			said, code := run("12MiB")
			m := regexp.MustCompile(`try --max-memory (\d+)MiB`).FindSubmatch(said)
			if code != 3 || m == nil {
				t.Fatalf("exit %d: %s", code, said)
			}
			said, code = run(string(m[1]) + "MiB")
			if code != 0 {
				t.Fatalf("with the least that works: exit %d: %s", code, said)
			}
			var result struct {
				Peak int64 `json:"peak_memory"`
			}
			if err := json.Unmarshal(said, &result); err != nil {
				t.Fatal(err)
			}
			least, _ := strconv.ParseInt(string(m[1]), 10, 64)
			least <<= 20
			// The test's own code in the process takes some pages more.
			if result.Peak > least+1<<20 {
				t.Errorf("peak %d, over the least of %d", result.Peak, least)
			}
			if most := result.Peak + result.Peak*15/100 + 1<<20; least > most { // it is named in whole MiB
				t.Errorf("the least is %d, the peak %d", least, result.Peak)
			}
		})
	}
}

// makeSmallTensors writes a model of tensors of two elements.
func makeSmallTensors(t *testing.T, dir string, n int, format writer.Format) {
	t.Helper()
	infos := make([]tensor.Info, n)
	for i := range infos {
		infos[i] = tensor.Info{Name: fmt.Sprintf("model.layers.%d.mlp.experts.%d.up_proj.weight", i/100, i%100), DType: tensor.BF16, Shape: []uint64{1, 2}}
	}
	l, err := writer.Lay(infos, nil, 1<<40, format)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, l.Files[0].Name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(l.Files[0].Size); err != nil {
		t.Fatal(err)
	}
	for _, s := range l.Files[0].Fixed {
		if _, err := f.WriteAt(s.Data, s.Off); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"model_type": "llama"}`), 0o666); err != nil {
		t.Fatal(err)
	}
}
