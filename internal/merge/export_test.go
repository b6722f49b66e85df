package merge

import (
	"context"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slerpmerge/internal/operand"
	"slerpmerge/internal/tensor"
)

// CountReads has every read of a tensor's values reported.
func (o *Options) CountReads(report func(name string, bytes int)) {
	o.Wrap = func(of operand.Operand, src operand.Source) operand.Source {
		if of.None() {
			return src
		}
		return counted{src, of.Tensor().Name, report}
	}
}

type counted struct {
	operand.Source
	name   string
	report func(string, int)
}

func (c counted) ReadAt(ctx context.Context, p []byte, off int64) error {
	c.report(c.name, len(p))
	return c.Source.ReadAt(ctx, p, off)
}

// Use reads: a source that has views may be asked for them again.
func (c counted) Use(ctx context.Context, scratch []byte, off int64, use func([]byte) error) error {
	if err := c.ReadAt(ctx, scratch, off); err != nil {
		return err
	}
	return use(scratch)
}

// Copier is nil, so that everything is read.
func (c counted) Copier() tensor.Copier { return nil }

// SpoilNotes puts another note in the last line that has one of the journal of
// an unfinished run to the output out, and drops what follows.
func SpoilNotes(t *testing.T, out, note string) {
	t.Helper()
	path := filepath.Join(filepath.Dir(out), "."+filepath.Base(out)+".partial", ".slerpmerge.journal")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(strings.TrimSuffix(string(b), "\n"), "\n")
	for len(lines) > 1 && !strings.Contains(lines[len(lines)-1], `,"note"`) {
		lines = lines[:len(lines)-1]
	}
	last := lines[len(lines)-1]
	place, _, ok := strings.Cut(last[9:], `,"note"`)
	if !ok {
		t.Fatalf("no note in %q", last)
	}
	text := place + `,"note":` + note + "}"
	lines[len(lines)-1] = fmt.Sprintf("%08x %s\n", crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli)), text)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o666); err != nil {
		t.Fatal(err)
	}
}
