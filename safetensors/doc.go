// Package safetensors reads and lays out files in the safetensors format, and
// the index that ties the shards of a model together.
//
// A file is three parts without gaps. Eight bytes hold N, the length of the
// header, unsigned and little-endian. N bytes of JSON follow, the header. The
// rest, to the last byte of the file, is the data of the tensors: row-major,
// contiguous, little-endian.
//
// The header is one object. The member "__metadata__", if there, is an object
// of texts. Every other member is a tensor under its name:
//
//	{"__metadata__":{"format":"pt"},
//	 "norm.weight":{"dtype":"BF16","shape":[4096],"data_offsets":[0,8192]}}
//
// Offsets count from the first byte of the data; the second is exclusive.
//
// # What is accepted
//
// [Open] and [ReadHeader] accept a file only if all of this holds:
//
//   - N is at most [MaxHeader] and the header lies within the file.
//   - The header is UTF-8 and one JSON object by RFC 8259. White space may
//     surround it; a byte order mark, comments, trailing commas, raw control
//     characters, lone surrogates, numbers beyond a double and more than 127
//     open containers are errors, in ignored members too.
//   - Names are any text. They are compared after their escapes are decoded,
//     byte for byte, and none occurs twice.
//   - "__metadata__" is null or an object of texts.
//   - A tensor has dtype, shape and data_offsets, each once. Other members of
//     it are ignored.
//   - Dimensions and offsets are integers from 0 to 2^64-1 without sign,
//     fraction, exponent or leading zero.
//   - The size that follows from dtype and shape fits 64 bits at every step of
//     the multiplication, makes whole bytes, and equals the length of the
//     range.
//   - In order of (begin, end) the ranges tile the data: the first begins at
//     0, each begins where the one before ends, the last ends at the end of
//     the file. Tensors without elements obey this too.
//
// Neither alignment nor an order of the members is asked for, and the values
// are never looked at.
//
// # Stricter than the reference library
//
// The reference keeps the last of two tensors, or two metadata texts, of one
// name. The format forbids that, and two readers could see two models in one
// file, so both are errors here. A tensor written as a positional array, which
// the reference takes by an accident of its decoder, is an error. So are more
// than 65,536 dimensions in one tensor and more than 1,048,576 metadata texts:
// no program makes them, and their tables would outgrow the header many times.
// A number of more than 1,024 bytes in an ignored member is an error, too.
//
// # Memory
//
// Headers and indexes are read through a window of 64 KiB, so that only the
// table made from them takes memory: about 64 bytes, the name and the
// dimensions per tensor.
package safetensors
