//go:build !unix && !windows

package cli

func beNice() {}
