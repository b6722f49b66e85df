package recipe

import (
	"fmt"
	"path/filepath"
	"slices"

	"slerpmerge/internal/document"
)

// Methods of mergekit that recipes may name besides Slerp.
const (
	Linear      Method = "linear"      // weighted sum of any number of models
	Passthrough Method = "passthrough" // layers of one model at a time, as they are or scaled
)

// What a recipe file and other files that people write have in common.
type (
	Pos           = document.Pos
	Problem       = document.Problem
	DocumentError = document.Error
)

// A Document is a recipe file: a mergekit configuration as mergekit 0.1.5
// reads it, checked for sense on its own.
type Document struct {
	Name     string // of the file
	Source   []byte // the file
	Method   Method
	Base     *ModelRef // nil if there is none
	Modules  []Module  // those under modules, in order; nil without that key
	Slices   []Slice   // of the output, in order; the models form is one slice of whole models
	DType    DType     // parents are cast to it on load; Auto if not given
	OutDType DType     // the output is cast to it; Auto if not given

	Vocabulary   *Vocabulary // tokenizer_source or tokenizer, nil for neither
	ChatTemplate string      // "auto", one of ChatTemplates, or a template; "" if not given
	TemplatePos  Pos

	Warnings []Problem // in the order of the file

	file parameters
}

// A Module is a part of a model that a recipe merges on its own, such as the
// vision tower.
type Module struct {
	Pos  Pos
	Name string

	params parameters
}

// Several reports whether the recipe tells how to merge several modules.
func (d *Document) Several() bool { return len(d.Modules) > 1 }

// A ModelRef names a model: a folder or a name on the hub.
type ModelRef struct {
	Pos      Pos
	Path     string
	Revision string // "" if not given
}

// Same reports whether two references are to one model. Spellings of one path
// are the same, unlike for mergekit: "a", "a/" and "./a".
func (m ModelRef) Same(o ModelRef) bool {
	return m.Revision == o.Revision && (m.Path == o.Path || filepath.Clean(m.Path) == filepath.Clean(o.Path))
}

// String is the reference as a recipe has it.
func (m ModelRef) String() string {
	if m.Revision != "" {
		return m.Path + "@" + m.Revision
	}
	return m.Path
}

// A Slice is a run of layers of the output.
type Slice struct {
	Pos     Pos
	Sources []Source
	Base    int // the index of the source that t = 0 means, -1 if none is the base
	Module  int // the index of its module, 0 where the recipe has none

	base   *ModelRef
	params parameters
	broken bool // its problems are told already
}

// A Source is a model of a slice.
type Source struct {
	Pos    Pos
	Model  ModelRef
	Whole  bool // all layers of the model, whatever their number
	Layers Range
	Added  bool // not listed: base_model, which mergekit adds to models

	params parameters
}

// A Range is layers From to To, without To.
type Range struct {
	Pos      Pos
	From, To int
}

// Len is the number of layers.
func (r Range) Len() int { return r.To - r.From }

// String is the range as a recipe has it.
func (r Range) String() string { return fmt.Sprintf("[%d, %d]", r.From, r.To) }

// A Vocabulary says which tokens the output has, and where their embeddings
// come from.
type Vocabulary struct {
	Pos    Pos
	Union  bool // the tokens of all models
	Base   bool // those of base_model
	Model  *ModelRef
	Tokens []Token
	PadTo  int // the rows are a multiple of it; 0 if not given
}

// A Token is a token whose embedding a recipe rules on.
type Token struct {
	Pos   Pos
	Text  string
	Force bool // this embedding even where models have the token

	// Where the embedding comes from; neither: as for other tokens.
	Zero  bool
	Model *ModelRef // this model's embedding of FromID or FromText, of Text if both are unset
	// Exactly one of these is set where the recipe has kind: model_token.
	FromID   *int
	FromText *string
}

// parameters are settings of one level of a recipe by name.
type parameters map[string]Setting

// resolve asks levels from the innermost to the outermost.
func resolve(param, tensor string, p float64, levels ...parameters) (float64, bool) {
	for _, l := range levels {
		if v, ok := l[param].At(tensor, p); ok {
			return v, true
		}
	}
	return 0, false
}

// T is the t of an output tensor of a slice at a Position, false if the
// recipe has none for it: that of the slice, else of the module, else of the
// file (mergekit 0.1.5, parameter_sources; a source's is never read).
func (d *Document) T(slice int, tensor string, p float64) (float64, bool) {
	return resolve("t", tensor, p, d.shared(d.Slices[slice])...)
}

