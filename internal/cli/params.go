package cli

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"slerpmerge/internal/method"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/text"
)

// methodFlags are the flags of the parameters of all methods, made from what the methods
// say of them, except -t. kong reads them as a plugin.
type methodFlags struct {
	names  []string      // of the flags, in the order of the fields of values
	values reflect.Value // a pointer to a struct of valueFlag and switchFlag
}

// valueFlag are all values of one flag.
type valueFlag struct{ args []string }

// Decode takes one more for kong.
func (f *valueFlag) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("value", &text); err != nil {
		return err
	}
	f.args = append(f.args, strings.TrimPrefix(text, "="))
	return nil
}

// switchFlag are all values of a flag that is true or false: --normalize,
// --no-normalize, --normalize=true, --normalize=mlp=false.
type switchFlag struct{ args []string }

// IsBool tells kong that no value need follow.
func (switchFlag) IsBool() bool { return true }

// Decode takes one more for kong.
func (f *switchFlag) Decode(ctx *kong.DecodeContext) error {
	text := "true"
	if ctx.Scan.Peek().Type == kong.FlagValueToken {
		text = fmt.Sprint(ctx.Scan.Pop().Value)
	}
	f.args = append(f.args, text)
	return nil
}

// paramGroup is the title of these flags in the help.
const paramGroup = "Parameters of methods. VALUE is a number, or several that are spread over the layers, such as 0,0.5,1. NAME=VALUE limits it to tensors with NAME in their names, N:VALUE to the N-th model:"

// paramHelp says what the parameters of mergekit's names are, where a method does not.
var paramHelp = map[string]string{
	"weight":            "Weight of a model",
	"density":           "Share of the differences from the base that are kept",
	"gamma":             "Share of the largest differences that are dropped",
	"epsilon":           "Width of the range of densities, or the difference below which elements count as equal",
	"lambda":            "Factor of the sum of the differences",
	"normalize":         "Divide by the sum of the weights",
	"normalize_weights": "Divide the weights by their sum",
	"rescale":           "Make up for what was dropped",
	"int8_mask":         "Accepted, and without effect",
	"select_topk":       "Share of the elements that differ most among the models and are kept",
	"filter_wise":       "Give every row coefficients of its own",
	"nuslerp_flatten":   "Take every tensor as one vector",
	"nuslerp_row_wise":  "Without flatten: take every column as a vector, instead of every row",
	"eps":               "Added to every norm, so that none is 0",
	"max_iter":          "Largest number of steps",
	"tol":               "Size of a step at which they end",
	"scale":             "Factor of a model",
	"r":                 "Strength of the factor of elements that only one model changes",
	"alpha":             "Bound of that factor",
}

// newMethodFlags makes the flags of the methods' parameters.
func newMethodFlags(methods []recipe.Rules) methodFlags {
	var f methodFlags
	readers := map[string][]reading{} // by the flag
	for _, m := range methods {
		for _, p := range m.Parameters() {
			name := recipe.FlagName(p.Name)
			if name == "t" {
				continue
			}
			if readers[name] == nil {
				f.names = append(f.names, name)
			}
			readers[name] = append(readers[name], reading{string(m.Name()), p})
		}
	}
	fields := make([]reflect.StructField, len(f.names))
	for i, name := range f.names {
		form, help := describeFlag(readers[name])
		field := reflect.StructField{Name: fmt.Sprintf("F%d", i), Type: reflect.TypeFor[valueFlag]()}
		tag := fmt.Sprintf("name:%q help:%q group:%q", name, help, paramGroup)
		if form == "" {
			field.Type = reflect.TypeFor[switchFlag]()
			tag += ` negatable:""`
		} else {
			tag += fmt.Sprintf(" placeholder:%q", form)
		}
		field.Tag = reflect.StructTag(tag)
		fields[i] = field
	}
	f.values = reflect.New(reflect.StructOf(fields))
	return f
}

// another returns the same flags, not yet set, for another command.
func (f methodFlags) another() methodFlags {
	return methodFlags{f.names, reflect.New(f.values.Type().Elem())}
}

// A reading is a parameter as a method reads it.
type reading struct {
	method string
	recipe.Parameter
}

// describeFlag says what the flag of a parameter takes, "" for true or false, and what it is
// for.
func describeFlag(readers []reading) (form, help string) {
	form = "VALUE"
	var defaults, methods []string
	for _, r := range readers {
		switch {
		case r.Boolean:
			form = ""
		case r.PerSource:
			form = "[N:]VALUE"
		}
		help = cmp.Or(help, r.Help)
		if !slices.Contains(defaults, r.Default) {
			defaults = append(defaults, r.Default)
		}
		methods = append(methods, r.method)
	}
	help = strings.TrimSuffix(cmp.Or(help, paramHelp[readers[0].Name], "The parameter "+readers[0].Name), ".")
	if len(defaults) == 1 && defaults[0] != "" { // the same for all that read it
		help += " (default " + defaults[0] + ")"
	}
	if len(methods) > 4 {
		methods = append(methods[:3:3], fmt.Sprintf("%d more", len(methods)-3))
	}
	return form, help + ". For " + text.List(methods, "and") + "."
}

// plugin returns what kong embeds.
func (f methodFlags) plugin() kong.Plugins { return kong.Plugins{f.values.Interface()} }

// given returns the values in the order of the flags.
func (f methodFlags) given() []recipe.Value {
	if !f.values.IsValid() { // of a command that has none
		return nil
	}
	var all []recipe.Value
	for i, name := range f.names {
		var args []string
		switch v := f.values.Elem().Field(i).Interface().(type) {
		case valueFlag:
			args = v.args
		case switchFlag:
			args = v.args
		}
		for _, arg := range args {
			all = append(all, recipe.Value{Flag: name, Text: arg})
		}
	}
	return all
}

// rulesOf finds the method of --method.
func rulesOf(name string) (recipe.Rules, error) {
	var names []string
	for _, m := range method.All() {
		if string(m.Name()) == name {
			return m, nil
		}
		names = append(names, string(m.Name()))
	}
	e := &requestError{msg: fmt.Sprintf("there is no method %s", text.QuoteWord(name)), hint: "methods are " + text.List(names, "and")}
	// People write them with - too.
	if near := text.Nearest(strings.ReplaceAll(name, "-", "_"), names); near != "" {
		e.msg += ", did you mean " + strconv.Quote(near) + "?"
	}
	return nil, e
}
