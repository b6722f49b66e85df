//go:build !unix

package disk

const openFlags, noWait = 0, 0
