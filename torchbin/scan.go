package torchbin

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf8"
)

// Limits of one pickle. The largest checkpoints known have some tens of
// thousands of tensors, each of which takes up to seven containers and a dozen
// memo entries.
const (
	maxPickle     = 64 << 20 // bytes
	maxText       = 1 << 20  // bytes of one text
	maxLine       = 256      // bytes of a module's or a global's name
	maxLong       = 16       // bytes of one integer
	maxMemo       = 1 << 20  // memo entries
	maxContainers = 1 << 20  // tuples, lists, dicts, sets and calls
	maxItems      = 1 << 20  // items put into lists and dicts
	maxStack      = 1 << 19  // values on the stack at once
	maxOpenMarks  = 256      // open at once; gopickle makes a stack for each
	maxMarks      = 1 << 20  // in all
)

// A kind is what the scanner knows of a value on the stack.
type kind uint8

const (
	kindMissing kind = iota // a memo entry that was never written
	kindPlain               // None, numbers, texts
	kindTuple
	kindList
	kindDict
	kindSet
	kindGlobal
	kindStorage // made by a persistent id
	kindObject  // made by a call
)

// A scanner checks a pickle opcode by opcode without building anything: it
// keeps one byte per value on the stack.
type scanner struct {
	r     *bufio.Reader
	base  int64 // of the pickle, for messages
	pos   int64 // bytes read so far
	limit int64 // bytes that can be read

	at    int64 // where the current opcode stands
	op    byte
	bytes []byte // the current opcode and what belongs to it

	stack []kind
	marks []int // heights of the stack
	memo  []kind

	containers, items, allMarks int
}

// newScanner scans the pickle that begins at byte base of r and ends within
// n bytes. Messages count from origin.
func newScanner(r io.ReaderAt, base, n, origin int64) *scanner {
	section := io.NewSectionReader(r, base, n)
	return &scanner{r: bufio.NewReaderSize(section, 64<<10), base: base - origin, limit: min(n, maxPickle)}
}

// scan reads to STOP and returns the length of the pickle.
func (s *scanner) scan() (int64, error) {
	for {
		stop, err := s.step()
		if err != nil {
			return 0, err
		}
		if stop {
			return s.pos, nil
		}
	}
}

// refuse names the current opcode and its place.
func (s *scanner) refuse(format string, args ...any) error {
	name := opcodes[s.op].name
	if name == "" {
		name = "unknown"
	}
	e := malformed(format, args...)
	return malformed("opcode %s (0x%02x) at byte %d: %s", name, s.op, s.base+s.at, e.Reason)
}

// step reads and checks one opcode.
func (s *scanner) step() (stop bool, err error) {
	s.at = s.pos
	s.bytes = s.bytes[:0]
	if s.pos >= s.limit {
		if s.limit == maxPickle {
			return false, malformed("the pickle is longer than %d bytes", maxPickle)
		}
		return false, malformed("the pickle ends at byte %d without STOP", s.base+s.pos)
	}
	if err := s.take(1); err != nil {
		return false, err
	}
	s.op = s.bytes[0]
	switch opcodes[s.op].arg {
	case argRefused:
		return false, s.refusedOpcode()
	case arg1:
		err = s.take(1)
	case arg2:
		err = s.take(2)
	case arg4:
		err = s.take(4)
	case arg8:
		err = s.take(8)
	case argLines:
		if err = s.line(); err == nil {
			err = s.line()
		}
	case argCount1:
		if err = s.take(1); err == nil {
			n := int64(s.bytes[1])
			if s.op == 0x8a && n > maxLong {
				return false, s.refuse("an integer of %d bytes, more than %d", n, maxLong)
			}
			err = s.take(n)
		}
	case argCount4:
		if err = s.take(4); err == nil {
			n := int64(binary.LittleEndian.Uint32(s.bytes[1:]))
			if n > maxText {
				return false, s.refuse("a text of %d bytes, more than %d", n, maxText)
			}
			err = s.take(n)
		}
	}
	if err != nil {
		return false, err
	}
	return s.op == '.', s.apply()
}

// take appends the next n bytes to those of the opcode.
func (s *scanner) take(n int64) error {
	if n > s.limit-s.pos {
		return s.refuse("needs %d more bytes, but %d are left", n, s.limit-s.pos)
	}
	have := len(s.bytes)
	for range n {
		// One byte at a time is fastest here: most arguments are short.
		if n > 16 {
			break
		}
		b, err := s.r.ReadByte()
		if err != nil {
			return fmt.Errorf("reading the pickle: %w", shrunk(err))
		}
		s.bytes = append(s.bytes, b)
	}
	if n > 16 {
		s.bytes = append(s.bytes, make([]byte, n)...)
		if _, err := io.ReadFull(s.r, s.bytes[have:]); err != nil {
			return fmt.Errorf("reading the pickle: %w", shrunk(err))
		}
	}
	s.pos += n
	return nil
}

// line appends the next line with its line feed.
func (s *scanner) line() error {
	for range maxLine {
		if err := s.take(1); err != nil {
			return err
		}
		if s.bytes[len(s.bytes)-1] == '\n' {
			return nil
		}
	}
	return s.refuse("a name of more than %d bytes", maxLine)
}

// global gives the module and name of a GLOBAL.
func (s *scanner) global() (module, name string) {
	m, n, _ := bytes.Cut(s.bytes[1:], []byte{'\n'})
	return string(m), string(bytes.TrimSuffix(n, []byte{'\n'}))
}

