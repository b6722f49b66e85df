package torchbin

import (
	"encoding/binary"
	"slices"
	"unicode/utf8"
)

// A kind is the scanner's knowledge of a value on the stack.
type kind uint8

const (
	kindMissing kind = iota // a memo entry that was never written
	kindPlain               // None, numbers, texts
	kindKey                 // a tuple of plain values and such tuples, which can be a key
	kindTuple               // any other tuple
	kindList
	kindDict
	kindSet
	kindGlobal
	kindStorage // made by a persistent id
	kindOrdered // an OrderedDict
	kindTensor
	kindObject // another result of a call
)

// A cell is a value on the stack.
type cell struct {
	kind   kind
	global uint8  // index into globalList if the kind is kindGlobal
	held   uint32 // bytes to give back if an opcode takes the value off for good
}

// A memoCell is a value in the memo.
type memoCell struct {
	kind   kind
	global uint8
}

// The sizes of gopickle's values in bytes, with the memory it allocates ahead.
const (
	heldNumber = 8   // beyond 255, so that it is boxed
	heldSmall  = 32  // a text's or a tuple's header
	heldItem   = 32  // an item of a list or a tuple that has grown
	heldPair   = 64  // an item of a dict that has grown
	heldTuple  = 288 // the least of a tuple made with a mark
	heldList   = 96
	heldDict   = 160
	heldSet    = 256
	heldBig    = 512 // an integer of more than 8 bytes, and the work of reading it
	heldGlobal = 96
	heldObject = 192 // a storage or the result of a call
	heldMemo   = 64
)

// apply applies an opcode to the stack of kinds.
func (s *scanner) apply() error {
	switch s.op {
	case 0x80:
		if s.at != 0 {
			return s.refuse("stands only at the beginning")
		}
		if v := s.bytes[1]; v > 3 {
			return s.refuse("pickle protocol %d is not read", v)
		}
		s.protocol = s.bytes[1]
		return nil
	case '.':
		if len(s.marks) != 0 || len(s.stack) != 1 {
			return s.refuse("leaves %d values and %d marks, not one value", len(s.stack), len(s.marks))
		}
		return nil
	case '(':
		if len(s.marks) >= maxOpenMarks {
			return s.refuse("more than %d marks are open", maxOpenMarks)
		}
		s.marks = append(s.marks, len(s.stack))
		return nil
	case 'K', 'N', 0x88, 0x89:
		return s.push(kindPlain, 0)
	case 'J', 'M', 'G':
		return s.push(kindPlain, heldNumber)
	case 0x8a:
		if s.bytes[1] > 8 {
			return s.push(kindPlain, heldBig)
		}
		return s.push(kindPlain, heldNumber)
	case 'X':
		if !utf8.Valid(s.bytes[5:]) {
			return s.refuse("a text that is not UTF-8")
		}
		return s.push(kindPlain, heldSmall+len(s.bytes))
	case 'T', 'U':
		head := 2
		if s.op == 'T' {
			head = 5
		}
		if !utf8.Valid(s.bytes[head:]) {
			return s.refuse("a byte string of Python 2 that is not UTF-8, which torch.load does not take either unless it is told its encoding")
		}
		return s.push(kindPlain, heldSmall+len(s.bytes))
	case 'c':
		if err := s.checkGlobal(); err != nil {
			return err
		}
		if err := s.push(kindGlobal, heldGlobal); err != nil {
			return err
		}
		s.stack[len(s.stack)-1].global = s.global.index
		return nil
	case ')':
		return s.push(kindKey, heldSmall)
	case 0x85, 0x86, 0x87:
		n := int(s.op) - 0x84
		return s.tuple(n, heldSmall+16*n)
	case ']':
		return s.push(kindList, heldList)
	case '}':
		return s.push(kindDict, heldDict)
	case 0x8f:
		return s.push(kindSet, heldSet)
	case 't':
		n, err := s.sinceMark()
		if err != nil {
			return err
		}
		return s.tuple(n, max(heldTuple, n*heldItem))
	case 'Q':
		if err := s.want(1, "a tuple as the persistent id", kindTuple, kindKey); err != nil {
			return err
		}
		s.giveBack()
		return s.combine(1, kindStorage, heldObject)
	case 'R', 0x81:
		if err := s.want(1, "a tuple of arguments", kindTuple, kindKey); err != nil {
			return err
		}
		if err := s.want(2, "something that can be called", kindGlobal); err != nil {
			return err
		}
		s.giveBack()
		return s.combine(2, globalList[s.stack[len(s.stack)-2].global].made, heldObject)
	case 'b':
		if err := s.want(2, "an object that takes a state", kindOrdered, kindTensor, kindObject); err != nil {
			return err
		}
		s.stack = s.stack[:len(s.stack)-1]
		return nil
	case 'a', 'e', 's', 'u':
		return s.fill()
	case 'q', 'h', 'r', 'j':
		return s.remember(s.memoIndex())
	}
	return s.refuse("is not allowed")
}

