package cli

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

func TestCgroupLimit(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"memory.max":                             "max\n",
		"user/memory.max":                        "1000\n",
		"user/job/memory.max":                    "5000\n",
		"memory/docker/memory.limit_in_bytes":    "700\n",
		"memory/memory.limit_in_bytes":           "9223372036854771712\n",
		"cpu/docker/memory.limit_in_bytes":       "1\n",
		"user/broken/memory.max":                 "many\n",
		"unlimited/memory.max":                   "max\n",
		"memory/unlimited/memory.limit_in_bytes": "9223372036854771712\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for groups, want := range map[string]int64{
		"":                                     math.MaxInt64,
		"0::/\n":                               math.MaxInt64,
		"0::/unlimited\n":                      math.MaxInt64,
		"0::/user/job\n":                       1000, // that of the group above is less
		"0::/user/broken\n":                    1000,
		"0::/user/not/seen\n":                  1000,
		"3:cpu:/docker\n5:memory:/docker":      700,
		"5:hugetlb,memory:/docker\n0::/user\n": 700,
		"5:memory:/unlimited\n":                9223372036854771712,
		"garbage\n1:2\n":                       math.MaxInt64,
		"0::/../../../../etc\n":                math.MaxInt64,
	} {
		if got := cgroupLimit(root, groups); got != want {
			t.Errorf("%q: %d, want %d", groups, got, want)
		}
	}
}
