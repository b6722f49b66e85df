package torchbin

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// Limits of one pickle. The largest checkpoints known have some tens of
// thousands of tensors. As torch.save writes it, a tensor takes 40 opcodes and
// counts as some 900 bytes of values.
const (
	maxPickle    = 64 << 20  // bytes
	maxTensors   = 1 << 17   // in the state_dict
	maxNames     = 1 << 19   // there, with other values
	maxText      = 1 << 20   // bytes of one text
	maxLine      = 256       // bytes of a module's or a global's name
	maxLong      = 16        // bytes of one integer
	maxMemo      = 2 << 20   // memo entries
	maxStack     = 1 << 19   // values on the stack at once
	maxOpenMarks = 256       // open at once; gopickle makes a stack for each
	maxSteps     = 8 << 20   // opcodes, and items that calls look at
	maxHeld      = 128 << 20 // bytes of gopickle's values, see held

	// A pickle as torch.save writes it holds 4 bytes for each of its own, one of
	// Encode 7. A small file may hold a little in any case, and else no more than
	// heldPerByte times what has been read of it: values can be made of others
	// over and over.
	heldAnyway  = 4 << 20
	heldPerByte = 16

	// heldTruly is the share of it in percent that was measured for files with
	// many tensors, the table included.
	heldTruly = 50
)

// overheld refuses a pickle whose values take too much memory.
func (s *scanner) overheld() *FormatError {
	s.peak = max(s.peak, s.held)
	switch {
	case s.held > maxHeld:
		return malformed("the values of the pickle take more than %d MiB of memory", maxHeld>>20)
	case s.held > heldAnyway+heldPerByte*s.pos:
		return malformed("the values of the pickle take more than %d MiB of memory, far more than it is long", s.held>>20)
	}
	return nil
}

// A scanner checks a pickle opcode by opcode without building anything: of the
// values on the stack it knows little more than their kinds.
type scanner struct {
	r     *bufio.Reader
	base  int64 // of the pickle in messages
	pos   int64 // bytes read so far
	limit int64 // bytes that can be read

	protocol byte // as PROTO says

	at    int64 // where the current opcode stands
	op    byte
	bytes []byte // the current opcode and its argument

	global *global // of the last GLOBAL
	stack  []cell
	marks  []int // heights of the stack
	memo   []memoCell
	read   []bool // by memo entry: whether any GET reads it
	keep   []bool // read of the first pass, in the second

	steps int
	held  int64 // bytes of the values that may live, by generous estimates
	peak  int64 // the most that held has been
}

// newScanner scans the pickle that begins at byte at of r and ends within n
// bytes. Messages call its first byte base.
func newScanner(r io.ReaderAt, at, n, base int64) *scanner {
	section := io.NewSectionReader(r, at, n)
	return &scanner{r: bufio.NewReaderSize(section, 64<<10), base: base, limit: min(n, maxPickle)}
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

// code is refuse for a global that is not on the list.
func (s *scanner) code(format string, args ...any) error {
	err := s.refuse(format, args...)
	err.(*FormatError).Code = true
	return err
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
	if err := s.apply(); err != nil {
		return false, err
	}
	if s.steps++; s.steps > maxSteps {
		return false, s.refuse("the pickle takes more than %d steps", maxSteps)
	}
	if err := s.overheld(); err != nil {
		return false, s.refuse("%s", err.Reason)
	}
	return s.op == '.', nil
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
	ahead, err := s.r.Peek(int(min(maxLine, s.limit-s.pos)))
	if n := bytes.IndexByte(ahead, '\n'); n >= 0 {
		return s.take(int64(n) + 1)
	}
	switch {
	case len(ahead) == maxLine:
		return s.refuse("a name of more than %d bytes", maxLine)
	case err != nil:
		return fmt.Errorf("reading the pickle: %w", shrunk(err))
	}
	return s.refuse("the pickle ends in a name")
}

// qualified returns the module and name of a GLOBAL, with a line feed between.
func (s *scanner) qualified() string { return string(s.bytes[1 : len(s.bytes)-1]) }

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
		return s.code("would make an object of the global %s, which is not allowed", dotted(s.qualified()))
	case s.op >= 0x8c && s.op <= 0x95:
		return s.refuse("belongs to pickle protocol 4, which is not read")
	}
	return s.refuse("is not allowed in a state_dict")
}
