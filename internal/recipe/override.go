package recipe

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"slerpmerge/internal/text"
)

// A Sweep is the values of one parameter, of which each makes an output of its own.
type Sweep struct {
	Name   string
	Values []SweepValue
}

// A SweepValue is a value, and the word that it was written with.
type SweepValue struct {
	Value float64
	Word  string
}

// ParseSweep reads NAME=VALUE,VALUE,... NAME may be spelled as its flag.
func ParseSweep(arg string) (s Sweep, err error) {
	name, list, ok := strings.Cut(arg, "=")
	s.Name = strings.ReplaceAll(strings.TrimSpace(name), "-", "_")
	if !ok || s.Name == "" {
		return s, badFlag("sweep", "--sweep %s: it is a parameter and its values, such as --sweep t=0.3,0.5,0.7", text.QuoteWord(arg))
	}
	for word := range strings.SplitSeq(list, ",") {
		word = strings.TrimSpace(word)
		v, err := strconv.ParseFloat(word, 64)
		switch {
		case err != nil:
			return s, badFlag("sweep", "--sweep %s: %s is not a number", text.QuoteWord(arg), text.QuoteWord(word))
		case slices.ContainsFunc(s.Values, func(o SweepValue) bool { return o.Value == v }):
			return s, badFlag("sweep", "--sweep %s: %s is there twice", text.QuoteWord(arg), text.QuoteWord(word))
		}
		s.Values = append(s.Values, SweepValue{v, word})
	}
	return s, nil
}

// Suffix returns what is added to the name of the output of one value.
func (s Sweep) Suffix(v SweepValue) string { return "-" + s.Name + v.Word }

// Override sets a parameter for the whole recipe, in place of every value that any level of
// it has. Of a recipe from a file, Overrides has it then.
func (r *Recipe) Override(name string, v SweepValue) error {
	own := r.Rules.Parameters()
	i := slices.IndexFunc(own, func(p Parameter) bool { return p.Name == name })
	switch {
	case i < 0:
		var names []string
		for _, p := range own {
			if !p.Boolean {
				names = append(names, p.Name)
			}
		}
		return badFlag("sweep", "--sweep: %s does not read %s; it reads %s", r.Method, text.QuoteWord(name), text.List(names, "and"))
	case own[i].Boolean:
		return badFlag("sweep", "--sweep: %s is true or false", name)
	}
	if problem, _ := own[i].check(v.Value, v.Word); problem != "" {
		return badFlag("sweep", "--sweep: %s", problem)
	}
	without := func(p parameters) parameters {
		p = maps.Clone(p)
		delete(p, name)
		return p
	}
	r.Slices, r.Modules = slices.Clone(r.Slices), slices.Clone(r.Modules)
	for k := range r.Modules {
		r.Modules[k].params = without(r.Modules[k].params)
	}
	for k := range r.Slices {
		s := &r.Slices[k]
		s.params = without(s.params)
		s.Sources = slices.Clone(s.Sources)
		for j := range s.Sources {
			s.Sources[j].params = without(s.Sources[j].params)
		}
	}
	setting := Setting{{Values: []float64{v.Value}}}
	r.Set(name, setting)
	if r.FromFile() {
		r.Overrides = append(slices.Clone(r.Overrides), Given{Name: name, Setting: setting})
	}
	return nil
}

// WithOverrides sets the parameters that Overrides has listed.
func (r *Recipe) WithOverrides(list []Given) error {
	for _, g := range list {
		if len(g.Setting) != 1 || len(g.Setting[0].Values) != 1 || g.Setting[0].Filter != "" || g.Place != 0 {
			return errors.New("a value that replaces those of the document is one number")
		}
		v := g.Setting[0].Values[0]
		if err := r.Override(g.Name, SweepValue{v, fmt.Sprint(v)}); err != nil {
			return err
		}
	}
	return nil
}
