package writer

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slerpmerge/internal/tensor"
)

// A change of any byte between the values is found, other than of checksums.
func TestCheckLiterals(t *testing.T) {
	var infos Infos
	for i := range 300 { // more than is read at once
		infos = append(infos, tensor.Info{Name: strings.Repeat("long.", 60) + fmt.Sprint(i), DType: tensor.U8, Shape: []uint64{7}})
	}
	for _, format := range []Format{Safetensors, Bin} {
		l, err := NewLayout(infos, nil, 1<<40, format)
		must(t, err)
		f := &l.Files[0]
		must(t, l.MakeLiterals(f))
		b := make([]byte, f.Size)
		first := f.Literals[0]
		fixed := map[int64]bool{}
		for _, s := range f.Literals {
			copy(b[s.Off:], s.Data)
			for i := range s.Data {
				fixed[s.Off+int64(i)] = true
			}
		}
		for _, x := range f.Extents {
			for _, at := range x.CRCSlots {
				for i := range int64(4) {
					fixed[at+i] = false
					b[at+i] = 0xa5
				}
			}
		}
		must(t, checkLiterals(bytes.NewReader(b), f, f.Size))
		step := int64(1)
		if len(b) > 1<<16 {
			step = 397
		}
		for at := int64(0); at < f.Size; at += step {
			b[at] ^= 1
			err := checkLiterals(bytes.NewReader(b), f, f.Size)
			if (err != nil) != fixed[at] {
				t.Fatalf("format %v, byte %d: %v", format, at, err)
			}
			b[at] ^= 1
		}
		// What comes after the end may not have been written.
		clear(b[len(first.Data):])
		must(t, checkLiterals(bytes.NewReader(b), f, first.Off+1))
		if checkLiterals(bytes.NewReader(b[:5]), f, f.Size) == nil {
			t.Errorf("format %v: a header that is cut is none that was written", format)
		}
	}
}

// A run does not go on with a file whose header was changed, however far from
// the place where it goes on.
func TestResumeChecksHeader(t *testing.T) {
	const size = 4 << 20
	infos := []tensor.Info{{Name: "a", DType: tensor.U8, Shape: []uint64{size}}, {Name: "b", DType: tensor.U8, Shape: []uint64{size}}}
	for _, format := range []Format{Safetensors, Bin} {
		l, err := NewLayout(infos, nil, 1<<40, format)
		must(t, err)
		for _, spoil := range []bool{false, true} {
			out := filepath.Join(t.TempDir(), "out")
			o := create(t, out, Options{Fingerprint: "f"})
			must(t, o.Presize(t.Context(), l))
			x := l.Files[0].Extents[0]
			must(t, o.Write(0, bytes.Repeat([]byte("x"), size), x.Off, nil))
			must(t, o.Checkpoint([]byte(`{}`)))
			die(t, o, rand.New(rand.NewPCG(1, 2)))
			if spoil {
				f, err := os.OpenFile(filepath.Join(filepath.Dir(out), ".out.partial", l.Files[0].Name), os.O_RDWR, 0)
				must(t, err)
				var b [1]byte
				_, err = f.ReadAt(b[:], 10)
				must(t, err)
				b[0] ^= 1
				_, err = f.WriteAt(b[:], 10)
				must(t, err)
				must(t, f.Close())
			}
			o = create(t, out, Options{Fingerprint: "f"})
			must(t, o.Presize(t.Context(), l))
			if e := o.Previous(); spoil != strings.Contains(e.Why, "its header is not the one") || spoil != (e.Bytes == 0) {
				t.Errorf("format %v, changed %v: %+v", format, spoil, e)
			}
			must(t, o.Abort())
		}
	}
}
