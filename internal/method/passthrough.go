package method

import "slerpmerge/internal/recipe"

// PassthroughMethod is merge_method: passthrough, layers of one model at a time,
// as they are or scaled.
type PassthroughMethod struct{}

// Name returns "passthrough".
func (PassthroughMethod) Name() recipe.Method { return "passthrough" }

// Title returns the name of the method for cards.
func (PassthroughMethod) Title() string {
	return "A model put together of layers of others"
}

// Parameters returns scale.
func (PassthroughMethod) Parameters() []recipe.Parameter {
	return []recipe.Parameter{{Name: "scale", PerSource: true, Default: "1"}}
}

// Base returns the role of base_model.
func (PassthroughMethod) Base() recipe.BaseRole { return recipe.BaseIsModel }

// Missing returns Others.
func (PassthroughMethod) Missing() Missing { return Others }

// Pairs returns false.
func (PassthroughMethod) Pairs() bool { return false }

// Op scales the operand, by 1 if the recipe has no scale for it.
func (PassthroughMethod) Op(p Params) (Op, string) {
	l := &Linear{Divisor: 1}
	for k := range p.Operands() {
		w, ok := p.Of(k, "scale")
		if !ok {
			w = 1
		}
		l.Weights = append(l.Weights, w)
	}
	return l, ""
}

// Check wants one model in each slice.
func (PassthroughMethod) Check(c *recipe.Check) {
	for _, s := range c.Slices {
		if s.Broken() || len(s.Sources) < 2 {
			continue
		}
		if second := s.Sources[1]; second.Added {
			c.FailAt(second.Pos, "passthrough takes one model, and base_model, which is added to models, is a second; write slices instead")
		} else {
			c.FailAt(second.Model.Pos, "passthrough takes one model in a slice, and %s is a second; give it a slice of its own", c.Quote(second.Model))
		}
	}
}
