package report_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"slerpmerge/internal/compare"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/report"
	"slerpmerge/internal/tensor"
	"slerpmerge/mmapio"
)

// angles compares several models, the one of index base apart.
func angles(t *testing.T, base int, paths ...string) *report.Angles {
	t.Helper()
	pool := mmapio.NewPool(4 << 20)
	var models []*model.Model
	for _, path := range paths {
		m, err := model.Open(pool, path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Close)
		models = append(models, m)
	}
	p, err := plan.Several(recipe.Request{Recipe: recipe.Comparison(paths...), Run: recipe.Run{MaxMemory: 64 << 20, Threads: 2}}, models, base)
	if err != nil {
		t.Fatal(err)
	}
	res, err := compare.RunSeveral(t.Context(), p, compare.Options{Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	return report.NewAngles(p, res.Tensors, base >= 0)
}

func anglesPage(t *testing.T, s *report.Angles) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := report.AnglesPage(&b, s, "v0"); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The models that stand apart, by the angles of all pairs in row order.
func TestOutliers(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		what    string
		degrees []float64
		want    report.Outliers
	}{
		{"the example of docs/compare.md", []float64{3, 41, 42}, report.Outliers{Core: []int{0, 1}, Within: 3, Out: []report.Outlier{{Model: 2, Least: 41, Most: 42}}}},
		{"the first", []float64{41, 42, 3}, report.Outliers{Core: []int{1, 2}, Within: 3, Out: []report.Outlier{{Model: 0, Least: 41, Most: 42}}}},
		{"just far enough", []float64{3, 6.01, 6.02}, report.Outliers{Core: []int{0, 1}, Within: 3, Out: []report.Outlier{{Model: 2, Least: 6.01, Most: 6.02}}}},
		{"not far enough", []float64{3, 6, 7}, report.Outliers{}},
		{"far from one only", []float64{3, 5, 60}, report.Outliers{}},
		{"all alike", []float64{0, 0, 0}, report.Outliers{}},
		{"two equal", []float64{0, 0.01, 0.01}, report.Outliers{Core: []int{0, 1}, Within: 0, Out: []report.Outlier{{Model: 2, Least: 0.01, Most: 0.01}}}},
		{"what rounding leaves", []float64{0, 1e-5, 1e-5}, report.Outliers{}},
		{"right angles", []float64{89, 90, 90}, report.Outliers{}},
		{"two models", []float64{50}, report.Outliers{}},
		{"pairs: no majority", []float64{1, 50, 50, 50, 50, 1}, report.Outliers{}},
		{"three and two", []float64{1, 1, 50, 50, 1, 50, 50, 50, 50, 1},
			report.Outliers{Core: []int{0, 1, 2}, Within: 1, Out: []report.Outlier{{Model: 3, Least: 50, Most: 50}, {Model: 4, Least: 50, Most: 50}}}},
		{"one within another", []float64{1, 1, 10, 60, 1, 10, 61, 10, 62, 65},
			report.Outliers{Core: []int{0, 1, 2}, Within: 1, Out: []report.Outlier{{Model: 3, Least: 10, Most: 10}, {Model: 4, Least: 60, Most: 62}}}},
		{"four alike and one", []float64{10, 12, 14, 60, 15, 13, 61, 11, 62, 63}, report.Outliers{Core: []int{0, 1, 2, 3}, Within: 15, Out: []report.Outlier{{Model: 4, Least: 60, Most: 63}}}},
		{"a chain", []float64{4, 8, 12, 4, 8, 4}, report.Outliers{}},
		{"nothing to be compared", []float64{3, nan, 41, nan, 42, nan}, report.Outliers{}},
		{"three and one without", []float64{3, 4, nan, 41, 3, nan, 42, nan, 43, nan}, report.Outliers{Core: []int{0, 1, 2}, Within: 4, Out: []report.Outlier{{Model: 4, Least: 41, Most: 43}}}},
		{"none", []float64{nan, nan, nan}, report.Outliers{}},
	} {
		n := 2
		for n*(n-1)/2 < len(c.degrees) {
			n++
		}
		g := report.Spread{Models: n, Degrees: c.degrees}
		if got := g.Outliers(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.what, got, c.want)
		}
		// The order of the models does not matter.
		turned := report.Spread{Models: n, Degrees: make([]float64, len(c.degrees))}
		k := 0
		for i := range n {
			for j := i + 1; j < n; j++ {
				turned.Degrees[k] = g.At(n-1-i, n-1-j)
				k++
			}
		}
		var want []int
		for _, i := range slices.Backward(c.want.Core) {
			want = append(want, n-1-i)
		}
		if got := turned.Outliers(); !slices.Equal(got.Core, want) || len(got.Out) != len(c.want.Out) {
			t.Errorf("%s, turned: %+v", c.what, got)
		}
	}
}

