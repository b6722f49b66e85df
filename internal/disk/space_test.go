package disk

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFreeSpace(t *testing.T) {
	dir := t.TempDir()
	here, err := FreeSpace(dir)
	must(t, err)
	if here <= 0 {
		t.Errorf("%d bytes free where a test runs", here)
	}
	if _, err := FreeSpace(filepath.Join(dir, "not", "there", "yet")); err != nil {
		t.Error(err)
	}
	if got := times(1<<40, 1<<40); got != 1<<63-1 {
		t.Errorf("overflow: %d", got)
	}
}

func TestShortage(t *testing.T) {
	for _, c := range []struct {
		need, free int64
		want       string
	}{
		{1_500_000, 0, "1.5 MB are needed and 0.0 MB are free"},
		{9_999_000_000, 10_000_000, "9999.0 MB are needed and 10.0 MB are free"},
		{12_340_000_000, 900_000_000, "12.3 GB are needed and 0.9 GB are free"},
	} {
		if got := Shortage(c.need, c.free); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

func TestUsage(t *testing.T) {
	d, dir := folder(t)
	if n := Usage(filepath.Join(dir, "nothing")); n != 0 {
		t.Errorf("%d bytes in a folder that is not there", n)
	}
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o777))
	for _, name := range []string{"a", filepath.Join("sub", "b")} {
		must(t, os.WriteFile(filepath.Join(dir, name), make([]byte, 64<<10), 0o666))
	}
	if n := Usage(dir); n < 128<<10 || n > 256<<10 || n != d.Usage() {
		t.Errorf("%d bytes", n)
	}
}

func TestDevice(t *testing.T) {
	_, dir := folder(t)
	if here, below := Device(dir), Device(filepath.Join(dir, "not", "there")); here != below {
		t.Errorf("%s is on %q, what will be below it on %q", dir, here, below)
	}
}
