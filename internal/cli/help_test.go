package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// Every command's help has an example, and some script runs it.
func TestEveryCommandHasAnExample(t *testing.T) {
	k, err := kong.New(&grammar{}, kong.Name("slerpmerge"), methodNames())
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob("../e2e/testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	var all strings.Builder
	for _, name := range scripts {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for _, c := range k.Model.Children {
		if !strings.HasPrefix(c.Detail, "Example: slerpmerge "+c.Name+" ") && c.Detail != "Example: slerpmerge "+c.Name {
			t.Errorf("%s: the help does not begin with an example: %q", c.Name, c.Detail)
		}
		if !regexp.MustCompile(`(?m)^example ` + regexp.QuoteMeta(c.Name) + `$`).MatchString(all.String()) {
			t.Errorf("%s: no script runs the example", c.Name)
		}
	}
}
