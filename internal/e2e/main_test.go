package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"slerpmerge/internal/cli"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"slerpmerge": func() { os.Exit(cli.Main("")) }})
}

// TestScripts runs the sessions of testdata/script.
func TestScripts(t *testing.T) {
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
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
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
		},
	})
}

// usage ends a script that calls one of our commands in a wrong way.
func usage(ts *testscript.TestScript, neg, ok bool, form string) {
	if neg || !ok {
		ts.Fatalf("usage: %s", form)
	}
}