func TestSpread(t *testing.T) {
	nan := math.NaN()
	g := report.Spread{Models: 4, Degrees: []float64{5, nan, 7, 2, 9, 4}} // 01 02 03 12 13 23
	low, i, j := g.Least()
	high, k, l := g.Most()
	if low != 2 || i != 1 || j != 2 || high != 9 || k != 1 || l != 3 || g.Median() != 5 {
		t.Errorf("least %v (%d, %d), median %v, most %v (%d, %d)", low, i, j, g.Median(), high, k, l)
	}
	if g.At(3, 2) != 4 || g.At(2, 3) != 4 || g.At(1, 1) != 0 || !math.IsNaN(g.At(2, 0)) {
		t.Error("angles are not at their places")
	}
	none := report.Spread{Models: 2, Degrees: []float64{nan}}
	if low, i, _ := none.Least(); !math.IsNaN(low) || i >= 0 || !math.IsNaN(none.Median()) {
		t.Errorf("of nothing: %v between %d and others, median %v", low, i, none.Median())
	}
}

// The angles of kinds, layers and the whole are those of their tensors laid end to end,
// worked out from the values themselves; with a base those of the differences.
func TestAnglesOfGroups(t *testing.T) {
	dir := t.TempDir()
	paths := []string{makeModel(t, dir+"/a", 1, tall()), makeModel(t, dir+"/b", 2, tall()), makeModel(t, dir+"/c", 3, tall()), makeModel(t, dir+"/d", 4, tall())}
	v := make([][]float64, 4)
	for k := range v {
		v[k] = values(t, paths[k])
	}
	for _, base := range []int{-1, 0} {
		s := angles(t, base, paths...)
		vectors := v
		if base == 0 {
			vectors = nil
			for _, x := range v[1:] {
				d := make([]float64, len(x))
				for e := range x {
					d[e] = x[e] - v[0][e]
				}
				vectors = append(vectors, d)
			}
		}
		dot := func(x, y []float64) (sum float64) {
			for e := range x {
				sum += x[e] * y[e]
			}
			return sum
		}
		for i, x := range vectors {
			for j, y := range vectors[:i] {
				want := math.Acos(dot(x, y)/math.Sqrt(dot(x, x)*dot(y, y))) * 180 / math.Pi
				if got := s.All.At(j, i); math.Abs(got-want) > 1e-9 {
					t.Errorf("base %d: models %d and %d at %v, want %v", base, j, i, got, want)
				}
			}
			if base == 0 {
				if want := math.Sqrt(dot(x, x) / dot(v[0], v[0])); math.Abs(s.All.Shares[i]-want) > 1e-12 {
					t.Errorf("model %d: share %v, want %v", i, s.All.Shares[i], want)
				}
			}
		}
		tensors := 0
		for _, k := range s.Kinds {
			tensors += k.Tensors
		}
		if tensors != len(tall()) || s.All.Tensors != tensors || len(s.Stacks) != 1 {
			t.Fatalf("base %d: %d tensors of kinds, %d in all, %d stacks", base, tensors, s.All.Tensors, len(s.Stacks))
		}
		for _, most := range []int{0, 1, 7, 79, 80, 500} {
			runs, tensors, next := 0, 0, 0
			for l := range s.Stacks[0].Fold(most) {
				if l.First != next {
					t.Errorf("a run begins with layer %d, want %d", l.First, next)
				}
				next = l.Last + 1
				runs++
				for _, g := range l.Spreads {
					tensors += g.Tensors
				}
			}
			if most > 0 && runs > most || next != 80 || tensors != 80*13 {
				t.Errorf("folded to %d: %d runs up to layer %d of %d tensors", most, runs, next-1, tensors)
			}
		}
	}
}

