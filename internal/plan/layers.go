package plan

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"slerpmerge/internal/model"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/text"
)

// A layerTable is a hash for each layer of a model: of the names, without the
// layer's own, and the shapes of its tensors.
type layerTable []uint64

// layersOf makes the table of the layers of one stack.
func layersOf(m *model.Model, stack string, depth int) layerTable {
	table := make(layerTable, depth)
	h := fnv.New64a()
	var word [8]byte
	for i := range m.Tensors {
		t := &m.Tensors[i]
		in, l, ok := model.LayerOf(t.Name)
		if !ok || in != stack || l >= depth || model.IsBuffer(t.Info) {
			continue
		}
		h.Reset()
		rest := t.Name[len(in)+1:]
		h.Write([]byte(rest[strings.IndexByte(rest, '.'):]))
		for _, n := range t.Shape {
			binary.LittleEndian.PutUint64(word[:], n)
			h.Write(word[:])
		}
		table[l] += h.Sum64() // whatever the order of the tensors
	}
	return table
}

// A layerCheck holds the layers of an output that is put together of layers
// against what its config.json will say of them.
type layerCheck struct {
	p      *planner
	tables map[*model.Model]layerTable
}

// checkLayers makes config.json true for the layers of the output, and says
// where it can't be.
func (p *planner) checkLayers() {
	if p.layers == nil || p.Primary.Config == nil {
		return
	}
	stack, depth, err := p.Primary.TextStack()
	if err != nil {
		return
	}
	check := layerCheck{p, map[*model.Model]layerTable{}}
	check.blends()
	if len(p.layers) == depth && !slices.ContainsFunc(p.layers, func(l model.LayerSettings) bool { return l.Config != p.Primary.Config || l.Depth != depth }) {
		same := true
		for j, l := range p.layers {
			same = same && l.Layer == j
		}
		if same {
			return
		}
	}
	c := p.Primary.Config.Clone()
	report := c.SetLayers(stack, depth, p.layers)
	p.config = c
	for _, note := range report.Notes {
		p.warnFirst("%s", note)
	}
	check.issues(report.Issues)
	check.places()
	check.outside(depth)
	check.beside(stack, depth)
}

// source returns the model that a layer of the output comes from; nil where its
// config says nothing.
func (c *layerCheck) source(j int) *model.Model {
	l := c.p.layers[j]
	i := slices.IndexFunc(c.p.Models, func(m *model.Model) bool { return m.Config == l.Config })
	if i < 0 || l.Config == nil {
		return nil
	}
	return c.p.Models[i]
}

// table returns the table of a model of so many layers.
func (c *layerCheck) table(m *model.Model) layerTable {
	t, ok := c.tables[m]
	if !ok {
		if stack, depth, err := m.TextStack(); err == nil {
			t = layersOf(m, stack, depth)
		}
		c.tables[m] = t
	}
	return t
}

// issues says what config.json can't be made to say of the layers. Layers whose
// tensors transformers would look for in vain forbid the merge.
func (c *layerCheck) issues(issues []model.LayerIssue) {
	for len(issues) > 0 {
		n := 1
		for n < len(issues) && issues[n].Key == issues[0].Key {
			n++
		}
		group := issues[:n]
		issues = issues[n:]
		sparse := func(kind string) bool {
			return kind == "dense" || kind == "sparse" || kind == "moe" || kind == "hash_moe"
		}
		first, broken := -1, false
		var more []int
		for i, x := range group {
			lost := c.differs(x)
			switch {
			case !lost && sparse(x.Has): // no mixture by its tensors
			case first < 0 || lost && !broken:
				first, broken, more = i, lost, nil
			case lost == broken:
				more = append(more, x.Layer)
			}
		}
		if first < 0 {
			continue
		}
		x := group[first]
		key := "by a default of its class"
		if x.Key != "" {
			key = "by " + x.Key
		}
		msg := fmt.Sprintf("layer %d of the output was %s as layer %d of %s, and config.json makes it %s (%s)",
			x.Layer, x.Has, c.p.layers[x.Layer].Layer, c.source(x.Layer).Name(), x.Gets, key)
		if len(more) > 0 {
			msg += fmt.Sprintf("; so %s %s", text.Verb(len(more), "is layer", "are layers"), text.Ranges(more))
		}
		if broken {
			c.p.at = c.p.sliceOf(x.Layer)
			c.p.block("%s: transformers would leave tensors of it at random, since it looks for those of the other kind", msg)
		} else {
			c.p.warnFirst("%s", msg)
		}
	}
}

