package plan_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/mmapio"
	"slerpmerge/writer"
)

// Parts has a line for tensors that are treated alike.
func TestParts(t *testing.T) {
	dir := t.TempDir()
	a := parent{`{"num_hidden_layers": 4}`, "model.layers.{0..3}.mlp.up_proj.weight:BF16:2x2 model.layers.{0..3}.self_attn.q_proj.weight:BF16:2x2 model.norm.weight:F32:4 visual.blocks.{0..1}.fc.weight:F32:2x2 x.bias:F32:3"}
	b := parent{`{"num_hidden_layers": 4}`, "model.layers.{0..3}.mlp.up_proj.weight:F32:2x2 model.layers.{0..3}.self_attn.q_proj.weight:BF16:2x2 model.norm.weight:F32:4 visual.blocks.{0..1}.fc.weight:F32:2x2"}
	p, err := plan.New(request(t, "-t mlp=0.1,0.4 -t q_proj=0 -t 0.25"), a.open(t, filepath.Join(dir, "a")), b.open(t, filepath.Join(dir, "bb")))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	tensors, size := 0, int64(0)
	for _, g := range p.Parts() {
		tensors, size = tensors+g.Tensors, size+g.Bytes
		got = append(got, strings.Join([]string{g.Where(), g.Op, g.Types, g.T(), g.Remark()}, "|"))
	}
	want := []string{"model.layers 0-3|copy|BF16|0|", "model.layers 0-3|slerp|BF16 + F32 > BF16|0.1 to 0.4|", "visual.blocks 0-1|slerp|F32|0.25|", "|slerp|F32|0.25|", "|copy|F32||only the primary has it"}
	left := map[string]bool{}
	for _, line := range want {
		left[line] = true
	}
	for _, line := range got {
		if !left[line] {
			t.Errorf("unexpected line %s", line)
		}
		delete(left, line)
	}
	if len(left) > 0 {
		t.Errorf("no line %v among %q", left, got)
	}
	if tensors != len(p.Tensors) || size != p.Layout.TotalBytes {
		t.Errorf("%d tensors of %d bytes, want %d of %d", tensors, size, len(p.Tensors), p.Layout.TotalBytes)
	}
}

// Of a recipe the lines say from which models tensors are taken.
func TestPartsOfARecipe(t *testing.T) {
	p, err := planGolden(t, "franken-passthrough")
	if err != nil {
		t.Fatal(err)
	}
	from := map[string]bool{}
	for _, g := range p.Parts() {
		from[g.Remark()] = true
	}
	if !from["from deep-a"] || !from["from deep-b"] {
		t.Errorf("remarks %v", from)
	}
}

