package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The command lines of testdata/batch, for cron and systemd, work as they stand
// except for the places of things.
func TestBatchExamples(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, d := range []string{"srv", "prom"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	srv := filepath.Join(dir, "srv")
	if err := os.CopyFS(srv, os.DirFS("../../testdata/batch")); err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{"alpha", "beta"} {
		if err := os.CopyFS(filepath.Join(srv, "models", m), os.DirFS(filepath.Join("../../testdata/models", m))); err != nil {
			t.Fatal(err)
		}
	}
	here := strings.NewReplacer("/usr/local/bin/", "", "/srv/slerpmerge", srv, "/var/lib/node_exporter/textfile", filepath.Join(dir, "prom"))
	command := func(file string, line *regexp.Regexp) []string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(srv, file))
		if err != nil {
			t.Fatal(err)
		}
		m := line.FindAllStringSubmatch(string(text), -1)
		if len(m) != 1 {
			t.Fatalf("%d commands in %s", len(m), file)
		}
		args := strings.Fields(m[0][1])
		for i := range args {
			args[i] = here.Replace(args[i])
		}
		return args
	}
	run := func(args []string) map[string]int {
		t.Helper()
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
		text, err := os.ReadFile(filepath.Join(srv, "nightly.json"))
		if err != nil {
			t.Fatal(err)
		}
		var state struct{ Counts map[string]int }
		if err := json.Unmarshal(text, &state); err != nil {
			t.Fatal(err)
		}
		return state.Counts
	}
	if n := run(command("crontab", regexp.MustCompile(`(?m)^[0-9*]+(?: [0-9*]+){4} (/.*)$`))); n["done"] != 4 {
		t.Errorf("after the first run: %v", n)
	}
	for _, f := range []string{"half/model.safetensors", "ramp/model.safetensors", "soup/model.safetensors", "half-bin/pytorch_model.bin"} {
		if _, err := os.Stat(filepath.Join(srv, "merged", f)); err != nil {
			t.Error(err)
		}
	}
	if n := run(command("slerpmerge.service", regexp.MustCompile(`(?m)^ExecStart=(/.*)$`))); n["skipped"] != 4 {
		t.Errorf("after the second run: %v", n)
	}
	text, err := os.ReadFile(filepath.Join(dir, "prom", "slerpmerge.prom"))
	if err != nil || !strings.Contains(string(text), `slerpmerge_batch_jobs{manifest="nightly.yaml",state="skipped"} 4`) {
		t.Errorf("metrics: %v\n%s", err, text)
	}
}
