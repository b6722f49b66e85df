package writer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
)

// journalName is the journal's file in the partial folder. It marks the folder
// as the work of this program.
//
// Its first line is "slerpmerge journal 3 FINGERPRINT NAME", with the quoted name
// of the output. Every further line is one Mark: the CRC-32C of the rest in eight
// hexadecimal digits, a space, and a JSON object. A line that a crash cut short,
// or that does not match its CRC, ends the journal; the lines before it are valid.
const (
	journalName   = ".slerpmerge.journal"
	journalWords  = "slerpmerge journal " // of every form
	journalFormat = journalWords + "3 "
)

// journalHead returns the first line of the journal.
func journalHead(fingerprint, name string) string {
	return journalFormat + fingerprint + " " + strconv.Quote(name) + "\n"
}

// maxMark bounds a line: the notes of some hundred thousand tensors.
const maxMark = 64 << 20

// A Mark is a place up to which an output is durable: all of the files before
// File, and the bytes of File before Off.
type Mark struct {
	File int    `json:"file"` // index into the Files of the layout; their number at the end
	Off  int64  `json:"off"`  // within an extent, or where one begins
	CRC  uint32 `json:"sum"`  // CRC-32 of the extent's bytes before Off, or else of the extent before it
	// Note is the caller's: JSON on one line.
	Note json.RawMessage `json:"note,omitempty"`
}

// A markLine is a Mark as it stands in the journal.
type markLine struct {
	Mark
	// Stretches are all values between the last mark and this one.
	Stretches []stretch `json:"stretches,omitempty"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// text returns the line with its CRC.
func (m markLine) text() ([]byte, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(text, castagnoli), text), nil
}

// errOtherRun says that a journal is that of a run with another fingerprint.
var errOtherRun = errors.New("it was started with other parents or flags, or by another version")

// journalOf reads which output a journal of any form is for; "" where it does not
// say so, as those of the first form or one that a crash cut short.
func journalOf(r io.Reader) (name string, err error) {
	head, err := readLine(bufio.NewReader(r), maxHead)
	if err != nil {
		return "", nil
	}
	text, ok := strings.CutPrefix(strings.TrimSuffix(string(head), "\n"), journalWords)
	if !ok {
		return "", nil
	}
	_, text, _ = strings.Cut(text, " ") // the number of the form
	_, quoted, _ := strings.Cut(text, " ")
	if name, err := strconv.Unquote(quoted); err == nil {
		return name, nil
	}
	return "", nil
}

// maxHead bounds the first line.
const maxHead = 4 << 10

// A journalText is the marks of a journal, and the length of its valid part.
type journalText struct {
	marks []markLine
	valid int64
}

// readJournal reads the journal of a run with a fingerprint for the output called
// name.
func readJournal(r io.Reader, fingerprint, name string) (j journalText, err error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := readLine(b, maxHead)
	if err != nil {
		return j, errors.New("it has no journal")
	}
	if string(head) != journalHead(fingerprint, name) {
		return j, errOtherRun
	}
	j.valid = int64(len(head))
	for {
		line, err := readLine(b, maxMark)
		if err != nil {
			return j, nil
		}
		m, ok := parseMark(line)
		if !ok || len(j.marks) > 0 && !j.marks[len(j.marks)-1].before(m.Mark) {
			return j, nil
		}
		j.valid += int64(len(line))
		j.marks = append(j.marks, m)
	}
}

// before reports whether m is no later place than n.
func (m Mark) before(n Mark) bool { return m.File < n.File || m.File == n.File && m.Off <= n.Off }

func parseMark(line []byte) (m markLine, ok bool) {
	sum, text, ok := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
	if !ok || len(sum) != 8 {
		return m, false
	}
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if err != nil || crc32.Checksum(text, castagnoli) != uint32(want) {
		return m, false
	}
	if err := json.Unmarshal(text, &m); err != nil || m.File < 0 || m.Off < 0 {
		return m, false
	}
	return m, true
}

// readLine reads a whole line of at most limit bytes.
func readLine(b *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := b.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > limit:
			return nil, bufio.ErrTooLong
		case err == bufio.ErrBufferFull:
		case err != nil:
			return nil, err
		default:
			return line, nil
		}
	}
}
