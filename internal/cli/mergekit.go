package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"slerpmerge/internal/recipe"
	"slerpmerge/internal/text"
)

// The names of mergekit's programs that this one stands in for, as a command and as the name
// that it is called by.
const (
	mergekitYAML  = "mergekit-yaml"
	mergekitMulti = "mergekit-multi"
)

// isMergekit reports whether a command is one of them.
func isMergekit(name string) bool { return name == mergekitYAML || name == mergekitMulti }

type mergekitYAMLCmd struct {
	Args []string `arg:"" optional:"" passthrough:"" name:"argument" help:"CONFIG OUT and flags, as below."`
}

type mergekitMultiCmd struct {
	Args []string `arg:"" optional:"" passthrough:"" name:"argument" help:"CONFIG and flags, as below."`
}

// Help returns the text below the flags.
func (mergekitYAMLCmd) Help() string {
	return "Example: slerpmerge mergekit-yaml mergekit.yml merged\n\n" +
		"Usage: mergekit-yaml CONFIG OUT [flags]. It takes the place of mergekit's program of that name, also when this program is called mergekit-yaml. An OUT that exists is refused with exit code 6; --overwrite replaces it.\n\n" +
		mergekitHelp(mergekitYAML)
}

// Help returns the text below the flags.
func (mergekitMultiCmd) Help() string {
	return "Example: slerpmerge mergekit-multi stages.yml --out-path merged-stages\n\n" +
		"Usage: mergekit-multi CONFIG [--out-path OUT] [--intermediate-dir DIR] [flags]. CONFIG has several documents; each can name the outputs of others as models. Without --intermediate-dir those are removed at the end, without --out-path all are kept in DIR.\n\n" +
		mergekitHelp(mergekitMulti)
}

// A kitFlag is a flag of mergekit 0.1.5 (options.py, run_yaml.py, multimerge.py).
type kitFlag struct {
	name  string
	short string
	value string // what it takes; "" for one that is on or off, with --no- before its name
	means string // what it does here; "" where it has no meaning
	multi bool   // of mergekit-multi alone
}

var kitFlags = []kitFlag{
	{name: "out-path", value: "OUT", means: "folder of the document without a name", multi: true},
	{name: "intermediate-dir", short: "I", value: "DIR", means: "folder of the others", multi: true},
	{name: "lazy", multi: true},
	{name: "out-shard-size", value: "SIZE", means: "bytes of tensors per file: 5B, 500M, 100k or a number (default 5B)"},
	{name: "copy-tokenizer", means: "copy the tokenizer's files (default)"},
	{name: "write-model-card", means: "write README.md (default)"},
	{name: "safe-serialization", means: "write safetensors (default), else PyTorch's .bin"},
	{name: "unsafe-truncate-embeddings", means: "leave out the rows that only one vocabulary has: --vocab truncate"},
	{name: "random-seed", value: "N", means: "seed of dare and della (default 0)"},
	{name: "num-threads", short: "j", value: "N", means: "worker threads (default all cores)"},
	{name: "transformers-cache", value: "DIR", means: "cache of the Hub in which names of models are looked for"},
	{name: "verbose", short: "v", means: "print the outcome for every tensor"},
	{name: "quiet", means: "print only errors"},
	{name: "allow-crimes"}, {name: "lora-merge-cache", value: "DIR"}, {name: "lora-merge-dtype", value: "TYPE"}, {name: "cuda"},
	{name: "device", value: "DEVICE"}, {name: "low-cpu-memory"}, {name: "clone-tensors"}, {name: "trust-remote-code"}, {name: "lazy-unpickle"},
	{name: "read-to-gpu"}, {name: "multi-gpu"}, {name: "gpu-rich"}, {name: "async-write"}, {name: "write-threads", value: "N"},
}

// mergekitHelp lists the flags of a command.
func mergekitHelp(command string) string {
	var lines, idle []string
	for _, f := range kitFlags {
		switch {
		case f.multi && command != mergekitMulti:
		case f.means == "":
			idle = append(idle, "--"+f.name)
		default:
			name := "--" + f.name
			if f.short != "" {
				name = "-" + f.short + ", " + name
			}
			if f.value != "" {
				name += " " + f.value
			}
			lines = append(lines, fmt.Sprintf("    %-34s %s", name, f.means))
		}
	}
	return strings.Join(lines, "\n") + "\n\nThose that are on or off have a --no- form. Without meaning here, and accepted: " + text.List(idle, "and") +
		". Flags of merge are taken too, such as --max-memory, --vocab, --nonfinite, --overwrite and --dry-run."
}

