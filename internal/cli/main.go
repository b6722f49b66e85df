package cli

import (
	"cmp"
	"context"
	"os"
)

// Main carries out the command line of the process and returns its exit code.
// Release is the version that the linker set, "" for other builds.
func Main(release string) int {
	ctx, cancel := notifyStop(context.Background())
	defer cancel()
	a := &app{version: cmp.Or(release, buildVersion()), stdout: os.Stdout, stderr: os.Stderr}
	if terminalOf(os.Stdout) == nil {
		a.stdout = &pausable{os.Stdout, ctx.Done(), func() error { return context.Cause(ctx) }}
	}
	return a.run(ctx, calledAs(os.Args), os.Stdin)
}
