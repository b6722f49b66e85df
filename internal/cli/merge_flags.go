package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/alecthomas/kong"

	"slerpmerge/internal/disk"
	"slerpmerge/internal/fault"
	"slerpmerge/internal/method"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/text"
)

// mergeFlags are shared by merge and plan.
type mergeFlags struct {
	Models []string `arg:"" optional:"" name:"model" help:"The models: two for SLERP, PRIMARY that t = 0 gives and SECONDARY that t = 1 gives, or as many as --method takes. Config and tokenizer come from the first, or from --base."`
	Recipe string   `short:"r" placeholder:"FILE" help:"A mergekit YAML in place of models, method and parameters. Of several documents later ones can merge what earlier ones make."`

	IntermediateDir string `placeholder:"DIR" help:"Keep in DIR what the other documents of a recipe of several make (default: beside the output, and removed at the end)."`

	Method      string `placeholder:"NAME" help:"Merge method: ${methods} (default slerp)."`
	Base        string `placeholder:"MODEL" help:"Base model: what the models are measured from, for methods that do so; config and tokenizer come from it. Elsewhere it is merged only if it is listed too."`
	T           tFlags `short:"t" name:"t" placeholder:"[NAME=]VALUE[,...]" help:"Interpolation parameter: 0 is primary, 1 is secondary (default 0.5). Several values are spread over the layers; NAME= limits them to tensors with NAME in their names. Repeatable; the first match applies."`
	Extrapolate bool   `help:"Allow -t outside 0 to 1."`
	Seed        uint64 `placeholder:"N" help:"Seed of methods that drop elements at random, also beside a recipe (default 0)."`
	kong.Plugins
	methodFlags methodFlags `kong:"-"`
	all         bool        // make every document of the recipe, as mergekit-multi does
	outputFlags
	Missing   string `enum:"error,copy,zero" default:"copy" placeholder:"POLICY" help:"A tensor that only one parent has: error, copy or zero (default ${default})."`
	NonFinite string `name:"nonfinite" enum:"error,warn" default:"error" placeholder:"POLICY" help:"NaN or Inf in a parent: error or warn (default ${default})."`
	Vocab     string `enum:"error,base,extend,truncate,zero,mean,gradient" default:"error" placeholder:"POLICY" help:"Vocabulary rows that only one parent has: error, base, extend, truncate, zero, mean or gradient (default ${default})."`
	Tokenizer string `enum:"primary,secondary,seed,none" default:"primary" placeholder:"WHOSE" help:"Model whose tokenizer files are copied: primary, secondary, none, or seed, which is LLM-SLERP-Merge's rule (default ${default})."`
	Compat    string `enum:",seed" default:"" placeholder:"seed" help:"seed: merge as LLM-SLERP-Merge does: t 0.5, zeros for tensors that one parent lacks, float32, its tokenizer rule."`
}

// withMethods returns merge flags that have those of all methods' parameters.
func withMethods() mergeFlags { return withFlags(newMethodFlags(method.All())) }

func withFlags(own methodFlags) mergeFlags {
	return mergeFlags{methodFlags: own, Plugins: own.plugin()}
}

// methodNames are for the help of --method.
func methodNames() kong.Vars {
	var names []string
	for _, m := range method.All() {
		names = append(names, string(m.Name()))
	}
	return kong.Vars{"methods": text.List(names, "or")}
}

// recipe turns the flags into a checked recipe.
func (f *mergeFlags) recipe(output string) (recipe.Request, error) {
	r, several, err := f.orders(output, work{})
	if err == nil && several != nil {
		err = &requestError{msg: f.Recipe + " has several documents; merge and plan alone take such files"}
	}
	return r, err
}

// orders turns the flags into a checked recipe, or into a chain where the recipe file has
// several documents. w is for the output.
func (f *mergeFlags) orders(output string, w work) (r recipe.Request, several *chain, err error) {
	if f.Recipe == "" {
		r.Recipe, err = f.line()
	} else {
		var s *recipe.Stages
		if s, err = f.file(); err == nil {
			if len(s.All) > 1 || f.all {
				several, err = f.chain(s, output, w)
				return r, several, err
			}
			r.Recipe = *s.Output.Recipe
		}
	}
	if err == nil && f.IntermediateDir != "" {
		err = &requestError{msg: "--intermediate-dir is for a recipe of several documents"}
	}
	if err != nil {
		return r, nil, err
	}
	return r, nil, f.fill(&r, output)
}

// fill puts what is said beside models and parameters into a request, and checks it.
func (f *mergeFlags) fill(r *recipe.Request, output string) error {
	r.Output, r.Extrapolate, r.Seed = output, f.Extrapolate, f.Seed
	r.Missing, r.NonFinite = recipe.Missing(f.Missing), recipe.NonFinite(f.NonFinite)
	r.Tokenizer, r.Vocab = recipe.Tokenizer(f.Tokenizer), recipe.Vocab(f.Vocab)
	if err := f.put(r); err != nil {
		return err
	}
	return f.compat(r)
}

// given returns the values of parameters.
func (f *mergeFlags) given() []recipe.Value { return append(f.T.given(), f.methodFlags.given()...) }