// push puts a value on the stack that holds so many bytes.
func (s *scanner) push(k kind, held int) error {
	if len(s.stack) >= maxStack {
		return s.refuse("more than %d values on the stack", maxStack)
	}
	s.held += int64(held)
	s.stack = append(s.stack, cell{kind: k, held: uint32(held)})
	return nil
}

// tuple replaces the top n values by a tuple of them.
func (s *scanner) tuple(n, held int) error {
	if err := s.have(n); err != nil {
		return err
	}
	k := kindKey
	for _, c := range s.stack[len(s.stack)-n:] {
		if !c.kind.key() {
			k = kindTuple
		}
	}
	return s.combine(n, k, held)
}

// key reports whether a value can be a key of a dict here. Python also takes
// other values as keys, such as tensors, which no checkpoint has; those that it
// does not take, as no mode of torch.load does, are among those refused.
func (k kind) key() bool { return k == kindPlain || k == kindKey }

// giveBack is called when the tuple on top has been used. What it held is
// free, if no memo entry has it, too.
func (s *scanner) giveBack() { s.held -= int64(s.stack[len(s.stack)-1].held) }

// have reports whether n values lie above the last mark.
func (s *scanner) have(n int) error {
	floor := 0
	if len(s.marks) > 0 {
		floor = s.marks[len(s.marks)-1]
	}
	if len(s.stack)-floor < n {
		return s.refuse("needs %d values on the stack, but there are %d", n, len(s.stack)-floor)
	}
	return nil
}

// want checks the kind of the value n places below the top of the stack.
func (s *scanner) want(n int, what string, kinds ...kind) error {
	if err := s.have(n); err != nil {
		return err
	}
	if !slices.Contains(kinds, s.stack[len(s.stack)-n].kind) {
		return s.refuse("needs %s", what)
	}
	return nil
}

// combine replaces the top n values by a new one.
func (s *scanner) combine(n int, k kind, held int) error {
	if err := s.have(n); err != nil {
		return err
	}
	s.stack = s.stack[:len(s.stack)-n]
	return s.push(k, held)
}

// sinceMark closes the last mark and counts the values above it.
func (s *scanner) sinceMark() (int, error) {
	if len(s.marks) == 0 {
		return 0, s.refuse("without a mark")
	}
	n := len(s.stack) - s.marks[len(s.marks)-1]
	s.marks = s.marks[:len(s.marks)-1]
	return n, nil
}

// fill puts items into a list or a dict.
func (s *scanner) fill() error {
	n := 1
	switch s.op {
	case 's':
		n = 2
	case 'e', 'u':
		var err error
		if n, err = s.sinceMark(); err != nil {
			return err
		}
	}
	s.held += int64(n) * heldItem
	if s.op == 'a' || s.op == 'e' {
		if err := s.want(n+1, "a list to append to", kindList); err != nil {
			return err
		}
		s.stack = s.stack[:len(s.stack)-n]
		return nil
	}
	if n%2 != 0 {
		return s.refuse("a key without a value")
	}
	if err := s.want(n+1, "a dict to put items into", kindDict, kindOrdered); err != nil {
		return err
	}
	for i := len(s.stack) - n; i < len(s.stack); i += 2 {
		if !s.stack[i].kind.key() {
			return s.refuse("a key that is no text, number or tuple of them")
		}
	}
	s.stack = s.stack[:len(s.stack)-n]
	return nil
}

// memoIndex returns the memo entry that the current PUT or GET names.
func (s *scanner) memoIndex() int {
	if s.op == 'q' || s.op == 'h' {
		return int(s.bytes[1])
	}
	return int(min(binary.LittleEndian.Uint32(s.bytes[1:]), maxMemo))
}

// remember writes or reads a memo entry.
func (s *scanner) remember(i int) error {
	if s.op == 'h' || s.op == 'j' {
		if i >= len(s.memo) || s.memo[i].kind == kindMissing {
			return s.refuse("memo entry %d was never written", i)
		}
		s.read[i] = true
		if err := s.push(s.memo[i].kind, 0); err != nil {
			return err
		}
		s.stack[len(s.stack)-1].global = s.memo[i].global
		return nil
	}
	if err := s.have(1); err != nil {
		return err
	}
	if i >= maxMemo {
		return s.refuse("memo entry %d, more than %d", i, maxMemo)
	}
	for i >= len(s.memo) {
		s.memo, s.read = append(s.memo, memoCell{}), append(s.read, false)
	}
	if top := &s.stack[len(s.stack)-1]; s.keep == nil || i < len(s.keep) && s.keep[i] {
		s.memo[i] = memoCell{top.kind, top.global}
		if s.keep != nil {
			top.held = 0
			s.held += heldMemo
		}
	}
	return nil
}