// A kitLine is a command line of mergekit, read.
type kitLine struct {
	command         string
	positional      []string
	merge           []string // arguments of merge
	out, dir        string
	cache           string
	quiet, verbose  bool
	noBar           bool
	on              map[string]bool // the last of a flag and its --no- form
	idle            []string        // flags without meaning, as they stand there
	parser          *kong.Kong      // of merge
	textAfterDashes bool
}

// mergekit carries out a command line of mergekit.
func (a *app) mergekit(ctx context.Context, command string, args []string) int {
	c := mergeCmd{mergeFlags: withMethods()}
	parser, err := kong.New(&c, kong.Name(command), methodNames(), kong.WithHyphenPrefixedParameters(true))
	if err != nil {
		panic("cli: internal error: " + err.Error())
	}
	k := &kitLine{command: command, parser: parser, on: map[string]bool{"copy-tokenizer": true, "write-model-card": true, "safe-serialization": true}}
	err = k.read(args)
	a.globs = globals{Quiet: k.quiet, Verbose: k.verbose, LogFormat: logFormat(args), NoProgress: k.noBar}
	a.log = newLogger(a.stderr, a.globs)
	if err == nil {
		err = k.finish()
	}
	if err == nil {
		_, err = parser.Parse(k.merge)
	}
	var usage *kong.ParseError
	switch {
	case errors.As(err, &usage):
		return a.fail(&requestError{msg: usageError{usage}.Error(), hint: "see slerpmerge " + command + " --help"})
	case err != nil:
		return a.fail(err)
	}
	if k.cache != "" { // as the whole program looks there
		if err := os.Setenv("HF_HUB_CACHE", k.cache); err != nil {
			return a.fail(err)
		}
	}
	if len(k.idle) > 0 {
		a.log.info("idle_flags", "without meaning here, and ignored: "+strings.Join(k.idle, ", "), "flags", k.idle)
	}
	c.all = command == mergekitMulti
	if err := c.Run(ctx, a); err != nil {
		return a.fail(err)
	}
	return exitDone
}

// usage refuses a command line.
func (k *kitLine) usage(format string, args ...any) error {
	return &requestError{msg: fmt.Sprintf(format, args...), hint: "see slerpmerge " + k.command + " --help"}
}

// read sorts the arguments.
func (k *kitLine) read(args []string) error {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case k.textAfterDashes || arg == "-" || !strings.HasPrefix(arg, "-"):
			k.positional = append(k.positional, arg)
			continue
		case arg == "--":
			k.textAfterDashes = true
			continue
		case !strings.HasPrefix(arg, "--"):
			var err error
			if args, err = k.short(arg[1:], args); err != nil {
				return err
			}
			continue
		}
		name, value, has := strings.Cut(arg[2:], "=")
		f, on := k.find(name)
		if f == nil {
			var err error
			if args, err = k.foreign(arg, name, has, args); err != nil {
				return err
			}
			continue
		}
		switch {
		case f.value == "" && has:
			return k.usage("--%s takes no value", name)
		case f.value != "" && !has && len(args) == 0:
			return k.usage("--%s needs a value", name)
		case f.value != "" && !has:
			value, args = args[0], args[1:]
		}
		if err := k.take(f, "--"+name, value, on); err != nil {
			return err
		}
	}
	return nil
}

// short reads flags of one letter: -v, -vv, -j 4, -j4.
func (k *kitLine) short(letters string, args []string) ([]string, error) {
	for i := range letters {
		letter := letters[i : i+1]
		at := slices.IndexFunc(kitFlags, func(f kitFlag) bool { return f.short == letter && (!f.multi || k.command == mergekitMulti) })
		if at < 0 {
			if letter == "q" {
				k.quiet = true
				continue
			}
			return args, k.usage("unknown flag -%s", letter)
		}
		f := &kitFlags[at]
		if f.value == "" {
			if err := k.take(f, "-"+letter, "", true); err != nil {
				return args, err
			}
			continue
		}
		value := strings.TrimPrefix(letters[i+1:], "=")
		if value == "" {
			if len(args) == 0 {
				return args, k.usage("-%s needs a value", letter)
			}
			value, args = args[0], args[1:]
		}
		return args, k.take(f, "-"+letter, value, true)
	}
	return args, nil
}

// find finds a flag of mergekit; on is false for its --no- form.
func (k *kitLine) find(name string) (f *kitFlag, on bool) {
	of := func(name string) *kitFlag {
		i := slices.IndexFunc(kitFlags, func(f kitFlag) bool { return f.name == name && (!f.multi || k.command == mergekitMulti) })
		if i < 0 {
			return nil
		}
		return &kitFlags[i]
	}
	if f := of(name); f != nil {
		return f, true
	}
	if rest, ok := strings.CutPrefix(name, "no-"); ok {
		if f := of(rest); f != nil && f.value == "" {
			return f, false
		}
	}
	return nil, false
}