// compat sets what LLM-SLERP-Merge does where the flags do not say otherwise
// already.
func (f *mergeFlags) compat(r *recipe.Request) error {
	if f.Compat == "" {
		return nil
	}
	if f.Recipe != "" || f.Method != "" || len(f.given()) > 0 || !r.DType.Auto || f.Vocab != "error" || f.Missing != "copy" || f.Tokenizer != "primary" {
		return &requestError{msg: "--compat seed sets -t, --method, --dtype, --vocab, --missing and --tokenizer: omit them and --recipe"}
	}
	r.DType = recipe.DType{To: tensor.F32}
	r.Vocab, r.Missing, r.Tokenizer = recipe.VocabZero, recipe.MissingZero, recipe.TokenizerSeed
	return nil
}

// line takes the models and their method from the command line.
func (f *mergeFlags) line() (r recipe.Recipe, err error) {
	rules := recipe.Rules(method.SlerpMethod{})
	if f.Method != "" {
		if rules, err = rulesOf(f.Method); err != nil {
			return r, err
		}
	}
	if len(f.Models) > 0 {
		if ext := filepath.Ext(f.Models[0]); ext == ".yml" || ext == ".yaml" { // mergekit-yaml takes it so
			return r, &requestError{msg: f.Models[0] + " is not a model", hint: "to run a recipe: slerpmerge merge --recipe " + f.Models[0] + " -o DIR"}
		}
	}
	pair := rules.(method.Method).Pairs()
	roles := []string{"PRIMARY", "SECONDARY"}
	for i, m := range f.Models {
		switch {
		case m != "":
		case pair && i < 2:
			return r, &requestError{msg: roles[i] + " is empty: name a model folder or weight file"}
		default:
			return r, &requestError{msg: fmt.Sprintf("model %d is empty: name a model folder or weight file", i+1)}
		}
	}
	switch {
	case pair && len(f.Models) == 0:
		return r, &requestError{msg: "two models are needed, PRIMARY and SECONDARY, or --recipe FILE"}
	case pair && len(f.Models) == 1:
		return r, &requestError{msg: "two models are needed: SECONDARY is missing"}
	case len(f.Models) == 0:
		return r, &requestError{msg: "no models are named: " + f.Method + " merges those that stand on the command line"}
	}
	if f.Seed != 0 && !method.Random(rules) {
		return r, &requestError{err: &fault.FlagError{Name: "seed", Err: fmt.Errorf("--seed: %s does nothing at random; %s do", rules.Name(), text.List(random(), "and"))}}
	}
	r, err = recipe.Line{Rules: rules, Methods: method.All(), Models: f.Models, Base: f.Base, Seed: f.Seed, Values: f.given()}.Recipe()
	if err == nil {
		return r, nil
	}
	e := &requestError{err: err}
	if pair && len(f.Models) > 2 {
		e.hint = "the output folder is named with -o; --method NAME merges any number of models; NAME is " + text.List(manifold(), "or")
	}
	return r, e
}

// random lists the methods that a seed is for.
func random() []string {
	var names []string
	for _, m := range method.All() {
		if method.Random(m) {
			names = append(names, string(m.Name()))
		}
	}
	return names
}

// manifold lists the methods that merge any number of models.
func manifold() []string {
	var names []string
	for _, m := range method.All() {
		if m := m.(method.Method); !m.Pairs() {
			names = append(names, string(m.Name()))
		}
	}
	return names
}

// maxRecipe bounds a recipe file; recipe.Parse has a limit of its own.
const maxRecipe = 2 << 20

// unopened says why a file that what names on the command line can't be read: it
// is not there or no file, which is the request's fault, or the system fails.
func unopened(what string, err error) error {
	var kind *disk.KindError
	switch {
	case errors.As(err, &kind):
		return &requestError{msg: what + " " + kind.Error()}
	case errors.Is(err, fs.ErrNotExist):
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			return &requestError{msg: e.Path + ": " + e.Err.Error()}
		}
		return &requestError{msg: err.Error()}
	}
	return err
}

// file reads the recipe file.
func (f *mergeFlags) file() (*recipe.Stages, error) {
	switch {
	case len(f.Models) > 0:
		return nil, &requestError{msg: "--recipe names the models: omit PRIMARY and SECONDARY"}
	case f.Method != "":
		return nil, &requestError{msg: "--recipe sets the method: omit --method"}
	case f.Base != "":
		return nil, &requestError{msg: "--recipe sets the base: omit --base"}
	case len(f.T.args) > 0:
		return nil, &requestError{msg: "--recipe sets t: omit -t"}
	case len(f.given()) > 0:
		return nil, &requestError{msg: fmt.Sprintf("--recipe sets the parameters: omit --%s", f.given()[0].Flag)}
	}
	file, err := disk.OpenRegular(f.Recipe)
	if err != nil {
		return nil, unopened("--recipe", err)
	}
	defer file.Close()
	src, err := io.ReadAll(io.LimitReader(file, maxRecipe))
	if err != nil {
		return nil, err
	}
	parsed, err := recipe.ParseStages(f.Recipe, src, method.All())
	if err != nil && parsed != nil && len(parsed.All) == 1 {
		return nil, withModels(parsed.All[0].Recipe, err)
	}
	return parsed, err
}
