package parents

import (
	"fmt"
	"strconv"
	"strings"

	"slerpmerge/internal/model"
	"slerpmerge/internal/text"
	"slerpmerge/internal/tokenizer"
)

// compareTokenizers warns when the tokenizers are not the same: equal ids must
// mean equal tokens for a merge to make sense.
func (c *comparison) compareTokenizers() {
	a := c.a
	for _, name := range []string{"tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt"} {
		same, err := model.SameFile(a, c.b, name)
		if err != nil || same {
			continue
		}
		if d, ok := c.differences(name); ok {
			c.warnTokens(d)
		} else {
			c.grave("%s is not the same in %s and %s: check that the ids mean the same tokens", name, a.Name(), c.b.Name())
		}
		return
	}
}

// differences compares the vocabularies, unless a file is too large for the
// memory that there is: reading one takes a part of its size.
func (c *comparison) differences(name string) (tokenizer.Difference, bool) {
	x, errX := c.a.CompanionSize(name)
	y, errY := c.b.CompanionSize(name)
	if errX != nil || errY != nil || x+y > c.memory {
		return tokenizer.Difference{}, false
	}
	va, err := tokenizer.Read(c.a.OpenCompanion)
	if err != nil {
		return tokenizer.Difference{}, false
	}
	vb, err := tokenizer.Read(c.b.OpenCompanion)
	if err != nil {
		return tokenizer.Difference{}, false
	}
	return tokenizer.Compare(va, vb), true
}

// warnTokens says how two tokenizers differ; that the files do, but no token,
// is nothing to be warned about.
func (c *comparison) warnTokens(d tokenizer.Difference) {
	if d.Moved > 0 {
		var list []string
		for _, c := range d.Clash {
			list = append(list, fmt.Sprintf("%d is %q and %q", c.ID, c.A, c.B))
		}
		what := "1 id means"
		if d.Moved > 1 {
			what = fmt.Sprintf("%d ids mean", d.Moved)
		}
		c.grave("%s different tokens in %s and %s: %s", what, c.a.Name(), c.b.Name(), strings.Join(list, ", "))
	}
	for _, only := range []struct {
		n     int
		first []string
		who   string
	}{{d.OnlyA, d.FirstA, c.a.Name()}, {d.OnlyB, d.FirstB, c.b.Name()}} {
		if only.n > 0 {
			var list []string
			for _, token := range only.first {
				list = append(list, strconv.Quote(token))
			}
			c.warn("%s %s in the tokenizer of %s only: %s", text.Count(only.n, "token"), text.Verb(only.n, "is", "are"), only.who, text.Some(list, only.n))
		}
	}
}

// compareOutlines warns about special tokens and chat templates that differ.
func (c *comparison) compareOutlines() {
	x, err := tokenizer.ReadOutline(c.a.OpenCompanion)
	if err != nil {
		return // whoever opens the model will see
	}
	y, err := tokenizer.ReadOutline(c.b.OpenCompanion)
	if err != nil {
		return
	}
	var roles []string
	for _, role := range tokenizer.Roles() {
		s, okX := x.Special[role]
		t, okY := y.Special[role]
		if okX && okY && s != t {
			roles = append(roles, fmt.Sprintf("%s is %s and %s", role, text.Quote(s), text.Quote(t)))
		}
	}
	if len(roles) > 0 {
		c.warn("special tokens differ in %s and %s: %s", c.a.Name(), c.b.Name(), strings.Join(roles, ", "))
	}
	if x.Template == y.Template {
		return
	}
	switch "" {
	case x.Template:
		c.warn("%s has a chat template, %s has none", c.b.Name(), c.a.Name())
	case y.Template:
		c.slight("%s has a chat template, %s has none", c.a.Name(), c.b.Name())
	default:
		c.warn("the chat templates of %s and %s differ: the one beside the tokenizer that is copied is kept", c.a.Name(), c.b.Name())
	}
}
