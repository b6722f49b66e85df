package writer

import (
	"os"

	"slerpmerge/internal/disk"
)

// A system is the calls by which an output reaches the disk. Tests have them
// fail, or watch them.
type system struct {
	writeAt       writeCall
	writeUncached writeCall
	openDirect    func(d *disk.Folder, name string) (*os.File, error)
	writeDirect   writeCall // to a file of openDirect
	reserve       func(f *os.File, size int64) error
	truncate      func(f *os.File, size int64) error
	syncFile      func(f *os.File) error
	writeBack     func(f *os.File, off, n int64) error // begins with it
	waitBack      func(f *os.File, off, n int64) error // until it is done
	tryLock       func(f *os.File) (bool, error)
	freeBytes     func(dir string) (int64, error)
	syncDir       func(d *disk.Folder) error
	rename        func(d *disk.Folder, from, to string) error
	exchange      func(d *disk.Folder, from, to string) error

	// step is called before each step that goes by a name in a folder where
	// others may be able to write.
	step func(name string)
}

// A writeCall is the form of os.File.WriteAt. It may be called for several parts of
// a file at the same time.
type writeCall func(f *os.File, p []byte, off int64) (int, error)

// realSystem is that of every run outside tests.
func realSystem() *system {
	calls := disk.Calls()
	return &system{
		writeAt:       (*os.File).WriteAt,
		writeUncached: writeUncached,
		openDirect:    openDirect,
		writeDirect:   (*os.File).WriteAt,
		reserve:       preallocate,
		truncate:      (*os.File).Truncate,
		syncFile:      calls.Sync,
		writeBack:     startWriteback,
		waitBack:      awaitWriteback,
		tryLock:       calls.Try,
		freeBytes:     disk.FreeSpace,
		syncDir:       (*disk.Folder).Sync,
		rename:        (*disk.Folder).Rename,
		exchange:      (*disk.Folder).Exchange,
		step:          func(string) {},
	}
}

func (s *system) lockCalls() disk.LockCalls { return disk.LockCalls{Try: s.tryLock, Sync: s.syncFile} }
