package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// Version is the release, set by main from the linker's flag; "" makes the
// build information speak.
var Version string

type versionCmd struct {
	JSON bool `name:"json" help:"Print facts about this program and this machine as JSON: processor, kernels, memory limit, disk, cache folder."`
}

// Help is shown below the flags.
func (versionCmd) Help() string { return "Example: slerpmerge version --json" }

// Run prints the version.
func (c *versionCmd) Run(a *app) error {
	if c.JSON {
		return a.printJSON(a.facts())
	}
	return printVersion(a.stdout, true)
}

func printVersion(w io.Writer, long bool) error {
	if !long {
		_, err := fmt.Fprintf(w, "slerpmerge %s\n", buildVersion())
		return err
	}
	_, err := fmt.Fprintf(w, "slerpmerge %s (%s, %s/%s)\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// buildVersion is the release, or what "go install" and git left in the
// binary.
func buildVersion() string {
	if Version != "" {
		return Version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
