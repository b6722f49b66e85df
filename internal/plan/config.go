package plan

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"slerpmerge/internal/model"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/text"
)

// Files about a model: its card, and this program's record of how it was made.
const (
	cardName   = "README.md"
	recordName = "slerpmerge.json"
)

// editConfig makes the primary's config.json true for the output: the
// element type, the vocabulary size, whether the head is tied. What is true
// already keeps its bytes.
func (p *planner) editConfig() {
	if p.Primary.Config == nil {
		return
	}
	c := p.config
	if c == nil {
		c = p.Primary.Config.Clone()
	}
	if d, ok := p.mainType(); ok {
		value := strconv.Quote(recipe.LongName(d))
		// Old releases write torch_dtype, transformers 5 dtype, and both are read.
		old := c.Dtype("torch_dtype", value, !p.Recipe.OutputType().Auto)
		now := c.Dtype("dtype", value, !p.Recipe.OutputType().Auto)
		if !old && !now && !p.Recipe.OutputType().Auto {
			c.Set("torch_dtype", value)
		}
	}
	p.setVocabSize(c)
	// Else vocab_size stays: the parents' vocabularies are equal, and some models
	// (Mllama) have more rows than it says.
	p.untie(c)
	c.Remove("_name_or_path")
	c.Remove("transformers_weights")
	p.Config = c.Bytes()
}

// mainType returns the floating type that most bytes of the output are of.
func (p *planner) mainType() (tensor.DType, bool) {
	bytes := map[tensor.DType]int64{}
	best, found := tensor.F32, false
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if !t.DType.Blends() {
			continue
		}
		bytes[t.DType] += t.Bytes()
		if !found || bytes[t.DType] > bytes[best] {
			best, found = t.DType, true
		}
	}
	return best, found
}

// tokenizerOf says whose tokenizer is copied. LLM-SLERP-Merge takes the
// primary's only where it has special_tokens_map.json and the secondary has
// not (line 16 of its script).
func (p *planner) tokenizerOf() recipe.Tokenizer {
	if p.Recipe.Tokenizer != recipe.TokenizerSeed {
		return p.Recipe.Tokenizer
	}
	const rule = "special_tokens_map.json"
	_, a := p.Primary.CompanionSize(rule)
	_, b := p.Secondary.CompanionSize(rule)
	if a == nil && b != nil {
		return recipe.TokenizerPrimary
	}
	return recipe.TokenizerSecondary
}

// tokenizerModel returns the model whose tokenizer files are copied.
func (p *planner) tokenizerModel() *model.Model {
	switch {
	case p.tokensOf != nil:
		return p.tokensOf
	case p.Secondary != nil && p.tokenizerOf() == recipe.TokenizerSecondary:
		return p.Secondary
	}
	return p.Primary
}

// companions lists the small files of the output, the tokenizer's from the
// model that the recipe says, licences from all, and what is left behind.
func (p *planner) companions() {
	p.findCompanions()
	for _, m := range p.Models {
		if slices.ContainsFunc(p.LeftBehind, func(l LeftBehind) bool { return l.Model == m }) {
			continue // a model merged with itself
		}
		names := m.Others(func(name string) bool {
			return slices.ContainsFunc(p.Companions, func(c Companion) bool { return c.From == m && c.File == name || c.Name == name })
		})
		if len(names) == 0 {
			continue
		}
		p.LeftBehind = append(p.LeftBehind, LeftBehind{m, names})
		n := 0
		for _, name := range names {
			if !slices.Contains(m.Unread, name) { // those were named when it was opened
				n++
			}
		}
		if n > 0 {
			p.weigh(2, "%s of %s %s not copied; plan -v lists them", text.Count(n, "other file"), m.Name(), text.Verb(n, "is", "are"))
		}
	}
}

func (p *planner) findCompanions() {
	tok := p.tokenizerModel()
	seen := map[string]bool{}
	add := func(from *model.Model, file, name string) {
		if !seen[name] {
			seen[name] = true
			p.Companions = append(p.Companions, Companion{Name: name, From: from, File: file})
		}
	}
	for i := range p.edited {
		f := &p.edited[i]
		name := path.Join(p.Primary.Home, f.Name)
		seen[name] = true
		p.Companions = append(p.Companions, Companion{Name: name, From: tok, File: f.Name, Edit: f})
	}
	names := tok.Companions(true)
	if p.Recipe.Tokenizer == recipe.TokenizerNone {
		names = nil
	} else if len(names) == 0 {
		for _, other := range p.Models {
			if len(other.Companions(true)) > 0 {
				p.warn("%s has no tokenizer files and %s has: --tokenizer chooses the model whose files are copied", tok.Name(), other.Name())
				break
			}
		}
	}
	for _, name := range names { // beside the weights, wherever these are
		base := name
		if tok.Home != "" {
			base = strings.TrimPrefix(name, tok.Home+"/")
		}
		add(tok, name, path.Join(p.Primary.Home, base))
	}
	for _, name := range p.Primary.Companions(false) {
		add(p.Primary, name, name)
	}
	for _, name := range p.Primary.Licences() {
		add(p.Primary, name, name)
	}
	if p.Recipe.Method == recipe.Convert { // the same model goes by the same card
		if _, err := p.Primary.CompanionSize(cardName); err == nil && p.Primary.Dir != "" {
			add(p.Primary, cardName, cardName)
		}
		// The record of how the model was made stays beside the conversion's own.
		if _, err := p.Primary.CompanionSize(recordName); err == nil && p.Primary.Dir != "" {
			add(p.Primary, recordName, "slerpmerge.parent.json")
		}
		return
	}
	for _, other := range p.Models[1:] {
		for _, name := range other.Licences() {
			if !seen[name] {
				add(other, name, name)
			} else if same, err := model.SameFile(p.Primary, other, name); err != nil || !same {
				free := name + ".secondary"
				for seen[free] { // the primary is a merge itself
					free += ".secondary"
				}
				add(other, name, free)
			}
		}
	}
}