// differs reports whether a layer has other tensors than one of the kind that
// the output's config makes it.
func (c *layerCheck) differs(x model.LayerIssue) bool {
	m := c.source(x.Layer)
	if m == nil {
		return false
	}
	table, own := c.table(m), c.p.layers[x.Layer].Layer
	if own >= len(table) {
		return false
	}
	if x.Like >= 0 && x.Like < len(table) {
		return table[x.Like] != table[own]
	}
	return slices.ContainsFunc(table, func(h uint64) bool { return h != table[own] })
}

// sliceOf returns the place in the recipe of the slice that a layer of the output
// belongs to.
func (p *planner) sliceOf(layer int) (pos recipe.Pos) {
	d := p.Recipe
	for k := range d.Slices {
		if textModule(d, k, p.Primary) && startOf(d, k) <= layer {
			pos = d.Slices[k].Pos
		}
	}
	return pos
}

// places looks for layers whose tensors differ in a way that config.json does
// not say. As a rule the first layer or the last one is such a layer, and the
// class goes by its place.
func (c *layerCheck) places() {
	rules := map[*model.Model]*placeRule{}
	var wrong []int
	for j := range c.p.layers {
		m := c.source(j)
		if m == nil {
			continue
		}
		table, i := c.table(m), c.p.layers[j].Layer
		if i >= len(table) || !slices.ContainsFunc(table, func(h uint64) bool { return h != table[0] }) {
			continue
		}
		rule := rules[m]
		if rule == nil {
			rule = newPlaceRule(table, m.Config.LayerTexts(len(table)))
			rules[m] = rule
		}
		if rule.misplaced(i, j, len(c.p.layers)) {
			wrong = append(wrong, j)
		}
	}
	if len(wrong) == 0 {
		return
	}
	j := wrong[0]
	msg := fmt.Sprintf("layer %d of the output has the tensors of layer %d of %s, which are not those that layers have at that place, and no setting of config.json says so",
		j, c.p.layers[j].Layer, c.source(j).Name())
	switch len(wrong) {
	case 1:
	case 2:
		msg += fmt.Sprintf(" (nor of layer %d)", wrong[1])
	default:
		msg += fmt.Sprintf(" (nor of layers %s)", text.Ranges(wrong[1:]))
	}
	if c.source(j).Config.LayersByPlace() {
		c.p.at = c.p.sliceOf(j)
		c.p.block("%s: transformers would leave some of them at random", msg)
	} else {
		c.p.warnFirst("%s: transformers may leave some of them at random", msg)
	}
}

// outside looks for tensors that belong to no layer and hold a part for each,
// side by side: they can't be taken apart.
func (c *layerCheck) outside(depth int) {
	var held text.Names
	for i := range c.p.Tensors {
		t := &c.p.Tensors[i]
		if _, _, inLayer := model.LayerOf(t.Name); inLayer || !strings.Contains(t.Name, "per_layer") || depth < 2 {
			continue
		}
		for _, n := range t.Shape {
			if n%uint64(depth) == 0 && n > 0 {
				held.Add(t.Name, text.Shape(t.Shape))
				break
			}
		}
	}
	if n := held.Count(); n > 0 {
		c.p.at = c.p.sliceOf(0)
		c.p.block("%s %s a part for each of the %d layers of %s, which can't be taken apart: %s; its layers can be neither moved nor dropped",
			text.Count(n, "tensor"), text.Verb(n, "holds", "hold"), depth, c.p.Primary.Name(), held.String())
	}
}

