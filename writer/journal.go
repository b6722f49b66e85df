package writer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strconv"
	"strings"
)

// journalName is the journal's file in the partial folder.
//
// Its first line is "slerpmerge journal 1 FINGERPRINT". Every further line is
// one Mark: the CRC-32C of the rest in eight hexadecimal digits, a space, and a
// JSON object. A line that a crash cut short, or that does not fit its sum,
// ends the journal; what stands before it holds.
const (
	journalName   = ".slerpmerge.journal"
	journalFormat = "slerpmerge journal 1 "
)

// maxMark bounds a line: the notes of some hundred thousand tensors.
const maxMark = 64 << 20

// A Mark is a place up to which an output is durable: all of the files before
// File, and the bytes of File before Off.
type Mark struct {
	File int    `json:"file"` // index into the Files of the layout; their number at the end
	Off  int64  `json:"off"`  // within an extent, or where one begins
	Sum  uint32 `json:"sum"`  // CRC-32 of what the extent has before Off, or else of the one before it
	// Note is what the caller remembers along: JSON on one line.
	Note json.RawMessage `json:"note,omitempty"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// line is the mark as it stands in the journal.
func (m Mark) line() ([]byte, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(text, castagnoli), text), nil
}

// errOtherRun says that a journal is that of a run with another fingerprint.
var errOtherRun = errors.New("it was started with other parents or flags, or by another version")

// readJournal reads the journal of a run with a fingerprint. valid is the
// length of what holds.
func readJournal(r io.Reader, fingerprint string) (marks []Mark, valid int64, err error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := readLine(b, 1<<10)
	if err != nil {
		return nil, 0, errors.New("it has no journal")
	}
	if text, ok := strings.CutPrefix(string(head), journalFormat); !ok || text != fingerprint+"\n" {
		return nil, 0, errOtherRun
	}
	valid = int64(len(head))
	for {
		line, err := readLine(b, maxMark)
		if err != nil {
			return marks, valid, nil
		}
		m, ok := parseMark(line)
		if !ok || len(marks) > 0 && !marks[len(marks)-1].before(m) {
			return marks, valid, nil
		}
		valid += int64(len(line))
		marks = append(marks, m)
	}
}

// before reports whether m is no later place than n.
func (m Mark) before(n Mark) bool { return m.File < n.File || m.File == n.File && m.Off <= n.Off }

func parseMark(line []byte) (m Mark, ok bool) {
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

// startJournal begins the journal of an output whose files are presized.
func startJournal(path, fingerprint string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	if _, err := f.WriteString(journalFormat + fingerprint + "\n"); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// goOn opens a journal behind the valid part, and cuts off the rest.
func goOn(path string, valid int64) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	if err = f.Truncate(valid); err == nil {
		_, err = f.Seek(valid, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
