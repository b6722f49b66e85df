package engine_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
)

// A hinted source notes what is asked for ahead, by places in the file.
type hinted struct {
	operand.Source
	h    *hints
	of   *model.Model
	base int64
}

type hints struct {
	mu   sync.Mutex
	list []hint
}

type hint struct {
	of       *model.Model
	from, to int64
}

func (s *hinted) Prefetch(off, n int64) {
	s.h.mu.Lock()
	s.h.list = append(s.h.list, hint{s.of, s.base + off, s.base + off + n})
	s.h.mu.Unlock()
	s.Source.Prefetch(off, n)
}

// All of every tensor is asked for ahead, and small ones many at a time.
func TestReadAhead(t *testing.T) {
	var tensors strings.Builder
	const small = 600
	for i := range small {
		fmt.Fprintf(&tensors, "a.%03d:BF16:2048:rand ", i)
	}
	list := tensors.String() + "b.large:BF16:2000x1000:rand c.small:BF16:10:rand"
	a, b := open(t, 1, list), open(t, 2, list)
	h := &hints{}
	p := planned(t, pair(nil), a, b)
	run(t, p, engine.Options{Wrap: func(o operand.Operand, src operand.Source) operand.Source {
		return &hinted{src, h, o.Model, o.Tensor().Offset}
	}})
	if n := len(h.list); n > 2*(3+1+2) {
		t.Errorf("%d hints for %d small tensors and a large one of two models", n, small+1)
	}
	for _, m := range []*model.Model{a, b} {
		for i := range m.Tensors {
			x := &m.Tensors[i]
			covered := false
			for _, k := range h.list {
				covered = covered || k.of == m && k.from <= x.Offset && k.to >= x.Offset+x.Bytes()
			}
			if !covered {
				t.Errorf("%s of %s is not asked for as a whole", x.Name, m.Path)
			}
		}
	}
}
