package recipe

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"slerpmerge/internal/document"
	"slerpmerge/internal/text"
)

// A Stage is one document of a recipe file.
type Stage struct {
	Pos    Pos    // of the name, or of the document
	Name   string // "" if it has none
	Recipe *Recipe
	Needs  []*Stage // whose outputs it merges
}

// Stages are the documents of a recipe file, in an order in which they can run: each
// after those that it needs, and else as in the file.
type Stages struct {
	All []*Stage
	// Output is the stage that is what the file is for: the one without a name, else
	// the only one that no other needs. It is nil where that leaves several open.
	Output *Stage
}

// maxStages bounds the documents of a file.
const maxStages = 100

// ParseStages reads a recipe file that may have several documents, as mergekit-multi
// does (0.1.5, multimerge.py): a document names the output of another by its name where it
// could name a model. The error is a *DocumentError of all documents; beside it stand
// those that could be read.
func ParseStages(name string, src []byte, methods []Rules) (*Stages, error) {
	pieces := split(src)
	if len(pieces) < 2 {
		only := src
		if len(pieces) == 1 && !pieces[0].last { // an empty document follows
			only = pieces[0].padded
		}
		r, err := Parse(name, only, methods)
		if r == nil {
			return nil, err
		}
		s := &Stage{Pos: Pos{Line: 1, Column: 1}, Name: r.title, Recipe: r}
		return &Stages{All: []*Stage{s}, Output: s}, err
	}
	if len(pieces) > maxStages {
		return nil, document.NewError(name, src, []Problem{{Pos: Pos{Line: 1, Column: 1}, Message: fmt.Sprintf("the file has %d documents; %d are enough", len(pieces), maxStages)}})
	}
	var problems []Problem
	s := &Stages{}
	for _, piece := range pieces {
		r, err := Parse(name, piece.padded, methods)
		if e := (*DocumentError)(nil); errors.As(err, &e) {
			problems = append(problems, e.Problems...)
		}
		if r == nil {
			continue
		}
		r.Source, r.whole = piece.text, src
		stage := &Stage{Pos: piece.pos, Name: r.title, Recipe: r}
		if r.title != "" {
			stage.Pos = r.titlePos
		}
		s.All = append(s.All, stage)
	}
	problems = append(problems, s.link()...)
	if len(problems) > 0 {
		return s, document.NewError(name, src, problems)
	}
	s.Output = s.output()
	return s, nil
}

// A piece is the text of one document. padded has it at its place in the file.
type piece struct {
	text, padded []byte
	pos          Pos
	last         bool // it goes to the end of the file
}

var (
	// No scalar can have a line like this, whatever its style.
	marker  = regexp.MustCompile(`(?m)^---([ \t].*)?\r?$`)
	nothing = regexp.MustCompile(`^(\s|#[^\n]*(\n|$)|%[^\n]*(\n|$)|\.\.\.)*$`)
	inLines = regexp.MustCompile(`[^\r\n\x{85}\x{2028}\x{2029}]+`)
)

// split finds the documents of a file that say something.
func split(src []byte) (pieces []piece) {
	ends := append(marker.FindAllIndex(src, -1), []int{len(src), len(src)})
	from := 0
	for _, end := range ends {
		text := src[from:end[0]]
		first, rest, _ := bytes.Cut(text, []byte("\n"))
		inline := bytes.TrimSpace(bytes.TrimPrefix(first, []byte("---")))
		marked := bytes.HasPrefix(first, []byte("---"))
		body := text
		if marked {
			body = rest
		}
		if !nothing.Match(body) || marked && len(inline) > 0 && inline[0] != '#' {
			padding := inLines.ReplaceAll(src[:from], nil)
			pos := Pos{Line: bytes.Count(padding, []byte("\n")) + 1, Column: 1}
			own := body
			if marked && len(inline) > 0 && inline[0] != '#' {
				own = text
			}
			pieces = append(pieces, piece{text: own, padded: append(padding, text...), pos: pos, last: end[0] == len(src)})
		}
		from = end[0]
	}
	return pieces
}

// Unfit says why the name can't be that of a folder, which the output of the stage gets; ""
// if it can, or if there is none.
func (s *Stage) Unfit() string {
	name := s.Name
	switch {
	case name == "":
	case !filepath.IsLocal(name) || name == "." || strings.HasPrefix(name, "."):
		return fmt.Sprintf("the name %s can't be that of a folder; its output gets one of that name", text.QuoteWord(name))
	case strings.ContainsAny(name, "@+\\:") || strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Sprintf("the name %s has characters that mean something else in the name of a model, or in none", text.QuoteWord(name))
	}
	return ""
}

