// Bindump reads the names of PyTorch checkpoints from standard input, one a
// line, and prints for each a line of JSON: the tensors that torchbin finds,
// with their types, shapes and a hash of their values, or why it refuses the
// file. difffuzz.py compares that with what torch.load gives.
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"slerpmerge/internal/tensor"
	"slerpmerge/torchbin"
)

type answer struct {
	Error   string           `json:"error,omitempty"`
	Entry   []string         `json:"entry,omitempty"`
	Tensors map[string][]any `json:"tensors,omitempty"`
}

// A file is one that is read, not mapped: many small ones go by.
type file struct{ *os.File }

func (file) Prefetch(int64, int64) {}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	for lines.Scan() {
		a, err := dump(lines.Text())
		var fe *torchbin.FormatError
		var ee *torchbin.EntryError
		switch {
		case errors.As(err, &ee):
			a = answer{Error: ee.Reason}
		case errors.As(err, &fe):
			a = answer{Error: fe.Reason}
		case err != nil:
			fmt.Fprintln(os.Stderr, lines.Text(), err)
			os.Exit(1)
		}
		text, err := json.Marshal(a)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		out.Write(append(text, '\n'))
		out.Flush()
	}
}

func dump(path string) (a answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	f, err := os.Open(path)
	if err != nil {
		return a, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return a, err
	}
	c, err := torchbin.Open(file{f}, st.Size(), torchbin.Options{})
	if err != nil {
		return a, err
	}
	a.Entry = c.Entry
	a.Tensors = make(map[string][]any)
	for i := range c.Tensors {
		t := &c.Tensors[i]
		buf := make([]byte, t.Bytes())
		if err := c.Source(file{f}, i).ReadAt(buf, 0); err != nil {
			return a, err
		}
		if t.DType == tensor.BOOL { // any byte but 0 is true
			for j := range buf {
				buf[j] = min(buf[j], 1)
			}
		}
		sum := sha256.Sum256(buf)
		shape := t.Shape
		if shape == nil {
			shape = []uint64{}
		}
		a.Tensors[t.Name] = []any{t.DType.String(), shape, hex.EncodeToString(sum[:8])}
	}
	return a, nil
}
