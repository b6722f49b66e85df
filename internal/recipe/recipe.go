package recipe

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"slerpmerge/internal/document"
	"slerpmerge/internal/fault"
)

// The common part of recipe files and other files that people write.
type (
	Pos           = document.Pos
	Problem       = document.Problem
	DocumentError = document.Error
)

// A Recipe describes an output: of which models, by which method, with which
// parameters, types and policies. [Pair] and [Conversion] make one of flags, and
// [Parse] reads a mergekit configuration as mergekit 0.1.5 does.
type Recipe struct {
	Name   string // of the file
	Source []byte // the file, or its document; nil if the recipe was made of flags

	Method  Method
	Rules   Rules     // of the method
	Base    *ModelRef // nil if there is none
	Modules []Module  // those under modules, in order; nil without that key
	Slices  []Slice   // of the output, in order; whole models are one slice
	Entries []Entry   // which entries of PyTorch checkpoints are the parents

	Cast     DType // parents are cast to it on load; Auto if they are not
	OutDType DType // the type of the output that the file asks for; Auto if none
	DType    DType // the same of --dtype, which comes first
	// Promote has a tensor without a type written in the one that holds the values
	// of all its operands; else it is written in the primary's.
	Promote   bool
	Format    Format
	ShardSize int64 // bytes of tensors per file

	Vocabulary   *Vocabulary // tokenizer_source or tokenizer, nil for neither
	ChatTemplate string      // "auto", one of ChatTemplates, or a template; "" if not given
	TemplatePos  Pos

	Extrapolate bool // allows t outside 0 to 1
	Missing     Missing
	NonFinite   NonFinite
	Tokenizer   Tokenizer
	Vocab       Vocab
	Seed        uint64 // of the methods that drop elements at random

	Overrides []Given // in place of what the file says

	Warnings []Problem // in the order of the file

	file parameters
	pair bool // made by Pair

	title    string // name, which a document of several has
	titlePos Pos
	whole    []byte // the file, of which Source is one document; nil if it is all
}

// FromFile reports whether the recipe was read from a file, so that messages can
// name places in it.
func (r *Recipe) FromFile() bool { return r.Source != nil }

// IsPair reports whether flags have made the recipe of a primary and a secondary.
func (r *Recipe) IsPair() bool { return r.pair }

// Role says what model i of Models is to the merge: "primary", "secondary", "base" or
// "model".
func (r *Recipe) Role(i int) string {
	switch {
	case r.pair || r.Method == Convert:
		return []string{"primary", "secondary"}[i]
	case i == 0 && r.Base != nil:
		return "base"
	}
	return "model"
}

// OutputType returns the floating type of the output, Auto where no one type was asked
// for.
func (r *Recipe) OutputType() DType {
	for _, d := range []DType{r.DType, r.OutDType, r.Cast} {
		if !d.Auto {
			return d
		}
	}
	return DType{Auto: true}
}

// Setting returns the parameter of a name that holds for the whole recipe; nil if it
// has none.
func (r *Recipe) Setting(name string) Setting { return r.file[name] }

// Set sets the parameter of a name for the whole recipe.
func (r *Recipe) Set(name string, s Setting) {
	file := maps.Clone(r.file) // copies of the recipe keep theirs
	if file == nil {
		file = parameters{}
	}
	file[name] = s
	r.file = file
}

// Validate reports everything in the recipe that can't be right whatever the
// models are.
func (r *Recipe) Validate() error {
	var errs []error
	if r.pair {
		for _, rule := range r.file["t"] {
			for _, v := range rule.Values {
				if (v < 0 || v > 1) && !r.Extrapolate {
					errs = append(errs, &fault.FlagError{Name: "t", Err: fmt.Errorf("-t %v is outside 0 (primary) to 1 (secondary); --extrapolate allows that", v)})
				}
			}
		}
	}
	if r.ShardSize < 1 {
		errs = append(errs, &fault.FlagError{Name: "shard-size", Err: errors.New("--shard-size must be at least one byte")})
	}
	return errors.Join(errs...)
}

// A Module is a part of a model that a recipe merges on its own, such as the
// vision tower.
type Module struct {
	Pos  Pos
	Name string

	params parameters
}

// Several reports whether the recipe says how to merge several modules.
func (r *Recipe) Several() bool { return len(r.Modules) > 1 }

// A ModelRef names a model: a folder or a name on the hub.
type ModelRef struct {
	Pos      Pos
	Path     string
	Revision string // "" if not given
}

// Same reports whether two references are to one model. Spellings of one path
// are the same here, though not in mergekit: "a", "a/" and "./a".
func (m ModelRef) Same(o ModelRef) bool {
	return m.Revision == o.Revision && (m.Path == o.Path || filepath.Clean(m.Path) == filepath.Clean(o.Path))
}

// String returns the reference as a recipe has it.
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
	broken bool // its problems have been reported
}

// A Source is a model of a slice.
type Source struct {
	Pos    Pos
	Model  ModelRef
	Parent int  // the index of Model in Models
	Whole  bool // all layers of the model, whatever their number
	Layers Range
	Added  bool // not listed: base_model, which mergekit adds to models

	params parameters
	place  int // on the command line, from 1; 0 in a file and for an added one
}

// A Range is layers From to To, without To.
type Range struct {
	Pos      Pos
	From, To int
}