// The page of several models has every tensor once, a matrix and the pictures, and
// depends on nothing but the models.
func TestPageOfSeveral(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	for k := range 4 {
		paths = append(paths, makeModel(t, fmt.Sprintf("%s/m%d", dir, k), uint64(k+1), tall()))
	}
	for _, base := range []int{-1, 3} {
		s := angles(t, base, paths...)
		text := anglesPage(t, s)
		rows := checkPage(t, text)
		if len(rows) != len(tall()) {
			t.Errorf("%d rows for %d tensors", len(rows), len(tall()))
		}
		if got := names(rows); slices.Index(got, "model.layers.2.extra") > slices.Index(got, "model.layers.10.extra") {
			t.Error("layer 10 comes before layer 2")
		}
		n := len(s.Models)
		// A matrix of all, and one for each kind; a cell for each layer and kind.
		if got := bytes.Count(text, []byte(`<td title="m`)); got != (1+len(s.Kinds))*n*(n-1) {
			t.Errorf("%d cells of matrices of %d models", got, n)
		}
		if got := bytes.Count(text, []byte("<rect ")); got != 4*80 {
			t.Errorf("%d cells in the picture, want %d", got, 4*80)
		}
		if got := bytes.Count(text, []byte("<polygon ")); got != 4 {
			t.Errorf("%d bands, want 4", got)
		}
		if bytes.Contains(text, []byte("Distance from the base")) != (base >= 0) {
			t.Errorf("base %d: the distance from it", base)
		}
		if !bytes.HasPrefix(text, []byte(report.PageHead())) {
			t.Error("the page does not begin as all pages do")
		}
		if again := anglesPage(t, angles(t, base, paths...)); !bytes.Equal(again, text) {
			t.Error("another page of the same models")
		}
	}
}

// What is said of the models, in words.
func TestSentences(t *testing.T) {
	dir := t.TempDir()
	info := func(name string) tensor.Info { return tensor.Info{Name: name, DType: tensor.F32, Shape: []uint64{64}} }
	two := []tensor.Info{info("v"), info("w")}
	a, b, c := makeModel(t, dir+"/a", 1, two), makeModel(t, dir+"/b", 2, two), makeModel(t, dir+"/c", 1, two)
	d, e := makeModel(t, dir+"/d", 1, two[:1]), makeModel(t, dir+"/e", 1, []tensor.Info{{Name: "v", DType: tensor.F32, Shape: []uint64{3}}, {Name: "x", DType: tensor.F32}})
	for _, x := range []struct {
		base  int
		paths []string
		want  []string
	}{
		{-1, []string{a, b, c}, []string{"a and c are equal, byte for byte.", "b is * from the other 2 models, which are at no angle to each other."}},
		{-1, []string{a, b, d, e}, []string{"d is compared in 1 of 2 tensors.", "e has no tensor that can be compared with another."}},
		{0, []string{a, b, c}, []string{"c has the values of the base."}},
		{1, []string{a, b, c}, []string{"a and c are equal, byte for byte."}},
		{0, []string{b, a, c, d}, []string{"d is compared in 1 of 2 tensors.", "a and c are equal, byte for byte."}},
	} {
		s := angles(t, x.base, x.paths...)
		var got []string
		for _, line := range s.Sentences(func(i int) string { return s.Models[i].Name() }) {
			if !strings.HasPrefix(line, "No model stands apart") {
				got = append(got, line)
			}
		}
		if !slices.EqualFunc(got, x.want, func(got, want string) bool {
			from, to, _ := strings.Cut(want, "*")
			return strings.HasPrefix(got, from) && strings.HasSuffix(got, to)
		}) {
			t.Errorf("%v from %d: %q, want %q", x.paths, x.base, got, x.want)
		}
	}
}

