//go:build unix

package report_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"slerpmerge/internal/disk"
	"slerpmerge/internal/report"
)

// A folder of somebody else does not count as finished, whatever its record
// says.
func TestFinishedByAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a folder away")
	}
	out := filepath.Join(t.TempDir(), "out")
	if err := os.Mkdir(out, 0o755); err != nil {
		t.Fatal(err)
	}
	record := `{"schema": 1, "fingerprint": "f", "output": {"format": "safetensors", "files": [{"name": "w", "bytes": 1}]}, "tensors": [{}]`
	record += fmt.Sprintf(",\n  \"sha256\": \"%x\"\n}\n", sha256.Sum256([]byte(record)))
	for name, text := range map[string]string{report.ProvenanceName: record, "w": "w"} {
		if err := os.WriteFile(filepath.Join(out, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := report.OpenFinished(context.Background(), out)
	if err != nil || f == nil || f.Fingerprint != "f" || f.Wrong != "" {
		t.Fatalf("%+v, %v", f, err)
	}
	if err := os.Chown(out, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if f, err := report.OpenFinished(context.Background(), out); f != nil || !errors.As(err, new(*disk.ForeignError)) {
		t.Errorf("%+v, %v", f, err)
	}
	if f, err := report.OpenFinished(context.Background(), filepath.Join(out, "nowhere", "out")); f != nil || err != nil {
		t.Errorf("where nothing is: %+v, %v", f, err)
	}
}
