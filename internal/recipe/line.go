package recipe

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"slerpmerge/internal/fault"
	"slerpmerge/internal/text"
)

// A Line is a merge as a command line gives it, by any method.
type Line struct {
	Rules   Rules
	Methods []Rules // that exist, for messages
	Models  []string
	Base    string // the base model, one of Models or another; "" for none
	Seed    uint64
	Values  []Value // of parameters, in their order
}

// A Value is what the flag of a parameter was given: [N:][PATTERN=]VALUE[,...].
// N is the model's place among Models, from 1.
type Value struct{ Flag, Text string }

// Recipe returns the recipe. The primary is the base if there is one, else the first
// model. A base that is not listed is an operand only if the method measures
// the others from it; it comes first then. Errors are *fault.FlagError, or one that
// names everything that the method can't do.
func (l Line) Recipe() (Recipe, error) {
	if l.Rules.Base() == BaseIsMember {
		return l.pair()
	}
	r, err := l.frame()
	if err == nil {
		err = l.parameters(&r)
	}
	if err == nil {
		err = r.checkLine(l.Methods)
	}
	return r, err
}

// DefaultT is t where flags give no other.
const DefaultT = 0.5

// pair returns the recipe of a method that goes from one model to another: from the base,
// if one is named.
func (l Line) pair() (r Recipe, err error) {
	var texts []string
	for _, v := range l.Values {
		if v.Flag != "t" {
			return r, l.unread(v.Flag)
		}
		texts = append(texts, v.Text)
	}
	t, err := ParseTFlags(texts)
	if err != nil {
		return r, err
	}
	if len(t) == 0 || t[len(t)-1].Filter != "" {
		t = append(t, Rule{Values: []float64{DefaultT}})
	}
	name := l.Rules.Name()
	switch n := len(l.Models); {
	case n < 2:
		return r, fmt.Errorf("%s merges two models, and here is one", name)
	case n > 2:
		return r, badFlag("method", "%s merges two models, and %s is a third", name, text.QuoteWord(l.Models[2]))
	}
	first, second := l.Models[0], l.Models[1]
	if base := (ModelRef{Path: l.Base}); l.Base != "" && !base.Same(ModelRef{Path: first}) {
		if !base.Same(ModelRef{Path: second}) {
			return r, badFlag("base", "--base %s is neither of the two models; for %s it is the one that t = 0 gives", text.QuoteWord(l.Base), name)
		}
		first, second = second, first
	}
	return Pair(l.Rules, first, second, t), nil
}

// frame returns the recipe without values.
func (l Line) frame() (Recipe, error) {
	r := Recipe{Method: l.Rules.Name(), Rules: l.Rules, Seed: l.Seed, Cast: DType{Auto: true}, OutDType: DType{Auto: true}, DType: DType{Auto: true}}
	base := -1
	if l.Base != "" {
		r.Base = &ModelRef{Path: l.Base}
		base = slices.IndexFunc(l.Models, func(m string) bool { return r.Base.Same(ModelRef{Path: m}) })
	}
	role := l.Rules.Base()
	switch {
	case role == BaseIsMember: // no record has one
		return r, fmt.Errorf("%s has recipes of pairs alone", r.Method)
	case role == BaseIsRequired && r.Base == nil:
		return r, badFlag("base", "%s needs --base MODEL: the model that the others are measured from, as a rule the one that they were tuned from", r.Method)
	}
	s := Slice{Base: base}
	if base < 0 && r.Base != nil && (role == BaseIsRequired || role == BaseIsOptional) {
		s.Sources = append(s.Sources, Source{Model: *r.Base, Whole: true, Added: true})
		s.Base = 0
	}
	for i, m := range l.Models {
		s.Sources = append(s.Sources, Source{Model: ModelRef{Path: m}, Whole: true, place: i + 1})
	}
	r.Slices = []Slice{s}
	r.number()
	return r, nil
}

// checkLine asks the method what it can't do.
func (r *Recipe) checkLine(methods []Rules) error {
	p := &parser{doc: r, methods: methods, known: true}
	p.check(r.Base != nil, Pos{})
	var errs []string
	for _, problem := range p.Problems {
		errs = append(errs, problem.Message)
	}
	if len(errs) == 0 {
		return nil
	}
	return errors.New(strings.Join(errs, "; "))
}

var placeForm = regexp.MustCompile(`^([1-9][0-9]{0,3}):(.*)$`)

