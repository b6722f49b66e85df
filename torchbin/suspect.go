package torchbin

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A pickle that is refused for another reason, such as its protocol, can name
// code all the same. Whoever reads the refusal must learn of it before the file is
// given to a program that runs it.

// accuse adds the first global that the pickles from byte at of r on name and that
// is not on the list, if there is one, to an error that does not tell of code.
func accuse(err error, r io.ReaderAt, at, n, base int64) error {
	var e *FormatError
	if !errors.As(err, &e) || e.Code {
		return err
	}
	s := suspect{r: bufio.NewReaderSize(io.NewSectionReader(r, at, min(n, maxPickle)), 64<<10)}
	key, place, ok := s.find()
	if !ok {
		return err
	}
	what := "names " + dotted(key) + ", which is not on the list of what a state_dict may name"
	if key == "" {
		what = "looks up a name that it puts together"
	}
	return &FormatError{Reason: fmt.Sprintf("%s; at byte %d it %s", e.Reason, base+place, what), Code: true}
}

// A suspect is a pickle of any protocol in which only names are looked for.
type suspect struct {
	r   *bufio.Reader
	pos int64

	// The texts that the last opcodes pushed, the last one first: STACK_GLOBAL
	// takes two.
	texts [2]string
	memo  map[uint32]string
	next  uint32 // the entry that MEMOIZE writes
}

// maxSuspectMemo bounds the texts that are kept, each of at most maxLine bytes.
const maxSuspectMemo = 1 << 12

// suspectArgs are the bytes that follow an opcode: so many, or a length of
// -1, -4 or -8 bytes and as many as it tells. Opcodes with lines are read apart.
var suspectArgs = map[byte]int{
	'J': 4, 'K': 1, 'M': 2, 'T': -4, 'U': -1, 'X': -4, 'h': 1, 'j': 4, 'q': 1, 'r': 4, 'G': 8, 'B': -4, 'C': -1,
	0x80: 1, 0x82: 1, 0x83: 2, 0x84: 4, 0x8a: -1, 0x8b: -4, 0x8c: -1, 0x8d: -8, 0x8e: -8, 0x95: 8, 0x96: -8,
}

// find gives the first global that is not on the list, and its place. It is "" if
// its name is not that of the two opcodes before.
func (s *suspect) find() (key string, place int64, ok bool) {
	s.memo = make(map[uint32]string)
	for {
		at := s.pos
		op, ok := s.byte()
		if !ok {
			return "", 0, false
		}
		switch op {
		case 'c', 'i':
			module, ok1 := s.line()
			name, ok2 := s.line()
			if !ok1 || !ok2 {
				return "", 0, false
			}
			if key = module + "\n" + name; unlisted(key) {
				return key, at, true
			}
			s.push("")
		case 0x93: // STACK_GLOBAL
			if s.texts[0] == "" || s.texts[1] == "" {
				return "", at, true
			}
			if key = s.texts[1] + "\n" + s.texts[0]; unlisted(key) {
				return key, at, true
			}
			s.push("")
		case 'F', 'I', 'L', 'P', 'S', 'V', 'g', 'p':
			text, ok := s.line()
			if !ok {
				return "", 0, false
			}
			if op != 'p' {
				s.push(unquoted(op, text))
			}
		case 0x94: // MEMOIZE
			s.keep(s.next)
			s.next++
		default:
			arg, ok := s.argument(op)
			if !ok || opcodes[op].name == "" {
				return "", 0, false
			}
			switch op {
			case 'X', 'T', 'U', 0x8c, 0x8d:
				s.push(arg)
			case 'q', 'r':
				s.keep(index(arg))
			case 'h', 'j':
				s.push(s.memo[index(arg)])
			case 0x80, 0x95: // PROTO, FRAME push nothing
			case '.':
				if ahead, err := s.r.Peek(1); err != nil || ahead[0] != 0x80 {
					return "", 0, false
				}
				s.memo, s.next, s.texts = make(map[uint32]string), 0, [2]string{}
			default:
				s.push("")
			}
		}
	}
}

// unlisted reports whether a global is one that could be made to run code, as far
// as we know.
func unlisted(key string) bool { return globals[key] == nil && refusal(key) == "" }

func (s *suspect) push(text string) {
	if len(text) > maxLine {
		text = text[:maxLine]
	}
	s.texts = [2]string{text, s.texts[0]}
}

func (s *suspect) keep(i uint32) {
	if s.texts[0] != "" && len(s.memo) < maxSuspectMemo {
		s.memo[i] = s.texts[0]
	}
}

func (s *suspect) byte() (byte, bool) {
	b, err := s.r.ReadByte()
	s.pos++
	return b, err == nil
}

// line reads to a line feed.
func (s *suspect) line() (string, bool) {
	var text []byte
	for len(text) <= maxLine {
		b, ok := s.byte()
		if !ok {
			return "", false
		}
		if b == '\n' {
			return string(text), true
		}
		text = append(text, b)
	}
	return "", false
}

// argument reads the argument of an opcode, and returns the beginning of it.
func (s *suspect) argument(op byte) (string, bool) {
	n := int64(suspectArgs[op])
	if n < 0 {
		var length [8]byte
		if _, err := io.ReadFull(s.r, length[:-n]); err != nil {
			return "", false
		}
		s.pos -= n
		if n = int64(binary.LittleEndian.Uint64(length[:])); n < 0 || n > maxPickle {
			return "", false
		}
	}
	text := make([]byte, min(n, maxLine+1))
	if _, err := io.ReadFull(s.r, text); err != nil {
		return "", false
	}
	more, err := s.r.Discard(int(n) - len(text))
	s.pos += int64(len(text) + more)
	return string(text), err == nil
}

// index returns the memo entry that an argument of 1 or 4 bytes names.
func index(arg string) uint32 {
	var b [4]byte
	copy(b[:], arg)
	return binary.LittleEndian.Uint32(b[:])
}

// unquoted returns the text of a line that STRING or UNICODE pushes.
func unquoted(op byte, line string) string {
	switch {
	case op == 'V':
		return line
	case op == 'S' && len(line) >= 2:
		return line[1 : len(line)-1]
	}
	return ""
}
