package method

import (
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/text"
)

// checkOthers wants a base model, and in each slice least to most models besides it;
// most 0 is any number. A module of one model is a copy of it.
func checkOthers(c *recipe.Check, method string, least, most int) {
	for k := range c.Slices {
		if c.Slices[k].Broken() {
			continue
		}
		s, base := c.Slice(k)
		if base == nil {
			if !c.HasBase {
				c.FailMethod("%s needs base_model: the model that the others are measured from", method)
				return
			}
			continue
		}
		var others []recipe.Source
		for _, src := range s.Sources {
			if !src.Model.Same(*base) {
				others = append(others, src)
			}
		}
		switch n := len(others); {
		case n < least && c.Several() && len(s.Sources) == 1:
		case n < least:
			c.FailAt(s.Pos, "%s merges %s into base_model %s, and here %s", method, besides(least, most), c.Quote(base), found(n))
		case most > 0 && n > most:
			c.FailAt(others[most].Model.Pos, "%s merges %s into base_model %s, and %s is one more", method, besides(least, most), c.Quote(base), c.Quote(others[most].Model))
		}
	}
}

// besides says how many models are needed.
func besides(least, most int) string {
	if least == most {
		return text.Count(least, "other model")
	}
	return text.Count(least, "other model") + " at least"
}

func found(n int) string {
	if n == 0 {
		return "is none"
	}
	return text.Verb(n, "is", "are") + " " + text.Count(n, "other model")
}
