package plan

import (
	"fmt"
	"slices"
	"strings"

	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tokenizer"
)

// template gives the output the chat template that a recipe asks for (mergekit
// 0.1.5, _set_chat_template). Where it has that one already, its files stay as
// they are.
func (p *planner) template() *recipe.Problem {
	d := p.Recipe
	text := d.ChatTemplate
	open := p.tokenizerModel().OpenCompanion
	switch {
	case text == "":
		return nil
	case text == "auto":
		if text = p.usualTemplate(); text == "" {
			return nil
		}
		if own, err := tokenizer.Template(open); err == nil && strings.TrimSpace(own) == text {
			return nil
		}
	case slices.Contains(recipe.ChatTemplates, text):
		text = recipe.ChatTemplate(text)
	}
	var err error
	if p.edited, err = tokenizer.SetTemplate(open, p.edited, text); err != nil {
		return &recipe.Problem{Pos: d.TemplatePos, Message: fmt.Sprintf("%s can't get a chat template: %v", p.tokenizerModel().Name(), err)}
	}
	return nil
}

// usualTemplate returns the chat template that most models have, the first one of
// several that are as frequent; "" if none has any.
func (p *planner) usualTemplate() string {
	count := map[string]int{}
	var texts []string
	for _, m := range p.Models {
		text, err := tokenizer.Template(m.OpenCompanion)
		if err != nil {
			p.warn("the chat template of %s can't be read: %v", m.Name(), err)
			continue
		}
		if text = strings.TrimSpace(text); text != "" {
			count[text]++
			texts = append(texts, text)
		}
	}
	usual := ""
	for _, text := range texts {
		if count[text] > count[usual] {
			usual = text
		}
	}
	return usual
}
