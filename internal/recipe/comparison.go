package recipe

// Compare is the method of a comparison of models, which no recipe file names.
const Compare Method = "compare"

// Comparison returns a recipe of models that are compared with each other, in their
// order. No two may be the same.
func Comparison(models ...string) Recipe {
	var sources []Source
	for i, m := range models {
		sources = append(sources, Source{Model: ModelRef{Path: m}, Whole: true, Parent: i})
	}
	return Recipe{Method: Compare, Slices: []Slice{{Sources: sources, Base: -1}}, Cast: DType{Auto: true}, OutDType: DType{Auto: true}, DType: DType{Auto: true}}
}