// A refusal gives all reasons, and a hint where there is one reason.
func TestRefusal(t *testing.T) {
	dir := t.TempDir()
	open := func(p parent, name string) *model.Model { return p.open(t, filepath.Join(dir, name)) }
	p, err := plan.New(request(t, ""), open(vocab(8), "a"), open(vocab(6), "bb"))
	if err != nil {
		t.Fatal(err)
	}
	var refused *plan.Error
	if err := p.Refusal(); !errors.As(err, &refused) || !strings.HasPrefix(hintOf(refused), "try --vocab extend") || err.Error() != p.Blockers[0] || p.VocabMismatch == "" {
		t.Errorf("%v, hint %q", err, hintOf(refused))
	}
	p, err = plan.New(request(t, "--missing error"), open(parent{"", "w:F32:4 x:F32:2"}, "c"), open(parent{"", "w:F32:4 y:F32:2"}, "d"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Refusal(); !errors.As(err, &refused) || hintOf(refused) != "" || err.Error() != strings.Join(p.Blockers, "; ") || len(p.Blockers) != 2 {
		t.Errorf("%v", err)
	}
	quantised := open(parent{"", "a.weight:U32:64x8:1 a.scales:F16:64x1 a.biases:F16:64x1"}, "e")
	p, err = plan.New(request(t, ""), quantised, open(parent{"", "w:F32:4"}, "f"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Refusal(); !errors.As(err, &refused) || hintOf(refused) == "" {
		t.Errorf("%v, hint %q", err, hintOf(refused))
	}
	r := request(t, "--dtype float16")
	convert := recipe.Conversion("e")
	convert.DType, convert.ShardSize = r.DType, r.ShardSize
	p, err = plan.New(recipe.Request{Recipe: convert, Run: r.Run}, quantised)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Refusal(); !errors.As(err, &refused) || hintOf(refused) != "without --dtype it is converted as it is" {
		t.Errorf("%v, hint %q", err, hintOf(refused))
	}
}

// The output's folder and its disk are looked at beforehand.
func TestOutput(t *testing.T) {
	dir := t.TempDir()
	a, b := parent{"", "w:F32:4"}.open(t, filepath.Join(dir, "a")), parent{"", "w:F32:4"}.open(t, filepath.Join(dir, "bb"))
	of := func(out string, overwrite bool) *plan.Plan {
		t.Helper()
		r := request(t, "")
		r.Output, r.Overwrite = filepath.Join(dir, out), overwrite
		p, err := plan.New(r, a, b)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := of("new", false); p.Refusal() != nil || p.DiskFree <= 0 || p.OutputBytes <= p.Layout.TotalBytes {
		t.Errorf("a new folder: %v, %d bytes free, %d needed", p.Refusal(), p.DiskFree, p.OutputBytes)
	}
	if err := os.MkdirAll(filepath.Join(dir, "full", "x"), 0o777); err != nil {
		t.Fatal(err)
	}
	var exists *writer.ExistsError
	if err := of("full", false).Refusal(); !errors.As(err, &exists) {
		t.Errorf("a folder with something in it: %v, want the writer's error", err)
	}
	if p := of("a", true); p.Refusal() == nil || p.OutputErr == nil {
		t.Error("a parent as the output is not refused")
	}
	opt := of("new", true).OutputOptions()
	if !opt.Overwrite || len(opt.Inputs) != 2 || opt.Inputs[0] != a.Place() {
		t.Errorf("options %+v", opt)
	}
	single, err := model.Open(mmapio.NewPool(1<<20), filepath.Join(dir, "a", "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(single.Close)
	p, err := plan.New(request(t, ""), single, b)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.OutputOptions().Inputs); n < 2 {
		t.Errorf("%d inputs", n)
	}
}

// Before a model is opened it is known whether its table fits the memory.
func TestAdmit(t *testing.T) {
	dir := t.TempDir()
	small := parent{"", "w:F32:4"}.open(t, filepath.Join(dir, "a"))
	huge := model.Count{Tensors: 1 << 20, Text: 60 << 20, Files: 10, Bytes: 1 << 40}
	for _, purpose := range []plan.Purpose{plan.Merging, plan.Comparing, plan.Listing} {
		r := request(t, "")
		least, err := plan.Admit(r, purpose, []*model.Model{small, nil}, small.Count(), 2)
		if err != nil || least <= 0 || least > r.MaxMemory {
			t.Errorf("purpose %d: %d, %v", purpose, least, err)
		}
		var memory *plan.MemoryError
		least, err = plan.Admit(r, purpose, []*model.Model{small}, huge, 2)
		if !errors.As(err, &memory) || memory.Least <= least || memory.Limit != r.MaxMemory {
			t.Fatalf("purpose %d: %d, %v, want a *MemoryError", purpose, least, err)
		}
		r.MaxMemory = memory.Least
		if _, err := plan.Admit(r, purpose, []*model.Model{small}, huge, 2); err != nil {
			t.Errorf("purpose %d, with the least: %v", purpose, err)
		}
	}
	models := []*model.Model{small, nil}
	if plan.Unpickling(0, models) != 0 {
		t.Error("without a limit there is one")
	}
	need := int64(30 << 20)
	least := plan.LeastUnpickling(need, models)
	if room := plan.Unpickling(least, models); room < need-1<<16 || room > need+1<<20 {
		t.Errorf("the least limit %d gives room for %d bytes of %d", least, room, need)
	}
	if room := plan.Unpickling(1, models); room < 1 {
		t.Errorf("room for %d bytes, and 0 is no limit", room)
	}
	tight, roomy := plan.Digesting(16<<20, 8, small), plan.Digesting(256<<20, 8, small)
	if tight.Threads >= roomy.Threads || roomy.Threads != 8 || tight.Threads < 1 || tight.Pool > roomy.Pool {
		t.Errorf("budgets %+v and %+v", tight, roomy)
	}
	if plan.Tight(20<<20, 40<<20) || !plan.Tight(30<<20, 40<<20) || plan.Tight(15<<20, 16<<20) {
		t.Error("Tight is wrong")
	}
	if h := plan.Heap(64<<20, 16<<20); h <= 30<<20 || h >= 40<<20 || plan.Heap(1, 1) != 4<<20 {
		t.Errorf("heap %d", h)
	}
}

// hintOf is the only hint of a refusal, "" if it has none.
func hintOf(e *plan.Error) string {
	if e == nil || len(e.Hints()) != 1 {
		return ""
	}
	return e.Hints()[0].String()
}