// foreign takes a flag that is not mergekit's: one of merge, or of the whole program.
func (k *kitLine) foreign(arg, name string, has bool, args []string) ([]string, error) {
	switch name {
	case "log-format": // read before
		if !has && len(args) > 0 {
			args = args[1:]
		}
		return args, nil
	case "no-progress":
		k.noBar = true
		return args, nil
	case "recipe", "output", "method", "base":
		return args, k.usage("--%s is no flag of %s", name, k.command)
	}
	k.merge = append(k.merge, arg)
	i := slices.IndexFunc(k.parser.Model.Flags, func(f *kong.Flag) bool { return f.Name == name })
	if i >= 0 && !has && !k.parser.Model.Flags[i].IsBool() && len(args) > 0 {
		k.merge[len(k.merge)-1] += "=" + args[0]
		args = args[1:]
	}
	return args, nil
}

// take puts a flag of mergekit into effect. said is how it was written.
func (k *kitLine) take(f *kitFlag, said, value string, on bool) error {
	add := func(flag string) { k.merge = append(k.merge, flag) }
	switch f.name {
	case "out-path":
		k.out = value
	case "intermediate-dir":
		k.dir = value
	case "out-shard-size":
		n, err := kitSize(value)
		if err != nil {
			return k.usage("%s: %s is not a size such as 5B, 500M, 100k or a number of bytes", said, text.QuoteWord(value))
		}
		add(fmt.Sprintf("--shard-size=%dB", n))
	case "random-seed", "num-threads":
		if _, err := strconv.ParseUint(value, 10, 64); err != nil {
			return k.usage("%s: %s is not a number from 0", said, text.QuoteWord(value))
		}
		add("--" + map[string]string{"random-seed": "seed", "num-threads": "threads"}[f.name] + "=" + value)
	case "copy-tokenizer", "write-model-card", "safe-serialization", "unsafe-truncate-embeddings":
		k.on[f.name] = on
	case "transformers-cache":
		k.cache = value
	case "verbose":
		k.verbose = on
	case "quiet":
		k.quiet = on
	default:
		if !slices.Contains(k.idle, said) {
			k.idle = append(k.idle, said)
		}
	}
	return nil
}

// kitSize reads a size as mergekit does (0.1.5, parse_kmb): thousands, millions and
// billions.
func kitSize(word string) (int64, error) {
	factor := int64(1)
	for letter, f := range map[string]int64{"k": 1e3, "m": 1e6, "b": 1e9} {
		if rest, ok := strings.CutSuffix(strings.ToLower(word), letter); ok {
			word, factor = rest, f
		}
	}
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil || n < 0 || n > 1<<62/factor {
		return 0, errors.New("no size")
	}
	return n * factor, nil
}

// finish checks the whole line, and completes that of merge.
func (k *kitLine) finish() error {
	if len(k.positional) == 0 {
		return k.usage("%s needs CONFIG, a recipe file", k.command)
	}
	most := 1
	if k.command == mergekitYAML {
		if most = 2; len(k.positional) < most {
			return k.usage("%s needs OUT, the folder to be made", k.command)
		}
		if len(k.positional) == most {
			k.out = k.positional[1]
		}
	}
	switch {
	case len(k.positional) > most:
		return k.usage("unexpected argument %s", text.QuoteWord(k.positional[most]))
	case k.out == "" && k.dir == "":
		return k.usage("the output has no folder: add --out-path OUT, or --intermediate-dir DIR for all")
	}
	for _, f := range []struct {
		name, flag string
		on         bool
	}{
		{"copy-tokenizer", "--tokenizer=" + string(recipe.TokenizerNone), false},
		{"write-model-card", "--no-card", false},
		{"safe-serialization", "--format=" + string(recipe.Bin), false},
		{"unsafe-truncate-embeddings", "--vocab=" + string(recipe.VocabTruncate), true},
	} {
		if k.on[f.name] == f.on {
			k.merge = append(k.merge, f.flag)
		}
	}
	k.merge = append(k.merge, "--recipe="+k.positional[0])
	if k.out != "" {
		k.merge = append(k.merge, "--output="+k.out)
	}
	if k.dir != "" {
		k.merge = append(k.merge, "--intermediate-dir="+k.dir)
	}
	return nil
}

// calledAs returns the arguments with which the program was called under one of mergekit's names.
func calledAs(args []string) []string {
	if len(args) == 0 {
		return nil
	}
	if name := strings.TrimSuffix(filepath.Base(args[0]), ".exe"); isMergekit(name) {
		return append([]string{name}, args[1:]...)
	}
	return args[1:]
}
