package cli

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// manWord is the argument with which a release asks for the manual page: the
// help of all commands in the form of man(7).
const manWord = "__man"

func (a *app) man(k *kong.Kong) error {
	w := bufio.NewWriter(a.stdout)
	f := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	f(`.TH SLERPMERGE 1 "" "slerpmerge %s" "User Commands"`, roff(a.version))
	f(".SH NAME\nslerpmerge \\- merge language models by spherical linear interpolation")
	f(".SH SYNOPSIS\n.B slerpmerge\n.I command\n.RI [ arguments ]\n.RI [ flags ]")
	f(".SH DESCRIPTION")
	paragraphs(f, description)
	f(".SH COMMANDS")
	for _, c := range k.Model.Children {
		if c.Hidden {
			continue
		}
		f(".SS %s", roff(strings.TrimSuffix(c.Summary(), " [flags]")))
		paragraphs(f, c.Help)
		flags(f, c.Flags)
		paragraphs(f, c.Detail)
	}
	f(".SH FLAGS OF EVERY COMMAND")
	flags(f, k.Model.Flags)
	f(".SH EXIT STATUS")
	_, codes, _ := strings.Cut(footer, "Exit codes:\n")
	for line := range strings.SplitSeq(codes, "\n") {
		code, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		f(".TP 6\n%s\n%s", roff(code), roff(strings.TrimSpace(text)))
	}
	f(".SH ENVIRONMENT")
	for _, v := range [][2]string{
		{"HF_HUB_CACHE", "The cache of the Hugging Face Hub, where names such as org/model are looked for."},
		{"HF_HOME", "The folder above it, if HF_HUB_CACHE is not set (~/.cache/huggingface by default)."},
		{"NO_COLOR", "No colours in messages."},
	} {
		f(".TP\n.B %s\n%s", roff(v[0]), roff(v[1]))
	}
	return w.Flush()
}

// paragraphs writes a text of several; lines that are indented stay lines.
func paragraphs(f func(string, ...any), text string) {
	for p := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		switch {
		case p == "":
		case strings.HasPrefix(p, "    "):
			f(".PP\n.nf\n%s\n.fi", roff(p))
		default:
			f(".PP\n%s", roff(p))
		}
	}
}

func flags(f func(string, ...any), list []*kong.Flag) {
	for _, flag := range list {
		if flag.Hidden {
			continue
		}
		name := "--" + flag.Name
		switch {
		case len(flag.Name) == 1:
			name = "-" + flag.Name
		case flag.Short != 0:
			name = "-" + string(flag.Short) + ", " + name
		}
		if !flag.IsBool() {
			name += " " + flag.FormatPlaceHolder()
		}
		f(".TP\n.B %s\n%s", roff(name), roff(flag.Help))
	}
}

// roff escapes the control characters of roff in a text.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n.", "\n\\&.", "\n'", "\n\\&'").Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
