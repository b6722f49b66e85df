// Command slerpmerge merges language models by spherical linear
// interpolation, streaming from weight files to weight files.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

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
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup
		signal.Notify(signals, syscall.SIGHUP)
	}
	// A reader of our output that goes away must not end a merge.
	signal.Ignore(syscall.SIGPIPE)
	go func() {
		cancel(cli.Stopped{Signal: <-signals})
		signal.Reset() // a second one ends the process at once
	}()
	return cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}
