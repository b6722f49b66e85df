// Package verify compares a folder with the result of a plan, bit by bit.
package verify

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"slerpmerge/internal/disk"
	"slerpmerge/internal/engine"
	"slerpmerge/internal/plan"
	"slerpmerge/mmapio"
	"slerpmerge/writer"
)

// Options say how a folder is compared with a plan.
type Options struct {
	Pool *mmapio.Pool // through which the plan's models were opened
	// Share is the part of each weight file's values that is compared at the
	// least, in whole tensors; 1 compares all. Everything else is compared
	// in full, but SHA-256 sums of weight files only with all of their values.
	Share float64
	// Companions are the names of the files that were copied; nil for all that
	// the plan has.
	Companions []string
	// Expected, unless it is nil, is what was recorded of the plan's tensors. Where their
	// Outcome and Cos are right, the parents are read only once. Run takes the slice
	// for its Results.
	Expected []engine.TensorResult
	// Progress is called with the bytes of tensors compared since the last call, never
	// by two goroutines at once.
	Progress func(n int64)
}

// A Result is a folder compared with the plan by which it was made.
type Result struct {
	Plan    *plan.Plan
	Tensors int                   // that were compared
	Bytes   int64                 // of their values
	Files   int                   // of the plan, compared at least in part or missing
	Sums    int                   // files whose SHA-256 was compared
	Results []engine.TensorResult // parallel to Plan.Tensors; of those compared
	// Differences are sorted by file and offset. Of very many only the first
	// are kept; Count counts all.
	Differences []Difference
	Count       int
	// BadSums are files whose SHA-256 is not that of SHA256SUMS, beside the
	// Differences, which say more where both are about one file.
	BadSums []Difference
	Differs []bool // parallel to Plan.Tensors: values differ
	// Gone are files that were copied and that the parents no longer have, so
	// that they can't be compared.
	Gone     []string
	Duration time.Duration
}

// maxDifferences bounds those that are kept.
const maxDifferences = 1000

// Picked returns the number of tensors, and of their bytes, that Run compares for
// a Share.
func Picked(p *plan.Plan, share float64) (tensors int, size int64) {
	picked := pick(p, share)
	for i := range p.Tensors {
		if picked[owner(p, i)] {
			tensors++
		}
		if picked[i] {
			size += p.Tensors[i].Bytes()
		}
	}
	return tensors, size
}

// owner returns the tensor whose bytes tensor i has.
func owner(p *plan.Plan, i int) int {
	if p.Storage == nil {
		return i
	}
	return p.Storage[i]
}

// Run computes the result of a plan again, and compares it bit by bit with the
// weight files, the index, config.json and the companions in a folder. It
// writes nothing. Differences are not errors; errors are those of the readers,
// and the cause of ctx.
func Run(ctx context.Context, p *plan.Plan, dir string, opt Options) (*Result, error) {
	start := time.Now()
	if err := p.Refusal(); err != nil {
		return nil, err
	}
	v := &Result{Plan: p, Differs: make([]bool, len(p.Tensors))}
	c := &comparer{Result: v, dir: dir, differs: map[int]*Difference{}}
	defer c.close()
	if err := c.open(opt.Pool); err != nil {
		return nil, err
	}
	opt.Pool.SetLimit(p.Budget.Pool)
	v.Tensors, v.Bytes = Picked(p, opt.Share)
	if v.Results = opt.Expected; len(v.Results) != len(p.Tensors) {
		v.Results = make([]engine.TensorResult, len(p.Tensors))
	}
	// NaN in a parent must not end the run: if it was refused then, the parent
	// is another now, which its norm will show.
	if err := engine.Check(ctx, p, c.restrict(pick(p, opt.Share)), engine.Options{WarnNonFinite: true, Progress: opt.Progress}, v.Results, c); err != nil {
		return nil, err
	}
	for i := range v.Differs {
		v.Differs[i] = v.Differs[owner(p, i)]
	}
	for i := range c.files {
		if err := c.compareFixed(i); err != nil {
			return nil, err
		}
	}
	if err := c.compareOthers(ctx, opt.Companions); err != nil {
		return nil, err
	}
	if err := c.compareSums(ctx, opt.Share < 1); err != nil {
		return nil, err
	}
	for _, m := range p.Models {
		if err := m.Check(); err != nil {
			return nil, err
		}
	}
	for i := range c.files {
		if f := c.files[i].data; f != nil {
			if err := f.Check(); err != nil {
				return nil, err
			}
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	slices.SortStableFunc(v.Differences, byPlace)
	v.Duration = time.Since(start)
	return v, nil
}

// byPlace compares the places of two differences.
func byPlace(a, b Difference) int {
	return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.Offset, b.Offset))
}

