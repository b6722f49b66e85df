package writer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"slerpmerge/internal/disk"
)

// DigestsName is the file with the SHA-256 of every other file of the folder, in
// the form of sha256sum.
const DigestsName = "SHA256SUMS"

// A Digest is the SHA-256 of one file. Name is relative to the folder, with
// slashes.
type Digest struct {
	Name   string
	SHA256 [sha256.Size]byte
}

// Limits on a SHA256SUMS that is read, far beyond what a model folder needs.
const (
	maxSums     = 8 << 20 // bytes
	maxSumLines = 1 << 16
	maxSumLine  = 1 << 14 // bytes
)

// Digests returns the SHA-256 of all files that were put and presized, by name. All of
// them must be complete. Those that are not known already are read back, from the page
// cache as a rule.
func (o *Output) Digests(ctx context.Context, threads int, known []Digest) ([]Digest, error) {
	all := slices.Clone(known)
	has := map[string]bool{}
	for _, d := range known {
		has[d.Name] = true
	}
	var names []string
	for _, m := range o.others {
		if !has[m.Name] {
			names = append(names, m.Name)
		}
	}
	for _, w := range o.files {
		if w.gaps.bytes() > 0 {
			return nil, fmt.Errorf("hashing %s: it is not complete", w.Name)
		}
		if !has[w.Name] {
			names = append(names, w.Name)
		}
	}
	sums, err := hashFiles(ctx, o.openDone, names, threads)
	if err != nil {
		o.flush.fail(err)
		return nil, err
	}
	all = append(all, sums...)
	slices.SortFunc(all, func(a, b Digest) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// PutDigests writes DigestsName for all files that were put and presized, as Digests
// does, and returns its length in bytes.
func (o *Output) PutDigests(ctx context.Context, threads int, known []Digest) (int64, error) {
	sums, err := o.Digests(ctx, threads, known)
	if err != nil {
		return 0, err
	}
	text := FormatDigests(sums)
	return int64(len(text)), o.Put(DigestsName, text)
}

// HashFiles hashes files of a folder, as many at a time as there are threads,
// and returns their digests in the order of the names. An error is that of the
// system, or the cause of ctx.
func HashFiles(ctx context.Context, dir string, names []string, threads int) ([]Digest, error) {
	open := func(name string) (*os.File, error) {
		return disk.OpenRegular(filepath.Join(dir, filepath.FromSlash(name)))
	}
	return hashFiles(ctx, open, names, threads)
}

// openDone opens a file of the partial folder for reading.
func (o *Output) openDone(name string) (*os.File, error) {
	return o.work.Open(filepath.FromSlash(name), os.O_RDONLY)
}

func hashFiles(ctx context.Context, open func(name string) (*os.File, error), names []string, threads int) ([]Digest, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	sums := make([]Digest, len(names))
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(threads, len(names)) {
		all.Go(func() {
			buf := make([]byte, 128<<10)
			for {
				i := int(next.Add(1)) - 1
				if i >= len(names) {
					return
				}
				sum, err := hashFile(ctx, open, names[i], buf)
				if err != nil {
					cancel(err)
					return
				}
				sums[i] = Digest{names[i], sum}
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return sums, nil
}

func hashFile(ctx context.Context, open func(name string) (*os.File, error), name string, buf []byte) (sum [sha256.Size]byte, err error) {
	f, err := open(name)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	for {
		if ctx.Err() != nil {
			return sum, context.Cause(ctx)
		}
		n, err := f.Read(buf)
		h.Write(buf[:n])
		if err == io.EOF {
			h.Sum(sum[:0])
			return sum, nil
		}
		if err != nil {
			return sum, err
		}
	}
}

// escapes are those of sha256sum: a line whose name has any of them begins
// with a backslash.
var (
	escapes   = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`)
	unescapes = map[byte]byte{'\\': '\\', 'n': '\n', 'r': '\r'}
)

// FormatDigests formats digests as sha256sum does.
func FormatDigests(sums []Digest) []byte {
	var b bytes.Buffer
	for _, s := range sums {
		name := escapes.Replace(s.Name)
		if name != s.Name {
			b.WriteByte('\\')
		}
		fmt.Fprintf(&b, "%x  %s\n", s.SHA256, name)
	}
	return b.Bytes()
}

// ReadDigests reads the output of sha256sum. Every line must name a file within
// the folder; an error of the content is a *DigestsError.
func ReadDigests(r io.Reader) ([]Digest, error) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxSumLine)
	in.Split(func(data []byte, end bool) (int, []byte, error) { // a name may end in \r
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			return i + 1, data[:i], nil
		}
		if end && len(data) > 0 {
			return len(data), data, nil
		}
		return 0, nil, nil
	})
	var sums []Digest
	size := 0
	for in.Scan() {
		s, ok := parseDigest(in.Text())
		switch size += len(in.Bytes()); {
		case !ok:
			return nil, &DigestsError{len(sums) + 1, "is not a line of sha256sum"}
		case !filepath.IsLocal(filepath.FromSlash(s.Name)):
			return nil, &DigestsError{len(sums) + 1, "names a file outside the folder"}
		case size > maxSums || len(sums) == maxSumLines:
			return nil, &DigestsError{len(sums) + 1, fmt.Sprintf("is beyond the limit of %d lines and %d bytes", maxSumLines, maxSums)}
		}
		sums = append(sums, s)
	}
	if errors.Is(in.Err(), bufio.ErrTooLong) {
		return nil, &DigestsError{len(sums) + 1, fmt.Sprintf("is longer than %d bytes", maxSumLine)}
	}
	return sums, in.Err()
}

// A DigestsError reports the line of a SHA256SUMS that cannot be used.
type DigestsError struct {
	Line   int
	Reason string // "is ...", "names ..."
}

func (e *DigestsError) Error() string { return fmt.Sprintf("line %d %s", e.Line, e.Reason) }

func parseDigest(line string) (s Digest, ok bool) {
	line, escaped := strings.CutPrefix(line, `\`)
	const digits = 2 * sha256.Size
	if len(line) < digits+3 || line[digits] != ' ' || line[digits+1] != ' ' && line[digits+1] != '*' {
		return s, false
	}
	if _, err := hex.Decode(s.SHA256[:], []byte(line[:digits])); err != nil {
		return s, false
	}
	name := line[digits+2:]
	if !escaped {
		s.Name = name
		return s, !strings.Contains(name, "\x00")
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c == '\\' {
			if i++; i == len(name) || unescapes[name[i]] == 0 {
				return s, false
			}
			c = unescapes[name[i]]
		}
		b.WriteByte(c)
	}
	s.Name = b.String()
	return s, !strings.Contains(s.Name, "\x00")
}