// The CSV and the JSON of several models say the same, and have all tensors; whatever the
// names, neither has a cell that a spreadsheet calculates, and nothing a control character.
func TestFiguresOfSeveral(t *testing.T) {
	const evil = "\x1b[31m\u202e|<img>"
	dir := t.TempDir()
	list := append(tall()[:30], tensor.Info{Name: "=cmd()" + evil, DType: tensor.F32, Shape: []uint64{4}}, tensor.Info{Name: "ints", DType: tensor.I64, Shape: []uint64{4}}, tensor.Info{Name: "none", DType: tensor.F32, Shape: []uint64{0}})
	only := tensor.Info{Name: "-only" + evil, DType: tensor.F32}
	other := tensor.Info{Name: "@odd" + evil, DType: tensor.F32, Shape: []uint64{2}}
	longer := tensor.Info{Name: "@odd" + evil, DType: tensor.F32, Shape: []uint64{3}}
	paths := []string{makeModel(t, filepath.Join(dir, "a"+evil), 1, append(slices.Clone(list), only, other)), makeModel(t, filepath.Join(dir, "b"), 2, append(slices.Clone(list[1:]), longer)),
		makeModel(t, filepath.Join(dir, "c"), 3, list), makeModel(t, filepath.Join(dir, "d"), 3, list)}
	for _, base := range []int{-1, 2} {
		s := angles(t, base, paths...)
		var text, raw bytes.Buffer
		if err := report.AnglesCSV(&text, s); err != nil {
			t.Fatal(err)
		}
		if err := report.AnglesJSON(&raw, s); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(text.String(), report.CSVBegin) {
			t.Error("the CSV does not begin as every CSV does")
		}
		for what, b := range map[string][]byte{"page": anglesPage(t, s), "csv": text.Bytes()} {
			for _, r := range string(b) {
				if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
					t.Errorf("%s: it holds %U", what, r)
				}
			}
		}
		checkPage(t, anglesPage(t, s))
		lines, err := csv.NewReader(&text).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines[1:] {
			for _, cell := range line {
				if _, err := strconv.ParseFloat(cell, 64); err != nil && strings.ContainsAny(cell[:min(1, len(cell))], "=+-@") {
					t.Errorf("a cell begins like a formula: %q", cell)
				}
			}
		}
		var doc struct {
			Models  []struct{ Compared int }
			Pairs   [][2]int
			Tensors []struct {
				Name   string
				Angles []*float64 `json:"angle_degrees"`
				Norms  []*float64
				Equal  bool
				Alike  [][]int
			}
			Single []struct{ Name string } `json:"only_in_one"`
			Unlike []struct {
				Name   string
				Models []struct{ Model int }
			}
		}
		if err := json.Unmarshal(raw.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
		n := len(s.Models)
		if len(doc.Models) != n || len(doc.Pairs) != n*(n-1)/2 || len(doc.Single) != 1 || len(doc.Unlike) != 1 || len(lines)-1 != len(s.Plan.Tensors) {
			t.Errorf("base %d: %d models, %d pairs, %d in one alone, %d unlike, %d lines for %d tensors", base, len(doc.Models), len(doc.Pairs), len(doc.Single), len(doc.Unlike), len(lines)-1, len(s.Plan.Tensors))
		}
		column := func(name string) int { return slices.Index(lines[0], name) }
		byName := map[string][]string{}
		for _, l := range lines[1:] {
			byName[strings.TrimPrefix(l[0], "'")] = l
		}
		compared := 0
		for _, x := range doc.Tensors {
			l := byName[x.Name]
			if strings.Contains(x.Name, evil) {
				continue
			}
			compared++
			same := func(name string, list []*float64, k int) {
				want := ""
				if list != nil && list[k] != nil {
					want = strconv.FormatFloat(*list[k], 'g', -1, 64)
				}
				if l == nil || l[column(name)] != want {
					t.Errorf("%s, %s: %q in CSV, %q in JSON", x.Name, name, l, want)
				}
			}
			for k, p := range doc.Pairs {
				same(fmt.Sprintf("angle_degrees_%d_%d", p[0], p[1]), x.Angles, k)
			}
			for k := range n {
				same(fmt.Sprintf("norm_%d", k+1), x.Norms, k)
			}
			if l != nil && l[column("equal")] != strconv.FormatBool(x.Equal) {
				t.Errorf("%s: equal %v in JSON, %q in CSV", x.Name, x.Equal, l)
			}
			if want := map[int][][]int{-1: {{3, 4}}, 2: {{0, 3}}}[base]; !x.Equal && x.Name != "ints" && !reflect.DeepEqual(x.Alike, want) {
				t.Errorf("%s: alike %v, want %v", x.Name, x.Alike, want)
			}
		}
		if compared != len(list)-1 {
			t.Errorf("%d tensors are compared, want %d", compared, len(list)-1)
		}
	}
}
