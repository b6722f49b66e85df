//go:build cgo

package plan

// programBytes are the program's own pages, those of the C library among them, and
// what a small heap overshoots.
const programBytes = 49 << 18