// pick chooses tensors: in every file, in the order of a hash of their names,
// as many as it takes to reach the share of its values.
func pick(p *plan.Plan, share float64) []bool {
	picked := make([]bool, len(p.Tensors))
	type ranked struct {
		writer.Extent
		rank uint64
	}
	for _, f := range p.Layout.Files {
		var order []ranked
		total := int64(0)
		for _, x := range f.Extents {
			if x.Len == 0 || share >= 1 {
				picked[x.Tensor] = true
				continue
			}
			h := fnv.New64a()
			io.WriteString(h, p.Tensors[x.Tensor].Name)
			order = append(order, ranked{x, h.Sum64()})
			total += x.Len
		}
		slices.SortFunc(order, func(a, b ranked) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.Off, b.Off)) })
		done := int64(0)
		for _, x := range order {
			if done > 0 && float64(done) >= share*float64(total) {
				break
			}
			picked[x.Tensor] = true
			done += x.Len
		}
	}
	return picked
}

// differ notes a difference, unless there are very many.
func (c *comparer) differ(d Difference) *Difference {
	c.Count++
	if len(c.Differences) == maxDifferences {
		return nil
	}
	c.Differences = append(c.Differences, d)
	return &c.Differences[len(c.Differences)-1]
}

// compareOthers compares the files beside the weights.
func (c *comparer) compareOthers(ctx context.Context, names []string) error {
	p := c.Plan
	text := func(name string, b []byte) error {
		return c.compareFile(name, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil })
	}
	if p.Layout.IndexName != "" {
		if err := c.compareFile(p.Layout.IndexName, func() (io.ReadCloser, error) { return p.Layout.OpenIndex(), nil }); err != nil {
			return err
		}
	}
	if p.Config != nil {
		if err := text(p.ConfigName(), p.Config); err != nil {
			return err
		}
	}
	for _, m := range p.Companions {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if names != nil && !slices.Contains(names, m.Name) {
			continue // the parent has got it since
		}
		if err := c.compareFile(m.Name, m.Open); err != nil {
			return err
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(p.Companions, func(m plan.Companion) bool { return m.Name == name }) {
			c.Gone = append(c.Gone, name)
		}
	}
	return c.strays()
}

// strays looks for weights and indexes that the plan does not have: loading
// programs go by their names.
func (c *comparer) strays() error {
	folders := []string{""}
	for _, f := range c.Plan.Layout.Files {
		if dir := path.Dir(f.Name); dir != "." && !slices.Contains(folders, dir) {
			folders = append(folders, dir)
		}
	}
	for _, folder := range folders {
		entries, err := os.ReadDir(filepath.Join(c.dir, folder))
		if folder != "" && errors.Is(err, fs.ErrNotExist) {
			continue // what should be there is missing, as was said
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			base, name := e.Name(), path.Join(folder, e.Name())
			if (writer.IsWeightFile(base) || writer.IsWeightIndex(base)) && name != c.Plan.Layout.IndexName && !c.isWeights(name) {
				c.differ(Difference{File: name, Place: IsStray, file: math.MaxInt})
			}
		}
	}
	return nil
}