// Weight is the weight of a source in a linear merge, false if the recipe has
// none: that of the source comes first. Unlike for t, filters go by the name
// that the tensor has in that source, with that model's layer number (mergekit
// 0.1.5, resolve_parameters).
func (d *Document) Weight(slice, source int, tensor string, p float64) (float64, bool) {
	return d.ofSource("weight", slice, source, tensor, p)
}

// Scale is the factor of a source in a passthrough merge, false if the recipe
// has none and the tensor stays as it is. Filters go by names as for Weight.
func (d *Document) Scale(slice, source int, tensor string, p float64) (float64, bool) {
	return d.ofSource("scale", slice, source, tensor, p)
}

func (d *Document) ofSource(param string, slice, source int, tensor string, p float64) (float64, bool) {
	s := d.Slices[slice]
	return resolve(param, tensor, p, append([]parameters{s.Sources[source].params}, d.shared(s)...)...)
}

// shared lists the levels of parameters that all sources of a slice have, the
// innermost first.
func (d *Document) shared(s Slice) []parameters {
	if len(d.Modules) == 0 {
		return []parameters{s.params, d.file}
	}
	return []parameters{s.params, d.Modules[s.Module].params, d.file}
}

// Normalize reports whether a linear merge divides an output tensor by the sum
// of its weights, which it does unless the recipe says otherwise.
func (d *Document) Normalize(slice int, tensor string, p float64) bool {
	for _, l := range d.shared(d.Slices[slice]) {
		if v, ok := l["normalize"].pick(tensor, p); ok {
			return v
		}
	}
	return true
}

// Models lists the models that the recipe merges, each once: base_model first.
func (d *Document) Models() []ModelRef {
	var models []ModelRef
	add := func(m ModelRef) {
		if m.Path != "" && !slices.ContainsFunc(models, m.Same) {
			models = append(models, m)
		}
	}
	if d.Base != nil {
		add(*d.Base)
	}
	for _, s := range d.Slices {
		for _, src := range s.Sources {
			add(src.Model)
		}
	}
	return models
}

// Reject is the error of problems that show once the models are known.
func (d *Document) Reject(problems ...Problem) *DocumentError {
	return document.NewError(d.Name, d.Source, problems)
}

// Place names a place of the recipe: "recipe.yml:3:5".
func (d *Document) Place(p Pos) string { return fmt.Sprintf("%s:%d:%d", d.Name, p.Line, p.Column) }

// Unused tells which filters of the method's parameters take no tensor. names
// lists the tensors of a slice by the names they have in a source, or in the
// output for source -1.
func (d *Document) Unused(names func(slice, source int) []string) []Problem {
	var problems []Problem
	ask := func(level parameters, module, slice, source int) {
		for _, param := range d.Method.parameters() {
			setting := level[param.name]
			if setting == nil || len(setting) == 1 && setting[0].Filter == "" {
				continue
			}
			var all []string
			for i, s := range d.Slices {
				if slice >= 0 && slice != i || module >= 0 && module != s.Module {
					continue
				}
				if !param.perSource {
					all = append(all, names(i, -1)...)
					continue
				}
				for j := range s.Sources {
					if source < 0 || source == j {
						all = append(all, names(i, j)...)
					}
				}
			}
			for _, u := range setting.Unused(all) {
				problems = append(problems, Problem{Pos: u.Pos, Message: param.name + ": " + u.String()})
			}
		}
	}
	ask(d.file, -1, -1, -1)
	for i, m := range d.Modules {
		ask(m.params, i, -1, -1)
	}
	for i, s := range d.Slices {
		ask(s.params, -1, i, -1)
		for j, src := range s.Sources {
			ask(src.params, -1, i, j)
		}
	}
	slices.SortStableFunc(problems, document.ByPlace)
	return slices.Compact(problems)
}

// A parameter is one that a method has.
type parameter struct {
	name      string
	perSource bool // each source may have its own
	boolean   bool
}

// parameters lists the parameters of a method (mergekit 0.1.5, merge_methods).
func (m Method) parameters() []parameter {
	switch m {
	case Slerp:
		return []parameter{{name: "t"}}
	case Linear:
		return []parameter{{name: "weight", perSource: true}, {name: "normalize", boolean: true}}
	case Passthrough:
		return []parameter{{name: "scale", perSource: true}}
	}
	return nil
}
