package plan

import (
	"fmt"
	"slices"
	"strings"

	"slerpmerge/internal/model"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/text"
)

// synonyms are the parts of models under the names that recipes have for them
// as modules (mergekit 0.1.5, _data/architectures) and those that tensors have.
var synonyms = [][]string{
	{"text_decoder", "text_model", "language_model", "llm"},
	{"vision_tower", "vision_model", "vision_encoder", "visual", "vit"},
	{"multi_modal_projector", "mm_projector", "projector", "connector", "aligner", "merger", "deepstack_merger_list"},
	{"audio_tower", "audio_encoder", "audio_model"},
}

// moduleOf finds the module of a recipe of several modules that a tensor
// belongs to: the one whose name stands last in the tensor's name, else the
// language model, which has no name of its own in many families. It is -1 if
// the recipe has none for the tensor.
func moduleOf(d *recipe.Recipe, tensor string) int {
	if !d.Several() {
		return 0
	}
	best, found := -1, -1
	for i, m := range d.Modules {
		names := []string{m.Name}
		for _, s := range synonyms {
			if slices.Contains(s, m.Name) {
				names = s
			}
		}
		for _, name := range names {
			if at := lastComponent(tensor, name); at > best {
				best, found = at, i
			}
		}
	}
	if found < 0 && !partOfAnother(tensor) {
		rest := slices.Concat(synonyms[0], []string{"shared", "decoder", "default"})
		for _, name := range rest {
			if i := slices.IndexFunc(d.Modules, func(m recipe.Module) bool { return m.Name == name }); i >= 0 {
				return i
			}
		}
	}
	return found
}

// partOfAnother reports whether a tensor belongs to a part of a model that is
// not its language model.
func partOfAnother(tensor string) bool {
	for _, s := range synonyms[1:] {
		if slices.ContainsFunc(s, func(name string) bool { return lastComponent(tensor, name) >= 0 }) {
			return true
		}
	}
	return false
}

// lastComponent returns the offset behind the last place where the components of a
// name between dots are those of part; -1 if there is none.
func lastComponent(name, part string) int {
	for end := len(name); end > 0; {
		at := strings.LastIndex(name[:end], part)
		if at < 0 || part == "" {
			return -1
		}
		after := at + len(part)
		if (at == 0 || name[at-1] == '.') && (after == len(name) || name[after] == '.') {
			return after
		}
		end = after - 1
	}
	return -1
}

// checkModules reports modules without tensors, tensors without a module, and
// layers that a recipe moves in a module whose depth config.json keeps.
func checkModules(d *recipe.Recipe, primary *model.Model) []recipe.Problem {
	if !d.Several() {
		return nil
	}
	var problems []recipe.Problem
	count := make([]int, len(d.Modules))
	var left text.Names
	for i := range primary.Tensors {
		if k := moduleOf(d, primary.Tensors[i].Name); k >= 0 {
			count[k]++
		} else {
			left.Add(primary.Tensors[i].Name, "")
		}
	}
	for k, m := range d.Modules {
		if count[k] == 0 {
			problems = append(problems, recipe.Problem{Pos: m.Pos, Message: fmt.Sprintf("%s has no tensors in a module %s; without a recipe, merge A B -t PATTERN=VALUE rules on tensors by their names",
				primary.Name(), text.Quote(m.Name))})
		}
	}
	if n := left.Count(); n > 0 {
		problems = append(problems, recipe.Problem{Pos: d.Modules[0].Pos, Message: fmt.Sprintf("%s %s in none of the recipe's modules: %s; without a recipe, merge A B -t PATTERN=VALUE rules on tensors by their names",
			text.Count(n, "tensor"), text.Verb(n, "is", "are"), left.String())})
	}
	for k := range d.Slices {
		s := &d.Slices[k]
		if textModule(d, k, primary) {
			continue
		}
		for _, src := range s.Sources {
			if !src.Whole && src.Layers.From != startOf(d, k) {
				problems = append(problems, recipe.Problem{Pos: src.Layers.Pos, Message: fmt.Sprintf("layer_range %v moves layers of the module %s; only the layers of the language model can be moved",
					src.Layers, text.Quote(d.Modules[s.Module].Name))})
			}
		}
		if !s.Sources[0].Whole && k == lastOf(d, k) {
			_, n, err := stackFor(d, k, primary)
			if own := s.Sources[max(0, s.Base)].Layers; err == nil && own.To < n {
				problems = append(problems, recipe.Problem{Pos: own.Pos, Message: fmt.Sprintf("the slices of the module %s end at layer %d of %d; only layers of the language model can be dropped",
					text.Quote(d.Modules[s.Module].Name), own.To, n)})
			}
		}
	}
	return problems
}

// textModule reports whether slice k belongs to the language model.
func textModule(d *recipe.Recipe, k int, m *model.Model) bool {
	if !d.Several() {
		return true
	}
	stack, _, err := m.TextStack()
	return err == nil && moduleOf(d, stack) == d.Slices[k].Module
}

// stackFor finds the numbered layers that layer_range means in slice k.
func stackFor(d *recipe.Recipe, k int, m *model.Model) (stack string, layers int, err error) {
	if textModule(d, k, m) {
		if stack, layers, err = m.TextStack(); err != nil {
			err = fmt.Errorf("%w, so it is not clear which layers layer_range means", err)
		}
		return stack, layers, err
	}
	for name, n := range m.Stacks() {
		if moduleOf(d, name) == d.Slices[k].Module && (n > layers || n == layers && name < stack) {
			stack, layers = name, n
		}
	}
	if stack == "" {
		return "", 0, fmt.Errorf("%s has no numbered layers in the module %s, so no layer_range can be taken of it", m.Name(), text.Quote(d.Modules[d.Slices[k].Module].Name))
	}
	return stack, layers, nil
}

// startOf returns the number of the first layer of slice k in the output.
func startOf(d *recipe.Recipe, k int) int {
	n := 0
	for i := range d.Slices[:k] {
		if s := &d.Slices[i]; s.Module == d.Slices[k].Module {
			n += s.Sources[max(0, s.Base)].Layers.Len()
		}
	}
	return n
}

// firstOf and lastOf are the first and the last slice of the module of slice k.
func firstOf(d *recipe.Recipe, k int) int {
	return slices.IndexFunc(d.Slices, func(s recipe.Slice) bool { return s.Module == d.Slices[k].Module })
}

func lastOf(d *recipe.Recipe, k int) int {
	last := k
	for i := k; i < len(d.Slices); i++ {
		if d.Slices[i].Module == d.Slices[k].Module {
			last = i
		}
	}
	return last
}
