// Package cli is the command line: commands and flags, messages, progress,
// exit codes. Nothing below it knows a terminal.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"slerpmerge/internal/fault"
	"slerpmerge/internal/method"
)

// globals are the flags that every command takes.
type globals struct {
	Quiet      bool   `short:"q" help:"Print only errors."`
	Verbose    bool   `short:"v" help:"Print more: the outcome for every tensor."`
	LogFormat  string `enum:"text,json" default:"text" placeholder:"text|json" help:"Form of the messages on standard error: text or json."`
	NoProgress bool   `help:"No progress bar and no progress lines."`
}

// grammar is the whole command line.
type grammar struct {
	globals
	Version versionFlag `name:"version" help:"Print the version and exit."`

	Merge      mergeCmd   `cmd:"" help:"Merge two models by SLERP, or more by another method, into a new model folder."`
	Plan       planCmd    `cmd:"" help:"Show everything that a merge would do, from headers alone."`
	Convert    convertCmd `cmd:"" help:"Write a model in another format, type or shard size."`
	Batch      batchCmd   `cmd:"" help:"Run a list of merges and conversions unattended."`
	Inspect    inspectCmd `cmd:"" help:"Show the tensors, settings and files of a model folder or weight file."`
	Compare    compareCmd `cmd:"" help:"Show how far apart models are, tensor by tensor."`
	Verify     verifyCmd  `cmd:"" help:"Recompute a finished model from its parents and compare it, bit by bit."`
	VersionCmd versionCmd `cmd:"" name:"version" help:"Print the version."`

	MergekitYAML  mergekitYAMLCmd  `cmd:"" name:"mergekit-yaml" help:"Merge by a recipe with the command line of mergekit's program."`
	MergekitMulti mergekitMultiCmd `cmd:"" name:"mergekit-multi" help:"The same for a recipe of several documents."`

	Completion completionCmd `cmd:"" help:"Print code that makes a shell complete command lines."`
}

const description = `Merges language models by spherical linear interpolation (SLERP), straight from their weight files to the new ones, in a few tens of megabytes of memory.

A MODEL is a Hugging Face model folder (safetensors or PyTorch .bin), a single weight file, or a name that the local Hugging Face cache has, such as org/model or org/model@revision.`

const footer = `Example: slerpmerge merge ./alpha ./beta -o ./merged -t 0.3

Exit codes:
    0  done, or nothing left to do
    1  an I/O error, or a bug
    2  the request can't be carried out
    3  not enough disk or memory
    4  an input file is corrupt or unsafe
    5  an input changed while it was read, or verify found a difference
    6  the output exists, or another run holds it
   75  stopped by SIGTERM, SIGUSR1 or the time budget: the same command resumes
  130  stopped by Ctrl-C: likewise
  131  ended at once by SIGQUIT (Ctrl-\): likewise`

// An app is one call of the program.
type app struct {
	version string // of the program
	globs   globals
	stdout  io.Writer
	stderr  io.Writer
	log     *logger
}

// exited carries an exit code out of kong, which would end the process.
type exited int

// run carries out one command line (without the program's name) and returns
// the exit code. The end of ctx stops it, with the cause for an error. Results go to
// a.stdout, everything else to a.stderr.
func (a *app) run(ctx context.Context, args []string, stdin io.Reader) (code int) {
	debug.SetGCPercent(usualGarbage)
	a.log = newLogger(a.stderr, globals{LogFormat: logFormat(args)})
	own := newMethodFlags(method.All())
	g := grammar{Merge: mergeCmd{mergeFlags: withFlags(own)}, Plan: planCmd{mergeFlags: withFlags(own.another())}}
	bare := len(args) == 0
	defer func() {
		switch r := recover().(type) {
		case nil:
		case exited:
			if code = int(r); bare && code == exitDone {
				code = exitRequest
			}
		default:
			fmt.Fprintln(a.stderr, "slerpmerge: error: "+crash(r))
			code = exitFailed
		}
	}()
	parser, err := kong.New(&g,
		kong.Name("slerpmerge"),
		kong.Description(description),
		kong.Writers(a.stdout, a.stderr),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}),
		kong.Help(help),
		methodNames(),
		kong.WithHyphenPrefixedParameters(true), // -t -0.5
		kong.Bind(a),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		panic("cli: internal error: " + err.Error())
	}
	if bare {
		if s := newSession(a, stdin); s != nil {
			if err := s.run(ctx); err != nil {
				return a.fail(err)
			}
			return exitDone
		}
		args = []string{"--help"}
	}
	if args[0] == "help" { // as in git and go
		args = append(args[1:], "--help")
	}
	if isMergekit(args[0]) && !slices.Contains(args, "--help") && !slices.Contains(args, "-h") {
		return a.mergekit(ctx, args[0], args[1:])
	}
	switch args[0] {
	case completeWord:
		err = a.complete(parser, args[1:])
	case manWord:
		err = a.man(parser)
	default:
		return a.command(parser, args, &g)
	}
	if err != nil {
		return a.fail(err)
	}
	return exitDone
}

