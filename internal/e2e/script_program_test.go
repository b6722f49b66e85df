package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// runProgram runs a program to its end and returns its exit code.
func runProgram(ts *testscript.TestScript, args []string) int {
	err := ts.Exec(args[0], args[1:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}

func wantExit(ts *testscript.TestScript, text string) int {
	n, err := strconv.Atoi(text)
	ts.Check(err)
	return n
}

// exits N PROGRAM ARG...
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 1, "exits code program [arg...]")
	if got, want := runProgram(ts, args[1:]), wantExit(ts, args[0]); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// refused N PROGRAM ARG...
func cmdRefused(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 1, "refused code program [arg...]")
	before := snapshot(ts)
	if got, want := runProgram(ts, args[1:]), wantExit(ts, args[0]); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	checkRefusal(ts)
	compareSnapshots(ts, before, snapshot(ts))
}

// recipePlace is a line that shows or names a place in a recipe file, all of
// whose problems are said at once.
var recipePlace = regexp.MustCompile(`^ +[0-9]* \| |^: [^ ]+\.yml:[0-9]+:[0-9]+: `)

func checkRefusal(ts *testscript.TestScript) {
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("standard output is not empty: %q", out)
	}
	lines := cleanLines(ts)
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "slerpmerge: error: ") {
		ts.Fatalf("standard error does not begin with an error line")
	}
	for _, l := range lines[1:] {
		recipe := recipePlace.MatchString(l) || recipePlace.MatchString(lines[0][len("slerpmerge: error"):]) && strings.HasPrefix(l, "slerpmerge: error: ")
		if !strings.HasPrefix(l, "slerpmerge: hint: ") && !recipe {
			ts.Fatalf("neither the error line nor a hint: %q", l)
		}
	}
}

// clean
func cmdClean(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 0, "clean")
	cleanLines(ts)
}

func cleanLines(ts *testscript.TestScript) []string {
	text := ts.ReadFile("stderr")
	if text == "" {
		return nil
	}
	if !strings.HasSuffix(text, "\n") {
		ts.Fatalf("standard error does not end with a newline")
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for _, l := range lines {
		if len(l) > 4096 { // PIPE_BUF on Linux: a line is written whole
			ts.Fatalf("a line of %d bytes on standard error", len(l))
		}
		for _, r := range l {
			if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\uFFFD' {
				ts.Fatalf("%q on standard error: %q", r, l)
			}
		}
		if strings.Contains(l, "goroutine ") || strings.Contains(l, "internal error") {
			ts.Fatalf("a crash: %q", l)
		}
	}
	return lines
}

// snapshot is what there is below the script's current folder.
func snapshot(ts *testscript.TestScript) map[string]string {
	root := ts.MkAbs(".")
	s := map[string]string{}
	ts.Check(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if rel == ".tmp" { // $TMPDIR
			return fs.SkipDir
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		s[rel] = fi.Mode().String()
		if fi.Mode().IsRegular() {
			s[rel] += fmt.Sprint(" ", fi.Size(), fi.ModTime())
		}
		return nil
	}))
	return s
}

func compareSnapshots(ts *testscript.TestScript, before, after map[string]string) {
	for name := range after {
		if _, ok := before[name]; !ok {
			ts.Fatalf("%s was left behind", name)
		}
	}
	for name, was := range before {
		if now := after[name]; now != was {
			ts.Fatalf("%s was %q and is %q", name, was, now)
		}
	}
}