// link finds out what needs what, and puts the stages in order.
func (s *Stages) link() (problems []Problem) {
	fail := func(pos Pos, format string, args ...any) {
		problems = append(problems, Problem{Pos: pos, Message: fmt.Sprintf(format, args...)})
	}
	byName := map[string]*Stage{}
	var nameless *Stage
	for _, stage := range s.All {
		other := byName[stage.Name]
		switch {
		case stage.Name == "" && nameless != nil:
			fail(stage.Pos, "this document has no name, and neither has that on line %d; one alone can be without, the output", nameless.Pos.Line)
		case stage.Name == "":
			nameless = stage
		case other != nil:
			fail(stage.Pos, "the name %s is already that of the document on line %d", text.QuoteWord(stage.Name), other.Pos.Line)
		default:
			byName[stage.Name] = stage
			if why := stage.Unfit(); why != "" {
				fail(stage.Pos, "%s", why)
			}
		}
	}
	places := map[[2]*Stage]Pos{}
	for _, stage := range s.All {
		for _, ref := range stage.Recipe.refs() {
			maker := byName[ref.Path]
			if maker == nil || ref.Revision != "" {
				continue
			}
			if !slices.Contains(stage.Needs, maker) {
				stage.Needs = append(stage.Needs, maker)
				places[[2]*Stage{stage, maker}] = ref.Pos
			}
		}
	}
	const busy, ready = 1, 2
	state := map[*Stage]int{}
	var sorted, chain []*Stage
	var visit func(stage *Stage)
	visit = func(stage *Stage) {
		state[stage] = busy
		chain = append(chain, stage)
		for _, maker := range stage.Needs {
			switch state[maker] {
			case ready:
			case busy:
				var names []string
				for _, x := range chain[slices.Index(chain, maker):] {
					names = append(names, text.QuoteWord(x.Name))
				}
				fail(places[[2]*Stage{stage, maker}], "the documents need each other in a circle: %s", strings.Join(append(names, text.QuoteWord(maker.Name)), " needs "))
			default:
				visit(maker)
			}
		}
		chain = chain[:len(chain)-1]
		state[stage] = ready
		sorted = append(sorted, stage)
	}
	for _, stage := range s.All {
		if state[stage] == 0 {
			visit(stage)
		}
	}
	s.All = sorted
	return problems
}

// output finds the stage that the others lead to.
func (s *Stages) output() *Stage {
	ends := s.Ends()
	for _, stage := range s.All {
		if stage.Name == "" {
			return stage
		}
	}
	if len(ends) == 1 {
		return ends[0]
	}
	return nil
}

// Ends lists the stages that no other needs.
func (s *Stages) Ends() (ends []*Stage) {
	for _, stage := range s.All {
		if !slices.ContainsFunc(s.All, func(o *Stage) bool { return slices.Contains(o.Needs, stage) }) {
			ends = append(ends, stage)
		}
	}
	return ends
}

// Label returns the name of a stage for messages.
func (s *Stage) Label() string {
	if s.Name == "" {
		return "output"
	}
	return s.Name
}

// Place has the stage look for the outputs that it needs where path says that they are.
func (s *Stage) Place(path func(*Stage) string) {
	for _, ref := range s.Recipe.refs() {
		i := slices.IndexFunc(s.Needs, func(o *Stage) bool { return o.Name == ref.Path && ref.Revision == "" })
		if i >= 0 {
			ref.Path = path(s.Needs[i])
		}
	}
}

// refs lists all references to models.
func (r *Recipe) refs() (refs []*ModelRef) {
	seen := map[*ModelRef]bool{nil: true}
	add := func(m *ModelRef) {
		if !seen[m] {
			seen[m] = true
			refs = append(refs, m)
		}
	}
	add(r.Base)
	for i := range r.Slices {
		s := &r.Slices[i]
		add(s.base)
		for j := range s.Sources {
			add(&s.Sources[j].Model)
		}
	}
	if v := r.Vocabulary; v != nil {
		add(v.Model)
		for i := range v.Tokens {
			add(v.Tokens[i].Model)
		}
	}
	return refs
}
