// Package disk opens, makes and removes files that other users can reach, writes
// small files in one step, locks, resolves paths, and asks for free and used
// space.
//
// A folder in which others may write is theirs to rearrange: between two calls
// a name can become a link, a pipe or another folder. So a [Folder] is held by
// its descriptor, names are looked up in it without following links, and what
// was opened is checked, not its name. [Folder.Vet] decides whether a file is
// ours alone. Nothing here waits for another process: pipes and devices are
// opened without blocking, and refused.
//
// Windows has neither owners nor modes that could be checked this way; there
// only the names are.
package disk