// beside looks for other series of tensors, as many as there are layers or one
// fewer, beside the stack: they belong to the layers, and stay where they are.
func (c *layerCheck) beside(stack string, depth int) {
	parent := stack[:strings.LastIndexByte(stack, '.')+1]
	series := map[string]int{}
	for i := range c.p.Primary.Tensors {
		name := c.p.Primary.Tensors[i].Name
		if !strings.HasPrefix(name, parent) || model.OtherInput(name) {
			continue
		}
		in, n, ok := model.LayerOf(name + ".")
		if ok && in != stack && len(series) < maxSeries {
			series[in] = max(series[in], n+1)
		}
	}
	var found []string
	for name, n := range series {
		if depth > 2 && (n == depth || n == depth-1) && !strings.Contains(name, "encoder") && !strings.Contains(name, "decoder") {
			found = append(found, text.Quote(name))
		}
	}
	if len(found) == 0 {
		return
	}
	slices.Sort(found)
	n := len(found)
	msg := fmt.Sprintf("%s of %s %s a tensor for each layer and %s not moved with the layers",
		strings.Join(found, ", "), c.p.Primary.Name(), text.Verb(n, "has", "have"), text.Verb(n, "is", "are"))
	if c.p.Primary.Config.LayersByPlace() {
		c.p.at = c.p.sliceOf(0)
		c.p.block("%s", msg)
	} else {
		c.p.warnFirst("%s", msg)
	}
}

// maxSeries bounds the series that are counted: a file can have any number.
const maxSeries = 1000

// A placeRule knows the tensors that a layer of a model has at its place.
// Layers of which config.json says the same have the same, except the first
// one or the last one where these are special.
type placeRule struct {
	table layerTable
	usual layerTable // of each layer: the hash of most layers like it
}

// newPlaceRule makes the rule of a table. texts are the entries of config.json
// for the layers.
func newPlaceRule(table layerTable, texts []string) *placeRule {
	type like struct {
		text string
		hash uint64
	}
	last := len(table) - 1
	count := map[like]int{}
	best := map[string]uint64{}
	for i := 1; i < last; i++ {
		x := like{texts[i], table[i]}
		count[x]++
		if count[x] > count[like{x.text, best[x.text]}] {
			best[x.text] = x.hash
		}
	}
	r := &placeRule{table, make(layerTable, len(table))}
	for i, text := range texts {
		r.usual[i] = table[i]
		if hash, ok := best[text]; ok {
			r.usual[i] = hash
		}
	}
	return r
}

// misplaced reports whether layer i, at place j of n, has tensors that belong
// to another place.
func (r *placeRule) misplaced(i, j, n int) bool {
	last := len(r.table) - 1
	if r.table[0] != r.usual[0] && (i == 0) != (j == 0) || r.table[last] != r.usual[last] && (i == last) != (j == n-1) {
		return true
	}
	return i > 0 && i < last && r.table[i] != r.usual[i] && i != j
}

// blends says where layers of different kinds are blended with each other.
func (c *layerCheck) blends() {
	d := c.p.Recipe
	kinds := map[*model.Model][]string{}
	of := func(m *model.Model) []string {
		k, ok := kinds[m]
		if !ok && m.Config != nil {
			if _, depth, err := m.TextStack(); err == nil {
				k = m.Config.LayerKinds(depth)
			}
			kinds[m] = k
		}
		return k
	}
	for k := range d.Slices {
		sources := d.Slices[k].Sources
		if sources[0].Whole || len(sources) < 2 || !textModule(d, k, c.p.Primary) {
			continue
		}
		a := c.p.Models[sources[0].Parent]
		for _, src := range sources[1:] {
			b := c.p.Models[src.Parent]
			for l := range src.Layers.Len() {
				x, y := sources[0].Layers.From+l, src.Layers.From+l
				if ka, kb := of(a), of(b); x != y && x < len(ka) && y < len(kb) && ka[x] != kb[y] && ka[x] != "" && kb[y] != "" {
					c.p.warnFirst("layer %d of the output blends layer %d of %s (%s) with layer %d of %s (%s)", startOf(d, k)+l, x, a.Name(), ka[x], y, b.Name(), kb[y])
					return
				}
			}
		}
	}
}
