// Command slerpmerge merges language models by spherical linear
// interpolation, streaming from weight files to weight files.
package main

import (
	"context"
	"fmt"
	"os"

	"slerpmerge/internal/cli"
)

// version is set by the linker in releases: -X main.version=v1.2.3.
var version string

func main() { os.Exit(run()) }

// run is main with an exit code, so that deferred calls still happen.
func run() (code int) {
	defer func() {
		if r := recover(); r != nil {
			line, exit := cli.Recovered(r)
			fmt.Fprintln(os.Stderr, "slerpmerge: error: "+line)
			code = exit
		}
	}()
	cli.Version = version
	ctx, cancel := cli.Signals(context.Background())
	defer cancel()
	return cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}
