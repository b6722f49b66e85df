package plan

import (
	"fmt"
	"strings"

	"slerpmerge/internal/model"
	"slerpmerge/internal/text"
)

// align calls the tensors of every model as the primary calls them, without
// the wrappers of PyTorch's tools, and says so.
func (p *planner) align() {
	for _, m := range p.Models {
		if found := m.Unwrap(); len(found) > 0 {
			p.warn("%s was saved from a wrapped model: %s. %s left out of its names, which transformers would not know", m.Name(), strings.Join(found, ". and "), text.Verb(len(found), "is", "are"))
		}
	}
	for i, m := range p.Models[1:] {
		p.at = p.Recipe.Models()[1+i].Pos
		said, err := m.Align(p.Primary)
		if err != nil {
			p.block("%v", err)
			continue
		}
		if len(said) == 0 {
			continue
		}
		var list text.Names
		for _, r := range said {
			list.AddText(renaming(r))
		}
		p.warn("%s has the network of %s under other names: %s", m.Name(), p.Primary.Name(), list.String())
	}
}

func renaming(r model.Renaming) string {
	side := func(s string) string {
		if s == "" {
			return "no prefix"
		}
		return text.Quote(s)
	}
	return fmt.Sprintf("%s is paired with %s", side(r.From), side(r.To))
}
