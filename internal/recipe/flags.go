package recipe

// Pair returns a merge of two models by a method that goes from one to the other. t has
// a value for every tensor: 0 is the primary, 1 the secondary.
func Pair(rules Rules, primary, secondary string, t Setting) Recipe {
	r := Recipe{Method: rules.Name(), Rules: rules, Slices: []Slice{{Sources: []Source{
		{Model: ModelRef{Path: primary}, Whole: true},
		{Model: ModelRef{Path: secondary}, Whole: true, Parent: 1},
	}}}, Cast: DType{Auto: true}, OutDType: DType{Auto: true}, DType: DType{Auto: true}, pair: true}
	r.Set("t", t)
	return r
}

// Conversion takes one model as it is, or in another type or format.
func Conversion(model string) Recipe {
	return Recipe{Method: Convert, Slices: []Slice{{Sources: []Source{{Model: ModelRef{Path: model}, Whole: true}}}},
		Cast: DType{Auto: true}, OutDType: DType{Auto: true}, DType: DType{Auto: true}}
}
