// Package writer makes output folders: it lays out the weight files from
// shapes alone, fills them by positioned writes and publishes the finished
// folder in one step.
//
// Until Publish, everything is in .OUT.partial beside OUT, in files of their
// final names and sizes whose bytes are partly zeros still; OUT itself does not
// exist, or is what it was before. .OUT.lock beside it is held by the run and names its process and
// host. Publish flushes every file, then the folders, then renames
// .OUT.partial to OUT, then flushes the folder above. So whatever is visible
// under OUT is complete, and what Publish has reported as done survives a
// power cut. An OUT that is replaced is exchanged for the new one by a single
// system call (Linux; two renames elsewhere) and removed after that.
//
// A run that has a fingerprint can be resumed. Its partial folder has a
// journal, .slerpmerge.journal: the fingerprint, then a line for every
// checkpoint, which names a file and an offset before which all bytes are on
// the disk. They were flushed, and the folders' names with them, before the
// line was written. The line has checksums of the values, too, and what is resumed is
// read and compared with them. Checkpoints are made in the background while later bytes
// are written, a fortieth of the output apart (between 16 and 256 MiB). The
// next run to the same OUT with the same fingerprint keeps what stands before
// the last complete line and writes the rest, with the same bytes; anything else
// that it finds is removed. Publish removes the journal just before the rename.
// The lock of a dead run is free.
//
// A crash between the two renames leaves the replaced folder as .OUT.old and
// no OUT; the next run puts it back.
//
// Files are preallocated before the first byte is computed, so that a full
// disk is met at once, and every file is written front to back by one
// goroutine: several writers into the page cache, or small pieces, cost a multiple
// on Linux. Pieces of large outputs are written into the page cache or past it,
// whichever is faster at the time. Behind the cursor a second goroutine pushes
// dirty pages to the disk, and holds the writer back where the disk is slower:
// what is dirty, and with it the time that a checkpoint or the flush at the end
// takes, is bounded. An error of the disk that shows only there ends the run like
// any other: later calls and Publish return it.
//
// Bytes written depend on the tensors and the data alone: no file holds a
// time, a path or the name of a machine.
package writer
