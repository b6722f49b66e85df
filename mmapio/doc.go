// Package mmapio reads files through read-only memory mappings while it keeps
// the memory they occupy bounded.
//
// A mapping by golang.org/x/exp/mmap covers the whole file, and every page that
// is read through it stays resident, and is counted as the process's memory,
// until it is dropped or the mapping is closed. A [Pool] therefore keeps account
// of the stretches of each mapping that have been touched. When the sum over all
// files would exceed the pool's limit, it drops what was used longest ago. The
// bound is strict: what finds no room is read without a mapping. Accounts are kept
// in units of 2 MiB, because that is how much a single page fault can make
// resident where the page cache holds huge pages. The pages belong to the page
// cache, so a dropped stretch loses nothing but the translation. Linux drops
// stretches one by one; on other systems the whole mapping is closed, and the file
// is mapped anew at its next read. Linux has it mapped anew every GiB, since the
// page tables stay.
//
// [File.View] gives the mapped bytes themselves, without a copy. It takes them from
// x/exp/mmap's mapping, which has no method for that, once it has made sure that
// they are what the mapping reads. Where it can't, the bytes are copied.
//
// Files are expected to stay as they are. A [File] remembers its size,
// modification time and identity (device and inode), compares them whenever it
// comes to another stretch, after every fault and in [File.Check], and reports a
// difference as
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
