package cli

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/text"
	"slerpmerge/mmapio"
)

type inspectCmd struct {
	Path      string     `arg:"" help:"Model folder or weight file."`
	JSON      bool       `name:"json" help:"Print the result as JSON."`
	Digest    bool       `help:"Add the SHA-256 of every tensor's values."`
	Entry     entryFlags `placeholder:"KEY" help:"Entry of a PyTorch checkpoint that holds the model, such as ema/model, if there are several; . is the top level."`
	MaxMemory byteSize   `placeholder:"SIZE" default:"64MiB" help:"Resident memory that the run stays below (default ${default})."`
	Filter    string     `placeholder:"TEXT" help:"Only tensors with TEXT in their names."`
}

// Help returns the text below the flags.
func (inspectCmd) Help() string {
	return "Example: slerpmerge inspect ./alpha --json --digest\n\nLayers that are alike are shown once; -v and --digest list every tensor."
}

// Run inspects.
func (c *inspectCmd) Run(ctx context.Context, a *app) error {
	pool := mmapio.NewPool(planPool)
	bound(int64(c.MaxMemory), planPool)
	models, err := openModels(pool, []string{c.Path}, c.Entry.entries, recipe.Request{Run: recipe.Run{MaxMemory: int64(c.MaxMemory)}}, plan.Listing)
	defer closeAll(models)
	if err != nil {
		return err
	}
	m := models[0]
	for _, n := range m.Notes {
		a.log.warn(n)
	}
	chosen, err := c.choose(m)
	if err != nil {
		return err
	}
	var sums [][sha256.Size]byte
	if c.Digest {
		b := plan.Digesting(int64(c.MaxMemory), runtime.GOMAXPROCS(0), m)
		pool.SetLimit(b.Pool)
		bound(int64(c.MaxMemory), b.Pool)
		if sums, err = digests(ctx, m, chosen, b.Threads); err != nil {
			return err
		}
	}
	if err := m.Check(); err != nil {
		return err
	}
	w := bufio.NewWriterSize(a.stdout, 64<<10)
	switch {
	case c.JSON:
		err = inspectJSON(w, m, chosen, sums)
	case sums != nil || a.globs.Verbose:
		err = inspectList(w, m, chosen, sums)
	default:
		err = inspectText(w, m, chosen)
	}
	if err != nil {
		return err
	}
	return w.Flush()
}

// choose gives the indexes of the tensors that are asked for.
func (c *inspectCmd) choose(m *model.Model) ([]int, error) {
	var chosen []int
	for i := range m.Tensors {
		if strings.Contains(m.Tensors[i].Name, c.Filter) {
			chosen = append(chosen, i)
		}
	}
	if len(chosen) == 0 && c.Filter != "" {
		return nil, &requestError{msg: fmt.Sprintf("no tensor of %s has %q in its name", m.Name(), c.Filter)}
	}
	return chosen, nil
}

// digests hashes the chosen tensors, several at a time.
func digests(ctx context.Context, m *model.Model, chosen []int, threads int) ([][sha256.Size]byte, error) {
	sums := make([][sha256.Size]byte, len(chosen))
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range threads {
		g.Go(func() error {
			buf := make([]byte, plan.DigestBuffer)
			h := sha256.New()
			hash := func(p []byte) error { h.Write(p); return nil }
			for {
				k := int(next.Add(1)) - 1
				if k >= len(chosen) {
					return nil
				}
				i := chosen[k]
				h.Reset()
				src, left := m.Source(i), m.Tensors[i].Bytes()
				for off := int64(0); left > 0; {
					if ctx.Err() != nil {
						return context.Cause(ctx)
					}
					p := buf[:min(left, int64(len(buf)))]
					if err := tensor.View(src, p, off, hash); err != nil {
						return fmt.Errorf("reading tensor %s: %w", text.Quote(m.Tensors[i].Name), err)
					}
					off += int64(len(p))
					left -= int64(len(p))
				}
				h.Sum(sums[k][:0])
			}
		})
	}
	return sums, g.Wait()
}

type inspectTensor struct {
	Name   string    `json:"name"`
	DType  string    `json:"dtype"`
	Shape  shapeJSON `json:"shape"`
	Bytes  int64     `json:"bytes"`
	File   string    `json:"file"`
	Shares string    `json:"shares_with,omitempty"`
	SHA256 string    `json:"sha256,omitempty"`
}

