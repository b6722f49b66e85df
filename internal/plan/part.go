package plan

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/text"
)

// A Part is some tensors of a plan, of one kind, that are treated alike: a
// line of a table for people.
type Part struct {
	partKey
	Layers  []int // sorted, each once; nil for what belongs to no layer
	Tensors int
	Bytes   int64
	Mixed   bool    // both parents have them, and t says how much of each is taken
	MinT    float64 // of Mixed
	MaxT    float64
	several bool // there is more than one series of layers
}

type partKey struct {
	Kind    model.Kind
	Stack   string // of layers, such as model.layers; "" for what belongs to none
	inLayer bool
	Op      string // its word
	Types   string // BF16, or where they are not all one, F32 + BF16 > F32
	From    string // the models that a recipe takes them from, "" for all of them
	why     string
}

// maxStacks bounds the series of layers that are distinguished: a file can have
// any number.
const maxStacks = 4

// Parts sorts the tensors into Parts: kind by kind, and layers that are
// treated alike together.
func (p *Plan) Parts() []Part {
	stacks := map[string]bool{}
	for i := range p.Tensors {
		if stack, _, ok := model.LayerOf(p.Tensors[i].Name); ok {
			stacks[stack] = true
		}
	}
	groups := map[partKey]*Part{}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		stack, layer, inLayer := model.LayerOf(t.Name)
		if len(stacks) > maxStacks {
			stack = ""
		}
		k := partKey{model.KindOf(t.Name), stack, inLayer, t.Op.Word(), types(t), p.parentsOf(t), t.Why}
		g := groups[k]
		if g == nil {
			g = &Part{partKey: k, Mixed: t.Mixed, MinT: t.T, MaxT: t.T, several: len(stacks) > 1}
			groups[k] = g
		}
		g.Tensors++
		g.Bytes += t.Bytes()
		g.MinT, g.MaxT = min(g.MinT, t.T), max(g.MaxT, t.T)
		if at, found := slices.BinarySearch(g.Layers, layer); inLayer && !found {
			g.Layers = slices.Insert(g.Layers, at, layer)
		}
	}
	list := make([]Part, 0, len(groups))
	for _, g := range groups {
		list = append(list, *g)
	}
	kinds := model.Kinds()
	first := func(g Part) int {
		if len(g.Layers) == 0 {
			return -1
		}
		return g.Layers[0]
	}
	slices.SortFunc(list, func(x, y Part) int {
		return cmp.Or(
			cmp.Compare(slices.Index(kinds, x.Kind), slices.Index(kinds, y.Kind)),
			cmp.Compare(x.Stack, y.Stack),
			cmp.Compare(first(x), first(y)),
			cmp.Compare(x.MinT, y.MinT), cmp.Compare(x.Op, y.Op), cmp.Compare(x.Types, y.Types), cmp.Compare(x.From, y.From), cmp.Compare(x.why, y.why))
	})
	return list
}

// Where says in which layers the tensors are, such as "0-7, 9"; with the name
// of the series if there are several; "" for what belongs to none.
func (g *Part) Where() string {
	switch {
	case !g.inLayer:
		return ""
	case g.several && g.Stack != "":
		return g.Stack + " " + text.Ranges(g.Layers)
	}
	return text.Ranges(g.Layers)
}

// T says what t is, such as "0.3" or "0 to 1"; "" where there is none.
func (g *Part) T() string {
	switch {
	case !g.Mixed:
		return ""
	case g.MaxT > g.MinT:
		return shortNumber(g.MinT) + " to " + shortNumber(g.MaxT)
	}
	return shortNumber(g.MinT)
}

// Remark returns a remark on what T does not show; "" if there is none.
func (g *Part) Remark() string {
	switch {
	case g.Mixed && g.Op != method.Slerp{}.Word(): // t = 0 or t = 1
		return ""
	case g.From == "":
		return g.why
	case g.why == "":
		return "from " + g.From
	}
	return "from " + g.From + ": " + g.why
}

// parentsOf names the models that a tensor is made of, where a recipe file says so
// and they are not all that it has.
func (p *Plan) parentsOf(t *Tensor) string {
	if !p.Recipe.FromFile() || t.Mixed {
		return ""
	}
	var names []string
	for _, m := range p.Models {
		if t.Uses(m) {
			names = append(names, m.Name())
		}
	}
	if len(names) == len(p.Models) {
		return ""
	}
	return strings.Join(names, " + ")
}

func types(t *Tensor) string {
	var from []string
	for _, o := range t.Operands {
		if o.None() {
			continue
		}
		if d := o.Tensor().DType.String(); !slices.Contains(from, d) {
			from = append(from, d)
		}
	}
	to := t.DType.String()
	if len(from) == 0 || len(from) == 1 && from[0] == to {
		return to
	}
	return strings.Join(from, " + ") + " > " + to
}

func shortNumber(x float64) string {
	if rounded, err := strconv.ParseFloat(strconv.FormatFloat(x, 'f', 4, 64), 64); err == nil {
		x = rounded
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}
