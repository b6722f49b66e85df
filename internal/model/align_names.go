package model

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"slerpmerge/internal/text"
)

// name gives the tensors of m their names in base.
func (a *alignment) name() error {
	slices.SortStableFunc(a.prefixes, func(x, y Renaming) int { return cmp.Compare(len(y.From), len(x.From)) })
	names := make([]string, len(a.m.Tensors))
	var left []int // without a name of base
	taken := map[string]bool{}
	for i := range a.m.Tensors {
		name := a.m.Tensors[i].Name
		names[i] = name
		stack, _, inLayer := LayerOf(name)
		if pair, ok := a.stacks[stack]; inLayer && ok {
			rest := restOf(name, stack)
			names[i] = a.shared(pair.to + name[len(stack):len(name)-len(rest)] + pair.add + strings.TrimPrefix(rest, pair.cut))
			continue
		}
		if inLayer && a.theirs[stack] != nil {
			continue
		}
		image, err := a.image(i)
		if err != nil {
			return err
		}
		if image != "" {
			names[i] = a.shared(image)
			taken[image] = true
		} else if _, ok := a.base.Lookup(name); !ok {
			left = append(left, i)
		}
	}
	left, err := a.nameLeft(left, names, taken)
	if err != nil {
		return err
	}
	for _, i := range a.nameEnds(left, names, taken) { // only m has them: they are called as if base had them
		name := a.m.Tensors[i].Name
		_, _, inLayer := LayerOf(name)
		for _, p := range a.prefixes {
			if rest, ok := strings.CutPrefix(name, p.From); ok && (p.From != "" || !inLayer && KindOf(name) != Head) {
				names[i] = p.To + rest
				break
			}
		}
	}
	a.m.rename(func(i int) string { return names[i] })
	for k := 1; k < len(a.m.Tensors); k++ {
		a.m.Lookup("")
		if i, j := a.m.byName[k-1], a.m.byName[k]; a.m.Tensors[i].Name == a.m.Tensors[j].Name {
			return fmt.Errorf("%s and %s of %s would both be %s of %s", text.Quote(a.m.StoredName(int(i))), text.Quote(a.m.StoredName(int(j))), a.m.Name(), text.Quote(a.m.Tensors[i].Name), a.base.Name())
		}
	}
	return nil
}

// shared returns the name in the memory that base has it in, where it has it.
func (a *alignment) shared(name string) string {
	if j, ok := a.base.Lookup(name); ok {
		return a.base.Tensors[j].Name
	}
	return name
}

// image returns the name in base that the prefixes give Tensors[i]; "" if none
// does. The longest prefix decides.
func (a *alignment) image(i int) (string, error) {
	name := a.m.Tensors[i].Name
	var images []string
	from := -1
	for _, p := range a.prefixes {
		if len(images) > 0 && len(p.From) < from {
			break
		}
		rest, ok := strings.CutPrefix(name, p.From)
		if !ok {
			continue
		}
		if image := p.To + rest; a.free(image) && !slices.Contains(images, image) {
			images, from = append(images, image), len(p.From)
		}
	}
	return a.choose(i, images)
}

// free reports whether base has the name and m has it not.
func (a *alignment) free(name string) bool {
	if _, ok := a.base.Lookup(name); !ok {
		return false
	}
	_, ok := a.m.Lookup(name)
	return !ok
}

// choose takes the only one of the images, or the only one that has the shape
// of Tensors[i].
func (a *alignment) choose(i int, images []string) (string, error) {
	if len(images) > 1 {
		if alike := slices.DeleteFunc(slices.Clone(images), func(image string) bool { return !a.alike(i, image) }); len(alike) > 0 {
			images = alike
		}
	}
	switch len(images) {
	case 0:
		return "", nil
	case 1:
		return images[0], nil
	}
	slices.Sort(images)
	return "", fmt.Errorf("%s of %s may be %s or %s of %s: neither names nor shapes decide", text.Quote(a.m.Tensors[i].Name), a.m.Name(), text.Quote(images[0]), text.Quote(images[1]), a.base.Name())
}

// alike reports whether a tensor of base has the shape of Tensors[i]. Heads
// and embeddings may have other numbers of rows.
func (a *alignment) alike(i int, name string) bool {
	t := &a.m.Tensors[i]
	j, ok := a.base.Lookup(name)
	if !ok {
		return false
	}
	x, y := t.Shape, a.base.Tensors[j].Shape
	if (IsHead(name) || IsEmbedding(name)) && len(x) > 0 && len(x) == len(y) {
		x, y = x[1:], y[1:]
	}
	return slices.Equal(x, y)
}

// nameLeft tries the beginnings of the prefixes on the tensors that are left:
// language_model.lm_head.weight stands beside language_model.model. It returns
// those that no beginning names.
func (a *alignment) nameLeft(left []int, names []string, taken map[string]bool) ([]int, error) {
	var still []int
	for _, i := range left {
		var images []string
		var by Renaming
		for _, p := range a.prefixes {
			for _, to := range beginnings(p.To) {
				for _, from := range beginnings(p.From) {
					rest, ok := strings.CutPrefix(names[i], from)
					if !ok || from == to {
						continue
					}
					if image := to + rest; a.free(image) && !taken[image] && a.alike(i, image) && !slices.Contains(images, image) {
						images = append(images, image)
						by = Renaming{from, to}
					}
				}
			}
		}
		image, err := a.choose(i, images)
		if err != nil {
			return nil, err
		}
		if image == "" {
			still = append(still, i)
			continue
		}
		names[i], taken[image] = image, true
		if !slices.Contains(a.said, by) {
			a.said = append(a.said, by)
		}
	}
	return still, nil
}

// beginnings returns the runs of components that a prefix begins with, from none
// to all.
func beginnings(prefix string) []string {
	list := []string{""}
	for i := range len(prefix) {
		if prefix[i] == '.' {
			list = append(list, prefix[:i+1])
		}
	}
	return list
}

// nameEnds pairs a head, and an embedding, where either model has one that
// nothing else pairs, and both are called alike in their module. It returns
// the tensors that remain.
func (a *alignment) nameEnds(left []int, names []string, taken map[string]bool) []int {
	for _, is := range []func(string) bool{IsHead, IsEmbedding} {
		var mine []int
		for _, i := range left {
			if is(names[i]) {
				mine = append(mine, i)
			}
		}
		var theirs []string
		for i := range a.base.Tensors {
			if name := a.base.Tensors[i].Name; is(name) && !taken[name] && a.free(name) {
				theirs = append(theirs, name)
			}
		}
		if len(mine) != 1 || len(theirs) != 1 {
			continue
		}
		i, to := mine[0], theirs[0]
		if commonSuffix(names[i], to) < 2 || !a.alike(i, to) {
			continue
		}
		a.said = append(a.said, Renaming{names[i], to})
		names[i] = to
		left = slices.DeleteFunc(left, func(j int) bool { return j == i })
	}
	return left
}
