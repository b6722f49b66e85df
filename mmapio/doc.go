// Package mmapio reads files through read-only memory mappings while it keeps
// the memory they occupy bounded.
//
// A mapping by golang.org/x/exp/mmap covers the whole file, and every page that
// is read through it stays resident, and is counted as the process's memory,
// until the mapping is closed. A [Pool] therefore keeps account of the stretch
// of each mapping that has been touched. When the sum over all files would
// exceed the pool's limit, it closes the mapping that holds the most and maps
// that file anew at its next read. The bound is strict: a reader waits rather
// than exceed it. Accounts are kept in units of 2 MiB, because that is how much
// a single page fault can make resident where the page cache holds huge pages.
// The pages belong to the page cache, so a closed mapping loses nothing but the
// translation; reading on costs a few system calls for each rotation and a page
// fault for every 64 KiB.
//
// Files are expected to stay as they are. A [File] remembers its size,
// modification time and identity (device and inode), compares them each time it
// is mapped, after every fault and in [File.Check], and reports a difference as
// a [ChangedError]. On Linux and macOS it does so for the change time too, which
// catches a file that was overwritten and given its modification time back; a
// new link, mode or owner is no difference. A page that vanishes under a read, which would otherwise kill the
// process with SIGBUS, becomes an error as well. Three things can't be seen
// while reading: the rest of the last page of a file that was truncated within
// that page reads as zeros, a modification in place shows only in the
// times, and one that leaves size, times and inode as they were doesn't show at
// all. Call Check after the last read to be sure that every read saw the same
// version of the file.
//
// Where a file can't be mapped (no room in a 32-bit address space, a limit on
// virtual memory, a file system without mappings) it is read with pread
// instead; callers see no difference.
package mmapio
