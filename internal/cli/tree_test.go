package cli

import (
	"bytes"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"slerpmerge/internal/model"
	"slerpmerge/internal/tensor"
)

var groupLine = regexp.MustCompile(`^( *)\S.*?  +(?:(\d+) x )?(\d+) tensors?  `)

// Whatever the names, every tensor is in the tree once: each group holds as
// many as it says.
func TestTreeHasEveryTensor(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	words := []string{"a", "b", "0", "1", "2", "10", "01", "", "0a"}
	for range 300 {
		seen := map[string]bool{}
		m := &model.Model{}
		var all []int
		for range 1 + r.IntN(60) {
			parts := make([]string, 1+r.IntN(5))
			for i := range parts {
				parts[i] = words[r.IntN(len(words))]
			}
			name := strings.Join(parts, ".")
			if seen[name] {
				continue
			}
			seen[name] = true
			all = append(all, len(all))
			m.Tensors = append(m.Tensors, model.Tensor{Info: tensor.Info{Name: name, DType: tensor.F32, Shape: []uint64{uint64(r.IntN(2))}}})
		}
		var out bytes.Buffer
		if err := printTree(&out, m, all); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if got := countTree(t, lines, 2); got != len(all) {
			t.Fatalf("%d of %d tensors in the tree:\n%s", got, len(all), &out)
		}
	}
}

// countTree counts the tensors that lines of a tree stand for.
func countTree(t *testing.T, lines []string, indent int) int {
	depth := func(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }
	n := 0
	for i := 0; i < len(lines); {
		if depth(lines[i]) != indent {
			t.Fatalf("indented by %d, not %d: %q", depth(lines[i]), indent, lines[i])
		}
		end := i + 1
		for end < len(lines) && depth(lines[end]) > indent {
			end++
		}
		g := groupLine.FindStringSubmatch(lines[i])
		if g == nil {
			if end > i+1 {
				t.Fatalf("a tensor with tensors below it: %q", lines[i])
			}
			n++
			i = end
			continue
		}
		times, each := 1, countTree(t, lines[i+1:end], indent+2)
		if g[2] != "" {
			times, _ = strconv.Atoi(g[2])
		}
		if want, _ := strconv.Atoi(g[3]); want != each {
			t.Fatalf("%d tensors below %q", each, lines[i])
		}
		n += times * each
		i = end
	}
	return n
}