// stopped EVENT N WAITFOR PROGRAM ARG...
func cmdStopped(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 3, "stopped event code waitfor program [arg...]")
	cut, isCut := strings.CutPrefix(args[0], "cut=")
	rewrite, isRewrite := strings.CutPrefix(args[0], "rewrite=")
	name, twice := strings.CutSuffix(args[0], "+TERM")
	sig, ok := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "QUIT": syscall.SIGQUIT}[name]
	usage(ts, neg, ok || isCut || isRewrite, "stopped INT|TERM|TERM+TERM|HUP|QUIT|cut=FILE|rewrite=FILE ...")
	if sig == syscall.SIGHUP || sig == syscall.SIGQUIT { // under nohup or in the background children would ignore it too
		caught := make(chan os.Signal, 1)
		signal.Notify(caught, sig)
		defer signal.Stop(caught)
	}
	await, grow, _ := strings.Cut(args[2], "+")
	await = ts.MkAbs(await)
	more, _ := strconv.ParseInt(grow, 10, 64)
	from, _ := sizeOf(await)
	before := snapshot(ts)
	bin := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if p := filepath.Join(dir, args[3]); bin == "" {
			if _, err := os.Stat(p); err == nil {
				bin = p
			}
		}
	}
	c := exec.Command(bin, args[4:]...)
	c.Dir = ts.MkAbs(".")
	c.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"))
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	ts.Check(c.Start())
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	for {
		if size, ok := sizeOf(await); ok && (grow == "" || size >= from+more) {
			break
		}
		select {
		case <-ended:
			ts.Fatalf("it ended before %s existed: %s%s", args[2], &stdout, &stderr)
		case <-time.After(5 * time.Millisecond):
		}
	}
	switch {
	case isCut:
		cmdTruncate(ts, false, []string{cut, "-1"})
	case isRewrite:
		ts.Check(rewriteLast(ts.MkAbs(rewrite)))
	default:
		ts.Check(c.Process.Signal(sig))
	}
	if twice {
		time.Sleep(5 * time.Millisecond)
		c.Process.Signal(syscall.SIGTERM) // unless it has ended
	}
	<-ended
	io.Copy(ts.Stdout(), &stdout)
	ts.Stderr().Write(stderr.Bytes())
	ts.Logf("%s", stderr.Bytes())
	if got, want := c.ProcessState.ExitCode(), wantExit(ts, args[1]); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	if stdout.Len() > 0 || !regexp.MustCompile(`\Aslerpmerge: error: .*\n(slerpmerge: hint: .*\n)*\z`).Match(stderr.Bytes()) {
		ts.Fatalf("not one error line and hints: %s%s", &stdout, &stderr)
	}
	after := snapshot(ts)
	for _, name := range []string{cut, rewrite} {
		delete(before, name)
		delete(after, name)
	}
	for name := range after {
		if kept(name) || sig == syscall.SIGQUIT && filepath.Ext(name) == ".lock" {
			delete(before, name)
			delete(after, name)
		}
	}
	compareSnapshots(ts, before, after)
}

// rewriteLast changes the last byte of a file and puts its time back.
func rewriteLast(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte{1}, st.Size()-1)
	return errors.Join(err, f.Close(), os.Chtimes(path, time.Time{}, st.ModTime()))
}

func sizeOf(path string) (n int64, ok bool) {
	st, err := os.Lstat(path)
	if err != nil {
		return 0, false
	}
	return st.Size(), true
}

// kept reports whether a name is of the work of an unfinished run, which stays
// for the next one.
func kept(name string) bool {
	top, _, _ := strings.Cut(filepath.ToSlash(name), "/")
	return strings.HasPrefix(top, ".") && (strings.HasSuffix(top, ".partial") || strings.HasSuffix(top, ".stages"))
}

// example [COMMAND]
func cmdExample(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) < 2, "example [command]")
	help := append(append([]string{"slerpmerge"}, args...), "--help")
	if got := runProgram(ts, help); got != 0 {
		ts.Fatalf("exit code %d", got)
	}
	if text := ts.ReadFile("stderr"); text != "" {
		ts.Fatalf("help on standard error: %s", text)
	}
	m := regexp.MustCompile(`(?m)^Example: (slerpmerge .*)$`).FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		ts.Fatalf("no line with an example")
	}
	if got := runProgram(ts, strings.Fields(m[1])); got != 0 {
		ts.Fatalf("%s: exit code %d", m[1], got)
	}
}
