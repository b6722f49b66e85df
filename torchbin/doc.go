// Package torchbin reads and lays out the files that torch.save writes: the
// tables of tensors in them, and the tensors' values straight from their place
// in the file. Nothing in a file is executed and no storage is held in memory.
//
// # The ZIP form
//
// Since PyTorch 1.6 a checkpoint is a ZIP archive whose first bytes are a
// local header. All entries lie below one folder of any name:
//
//	NAME/data.pkl    the pickled object, stored or deflated
//	NAME/byteorder   "little"; may be missing
//	NAME/data/KEY    the bytes of one storage, stored
//	NAME/version     a decimal number, 3 today
//
// Others are ignored, but code and constants.pkl make it TorchScript, which is
// refused. So is an archive whose parts can be read in two ways: local and
// central headers that disagree, names that occur twice, bodies that overlap,
// end records that do not meet the directory. ZIP64 is read; encryption and
// several disks are not. The checksums of storages are not looked at: torch
// writes files without them.
//
// # The legacy stream
//
// Before 1.6 five pickles stood back to back: a magic number, the protocol
// 1001, facts about the system, the object, the list of storage keys. For each
// key, in the order of the list, a count of elements follows as 8 bytes,
// little-endian, and then that many elements.
//
// # Pickles
//
// The object is a dict or OrderedDict of names to tensors, a state_dict, or a dict
// in which one is found: below state_dict, model_state_dict, model_state, model,
// module or net, the first one that has any counts, or below the only key that
// has any, at any depth. The state of an optimizer is none, nor are a lone number
// and the state of a random number generator. Other values than tensors are
// ignored. A tensor is a call of a rebuilding function on a storage, an offset,
// a shape and strides, these in elements; a storage is a persistent id of its
// class, key, location and count of elements. Several tensors may share one
// storage, and their elements may lie in any order in it.
//
// A pickle is a program, so it is read twice. First every opcode is checked
// against the short list that torch's weights_only mode knows, every length
// against what is left, every global against a list of exact names, the kinds
// of the operands on the stack, and the sizes of all tables against limits.
// Then the same checks feed gopickle opcode by opcode, whose functions are
// replaced by ones that only take notes. Protocols 4 and 5 are refused.
//
// A file that is accepted gives what torch.load gives, of PyTorch 1.13 and 2.15,
// with weights_only and without. So what these read differently, or fail at, is
// refused: attributes that would replace a value or a method, arguments that
// Python does not take, keys that it can't hash. testdata/interop/difffuzz.py
// compares generated files with both.
//
// Sparse, quantised, conjugated, negated and meta tensors are refused, and so
// are complex numbers other than complex64 and big-endian files.
//
// # Writing
//
// Encode lays out the ZIP form for every release of PyTorch that knows the
// types (docs/formats.md 3.4): a plain dict, everything stored, every body at a
// multiple of 64 bytes, one storage for each tensor that is not tied to an
// earlier one. Everything but the values and their checksums is known
// beforehand, and every checksum stands behind its values, so that a file is
// written front to back. ZIP64 fields stand where a size or a place needs
// them, its end records always. The format version and serialization id of
// newer releases are left out: nothing needs them.
package torchbin
