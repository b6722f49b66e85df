package torchbin

// An argument is the operand that follows an opcode in the stream.
type argument uint8

const (
	argRefused argument = iota // the opcode is not allowed
	argNone
	arg1
	arg2
	arg4
	arg8
	argLines  // two lines
	argCount1 // a length of one byte, then so many bytes
	argCount4
)

// opcodes are the pickle opcodes by their byte. Those that torch's
// weights_only mode does not know have a name only, for messages. BINSTRING is
// added to its list: Python 2 writes texts of more than 255 bytes with it.
var opcodes = [256]struct {
	name string
	arg  argument
}{
	'(': {"MARK", argNone}, '.': {"STOP", argNone}, '0': {name: "POP"}, '1': {name: "POP_MARK"}, '2': {name: "DUP"},
	'F': {name: "FLOAT"}, 'I': {name: "INT"}, 'J': {"BININT", arg4}, 'K': {"BININT1", arg1}, 'L': {name: "LONG"},
	'M': {"BININT2", arg2}, 'N': {"NONE", argNone}, 'P': {name: "PERSID"}, 'Q': {"BINPERSID", argNone},
	'R': {"REDUCE", argNone}, 'S': {name: "STRING"}, 'T': {"BINSTRING", argCount4}, 'U': {"SHORT_BINSTRING", argCount1},
	'V': {name: "UNICODE"}, 'X': {"BINUNICODE", argCount4}, 'a': {"APPEND", argNone}, 'b': {"BUILD", argNone},
	'c': {"GLOBAL", argLines}, 'd': {name: "DICT"}, '}': {"EMPTY_DICT", argNone}, 'e': {"APPENDS", argNone},
	'g': {name: "GET"}, 'h': {"BINGET", arg1}, 'i': {name: "INST"}, 'j': {"LONG_BINGET", arg4}, 'l': {name: "LIST"},
	']': {"EMPTY_LIST", argNone}, 'o': {name: "OBJ"}, 'p': {name: "PUT"}, 'q': {"BINPUT", arg1},
	'r': {"LONG_BINPUT", arg4}, 's': {"SETITEM", argNone}, 't': {"TUPLE", argNone}, ')': {"EMPTY_TUPLE", argNone},
	'u': {"SETITEMS", argNone}, 'G': {"BINFLOAT", arg8},
	0x80: {"PROTO", arg1}, 0x81: {"NEWOBJ", argNone}, 0x82: {name: "EXT1"}, 0x83: {name: "EXT2"}, 0x84: {name: "EXT4"},
	0x85: {"TUPLE1", argNone}, 0x86: {"TUPLE2", argNone}, 0x87: {"TUPLE3", argNone}, 0x88: {"NEWTRUE", argNone},
	0x89: {"NEWFALSE", argNone}, 0x8a: {"LONG1", argCount1}, 0x8b: {name: "LONG4"},
	'B': {name: "BINBYTES"}, 'C': {name: "SHORT_BINBYTES"},
	0x8c: {name: "SHORT_BINUNICODE"}, 0x8d: {name: "BINUNICODE8"}, 0x8e: {name: "BINBYTES8"}, 0x8f: {"EMPTY_SET", argNone},
	0x90: {name: "ADDITEMS"}, 0x91: {name: "FROZENSET"}, 0x92: {name: "NEWOBJ_EX"}, 0x93: {name: "STACK_GLOBAL"},
	0x94: {name: "MEMOIZE"}, 0x95: {name: "FRAME"}, 0x96: {name: "BYTEARRAY8"}, 0x97: {name: "NEXT_BUFFER"},
	0x98: {name: "READONLY_BUFFER"},
}
