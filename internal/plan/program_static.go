//go:build !cgo

package plan

// programBytes are the program's own pages, and what a small heap overshoots. The
// program is linked statically, as it is released.
const programBytes = 43 << 18
