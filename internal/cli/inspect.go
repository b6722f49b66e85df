package cli

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"text/tabwriter"

	"golang.org/x/sync/errgroup"

	"slerpmerge/internal/model"
	"slerpmerge/mmapio"
)

type inspectCmd struct {
	Path   string `arg:"" help:"Model folder or weight file."`
	JSON   bool   `name:"json" help:"Print the result as JSON."`
	Digest bool   `help:"Add the SHA-256 of every tensor's values."`
}

// Help is shown below the flags.
func (inspectCmd) Help() string {
	return "Example: slerpmerge inspect ./alpha --json --digest"
}

// digestPool bounds the resident pages while values are hashed.
const digestPool = 16 << 20

// Run inspects.
func (c *inspectCmd) Run(a *app) error {
	pool := mmapio.NewPool(planPool)
	m, err := model.Open(pool, c.Path)
	if err != nil {
		return err
	}
	defer m.Close()
	for _, n := range m.Notes {
		a.log.warn(n)
	}
	var sums [][sha256.Size]byte
	if c.Digest {
		pool.SetLimit(digestPool)
		if sums, err = digests(a.ctx, m); err != nil {
			return err
		}
	}
	if err := m.Check(); err != nil {
		return err
	}
	w := bufio.NewWriterSize(a.stdout, 64<<10)
	if c.JSON {
		err = inspectJSON(w, m, sums)
	} else {
		err = inspectText(w, m, sums)
	}
	if err != nil {
		return err
	}
	return w.Flush()
}

// digests hashes every tensor, several at a time.
func digests(ctx context.Context, m *model.Model) ([][sha256.Size]byte, error) {
	sums := make([][sha256.Size]byte, len(m.Tensors))
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			buf := make([]byte, 256<<10)
			h := sha256.New()
			for {
				i := int(next.Add(1)) - 1
				if i >= len(m.Tensors) {
					return nil
				}
				h.Reset()
				src, left := m.Source(i), m.Tensors[i].Bytes()
				for off := int64(0); left > 0; {
					if ctx.Err() != nil {
						return context.Cause(ctx)
					}
					p := buf[:min(left, int64(len(buf)))]
					if err := src.ReadAt(p, off); err != nil {
						return fmt.Errorf("reading tensor %s: %w", model.Quote(m.Tensors[i].Name), err)
					}
					h.Write(p)
					off += int64(len(p))
					left -= int64(len(p))
				}
				h.Sum(sums[i][:0])
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

// inspectJSON writes the object of DESIGN.md section 4 tensor by tensor: a
// million of them would not fit in memory as one text.
func inspectJSON(w io.Writer, m *model.Model, sums [][sha256.Size]byte) error {
	put := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic("cli: internal error: " + err.Error())
		}
		return string(b)
	}
	type file struct {
		Name  string `json:"name"`
		Bytes int64  `json:"bytes"`
	}
	files := []file{}
	for _, f := range m.Files {
		files = append(files, file{f.Name, f.Bytes})
	}
	fmt.Fprintf(w, "{\"format\":%s,\"files\":%s,\n\"tensors\":[", put(m.Format), put(files))
	for i := range m.Tensors {
		t := &m.Tensors[i]
		v := inspectTensor{Name: t.Name, DType: t.DType.String(), Shape: shapeJSON(t.Shape), Bytes: t.Bytes(), File: m.Files[t.File].Name, Shares: t.SharesWith}
		if sums != nil {
			v.SHA256 = hex.EncodeToString(sums[i][:])
		}
		sep := ",\n"
		if i == 0 {
			sep = "\n"
		}
		if _, err := io.WriteString(w, sep+put(v)); err != nil {
			return err
		}
	}
	meta := m.Metadata
	if meta == nil {
		meta = map[string]string{}
	}
	_, err := fmt.Fprintf(w, "],\n\"parameters\":%d,\"total_bytes\":%d,\"metadata\":%s}\n", m.Elems(), m.Bytes(), put(meta))
	return err
}

func inspectText(out io.Writer, m *model.Model, sums [][sha256.Size]byte) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	last := -1
	for i := range m.Tensors {
		t := &m.Tensors[i]
		if t.File != last {
			f := m.Files[t.File]
			fmt.Fprintf(w, "%s (%s)\n", model.Quote(f.Name), size(f.Bytes))
			last = t.File
		}
		fmt.Fprintf(w, "  %s\t%v\t%v\t%s", model.Quote(t.Name), t.DType, shapeText(t.Shape), size(t.Bytes()))
		if sums != nil {
			fmt.Fprintf(w, "\t%x", sums[i])
		}
		fmt.Fprintln(w)
		if i%10000 == 9999 { // else a large table is held whole for its column widths
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(w, "%s, %s, %d parameters, %s of values\n", m.Format, plural(len(m.Tensors), "tensor"), m.Elems(), size(m.Bytes()))
	return w.Flush()
}

func shapeText(s []uint64) string { return fmt.Sprint(s) }
