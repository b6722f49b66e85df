package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"slerpmerge/internal/testmodel"
)

// mkmodel PATH [-format bin] [-shard SIZE] [-config JSON] [-seed N] TENSOR...
func cmdMkmodel(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 0, "mkmodel path [-format bin] [-shard size] [-config json] [-seed n] tensor...")
	dir, args := ts.MkAbs(args[0]), args[1:]
	m, seed := testmodel.Model{Config: `{"model_type": "llama"}`}, uint64(1)
	if strings.HasSuffix(dir, ".safetensors") {
		dir, m.Name, m.Config = filepath.Dir(dir), filepath.Base(dir), ""
	}
	for len(args) > 1 && strings.HasPrefix(args[0], "-") {
		var err error
		switch args[0] {
		case "-format":
			m.Bin = args[1] == "bin"
		case "-shard":
			m.Shard, err = strconv.ParseInt(args[1], 10, 64)
		case "-config":
			m.Config = args[1]
		case "-seed":
			seed, err = strconv.ParseUint(args[1], 10, 64)
		default:
			ts.Fatalf("mkmodel: no option %s", args[0])
		}
		ts.Check(err)
		args = args[2:]
	}
	var err error
	m.Tensors, err = testmodel.Parse(seed, args...)
	ts.Check(err)
	ts.Check(m.Write(dir))
}

// mkcheckpoint FILE ENTRY=VALUES...
func cmdMkcheckpoint(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 1, "mkcheckpoint file entry=values...")
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	ts.Check(testmodel.WriteCheckpoint(f, args[1:]...))
	ts.Check(f.Close())
}
