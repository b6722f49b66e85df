package report

import (
	"bufio"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/plan"
)

// figures are the results of a comparison for one pair, for machines. Names of
// fields are those of slerpmerge.json.
type figures struct {
	Name     string         `json:"name"`
	Kind     model.Kind     `json:"kind"`
	Stack    string         `json:"stack,omitempty"`
	Layer    *int           `json:"layer,omitempty"`
	DType    [2]string      `json:"dtypes"` // primary's and secondary's
	Shape    []uint64       `json:"shape"`
	Branch   method.Outcome `json:"branch"` // what SLERP does with it
	Equal    bool           `json:"equal"`  // the same bytes
	T        *float64       `json:"t,omitempty"`
	Cos      *float64       `json:"cos,omitempty"`
	Angle    *float64       `json:"angle_degrees,omitempty"`
	NormA    *float64       `json:"norm_primary,omitempty"`
	NormB    *float64       `json:"norm_secondary,omitempty"`
	Distance *float64       `json:"relative_distance,omitempty"` // |a-b|/|a|
	NonFin   bool           `json:"nonfinite,omitempty"`
	Note     string         `json:"note,omitempty"`
}

func figuresOf(t *plan.Tensor, r *engine.TensorResult) figures {
	f := figures{Name: t.Name, Kind: model.KindOf(t.Name), Shape: append([]uint64{}, t.Shape...), Branch: r.Outcome, Equal: r.Outcome == method.Equal, Note: t.Why, NonFin: r.NonFinite}
	for i, o := range t.Operands {
		if !o.None() {
			f.DType[i] = o.Info().DType.String()
		}
	}
	if stack, n, ok := model.LayerOf(t.Name); ok {
		f.Stack, f.Layer = stack, &n
	}
	if t.Mixed {
		f.T = number(t.T)
	}
	if r.Measured {
		f.Cos, f.Angle = number(r.Cos), number(r.Theta*180/math.Pi)
		f.NormA, f.NormB = number(r.NormA), number(r.NormB)
		f.Distance = number(ratio(r.Distance, r.NormA))
	}
	return f
}

type parentJSON struct {
	Path    string `json:"path"`
	Format  string `json:"format"`
	Tensors int    `json:"tensors"`
	Bytes   int64  `json:"bytes"`
}

type groupJSON struct {
	Kind     model.Kind             `json:"kind,omitempty"`
	Tensors  int                    `json:"tensors"`
	Angle    *float64               `json:"angle_degrees"` // of all of them as one vector
	Least    *float64               `json:"angle_degrees_min"`
	Most     *float64               `json:"angle_degrees_max"`
	Distance *float64               `json:"relative_distance"`
	T        *float64               `json:"t_mean,omitempty"`
	Branches map[method.Outcome]int `json:"branches"`
}

func groupOfJSON(g *Group) groupJSON {
	return groupJSON{g.Kind, g.Tensors, number(g.Angle()), number(g.Least), number(g.Most), number(g.Distance()), number(g.T()), g.Branches}
}

type layerJSON struct {
	Stack string      `json:"stack"`
	Layer int         `json:"layer"`
	Kinds []groupJSON `json:"kinds"`
}

type infoJSON struct {
	Name  string   `json:"name"`
	DType string   `json:"dtype"`
	Shape []uint64 `json:"shape"`
}

type unlikeJSON struct {
	Name      string   `json:"name"`
	Primary   infoJSON `json:"primary"`
	Secondary infoJSON `json:"secondary"`
}

func infoOf(o operand.Operand) infoJSON {
	t := o.Tensor()
	return infoJSON{t.Name, t.DType.String(), append([]uint64{}, t.Shape...)}
}

