package report_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/html"

	"slerpmerge/internal/compare"
	"slerpmerge/internal/engine"
	"slerpmerge/internal/merge"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/report"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/testmodel"
	"slerpmerge/mmapio"
)

// makeModel writes a folder of normal numbers, another stream for every seed.
func makeModel(t *testing.T, dir string, seed uint64, infos []tensor.Info) string {
	t.Helper()
	return testmodel.Make(t, dir, testmodel.Model{Tensors: testmodel.Tensors(testmodel.Normal(seed, 1), infos...)})
}

// tall is a model of 80 layers and more than 1,000 tensors.
func tall() []tensor.Info {
	var list []tensor.Info
	add := func(name string, shape ...uint64) {
		list = append(list, tensor.Info{Name: name, DType: tensor.F32, Shape: shape})
	}
	add("model.embed_tokens.weight", 16, 4)
	for l := range 80 {
		p := fmt.Sprintf("model.layers.%d.", l)
		for _, name := range []string{"self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight", "self_attn.o_proj.weight",
			"self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias", "mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.down_proj.weight",
			"input_layernorm.weight", "post_attention_layernorm.weight", "extra"} {
			add(p+name, 4)
		}
	}
	add("model.norm.weight", 4)
	add("lm_head.weight", 16, 4)
	return list
}