// apply does to the stack of kinds what the opcode does to the stack.
func (s *scanner) apply() error {
	switch s.op {
	case 0x80:
		if s.at != 0 {
			return s.refuse("stands only at the beginning")
		}
		if v := s.bytes[1]; v > 3 {
			return s.refuse("pickle protocol %d is not read; torch.save writes protocol 2 unless told otherwise", v)
		}
		return nil
	case '.':
		if len(s.marks) != 0 || len(s.stack) != 1 {
			return s.refuse("leaves %d values and %d marks, not one value", len(s.stack), len(s.marks))
		}
		return nil
	case '(':
		if s.allMarks++; s.allMarks > maxMarks || len(s.marks) >= maxOpenMarks {
			return s.refuse("too many marks")
		}
		s.marks = append(s.marks, len(s.stack))
		return nil
	case 'J', 'K', 'M', 'N', 'G', 0x88, 0x89, 0x8a:
		return s.push(kindPlain)
	case 'X':
		if !utf8.Valid(s.bytes[5:]) {
			return s.refuse("a text that is not UTF-8")
		}
		return s.push(kindPlain)
	case 'T', 'U':
		return s.push(kindPlain)
	case 'c':
		if _, err := s.checkGlobal(); err != nil {
			return err
		}
		return s.push(kindGlobal)
	case ')', 0x85, 0x86, 0x87:
		n := 0
		if s.op != ')' {
			n = int(s.op) - 0x84
		}
		return s.make(kindTuple, n)
	case ']':
		return s.make(kindList, 0)
	case '}':
		return s.make(kindDict, 0)
	case 0x8f:
		return s.make(kindSet, 0)
	case 't':
		n, err := s.sinceMark()
		if err != nil {
			return err
		}
		return s.make(kindTuple, n)
	case 'Q':
		if err := s.want(1, "a tuple as the persistent id", kindTuple); err != nil {
			return err
		}
		return s.make(kindStorage, 1)
	case 'R', 0x81:
		if err := s.want(1, "a tuple of arguments", kindTuple); err != nil {
			return err
		}
		if err := s.want(2, "something that can be called", kindGlobal); err != nil {
			return err
		}
		return s.make(kindObject, 2)
	case 'b':
		if err := s.want(2, "an object that takes a state", kindObject); err != nil {
			return err
		}
		s.stack = s.stack[:len(s.stack)-1]
		return nil
	case 'a', 'e', 's', 'u':
		return s.fill()
	case 'q', 'h':
		return s.remember(uint32(s.bytes[1]))
	case 'r', 'j':
		return s.remember(binary.LittleEndian.Uint32(s.bytes[1:]))
	}
	return s.refuse("is not allowed")
}

func (s *scanner) push(k kind) error {
	if len(s.stack) >= maxStack {
		return s.refuse("more than %d values on the stack", maxStack)
	}
	s.stack = append(s.stack, k)
	return nil
}

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
	have := s.stack[len(s.stack)-n]
	for _, k := range kinds {
		if have == k {
			return nil
		}
	}
	return s.refuse("needs %s", what)
}

// make replaces the top n values by a new one.
func (s *scanner) make(k kind, n int) error {
	if err := s.have(n); err != nil {
		return err
	}
	if s.containers++; s.containers > maxContainers {
		return s.refuse("more than %d tuples, lists, dicts and calls", maxContainers)
	}
	s.stack = s.stack[:len(s.stack)-n]
	return s.push(k)
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
	if s.items += n; s.items > 2*maxItems {
		return s.refuse("more than %d items in lists and dicts", maxItems)
	}
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
	if err := s.want(n+1, "a dict to put items into", kindDict, kindObject); err != nil {
		return err
	}
	for i := len(s.stack) - n; i < len(s.stack); i += 2 {
		switch s.stack[i] {
		case kindList, kindDict, kindSet:
			return s.refuse("a key that can't be hashed")
		}
	}
	s.stack = s.stack[:len(s.stack)-n]
	return nil
}

// remember writes or reads a memo entry.
func (s *scanner) remember(i uint32) error {
	if s.op == 'h' || s.op == 'j' {
		if int64(i) >= int64(len(s.memo)) || s.memo[i] == kindMissing {
			return s.refuse("memo entry %d was never written", i)
		}
		return s.push(s.memo[i])
	}
	if err := s.have(1); err != nil {
		return err
	}
	if i >= maxMemo {
		return s.refuse("memo entry %d, more than %d", i, maxMemo)
	}
	for int(i) >= len(s.memo) {
		s.memo = append(s.memo, kindMissing)
	}
	s.memo[i] = s.stack[len(s.stack)-1]
	return nil
}

// refusedOpcode says why an opcode is not allowed. INST has a global in it,
// which is worth naming.
func (s *scanner) refusedOpcode() error {
	switch {
	case s.op == 'i':
		if err := s.line(); err != nil {
			return err
		}
		if err := s.line(); err != nil {
			return err
		}
		module, name := s.global()
		return s.refuse("would make an object of the global %s, which is not allowed", quote(module+"."+name))
	case s.op >= 0x8c && s.op <= 0x95:
		return s.refuse("belongs to pickle protocol 4, which is not read; torch.save writes protocol 2 unless told otherwise")
	}
	return s.refuse("is not allowed in a state_dict")
}
