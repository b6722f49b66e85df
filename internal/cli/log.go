package cli

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"slerpmerge/internal/recipe"
)

// A logger writes everything but results: one line an event, as text for people
// or as JSON for machines.
type logger struct {
	w       io.Writer
	quiet   bool
	verbose bool
	json    *slog.Logger // nil for text
	job     string       // whose lines these are, "" where there is one job alone

	mu    sync.Mutex // guards above, and keeps lines whole
	above io.Writer  // where lines go while a progress bar is drawn
}

func newLogger(w io.Writer, g globals) *logger {
	l := &logger{w: w, quiet: g.Quiet, verbose: g.Verbose}
	if g.LogFormat == "json" {
		l.json = slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return l
}

// named returns the same log for the messages of one job of several.
func (l *logger) named(job string) *logger {
	n := &logger{w: l.w, quiet: l.quiet, verbose: l.verbose, json: l.json, job: job}
	if n.json != nil {
		n.json = n.json.With("job", job)
	}
	return n
}

// label goes before the messages of a job.
func (l *logger) label() string {
	if l.job == "" {
		return ""
	}
	return l.job + ": "
}

// through sends text lines to another writer while a progress bar owns the
// last lines of the terminal; nil ends that.
func (l *logger) through(w io.Writer) {
	l.mu.Lock()
	l.above = w
	l.mu.Unlock()
}

func (l *logger) line(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.w
	if l.above != nil {
		w = l.above
	}
	fmt.Fprintf(w, "slerpmerge: "+l.label()+format+"\n", args...)
}

// info is an event of the normal course. attrs are key and value in turn, for
// JSON alone.
func (l *logger) info(event, text string, attrs ...any) {
	switch {
	case l.quiet:
	case l.json != nil:
		l.json.Info(event, attrs...)
	case text != "":
		l.line("%s", clean(text))
	}
}

// debug is an event that only -v shows.
func (l *logger) debug(event, text string, attrs ...any) {
	switch {
	case l.quiet || !l.verbose:
	case l.json != nil:
		l.json.Debug(event, attrs...)
	default:
		l.line("%s", clean(text))
	}
}

func (l *logger) warn(text string) {
	switch {
	case l.quiet:
	case l.json != nil:
		l.json.Warn("warning", "text", clean(text))
	default:
		l.line("warning: %s", clean(text))
	}
}

// failure is one of several: in JSON always logged, as text repeated at the
// end.
func (l *logger) failure(event, text string, attrs ...any) {
	switch {
	case l.json != nil:
		l.json.Error(event, attrs...)
	case !l.quiet:
		l.line("%s", clean(text))
	}
}

func (l *logger) error(text string, code int, hints []string) {
	if l.json != nil {
		l.json.Error("error", "text", clean(text), "exit", code, "hints", hints)
		return
	}
	l.line("error: %s", clean(text))
	for _, h := range hints {
		l.line("hint: %s", clean(h))
	}
}

// document shows the errors in a recipe file: a line for each problem, and
// below it the place.
func (l *logger) document(e *recipe.DocumentError, code int, hints []string) {
	if l.json != nil {
		for i, p := range e.Problems {
			attrs := []any{"text", clean(p.Message), "file", e.Name, "line", p.Line, "column", p.Column, "exit", code}
			if i == len(e.Problems)-1 && len(hints) > 0 {
				attrs = append(attrs, "hints", hints)
			}
			l.json.Error("error", attrs...)
		}
		return
	}
	for line := range strings.SplitSeq(e.Error(), "\n") {
		if strings.HasPrefix(line, e.Name+":") {
			l.line("error: %s", clean(line))
		} else {
			fmt.Fprintln(l.w, clean(line))
		}
	}
	for _, h := range hints {
		l.line("hint: %s", clean(h))
	}
}

// maxMessage keeps a message one readable line, whatever a file put in it.
const maxMessage = 3000

// clean makes a text one line without control characters: names and paths can
// hold anything.
func clean(s string) string {
	var b strings.Builder
	for i, r := range s {
		if b.Len() > maxMessage {
			b.WriteString("...")
			break
		}
		switch {
		case r == '\n':
			b.WriteString("; ")
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\t':
			b.WriteByte(' ')
		case !unicode.IsPrint(r) || unicode.Is(unicode.Cf, r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