// JSON writes a comparison as one object, a line for each tensor and layer.
func JSON(w io.Writer, s *Survey) error {
	o := newObject(w)
	p := s.Plan
	for i, m := range p.Models {
		o.member([]string{"primary", "secondary"}[i], parentJSON{m.Path, m.Format, len(m.Tensors), m.Bytes()})
	}
	o.member("all", groupOfJSON(&s.All))
	o.list("kinds", func(add func(any)) {
		for i := range s.Kinds {
			add(groupOfJSON(&s.Kinds[i]))
		}
	})
	o.list("layers", func(add func(any)) {
		for _, stack := range s.Stacks {
			for _, l := range stack.Layers {
				v := layerJSON{Stack: stack.Name, Layer: l.First}
				for _, g := range inOrder(l.Groups) {
					v.Kinds = append(v.Kinds, groupOfJSON(&g))
				}
				add(v)
			}
		}
	})
	o.list("tensors", func(add func(any)) {
		for i := range p.Tensors {
			if t := &p.Tensors[i]; compared(t) {
				add(figuresOf(t, &s.Tensors[i]))
			}
		}
	})
	left := s.Leftovers()
	for _, only := range []struct {
		key  string
		list []*plan.Tensor
	}{{"only_primary", left.OnlyPrimary}, {"only_secondary", left.OnlySecondary}} {
		o.list(only.key, func(add func(any)) {
			for _, t := range only.list {
				add(infoOf(t.Sole()))
			}
		})
	}
	o.list("unlike", func(add func(any)) {
		for _, t := range left.Incomparable {
			add(unlikeJSON{t.Name, infoOf(t.Operands[0]), infoOf(t.Operands[1])})
		}
	})
	o.member("warnings", append([]string{}, s.Warnings...))
	return o.end()
}

// columns are the first line of a CSV.
var columns = []string{"tensor", "kind", "stack", "layer", "dtype_primary", "dtype_secondary", "shape", "branch", "equal", "t",
	"cos", "angle_degrees", "norm_primary", "norm_secondary", "relative_distance", "note"}

// CSV writes a comparison with a line for each tensor, those that were not
// compared too. Numbers have all their digits.
func CSV(w io.Writer, s *Survey) error {
	b := bufio.NewWriterSize(w, 64<<10)
	b.WriteString(CSVHead())
	p := s.Plan
	for i := range p.Tensors {
		f := figuresOf(&p.Tensors[i], &s.Tensors[i])
		layer, equal, branch := "", "", ""
		if f.Layer != nil {
			layer = strconv.Itoa(*f.Layer)
		}
		if compared(&p.Tensors[i]) {
			equal, branch = strconv.FormatBool(f.Equal), string(f.Branch)
		}
		if f.NonFin {
			f.Note = joined(f.Note, nonFiniteNote)
		}
		cells := []string{csvText(f.Name), string(f.Kind), csvText(f.Stack), layer, f.DType[0], f.DType[1], shapeText(f.Shape), branch, equal, digits(f.T),
			digits(f.Cos), digits(f.Angle), digits(f.NormA), digits(f.NormB), digits(f.Distance), csvText(f.Note)}
		b.WriteString(strings.Join(cells, ",") + "\n")
	}
	return b.Flush()
}

// csvText returns a cell with a text from a file. Spreadsheets calculate a cell that
// begins like a formula unless an apostrophe stands before it; those that
// split lines at semicolons, too, do not within quotes. Control characters are
// escaped.
func csvText(s string) string {
	s = escaped(s)
	if strings.ContainsAny(firstRune(s), "=+-@\uFF1D\uFF0B\uFF0D\uFF20") {
		s = "'" + s
	}
	if strings.ContainsAny(s, "\",;") || strings.TrimSpace(s) != s {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return s
}

func firstRune(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return s[:n]
}

// CSVBegin is how the CSV of every comparison begins, of two models or of more.
const CSVBegin = "tensor,kind,stack,layer,dtype_"

// CSVHead returns the first line of the CSV of a comparison of two models.
func CSVHead() string { return strings.Join(columns, ",") + "\n" }

const nonFiniteNote = "NaN or Inf in a parent"

// joined puts two notes together; either may be "".
func joined(a, b string) string {
	switch "" {
	case a:
		return b
	case b:
		return a
	}
	return a + "; " + b
}

// digits returns a number with all of them, "" for none.
func digits(x *float64) string {
	if x == nil {
		return ""
	}
	return strconv.FormatFloat(*x, 'g', -1, 64)
}

// shapeText returns a shape such as 4x8; one without dimensions is "scalar".
func shapeText(shape []uint64) string {
	if len(shape) == 0 {
		return "scalar"
	}
	var words []string
	for _, d := range shape {
		words = append(words, strconv.FormatUint(d, 10))
	}
	return strings.Join(words, "x")
}
