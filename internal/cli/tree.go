package cli

import (
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"slerpmerge/internal/model"
	"slerpmerge/internal/text"
)

// A tree prints the tensors of a model by the numbers in their names: what is
// alike in several layers, or several experts of one, stands there once.
type tree struct {
	m    *model.Model
	w    *tabwriter.Writer
	seed maphash.Seed
	n    int // lines since the last flush
}

func printTree(out io.Writer, m *model.Model, chosen []int) error {
	t := &tree{m: m, w: tabwriter.NewWriter(out, 0, 0, 2, ' ', 0), seed: maphash.MakeSeed()}
	sorted := slices.Clone(chosen)
	slices.SortStableFunc(sorted, func(i, j int) int { return text.CompareNames(m.Tensors[i].Name, m.Tensors[j].Name) })
	t.print(sorted, 0, "  ")
	return t.w.Flush()
}

// maxDepth bounds the numbers in one name that are looked at.
const maxDepth = 8

// print prints tensors, sorted, whose names are alike up to byte cut.
func (t *tree) print(list []int, cut int, indent string) {
	for len(list) > 0 {
		name := t.m.Tensors[list[0]].Name
		start, _, _, ok := numberIn(name, cut)
		if !ok || len(indent) > 2*maxDepth {
			t.leaf(list[0], cut, indent)
			list = list[1:]
			continue
		}
		same := t.run(list, func(i int) bool {
			return strings.HasPrefix(t.m.Tensors[i].Name, name[:start]) && t.numberAt(i, start) >= 0
		})
		t.stack(list[:same], cut, start, indent)
		list = list[same:]
	}
}

// run counts the first elements of list for which ok holds.
func (t *tree) run(list []int, ok func(i int) bool) int {
	if n := slices.IndexFunc(list, func(i int) bool { return !ok(i) }); n >= 0 {
		return n
	}
	return len(list)
}

// numberAt returns the number that begins at a byte of a tensor's name, -1 if
// none does.
func (t *tree) numberAt(i, start int) int {
	if at, _, n, ok := numberIn(t.m.Tensors[i].Name, start); ok && at == start {
		return n
	}
	return -1
}

// stack prints tensors whose names continue with a number at byte start, those
// of like numbers once.
func (t *tree) stack(list []int, cut, start int, indent string) {
	type group struct {
		first   []int // the tensors of the first number
		numbers []int
	}
	bySum := map[uint64]*group{}
	var groups []*group
	for len(list) > 0 {
		n := t.numberAt(list[0], start)
		same := t.run(list, func(i int) bool { return t.numberAt(i, start) == n })
		_, end, _, _ := numberIn(t.m.Tensors[list[0]].Name, start)
		sum := t.sum(list[:same], end)
		g := bySum[sum]
		if g == nil {
			g = &group{first: list[:same]}
			bySum[sum], groups = g, append(groups, g)
		}
		g.numbers = append(g.numbers, n)
		list = list[same:]
	}
	for _, g := range groups {
		var bytes int64
		for _, i := range g.first {
			bytes += t.m.Tensors[i].Bytes()
		}
		name, times := t.m.Tensors[g.first[0]].Name, ""
		if n := len(g.numbers); n > 1 {
			times = fmt.Sprintf("%d x ", n)
		}
		label := text.Ranges(g.numbers)
		if start > cut {
			label = text.Quote(name[cut:start]) + label
		}
		t.line("%s%s\t\t%s%s\t%s%s\n", indent, label, times, text.Count(len(g.first), "tensor"), times, size(bytes))
		_, end, _, _ := numberIn(name, start)
		t.print(g.first, end+1, indent+"  ")
	}
}

// sum returns the same for groups of tensors that differ in nothing but the first
// end bytes of their names.
func (t *tree) sum(list []int, end int) uint64 {
	var h maphash.Hash
	h.SetSeed(t.seed)
	for _, i := range list {
		x := &t.m.Tensors[i]
		shares := t.m.SharesWith(i)
		if rest, ok := strings.CutPrefix(shares, x.Name[:end]); ok {
			shares = "\x00" + rest
		}
		fmt.Fprintf(&h, "%q %d %d %q\n", x.Name[end:], x.DType, x.Shape, shares)
	}
	return h.Sum64()
}

func (t *tree) leaf(i, cut int, indent string) {
	x := &t.m.Tensors[i]
	shares := ""
	if first := t.m.SharesWith(i); first != "" {
		shares = "\tshares " + text.Quote(first)
	}
	t.line("%s%s\t%v\t%s\t%s%s\n", indent, text.Quote(x.Name[cut:]), x.DType, text.Shape(x.Shape), size(x.Bytes()), shares)
}

func (t *tree) line(format string, args ...any) {
	fmt.Fprintf(t.w, format, args...)
	if t.n++; t.n%10000 == 0 { // else a large table is held whole for its column widths
		t.w.Flush()
	}
}

// numberIn finds the first part of a name, from byte from on, that is a number
// and not the last part: where it begins and ends, and its value.
func numberIn(name string, from int) (start, end, n int, ok bool) {
	for start = from; ; start = end + 1 {
		dot := strings.IndexByte(name[start:], '.')
		if dot < 0 {
			return 0, 0, 0, false
		}
		end = start + dot
		if n, ok := text.PartNumber(name[start:end]); ok {
			return start, end, n, true
		}
	}
}
