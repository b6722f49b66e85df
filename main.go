// Command slerpmerge merges language models by spherical linear
// interpolation, streaming from weight files to weight files.
package main

import (
	"os"

	"slerpmerge/internal/cli"
)

// version is set by the linker in releases: -X main.version=v1.2.3.
var version string

func main() { os.Exit(cli.Main(version)) }
