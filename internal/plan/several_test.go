package plan_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
)

// severalOf plans a comparison of models, which are called a, b and so on.
func severalOf(t *testing.T, base int, parents []parent, change func(*recipe.Request)) (*plan.Plan, error) {
	t.Helper()
	dir := t.TempDir()
	var models []*model.Model
	var paths []string
	for i, p := range parents {
		paths = append(paths, filepath.Join(dir, string(rune('a'+i))))
		models = append(models, p.open(t, paths[i]))
	}
	r := recipe.Request{Recipe: recipe.Comparison(paths...), Run: recipe.Run{MaxMemory: 64 << 20, Threads: 2}}
	if change != nil {
		change(&r)
	}
	return plan.Several(r, models, base)
}

// Each tensor is given as NAME SHAPE WORD(its models): remark.
func TestSeveral(t *testing.T) {
	const tied = `{"model_type": "gemma"}`
	const e, h = "model.embed_tokens.weight", "lm_head.weight"
	for _, c := range []struct {
		what    string
		base    int
		parents []parent
		want    []string // tensors, then warnings and blockers
	}{
		{"all alike", -1, []parent{{"", "w:F32:4"}, {"", "w:BF16:4"}, {"", "w:F64:4"}}, []string{"w [4] compare(abc)"}},
		{"some lack it", -1, []parent{{"", "w:F32:4 x:F32:4"}, {"", "w:F32:4 y:F32:4"}, {"", "w:F32:4 x:F32:4"}},
			[]string{"w [4] compare(abc)", "x [4] compare(ac): not in b", "y [4] copy(b): only b has it"}},
		{"most have another shape than the first", -1, []parent{{"", "w:F32:2x3 v:F32:1"}, {"", "w:F32:3x2 v:F32:1"}, {"", "w:F32:3x2 v:F32:1"}},
			[]string{"v [1] compare(abc)", "w [3, 2] compare(bc): not with F32 [2, 3] in a"}},
		{"of two shapes each", -1, []parent{{"", "w:F32:2"}, {"", "w:F32:3"}, {"", "w:F32:2"}, {"", "w:F32:3"}},
			[]string{"w [2] compare(ac): not with F32 [3] in b and d", "w [3] compare(bd): not with F32 [2] in a and c"}},
		{"a shape of one, and two of two", -1, []parent{{"", "w:F32:2"}, {"", "w:F32:3"}, {"", "w:F32:4"}, {"", "w:F32:4"}, {"", "w:F32:3"}},
			[]string{"w [3] compare(be): not with F32 [2] in a, F32 [4] in c and d", "w [4] compare(cd): not with F32 [2] in a, F32 [3] in b and e"}},
		{"no shape twice", -1, []parent{{"", "w:F32:2 v:F32:1"}, {"", "w:F32:3 v:F32:1"}, {"", "v:F32:1"}},
			[]string{"v [1] compare(abc)", "w [2] unlike(ab): [2] in a, [3] in b"}},
		{"integers", -1, []parent{{"", "w:I64:2 v:U8:1"}, {"", "w:I32:2 v:U8:1"}, {"", "w:I64:2 v:F32:1"}},
			[]string{"v [1] follow(ab): not of a floating type; not with F32 [1] in c", "w [2] follow(ac): not of a floating type; not with I32 [2] in b"}},
		{"types of one shape that do not fit", -1, []parent{{"", "w:I64:2 v:F32:1"}, {"", "w:I32:2 v:F32:1"}, {"", "w:U8:2 v:F32:1"}},
			[]string{"v [1] compare(abc)", "w [2] unlike(abc): I64 in a, I32 in b, U8 in c"}},
		{"vocabularies", -1, []parent{vocab(8), vocab(6), vocab(8)},
			[]string{e + " [6, 2] compare(abc): the first 6 rows, of 8 in a and c and 6 in b", "w [4] compare(abc)", "the vocabularies differ, so only a part of them is compared: the first 6 rows"}},
		{"a base", 2, []parent{{"", "w:F32:4 x:F32:4 y:F32:4"}, {"", "w:F32:4 x:F32:4 y:F32:4"}, {"", "w:F32:4 x:F32:4"}, {"", "w:F32:4 y:F32:4"}},
			[]string{"w [4] compare(cabd)", "x [4] compare(cab): not in d", "y [4] unlike(abd): not in c"}},
		{"the base and one", 0, []parent{{"", "w:F32:4 x:F32:4"}, {"", "w:F32:4 x:F32:4"}, {"", "w:F32:4"}},
			[]string{"w [4] compare(abc)", "x [4] unlike(ab): only a and b have it"}},
		{"the base's shape", 0, []parent{{"", "w:F32:2 v:F32:1"}, {"", "w:F32:3 v:F32:1"}, {"", "w:F32:3 v:F32:1"}, {"", "w:F32:2 v:F32:1"}},
			[]string{"v [1] compare(abcd)", "w [2] unlike(abcd): [2] in a and d, [3] in b and c"}},
		{"tied heads", -1, []parent{{tied, e + ":F32:2x2"}, {tied, h + ":F32:2x2"}, {tied, e + ":F32:2x2"}},
			[]string{e + " [2, 2] compare(abc): in b it is lm_head.weight"}},
		{"other names", -1, []parent{layers(2, ""), layers(2, "transformer."), layers(2, "")}, []string{
			"lm_head.weight [4] compare(abc)", "model.layers.0.attn [4] compare(abc)", "model.layers.0.mlp [4] compare(abc)", "model.layers.1.attn [4] compare(abc)", "model.layers.1.mlp [4] compare(abc)",
			"b has the network of a under other names"}},
		{"another architecture", -1, []parent{{"", "w:F32:4"}, {"", "w:F32:4"}, {"", "x:F32:4"}}, []string{"c has no tensor name in common with the other models"}},
		{"quantised", -1, []parent{{"", "w:F32:4"}, {"", "w:F32:4"}, {`{"quantization_config": {"quant_method": "gptq"}}`, "w.qweight:I32:4 w.qzeros:I32:4 w.scales:F16:4"}}, []string{"quantised"}},
	} {
		p, err := severalOf(t, c.base, c.parents, nil)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		var got []string
		if len(p.Blockers) == 0 {
			for i := range p.Tensors {
				x := &p.Tensors[i]
				of := ""
				for _, o := range x.Operands {
					of += o.Model.Name()
				}
				line := fmt.Sprintf("%s %s %s(%s)", x.Name, strings.ReplaceAll(fmt.Sprint(x.Shape), " ", ", "), x.Op.Word(), of)
				if x.Why != "" {
					line += ": " + x.Why
				}
				got = append(got, line)
			}
		}
		got = append(got, append(p.Warnings, p.Blockers...)...)
		if !slices.EqualFunc(got, c.want, func(got, want string) bool {
			return got == want || !strings.Contains(want, "(") && strings.Contains(got, want)
		}) {
			t.Errorf("%s:\n%s\nwant\n%s", c.what, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
		for i := range p.Tensors {
			if op, ok := p.Tensors[i].Op.(method.Angles); ok && (op.From == 0) != (c.base >= 0) {
				t.Errorf("%s: measured from %d", c.what, op.From)
			}
		}
	}
}

// What a refusal names as the least works, and grows with the models.
func TestSeveralLeast(t *testing.T) {
	before := int64(0)
	for _, n := range []int{2, 8, 24} {
		parents := make([]parent, n)
		for i := range parents {
			parents[i] = parent{"", "w.{0..300}:F32:4"}
		}
		var me *plan.MemoryError
		if _, err := severalOf(t, -1, parents, func(r *recipe.Request) { r.MaxMemory = 1 << 20 }); !errors.As(err, &me) {
			t.Fatalf("%d models: %v, want a *plan.MemoryError", n, err)
		}
		p, err := severalOf(t, -1, parents, func(r *recipe.Request) { r.MaxMemory = me.Least })
		if err != nil || p.Budget.Total > me.Least {
			t.Errorf("%d models: %v, a total of %d with %d", n, err, p.Budget.Total, me.Least)
		}
		if me.Least <= before {
			t.Errorf("%d models take %d, fewer take %d", n, me.Least, before)
		}
		before = me.Least
	}
}

// Before the models are opened, the least for several counts their results too.
func TestAdmitSeveral(t *testing.T) {
	const n = 5000
	least := func(of int) int64 {
		r := recipe.Request{Recipe: recipe.Comparison("a", "b"), Run: recipe.Run{MaxMemory: 1 << 20, Threads: 2}}
		_, err := plan.Admit(r, plan.Comparing, nil, model.Count{Tensors: n, Text: 50 * n, Files: 1, Bytes: 1 << 30}, of)
		var me *plan.MemoryError
		if !errors.As(err, &me) {
			t.Fatalf("%d models: %v, want a *plan.MemoryError", of, err)
		}
		return me.Least
	}
	two, four, eight := least(2), least(4), least(8)
	// At the least a name of each model, and 8 bytes for each norm and each cosine.
	if four < two+n*(2*50+8*(4+6)) || eight < four+n*(4*50+8*(4+22)) {
		t.Errorf("2, 4 and 8 models: %d, %d and %d", two, four, eight)
	}
}
