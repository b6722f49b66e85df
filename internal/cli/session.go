package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/term"

	"slerpmerge/writer"
)

// A session asks on a terminal for a merge, shows its plan and runs it: what
// the program does when it is started without arguments.
//
// It is a dialog of lines, not a screen: earlier lines stay readable, by a
// screen reader too.
type session struct {
	*app
	in     *os.File
	out    *os.File       // the terminal, whichever stream it is
	editor *term.Terminal // edits lines and completes paths; nil for plain questions
	lines  *bufio.Reader  // answers to plain questions

	options []string    // what the question offers: by number, and to the arrow keys
	matches matcher     // what Tab completes, nil for nothing
	answers mergeAnswer // so far
}

// A matcher finds what the end of a typed line can become: head and one of
// names.
type matcher func(line string) (head string, names []string)

// newSession returns nil where nobody can answer.
func newSession(a *app, stdin io.Reader) *session {
	s := &session{app: a, in: terminalOf(stdin), out: cmp.Or(terminalOf(a.stderr), terminalOf(a.stdout))}
	if s.in == nil || s.out == nil {
		return nil
	}
	// The console of Windows edits lines itself, and need not understand the
	// sequences that the editor writes.
	kind := os.Getenv("TERM")
	if os.Getenv("ACCESSIBLE") != "" || kind == "dumb" || kind == "" || runtime.GOOS == "windows" {
		s.lines = bufio.NewReader(s.in)
		a.stderr = struct{ io.Writer }{a.stderr} // no longer a terminal: progress in lines, not as a bar
		return s
	}
	s.editor = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{s.in, s.out}, "")
	s.editor.AutoCompleteCallback = s.tab
	s.editor.History = offered{s}
	return s
}

// terminalOf returns the stream as a file if it is a terminal, else nil.
func terminalOf(stream any) *os.File {
	if f, ok := stream.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// errLeft ends a session by Ctrl-C, or by Ctrl-D on an empty line.
var errLeft = leftError{}

type leftError struct{}

func (leftError) Error() string { return "stopped at a question; nothing was written" }
func (leftError) Unwrap() error { return context.Canceled } // for the exit code

func (s *session) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// errReported repeats a question whose answer has been commented on.
var errReported = errors.New("reported")

// report explains the error in an answer.
func (s *session) report(err error) {
	s.say("error: %s", clean(err.Error()))
	var exists *writer.ExistsError
	if errors.As(err, &exists) { // the hint is a flag, but here a folder can be named
		s.say("hint: name another folder")
		return
	}
	_, hints := classify(err)
	for _, h := range hints {
		s.say("hint: %s", clean(h.String()))
	}
}

// maxOffered keeps a list on one screen.
const maxOffered = 20

// offer shows what the next answer can be.
func (s *session) offer(title string, options []string) {
	s.options = options[:min(len(options), maxOffered)]
	if len(options) == 0 {
		return
	}
	s.say("%s:", title)
	for i, o := range s.options {
		s.say("  %d  %s", i+1, clean(o))
	}
	if more := len(options) - len(s.options); more > 0 {
		s.say("  and %d more", more)
	}
}

// option returns the offer with that number, or the answer itself.
func (s *session) option(answer string) string {
	if n, err := strconv.Atoi(answer); err == nil && n >= 1 && n <= len(s.options) {
		return s.options[n-1]
	}
	return answer
}

// ask puts a question until its answer passes the check.
func (s *session) ask(ctx context.Context, question, preset string, check func(answer string) error) error {
	for {
		line, err := s.line(ctx, question+": ")
		if err != nil {
			return err
		}
		if err = check(cmp.Or(strings.TrimSpace(line), preset)); err == nil {
			return nil
		}
		if err != errReported {
			s.report(err)
		}
	}
}

// line reads one answer. The terminal is raw for no longer than that, so that
// at all other times Ctrl-C is a signal.
func (s *session) line(ctx context.Context, question string) (string, error) {
	restore := func() error { return nil }
	if s.editor != nil {
		fd := int(s.in.Fd())
		state, err := term.MakeRaw(fd)
		if err != nil {
			return "", err
		}
		restore = func() error { return term.Restore(fd, state) }
		if width, height, err := term.GetSize(int(s.out.Fd())); err == nil && width > 0 {
			s.editor.SetSize(width, height)
		}
	}
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() { // a read can't be called off: after a signal it ends with the process
		var a answer
		if s.editor != nil {
			s.editor.SetPrompt(question)
			a.text, a.err = s.editor.ReadLine()
		} else {
			fmt.Fprint(s.out, question)
			a.text, a.err = s.lines.ReadString('\n')
		}
		got <- a
	}()
	var a answer
	select {
	case a = <-got:
	case <-ctx.Done():
		a.err = context.Cause(ctx)
		if stopped, ok := a.err.(Stopped); ok && stopped.Signal == os.Interrupt {
			a.err = errLeft
		}
	}
	if err := restore(); err != nil {
		return "", err
	}
	if a.err != nil {
		s.say("") // the question's line is open
	}
	if a.err == io.EOF {
		a.err = errLeft
	}
	return a.text, a.err
}