func (c *comparer) isWeights(name string) bool {
	return slices.ContainsFunc(c.Plan.Layout.Files, func(f writer.File) bool { return f.Name == name })
}

// regular opens a file of the folder; nil if there is no regular file.
func (c *comparer) regular(name string) (*os.File, error) {
	f, err := disk.OpenRegular(filepath.Join(c.dir, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, new(*disk.KindError)) {
		return nil, nil
	}
	return f, err
}

// compareFile compares a whole file with its expected content.
func (c *comparer) compareFile(name string, open func() (io.ReadCloser, error)) error {
	c.Files++
	f, err := c.regular(name)
	if err != nil {
		return err
	}
	if f == nil {
		c.differ(Difference{File: name, Place: IsMissing, file: c.Files})
		return nil
	}
	defer f.Close()
	want, err := open()
	if err != nil {
		return fmt.Errorf("reading what %s should be: %w", name, err)
	}
	defer want.Close()
	var d *Difference
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	for off := int64(0); ; {
		n, err := readChunk(want, a)
		if err != nil {
			return fmt.Errorf("reading what %s should be: %w", name, err)
		}
		m, err := readChunk(f, b)
		if err != nil {
			return err
		}
		common := min(n, m)
		at, count := unequal(a[:common], b[:common], 1)
		if at < 0 && n != m {
			at = common
		}
		if at >= 0 && d == nil {
			found := Difference{File: name, Place: InFile, Offset: off + int64(at), file: c.Files}
			found.ExpectedHex, found.Expected = around(a[:n], at)
			found.FoundHex, found.Found = around(b[:m], at)
			if d = c.differ(found); d == nil {
				return nil
			}
		}
		if d != nil {
			d.Count += count + int64(max(n, m)-common)
		}
		off += int64(max(n, m))
		if n < len(a) && m < len(b) {
			return nil
		}
	}
}

// readChunk fills p as far as the text goes.
func readChunk(r io.Reader, p []byte) (int, error) {
	n, err := io.ReadFull(r, p)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return n, err
}

// around shows a byte: its bits, and the text around it if it is text.
func around(b []byte, at int) (hex, excerpt string) {
	if at >= len(b) {
		return "the end", ""
	}
	const least, most = 4, 16
	end := at
	for end < len(b) && end < at+most && b[end] >= ' ' && b[end] < 0x7f {
		end++
	}
	if end >= at+least {
		excerpt = strconv.Quote(string(b[at:end]))
	}
	return bits(b[at : at+1]), excerpt
}

// compareSums compares files with SHA256SUMS, if it is there. few leaves the
// weights out.
func (c *comparer) compareSums(ctx context.Context, few bool) error {
	f, err := c.regular(writer.DigestsName)
	if err != nil || f == nil {
		return err
	}
	defer f.Close()
	bad := func(name, found, expected string) {
		c.BadSums = append(c.BadSums, Difference{File: name, Place: InChecksum, Found: found, Expected: expected, file: math.MaxInt})
	}
	sums, err := writer.ReadDigests(f)
	var line *writer.DigestsError
	if errors.As(err, &line) {
		bad(writer.DigestsName, line.Error(), "")
		return nil
	}
	if err != nil {
		return err
	}
	var names []string
	want := map[string]writer.Digest{}
	for _, s := range sums {
		if few && c.isWeights(s.Name) {
			continue
		}
		f, err := c.regular(s.Name)
		if err != nil {
			return err
		}
		if f == nil {
			bad(s.Name, "missing, but in "+writer.DigestsName, "")
			continue
		}
		f.Close()
		names = append(names, s.Name)
		want[s.Name] = s
	}
	found, err := writer.HashFiles(ctx, c.dir, names, c.Plan.Budget.Threads)
	if err != nil {
		return err
	}
	for _, s := range found {
		c.Sums++
		if w := want[s.Name]; w != s {
			bad(s.Name, fmt.Sprintf("%x", s.SHA256), fmt.Sprintf("%x", w.SHA256))
		}
	}
	return nil
}