// parameters reads the values.
func (l Line) parameters(r *Recipe) error {
	type key struct {
		flag  string
		place int // 0 for all models
	}
	var order []key
	texts := map[key][]string{}
	for _, v := range l.Values {
		k := key{flag: v.Flag}
		if form := placeForm.FindStringSubmatch(v.Text); form != nil {
			k.place, _ = strconv.Atoi(form[1])
			v.Text = form[2]
		}
		if _, has := texts[k]; !has {
			order = append(order, k)
		}
		texts[k] = append(texts[k], v.Text)
	}
	own := l.Rules.Parameters()
	for _, k := range order {
		i := slices.IndexFunc(own, func(p Parameter) bool { return FlagName(p.Name) == k.flag })
		switch {
		case i < 0:
			return l.unread(k.flag)
		case k.place > 0 && !own[i].PerSource:
			return badFlag(k.flag, "--%s %d:%s: %s has one %s for all models; leave out %d:", k.flag, k.place, text.QuoteWord(texts[k][0]), r.Method, own[i].Name, k.place)
		case k.place > len(l.Models):
			return badFlag(k.flag, "--%s %d:%s: there are only %s", k.flag, k.place, text.QuoteWord(texts[k][0]), text.Count(len(l.Models), "model"))
		}
		setting, warnings, err := own[i].parse(texts[k])
		if err != nil {
			return err
		}
		for _, w := range warnings {
			r.Warnings = append(r.Warnings, Problem{Message: w})
		}
		if err := r.give(Given{own[i].Name, k.place, setting}); err != nil {
			return err
		}
	}
	return nil
}

// give sets a parameter of one model or of all.
func (r *Recipe) give(g Given) error {
	if g.Place == 0 {
		r.Set(g.Name, g.Setting)
		return nil
	}
	s := &r.Slices[0]
	j := slices.IndexFunc(s.Sources, func(src Source) bool { return src.place == g.Place })
	if j < 0 {
		return badFlag(FlagName(g.Name), "there is no model %d for %s", g.Place, g.Name)
	}
	if j == s.Base && r.Rules.Base() != BaseIsModel {
		return badFlag(FlagName(g.Name), "model %d is the base, from which the others are measured; it has no %s", g.Place, g.Name)
	}
	if s.Sources[j].params == nil {
		s.Sources[j].params = parameters{}
	}
	s.Sources[j].params[g.Name] = g.Setting
	return nil
}

// unread refuses the flag of a parameter that the method does not have.
func (l Line) unread(flag string) error {
	said := said(flag)
	for _, m := range l.Methods {
		for _, p := range m.Parameters() {
			if FlagName(p.Name) == flag {
				readers := Readers(l.Methods, p.Name)
				return badFlag(flag, "%s: %s does not read %s; %s %s", said, l.Rules.Name(), p.Name, text.List(readers, "and"), text.Verb(len(readers), "does", "do"))
			}
		}
	}
	return badFlag(flag, "%s: %s does not read it, nor does any other method", said, l.Rules.Name())
}

func badFlag(name, format string, args ...any) error {
	return &fault.FlagError{Name: name, Err: fmt.Errorf(format, args...)}
}

// A Given is a value of a parameter that flags have given.
type Given struct {
	Name    string
	Place   int // of the model on the command line, from 1; 0 for all models
	Setting Setting
}

// Given lists the parameters of a recipe made of flags, by name and place.
func (r *Recipe) Given() []Given {
	if r.FromFile() {
		return nil
	}
	var all []Given
	for name, s := range r.file {
		all = append(all, Given{name, 0, s})
	}
	for _, src := range r.Slices[0].Sources {
		for name, s := range src.params {
			all = append(all, Given{name, src.place, s})
		}
	}
	slices.SortFunc(all, func(a, b Given) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Place, b.Place)) })
	return all
}

// Listed returns the models that a command line lists, in its order, and the place of
// the base among them, from 1; 0 if it is another one or there is none.
func (r *Recipe) Listed() (models []ModelRef, base int) {
	for _, src := range r.Slices[0].Sources {
		if src.Added {
			continue
		}
		models = append(models, src.Model)
		if r.Base != nil && src.Model.Same(*r.Base) && base == 0 {
			base = len(models)
		}
	}
	return models, base
}

// With is Recipe for values that [Recipe.Given] has listed, in place of l.Values.
func (l Line) With(given []Given) (Recipe, error) {
	r, err := l.frame()
	if err != nil {
		return r, err
	}
	own := l.Rules.Parameters()
	for _, g := range given {
		i := slices.IndexFunc(own, func(p Parameter) bool { return p.Name == g.Name })
		if i < 0 || g.Place > 0 && !own[i].PerSource {
			return r, fmt.Errorf("%s has no parameter %s there", l.Rules.Name(), text.Quote(g.Name))
		}
		for _, rule := range g.Setting {
			if len(rule.Values) == 0 {
				return r, fmt.Errorf("a rule of %s without values", text.Quote(g.Name))
			}
			for _, v := range rule.Values {
				if problem, _ := own[i].check(v, strconv.FormatFloat(v, 'g', -1, 64)); problem != "" {
					return r, errors.New(problem)
				}
			}
		}
		if err := r.give(g); err != nil {
			return r, err
		}
	}
	return r, r.checkLine(l.Methods)
}
