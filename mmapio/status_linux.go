package mmapio

import (
	"io/fs"
	"syscall"
)

// statusOf reads the status out of info.
func statusOf(info fs.FileInfo) (status, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return status{}, false
	}
	return status{ctime: st.Ctim.Nano(), links: uint64(st.Nlink), mode: uint32(st.Mode), uid: st.Uid, gid: st.Gid}, true
}