// inspectJSON writes the object of --json tensor by tensor, and long texts in
// parts: a million tensors, or 100 MB of metadata, would not fit in memory as
// one text.
func inspectJSON(w *bufio.Writer, m *model.Model, chosen []int, sums [][sha256.Size]byte) error {
	type file struct {
		Name  string `json:"name"`
		Bytes int64  `json:"bytes"`
	}
	files := []file{}
	for _, f := range m.Files {
		files = append(files, file{f.Name, f.Bytes})
	}
	fmt.Fprintf(w, "{\"format\":%s,\"files\":%s,\n\"tensors\":[", put(m.Format), put(files))
	for k, i := range chosen {
		t := &m.Tensors[i]
		v := inspectTensor{Name: t.Name, DType: t.DType.String(), Shape: shapeJSON(t.Shape), Bytes: t.Bytes(), File: m.Files[t.File].Name, Shares: m.SharesWith(i)}
		if sums != nil {
			v.SHA256 = hex.EncodeToString(sums[k][:])
		}
		sep := ",\n"
		if k == 0 {
			sep = "\n"
		}
		v.Name = ""
		rest, _ := strings.CutPrefix(put(v), `{"name":""`)
		io.WriteString(w, sep+`{"name":`)
		putText(w, t.Name)
		if _, err := io.WriteString(w, rest); err != nil {
			return err
		}
	}
	elems, bytes := sizes(m, chosen)
	fmt.Fprintf(w, "],\n\"parameters\":%d,\"total_bytes\":%d,\"metadata\":{", elems, bytes)
	for i, key := range slices.Sorted(maps.Keys(m.Metadata)) {
		if i > 0 {
			io.WriteString(w, ",")
		}
		putText(w, key)
		io.WriteString(w, ":")
		putText(w, m.Metadata[key])
	}
	_, err := io.WriteString(w, "}}\n")
	return err
}

func put(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("cli: internal error: " + err.Error())
	}
	return string(b)
}

// putText writes a JSON string as encoding/json does, without a copy of it; w
// keeps the first error.
func putText(w *bufio.Writer, s string) {
	w.WriteByte('"')
	for s != "" {
		n := plainLen(s)
		w.WriteString(s[:n])
		if s = s[n:]; s == "" {
			break
		}
		_, size := utf8.DecodeRuneInString(s)
		special := put(s[:size])
		w.WriteString(special[1 : len(special)-1])
		s = s[size:]
	}
	w.WriteByte('"')
}

// plainLen returns the length of the part of a text before the first character that
// encoding/json writes otherwise.
func plainLen(s string) int {
	for i, r := range s {
		if r < ' ' || strings.ContainsRune("\"\\<>&\x7f\u2028\u2029\ufffd", r) {
			return i
		}
	}
	return len(s)
}

// inspectList lists the tensors one by one, as they lie in their files.
func inspectList(out io.Writer, m *model.Model, chosen []int, sums [][sha256.Size]byte) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	last := -1
	for k, i := range chosen {
		t := &m.Tensors[i]
		if t.File != last {
			f := m.Files[t.File]
			fmt.Fprintf(w, "%s (%s)\n", text.Quote(f.Name), size(f.Bytes))
			last = t.File
		}
		fmt.Fprintf(w, "  %s\t%v\t%v\t%s", text.Quote(t.Name), t.DType, text.Shape(t.Shape), size(t.Bytes()))
		if sums != nil {
			fmt.Fprintf(w, "\t%x", sums[k])
		}
		fmt.Fprintln(w)
		if k%10000 == 9999 { // else a large table is held whole for its column widths
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return inspectTotal(out, m, chosen)
}

// inspectTotal closes both forms for people.
func inspectTotal(out io.Writer, m *model.Model, chosen []int) error {
	elems, bytes := sizes(m, chosen)
	of := ""
	if len(chosen) < len(m.Tensors) {
		of = fmt.Sprintf(" of %d", len(m.Tensors))
	}
	_, err := fmt.Fprintf(out, "%s, %s%s, %d parameters, %s of values\n", m.Format, text.Count(len(chosen), "tensor"), of, elems, size(bytes))
	return err
}

// sizes adds up the elements and bytes of the chosen tensors.
func sizes(m *model.Model, chosen []int) (elems, bytes int64) {
	for _, i := range chosen {
		elems += m.Tensors[i].Elems()
		bytes += m.Tensors[i].Bytes()
	}
	return elems, bytes
}