// Len returns the number of layers.
func (r Range) Len() int { return r.To - r.From }

// String returns the range as a recipe has it.
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

// Value returns the value of a parameter for an output tensor of a slice at a Position,
// false if the recipe has none for it: that of the slice, else of the module, else
// of the file (mergekit 0.1.5, parameter_sources; a source's is never read).
func (r *Recipe) Value(param string, slice int, tensor string, p float64) (float64, bool) {
	return resolve(param, tensor, p, r.shared(r.Slices[slice])...)
}

// SourceValue returns the value of a parameter for one source of a slice: that of the
// source comes first. Filters go by the name that the tensor has in that source,
// with that model's layer number (mergekit 0.1.5, resolve_parameters).
func (r *Recipe) SourceValue(param string, slice, source int, tensor string, p float64) (float64, bool) {
	s := r.Slices[slice]
	return resolve(param, tensor, p, append([]parameters{s.Sources[source].params}, r.shared(s)...)...)
}

// Flag is Value for a parameter that is true or false.
func (r *Recipe) Flag(param string, slice int, tensor string, p float64) (value, ok bool) {
	for _, l := range r.shared(r.Slices[slice]) {
		if v, ok := l[param].pick(tensor, p); ok {
			return v, true
		}
	}
	return false, false
}

// Has reports whether a slice has any value of a parameter, or one of its sources
// if source is not negative.
func (r *Recipe) Has(param string, slice, source int) bool {
	s := r.Slices[slice]
	levels := r.shared(s)
	if source >= 0 {
		levels = append([]parameters{s.Sources[source].params}, levels...)
	}
	return slices.ContainsFunc(levels, func(l parameters) bool {
		return slices.ContainsFunc(l[param], func(r Rule) bool { return len(r.Values) > 0 })
	})
}

// shared lists the levels of parameters that all sources of a slice have, the
// innermost first.
func (r *Recipe) shared(s Slice) []parameters {
	if len(r.Modules) == 0 {
		return []parameters{s.params, r.file}
	}
	return []parameters{s.params, r.Modules[s.Module].params, r.file}
}

// number gives the sources their Parent.
func (r *Recipe) number() {
	models := r.Models()
	for i := range r.Slices {
		for j := range r.Slices[i].Sources {
			s := &r.Slices[i].Sources[j]
			s.Parent = slices.IndexFunc(models, s.Model.Same)
		}
	}
}

// Models lists the models that the recipe merges, each once, the base first; those of
// Pair in their order.
func (r *Recipe) Models() []ModelRef {
	var models []ModelRef
	if r.pair {
		for _, src := range r.Slices[0].Sources {
			models = append(models, src.Model)
		}
		return models
	}
	add := func(m ModelRef) {
		if m.Path != "" && !slices.ContainsFunc(models, m.Same) {
			models = append(models, m)
		}
	}
	if r.Base != nil {
		add(*r.Base)
	}
	for _, s := range r.Slices {
		for _, src := range s.Sources {
			add(src.Model)
		}
	}
	return models
}

// Reject returns the error of problems that show once the models are known.
func (r *Recipe) Reject(problems ...Problem) *DocumentError {
	src := r.whole
	if src == nil {
		src = r.Source
	}
	return document.NewError(r.Name, src, problems)
}

// Parents returns the models as they are to be opened, in the order of Models.
func (r *Recipe) Parents() []string {
	var paths []string
	for _, m := range r.Models() {
		paths = append(paths, m.String())
	}
	return paths
}

// Warning returns the text of a warning, with its place in a file.
func (r *Recipe) Warning(w Problem) string {
	if !r.FromFile() {
		return w.Message
	}
	return r.Place(w.Pos) + ": " + w.Message
}

// Place names a place of the recipe's file: "recipe.yml:3:5".
func (r *Recipe) Place(p Pos) string { return fmt.Sprintf("%s:%d:%d", r.Name, p.Line, p.Column) }

// Unused lists the filters of the method's parameters that take no tensor.
// names lists the tensors of a slice by the names they have in a source, or in
// the output for source -1.
func (r *Recipe) Unused(names func(slice, source int) []string) []Problem {
	var problems []Problem
	ask := func(level parameters, module, slice, source int) {
		for _, param := range r.Rules.Parameters() {
			setting := level[param.Name]
			if setting == nil || len(setting) == 1 && setting[0].Filter == "" {
				continue
			}
			var all []string
			for i, s := range r.Slices {
				if slice >= 0 && slice != i || module >= 0 && module != s.Module {
					continue
				}
				if !param.PerSource {
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
				if !r.FromFile() && u.Filter == "" { // the default
					continue
				}
				name := param.Name
				if !r.FromFile() {
					name = said(FlagName(name))
				}
				problems = append(problems, Problem{Pos: u.Pos, Message: name + ": " + u.String()})
			}
		}
	}
	ask(r.file, -1, -1, -1)
	for i, m := range r.Modules {
		ask(m.params, i, -1, -1)
	}
	for i, s := range r.Slices {
		ask(s.params, -1, i, -1)
		for j, src := range s.Sources {
			ask(src.params, -1, i, j)
		}
	}
	slices.SortStableFunc(problems, document.ByPlace)
	return slices.Compact(problems)
}
