package mmapio

// An Identity distinguishes versions of a file as far as that is possible without
// reading it.
type Identity struct {
	Size    int64
	ModTime int64  // nanoseconds since 1970
	Inode   uint64 // 0 where the system has none
}

// Identity is that of the file when it was opened.
func (f *File) Identity() Identity {
	return Identity{Size: f.size, ModTime: f.info.ModTime().UnixNano(), Inode: inode(f.info)}
}
