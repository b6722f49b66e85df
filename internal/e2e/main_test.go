package e2e

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"slerpmerge/internal/cli"
)

func TestMain(m *testing.M) {
	// The tests wait for disks, clocks and other processes most of the time.
	flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0)))
	testscript.Main(m, map[string]func(){"slerpmerge": func() { os.Exit(cli.Main("")) }})
}

// TestScripts runs the sessions of testdata/script.
func TestScripts(t *testing.T) {
	t.Parallel()
	models, err := filepath.Abs("../../testdata/models")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("MODELS", models)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "user" { // whom file modes keep out
				return os.Geteuid() > 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: commands,
	})
}

// commands are those that doc.go describes.
var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"exits":        cmdExits,
	"refused":      cmdRefused,
	"stopped":      cmdStopped,
	"example":      cmdExample,
	"mkmodel":      cmdMkmodel,
	"mkcheckpoint": cmdMkcheckpoint,
	"copy":         cmdCopy,
	"truncate":     cmdTruncate,
	"damage":       cmdDamage,
	"hold":         cmdHold,
	"same":         cmdSame,
	"weights":      cmdWeights,
	"values":       cmdValues,
	"files":        cmdFiles,
	"filesize":     cmdFilesize,
	"sha256":       cmdSHA256,
	"json":         cmdJSON,
	"atleast":      cmdAtleast,
	"jsonlines":    cmdJSONLines,
	"jsonkeys":     cmdJSONKeys,
	"clean":        cmdClean,
	"agrees":       cmdAgrees,
}

// Every command of the scripts is described, and none that is not there.
func TestCommandsAreDescribed(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^//\t(?:\[!\] )?([a-z0-9]+)\b`).FindAllStringSubmatch(string(doc), -1) {
		described[m[1]] = true
	}
	if !maps.EqualFunc(commands, described, func(f func(*testscript.TestScript, bool, []string), ok bool) bool { return f != nil && ok }) {
		t.Errorf("described are %q, there are %q", slices.Sorted(maps.Keys(described)), slices.Sorted(maps.Keys(commands)))
	}
}

// usage ends a script that calls one of our commands in a wrong way.
func usage(ts *testscript.TestScript, neg, ok bool, form string) {
	if neg || !ok {
		ts.Fatalf("usage: %s", form)
	}
}