// command carries out a command line that is meant for people.
func (a *app) command(parser *kong.Kong, args []string, g *grammar) int {
	line, err := parser.Parse(args)
	var usage *kong.ParseError
	var unwritten *fs.PathError // help that could not be printed
	switch {
	case errors.As(err, &unwritten):
		return a.fail(unwritten)
	case errors.As(err, &usage):
		return a.fail(usageError{usage})
	case err != nil:
		return a.fail(err)
	}
	a.globs = g.globals
	a.log = newLogger(a.stderr, g.globals)
	if err := line.Run(); err != nil {
		return a.fail(err)
	}
	return exitDone
}

// help adds the footer to kong's help of the program itself.
func help(o kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(o, ctx); err != nil {
		return err
	}
	if ctx.Selected() == nil {
		_, err := fmt.Fprintf(ctx.Stdout, "\n%s\n", footer)
		return err
	}
	return nil
}

// logFormat finds --log-format before the command line is parsed, so that
// even its own errors come in the wanted form.
func logFormat(args []string) string {
	for i, arg := range args {
		if arg == "--log-format=json" || arg == "--log-format" && i+1 < len(args) && args[i+1] == "json" {
			return "json"
		}
	}
	return "text"
}

// A usageError is a command line that can't be understood.
type usageError struct{ err *kong.ParseError }

func (e usageError) Error() string {
	text := e.err.Error()
	for _, r := range rewordings {
		text = r.pattern.ReplaceAllString(text, r.text)
	}
	if e.err.Context != nil && e.err.Context.Selected() == nil {
		text = strings.Replace(text, "unexpected argument ", "there is no command ", 1)
	}
	return text
}

// rewordings say in this program's words what kong says in its own.
var rewordings = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`^--output: expected .* but got "EOL".*$`), "-o needs a folder"},
	{regexp.MustCompile(`^(--[a-z-]+): expected .* but got "EOL".*$`), "$1 needs a value"},
	{regexp.MustCompile(`^--time-budget: .* but got "([^"]*)".*$`), `--time-budget: "$1" is not a time such as 4h or 90m`},
	{regexp.MustCompile(`^--threads: .* but got "([^"]*)".*$`), `--threads: "$1" is not a number of threads`},
	{regexp.MustCompile(`","`), `", "`},
	{regexp.MustCompile(`^--t: `), "-t: "},
	{regexp.MustCompile(`^expected "<path>"$`), "inspect needs a model folder or a weight file"},
	{regexp.MustCompile(`^expected "<out>"$`), "verify needs the folder that merge or convert has made; --parents comes after it"},
	{regexp.MustCompile(`^expected "<manifest>"$`), "batch needs a manifest, a YAML file of jobs"},
	{regexp.MustCompile(`^expected "<model>"$`), "convert needs a model folder or a weight file"},
	{regexp.MustCompile(`^expected "<shell>"$`), "completion needs a shell: bash, zsh or fish"},
	{regexp.MustCompile(`^<shell> must be one of .* but got (.*)$`), "completion knows bash, zsh and fish, not $1"},
	{regexp.MustCompile(`^(unknown flag -[^-]), did you mean.*$`), "$1"},
}

// kongFlag finds the flag that a message of kong is about.
var kongFlag = regexp.MustCompile(`^--([a-z][a-z-]*): `)

// Flag returns the name of the flag that the error is about, "" for none.
func (e usageError) Flag() string {
	if m := kongFlag.FindStringSubmatch(e.err.Error()); m != nil {
		return m[1]
	}
	return ""
}

// Class returns the class of a request.
func (e usageError) Class() fault.Class { return fault.Request }

// Hints name the help.
func (e usageError) Hints() []fault.Hint { return fault.Advise(e.hint()) }

func (e usageError) hint() string {
	if e.err.Context != nil {
		if s := e.err.Context.Selected(); s != nil {
			if writes := s.Name == "merge" || s.Name == "convert"; writes && strings.HasPrefix(e.err.Error(), "unexpected argument ") {
				return "the output folder is named with -o; see slerpmerge " + s.Name + " --help"
			}
			return "see slerpmerge " + s.Name + " --help"
		}
	}
	return "see slerpmerge --help"
}

// versionFlag makes --version an alias of the command.
type versionFlag bool

// BeforeReset runs before the rest of the line is looked at.
func (versionFlag) BeforeReset(a *app) error {
	if err := a.printVersion(false); err != nil {
		return err
	}
	panic(exited(exitDone))
}
