package plan

import (
	"maps"
	"slices"
	"strings"

	"slerpmerge/internal/model"
	"slerpmerge/internal/text"
)

// stackDiff holds the layers that one parent has beyond the other.
type stackDiff map[string]int // stack -> layers in both

// covers reports whether a tensor belongs to a layer that is already named as
// missing.
func (d stackDiff) covers(name string) bool {
	for prefix := range d {
		if strings.HasPrefix(name, prefix+".") {
			return true
		}
	}
	return false
}

// compareStacks forbids stacks whose depths differ.
func (p *planner) compareStacks(a, b *model.Model) stackDiff {
	sa, sb := a.Stacks(), b.Stacks()
	diff := stackDiff{}
	for _, prefix := range slices.Sorted(maps.Keys(sa)) {
		if n, ok := sb[prefix]; ok && n != sa[prefix] {
			if beyondDepth(a, b, min(n, sa[prefix])) {
				continue
			}
			deeper, other := a, b
			if n > sa[prefix] {
				deeper, other = b, a
			}
			if from := min(n, sa[prefix]); deeper.OnlyRepeats(prefix, from) || other.Means(deeper, prefix, from) {
				continue
			}
			diff[prefix] = min(n, sa[prefix])
			if p.depthNamed {
				continue
			}
			p.block("%s has %d layers in %s and %d in %s", text.Quote(prefix), sa[prefix], a.Name(), n, b.Name())
		}
	}
	return diff
}

// beyondDepth reports whether both config.json say that a model of so many
// layers is whole: what comes after them in one parent is extra (a
// multi-token-prediction layer), and a matter for --missing.
func beyondDepth(a, b *model.Model, layers int) bool {
	if a.Config == nil || b.Config == nil {
		return false
	}
	x, okx := a.Config.Depth()
	y, oky := b.Config.Depth()
	return okx && oky && x == y && int64(layers) >= x
}
