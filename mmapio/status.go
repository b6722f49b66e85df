package mmapio

import (
	"io/fs"
	"sync"
)

// A status is the part of a file's inode that changes together with its change
// time, the contents aside.
type status struct {
	ctime    int64 // nanoseconds since 1970; only compared
	links    uint64
	mode     uint32
	uid, gid uint32
}

// explains reports whether a change from s to n accounts for another change
// time by itself: somebody linked, chmodded or chowned the file.
func (s status) explains(n status) bool {
	return s.links != n.links || s.mode != n.mode || s.uid != n.uid || s.gid != n.gid
}

// A watch remembers the status of a file as it was last seen.
type watch struct {
	mu   sync.Mutex // guards last
	last status
}

// rewritten reports whether the change time has moved without an explanation.
// A program that writes into a file can put the modification time back, but not
// this one.
func (w *watch) rewritten(info fs.FileInfo) bool {
	now, ok := statusOf(info)
	if !ok {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if now.ctime != w.last.ctime && !w.last.explains(now) {
		return true
	}
	w.last = now
	return false
}