func survey(t *testing.T, a, b string, merged bool, change func(*recipe.Request)) *report.Survey {
	t.Helper()
	r := recipe.Request{Recipe: recipe.Pair(method.SlerpMethod{}, a, b, recipe.Setting{{Values: []float64{0.5}}}), Run: recipe.Run{Output: filepath.Join(t.TempDir(), "out"), MaxMemory: 64 << 20, Threads: 2}}
	r.ShardSize, r.Missing, r.Tokenizer = 5e9, recipe.MissingCopy, recipe.TokenizerPrimary
	if change != nil {
		change(&r)
	}
	pool := mmapio.NewPool(4 << 20)
	var models []*model.Model
	for _, path := range []string{a, b} {
		m, err := model.Open(pool, path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Close)
		models = append(models, m)
	}
	var p *plan.Plan
	var results []engine.TensorResult
	var warnings []string
	var err error
	if merged {
		if p, err = plan.New(r, models...); err == nil {
			var res *merge.Result
			if res, err = merge.Run(context.Background(), p, merge.Options{Pool: pool}); err == nil {
				results, warnings = res.Tensors, res.Warnings
			}
		}
	} else if p, err = plan.Pairs(r, models[0], models[1]); err == nil {
		var res *compare.Result
		if res, err = compare.Run(context.Background(), p, compare.Options{Pool: pool}); err == nil {
			results, warnings = res.Tensors, res.Warnings
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return report.NewSurvey(p, results, warnings, merged)
}

func page(t *testing.T, s *report.Survey) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := report.Page(&b, s, "v0"); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestNamesOfStrangers: whatever the names of folders and tensors hold, pages,
// cards and CSV have no control characters except the ends of lines, no
// character that turns the direction of writing, and no cell that a spreadsheet
// calculates. A number stays one.
func TestNamesOfStrangers(t *testing.T) {
	const evil = "\x1b[31m\x07\u009b\u202e\x7f|<img>"
	root := t.TempDir()
	infos := func(only string) (list []tensor.Info) {
		for _, name := range []string{"=cmd()", "+a", "-b", "@c", "\t=d", "\r=e", "x" + evil, "model." + evil + ".layers.0.w", only} {
			list = append(list, tensor.Info{Name: name, DType: tensor.F32, Shape: []uint64{4}})
		}
		return list
	}
	a := makeModel(t, filepath.Join(root, "models--evil"+evil+"--a", "snapshots", "1"+evil), 1, infos("=only"+evil))
	b := makeModel(t, filepath.Join(root, "b"+evil), 2, infos("-only"+evil))
	check := func(what string, text []byte) {
		t.Helper()
		for _, r := range string(text) {
			if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028') {
				t.Errorf("%s: it holds %U", what, r)
			}
		}
	}
	compared := survey(t, a, b, false, nil)
	check("page", page(t, compared))
	merged := survey(t, a, b, true, func(r *recipe.Request) {
		r.Set("t", recipe.Setting{{Filter: "x" + evil, Values: []float64{0.25}}, {Values: []float64{0.5}}})
	})
	check("page of a merge", page(t, merged))
	card := report.Card(&merge.Result{Plan: merged.Plan, Tensors: merged.Tensors, Warnings: merged.Warnings})
	check("card", card)
	if bytes.Contains(card, []byte("huggingface.co")) {
		t.Errorf("the card links to the Hub:\n%s", card)
	}
	merged.Plan.Recipe.Source = []byte("# " + evil + "\r\nmerge_method: slerp\n")
	card = report.Card(&merge.Result{Plan: merged.Plan, Tensors: merged.Tensors, Warnings: merged.Warnings})
	check("card of a recipe file", card)
	if !bytes.Contains(card, []byte("\nmerge_method: slerp\n```\n")) || !bytes.Contains(card, []byte("control characters")) {
		t.Errorf("the card has not the recipe, or does not tell what it lacks:\n%s", card)
	}
	var text bytes.Buffer
	if err := report.CSV(&text, compared); err != nil {
		t.Fatal(err)
	}
	check("csv", text.Bytes())
	lines, err := csv.NewReader(&text).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	negative := false
	for _, line := range lines[1:] {
		for i, cell := range line {
			if _, err := strconv.ParseFloat(cell, 64); err == nil {
				negative = negative || cell[0] == '-' && lines[0][i] == "cos"
			} else if strings.ContainsAny(cell[:min(1, len(cell))], "=+-@\t\r") {
				t.Errorf("a cell begins like a formula: %q", cell)
			}
		}
	}
	if len(lines) != 11 || !negative {
		t.Errorf("%d lines, a negative cosine: %v", len(lines), negative)
	}
}

// void elements have no end.
var void = []string{"meta", "wbr", "input"}

// checkPage checks that a page is well-formed, needs nothing beside it and
// refers to nothing that it has not, and gives the rows of its table of
// tensors.
func checkPage(t *testing.T, b []byte) [][]string {
	t.Helper()
	plain, _, _ := bytes.Cut(bytes.ReplaceAll(b, []byte("NaN or Inf in a parent"), nil), []byte("<script>"))
	for _, bad := range []string{"http:", "https:", "url(", "@import", "ZgotmplZ", "NaN", "Inf"} {
		if i := bytes.Index(plain, []byte(bad)); i >= 0 {
			t.Errorf("%q in the page: %q", bad, plain[max(0, i-40):min(len(plain), i+40)])
		}
	}
	checkNesting(t, b)
	root, err := html.Parse(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	ids, refs, pictures := map[string]bool{}, []string{}, 0
	var rows [][]string
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		attr := map[string]string{}
		for _, a := range n.Attr {
			attr[a.Key] = a.Val
			switch {
			case a.Key == "id" && ids[a.Val]:
				t.Errorf("id %s twice", a.Val)
			case a.Key == "id":
				ids[a.Val] = true
			case a.Key == "aria-labelledby" || a.Key == "for":
				refs = append(refs, a.Val)
			case a.Key == "src" || a.Key == "href" || strings.HasPrefix(a.Key, "on"):
				t.Errorf("%s has %s=%q", n.Data, a.Key, a.Val)
			}
		}
		switch {
		case n.Data == "svg" && attr["aria-hidden"] == "":
			pictures++
			if attr["role"] != "img" || attr["aria-label"] == "" {
				t.Error("a picture without a text")
			}
		case n.Data == "tr" && inTable(n, "tensors"):
			var row []string
			for c := range n.ChildNodes() {
				row = append(row, textOf(c))
			}
			rows = append(rows, row)
		}
	}
	for _, ref := range refs {
		if !ids[ref] {
			t.Errorf("nothing has the id %s", ref)
		}
	}
	if len(rows) < 2 {
		t.Fatal("no table of tensors")
	}
	for _, row := range rows {
		if len(row) != len(rows[0]) {
			t.Errorf("%d cells below %d headings: %q", len(row), len(rows[0]), row)
		}
	}
	return rows[1:]
}

// checkNesting checks that every element ends where it should: parsers forgive
// all.
func checkNesting(t *testing.T, b []byte) {
	t.Helper()
	var open []string
	for z := html.NewTokenizer(bytes.NewReader(b)); z.Next() != html.ErrorToken; {
		switch tok := z.Token(); {
		case tok.Type == html.StartTagToken && !slices.Contains(void, tok.Data):
			open = append(open, tok.Data)
		case tok.Type == html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != tok.Data {
				t.Fatalf("</%s> in %v", tok.Data, open)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Errorf("never closed: %v", open)
	}
}

func inTable(n *html.Node, id string) bool {
	for p := range n.Ancestors() {
		for _, a := range p.Attr {
			if p.Data == "table" && a.Key == "id" && a.Val == id {
				return true
			}
		}
	}
	return false
}

func textOf(n *html.Node) string {
	if n == nil {
		return ""
	}
	if n.Type == html.TextNode {
		return n.Data
	}
	text := ""
	for c := range n.ChildNodes() {
		text += textOf(c)
	}
	return text
}

func names(rows [][]string) []string {
	var list []string
	for _, row := range rows {
		list = append(list, row[0])
	}
	return list
}

// A page of 80 layers and 1,000 tensors has every tensor once, layer 2 before
// layer 10, all its cells, and depends on nothing but the models.
func TestPageOfManyTensors(t *testing.T) {
	dir := t.TempDir()
	a, b := makeModel(t, dir+"/a", 1, tall()), makeModel(t, dir+"/b", 2, tall())
	gradient := func(r *recipe.Request) {
		r.Set("t", recipe.Setting{{Filter: "self_attn", Values: []float64{0, 1}}, {Values: []float64{0.5}}})
	}
	s := survey(t, a, b, false, gradient)
	text := page(t, s)
	rows := checkPage(t, text)
	got := names(rows)
	var want []string
	for _, info := range tall() {
		want = append(want, info.Name)
	}
	if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Errorf("%d rows for %d tensors", len(got), len(want))
	}
	if slices.Index(got, "model.layers.2.extra") > slices.Index(got, "model.layers.10.extra") {
		t.Error("layer 10 comes before layer 2")
	}
	if len(text) > 600_000 {
		t.Errorf("%d bytes", len(text))
	}
	// A cell for each layer and kind, and a line for each kind and chart.
	if n := bytes.Count(text, []byte("<rect ")); n != 4*80 {
		t.Errorf("%d cells in the picture, want %d", n, 4*80)
	}
	if n := bytes.Count(text, []byte("<polyline ")); n != 8 {
		t.Errorf("%d lines, want 8", n)
	}
	if again := page(t, survey(t, a, b, false, gradient)); !bytes.Equal(again, text) {
		t.Error("another page of the same models")
	}
}

// The page of a merge has the same table, and says what was done.
func TestPageOfMerge(t *testing.T) {
	dir := t.TempDir()
	a, b := makeModel(t, dir+"/a", 1, tall()), makeModel(t, dir+"/b", 2, tall())
	s := survey(t, a, b, true, func(r *recipe.Request) {
		r.Set("t", recipe.Setting{{Filter: "self_attn.q", Values: []float64{0}}, {Filter: "mlp", Values: []float64{1}}, {Values: []float64{0.5}}})
	})
	rows := checkPage(t, page(t, s))
	if len(rows) != len(tall()) {
		t.Errorf("%d rows for %d tensors", len(rows), len(tall()))
	}
	for _, row := range rows {
		note := row[len(row)-1]
		switch {
		case strings.Contains(row[0], "self_attn.q") && note != "from primary; t = 0",
			strings.Contains(row[0], "mlp") && note != "from secondary; t = 1":
			t.Errorf("%q", row)
		}
	}
}

// A merge without angles has neither their columns nor their pictures.
func TestPageOfWeightedSum(t *testing.T) {
	dir := t.TempDir()
	a, b := makeModel(t, dir+"/a", 1, tall()[:20]), makeModel(t, dir+"/b", 2, tall()[:20])
	d, err := recipe.Parse("r.yml", fmt.Appendf(nil, "merge_method: linear\nmodels:\n  - model: %q\n    parameters: {weight: 1}\n  - model: %q\n    parameters: {weight: 3}\n", a, b), method.All())
	if err != nil {
		t.Fatal(err)
	}
	text := page(t, survey(t, a, b, true, func(r *recipe.Request) { d.ShardSize, d.Missing = r.ShardSize, r.Missing; r.Recipe = *d }))
	rows := checkPage(t, text)
	if len(rows) != 20 || rows[0][len(rows[0])-1] != "1 × a; 3 × b, over 4" {
		t.Errorf("%d rows, the first %q", len(rows), rows[0])
	}
	if bytes.Contains(text, []byte("<rect")) || bytes.Contains(text, []byte("|a|")) {
		t.Error("angles on the page of a weighted sum")
	}
}

// Whatever the names, a page stays a page.
func TestPageOfHostileNames(t *testing.T) {
	dir := t.TempDir()
	var list []tensor.Info
	for _, name := range []string{"<script>alert(1)</script>", `"><b onload=x>`, "a'b", "\x1b[31mred", "two\nlines", "\u202eright to left", "</table>",
		"model.<i>.3.self_attn.w", "x.layers.1048575.mlp.w", "x.layers.0.mlp.w", "https://example.org/x", strings.Repeat("n", 5000), ""} {
		list = append(list, tensor.Info{Name: name, DType: tensor.F32, Shape: []uint64{2}})
	}
	a := makeModel(t, filepath.Join(dir, "<a & b>"), 1, list)
	b := makeModel(t, filepath.Join(dir, "</title>"), 2, list[:len(list)-1])
	text := page(t, survey(t, a, b, false, nil))
	text = bytes.ReplaceAll(text, []byte("https://example.<wbr>org/x"), nil) // its own name
	rows := checkPage(t, text)
	if len(rows) != len(list)-1 {
		t.Errorf("%d rows for %d tensors", len(rows), len(list)-1)
	}
	if n := bytes.Count(text, []byte("<script>")); n != 1 {
		t.Errorf("%d scripts", n)
	}
	if regexp.MustCompile(`[\x00-\x09\x0b-\x1f\x7f]`).Match(text) {
		t.Error("control characters")
	}
	if len(text) > 100_000 { // a million layers, two of which are there
		t.Errorf("%d bytes", len(text))
	}
}

// A NaN in a parent leaves empty places, not words.
func TestPageOfNonFinite(t *testing.T) {
	models := func(name string) string { return filepath.Join("..", "..", "testdata", "models", name) }
	s := survey(t, models("deep-b"), models("bad-nan"), false, nil)
	checkPage(t, page(t, s))
	var b bytes.Buffer
	if err := report.JSON(&b, s); err != nil || !json.Valid(b.Bytes()) {
		t.Errorf("JSON: %v", err)
	}
}

// The table of a comparison and its CSV say the same, and have all tensors.
func TestCSVEqualsJSON(t *testing.T) {
	dir := t.TempDir()
	list := tall()[:40]
	a, b := makeModel(t, dir+"/a", 1, list), makeModel(t, dir+"/b", 2, append(list[1:], tensor.Info{Name: "one, \"more\"", DType: tensor.F32, Shape: nil}))
	s := survey(t, a, b, false, nil)
	var text, raw bytes.Buffer
	if err := report.CSV(&text, s); err != nil {
		t.Fatal(err)
	}
	if err := report.JSON(&raw, s); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Tensors []struct {
			Name     string
			Cos      float64
			Distance float64 `json:"relative_distance"`
		}
		OnlyPrimary, OnlySecondary []struct{ Name string }
	}
	if err := json.Unmarshal(raw.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(text.String(), report.CSVHead()) {
		t.Error("the CSV does not begin as CSVHead says")
	}
	lines, err := csv.NewReader(&text).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(lines)-1 != len(list)+1 || len(doc.Tensors) != len(list)-1 {
		t.Fatalf("%d lines, %d tensors", len(lines)-1, len(doc.Tensors))
	}
	byName := map[string][]string{}
	for _, l := range lines[1:] {
		byName[l[0]] = l
	}
	if l := byName["one, \"more\""]; l == nil || l[6] != "scalar" || l[7] != "" {
		t.Errorf("the secondary's own tensor: %q", l)
	}
	for _, x := range doc.Tensors {
		if l := byName[x.Name]; l == nil || l[10] != fmt.Sprint(x.Cos) || l[14] != fmt.Sprint(x.Distance) {
			t.Errorf("%+v in JSON, %q in CSV", x, l)
		}
	}
}

// The angle of a group is that of its tensors as one vector.
func TestGroups(t *testing.T) {
	dir := t.TempDir()
	a, b := makeModel(t, dir+"/a", 1, tall()), makeModel(t, dir+"/b", 2, tall())
	s := survey(t, a, b, false, nil)
	n := 0
	for _, g := range s.Kinds {
		n += g.Tensors
		const rounding = 1e-12
		if !(g.Least-rounding <= g.Angle() && g.Angle() <= g.Most+rounding) {
			t.Errorf("%s: %v is not between %v and %v", g.Kind, g.Angle(), g.Least, g.Most)
		}
	}
	if n != len(tall()) || s.All.Tensors != n {
		t.Errorf("%d tensors of kinds, %d in all, want %d", n, s.All.Tensors, len(tall()))
	}
	if len(s.Stacks) != 1 || len(s.Stacks[0].Layers) != 80 {
		t.Fatalf("%d stacks", len(s.Stacks))
	}
	for _, most := range []int{1, 7, 24, 79, 80, 500} {
		runs := s.Stacks[0].Fold(most)
		tensors, next := 0, 0
		for _, l := range runs {
			if l.First != next {
				t.Errorf("a run begins with layer %d, want %d", l.First, next)
			}
			next = l.Last + 1
			for _, g := range l.Groups {
				tensors += g.Tensors
			}
		}
		if len(runs) > most || next != 80 || tensors != 80*13 {
			t.Errorf("folded to %d: %d runs up to layer %d of %d tensors", most, len(runs), next-1, tensors)
		}
	}
	// The whole, worked out from the values themselves.
	var aa, bb, ab, far float64
	x, y := values(t, a), values(t, b)
	for i := range x {
		aa, bb, ab, far = aa+x[i]*x[i], bb+y[i]*y[i], ab+x[i]*y[i], far+(x[i]-y[i])*(x[i]-y[i])
	}
	if want := math.Acos(ab/math.Sqrt(aa*bb)) * 180 / math.Pi; math.Abs(s.All.Angle()-want) > 1e-9 {
		t.Errorf("angle %v, want %v", s.All.Angle(), want)
	}
	if want := math.Sqrt(far / aa); math.Abs(s.All.Distance()-want) > 1e-12 {
		t.Errorf("distance %v, want %v", s.All.Distance(), want)
	}
}

// values are all F32 values of a folder.
func values(t *testing.T, dir string) []float64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	b = b[8+binary.LittleEndian.Uint64(b):]
	v := make([]float64, len(b)/4)
	for i := range v {
		v[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
	}
	return v
}
