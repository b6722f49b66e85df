package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCmd struct {
	JSON bool `name:"json" help:"Print facts about this program and this machine as JSON: processor, kernels, memory limit, disk, cache folder."`
}

// Help returns the text below the flags.
func (versionCmd) Help() string { return "Example: slerpmerge version --json" }

// Run prints the version.
func (c *versionCmd) Run(a *app) error {
	if c.JSON {
		return a.printJSON(a.facts())
	}
	return a.printVersion(true)
}

func (a *app) printVersion(long bool) error {
	if !long {
		_, err := fmt.Fprintf(a.stdout, "slerpmerge %s\n", a.version)
		return err
	}
	_, err := fmt.Fprintf(a.stdout, "slerpmerge %s (%s, %s/%s)\n", a.version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// buildVersion returns the version that "go install" and git have put into a
// binary that is not a release.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
