//go:build !windows

package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"slerpmerge/internal/tensor"
	"slerpmerge/internal/testmodel"
)

// A console is the program on a pseudo-terminal.
type console struct {
	t    *testing.T
	cmd  *exec.Cmd
	tty  *os.File
	read chan []byte // what the program writes; closed at its end
	text string      // of that, what was not awaited yet
	all  string
}

// shell runs the program and tells its exit code, and whether it left the
// terminal as it was. It stays there until it is killed: the terminal of a
// first process that ends drops what was not read yet.
const shell = `trap : INT
before=$(stty -g)
slerpmerge
code=$?
[ "$before" = "$(stty -g)" ] || echo the terminal is not as it was
echo exit code $code.
read _`

// start starts the program without arguments in a folder.
func start(t *testing.T, dir string, env ...string) *console {
	c := &console{t: t, cmd: exec.Command("sh", "-c", shell), read: make(chan []byte)}
	c.cmd.Dir = dir
	c.cmd.Env = append(os.Environ(), "TERM=xterm", "ACCESSIBLE=")
	c.cmd.Env = append(c.cmd.Env, env...)
	var err error
	if c.tty, err = pty.StartWithSize(c.cmd, &pty.Winsize{Rows: 50, Cols: 300}); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.read)
		for {
			b := make([]byte, 4096)
			n, err := c.tty.Read(b)
			if err != nil { // the program has ended
				return
			}
			c.read <- b[:n]
		}
	}()
	t.Cleanup(func() {
		c.cmd.Process.Kill()
		for range c.read {
		}
		c.cmd.Wait()
		c.tty.Close()
	})
	return c
}

// patience is for a busy machine; a wait takes milliseconds.
const patience = 20 * time.Second

// await waits for a text on the terminal and returns what came before it.
func (c *console) await(text string) string {
	c.t.Helper()
	late := time.After(patience)
	for {
		if before, after, ok := strings.Cut(c.text, text); ok {
			c.text = after
			return before
		}
		select {
		case b, ok := <-c.read:
			if !ok {
				c.t.Fatalf("ended without %q:\n%s", text, c.all)
			}
			s := strings.ReplaceAll(string(b), "\r", "")
			c.text += s
			c.all += s
		case <-late:
			c.t.Fatalf("no %q:\n%s", text, c.all)
		}
	}
}

// enter types an answer.
func (c *console) enter(keys string) { c.press(keys + "\r") }

func (c *console) press(keys string) {
	c.t.Helper()
	if _, err := c.tty.WriteString(keys); err != nil {
		c.t.Fatal(err)
	}
}

// end waits for the exit code.
func (c *console) end() string {
	c.t.Helper()
	c.await("exit code ")
	code := c.await(".\n")
	if strings.Contains(c.all, "the terminal is not as it was") {
		c.t.Error("the terminal is not as it was")
	}
	return code
}

// modelFolder makes a folder with the models alpha and beta in it.
func modelFolder(t *testing.T) string {
	dir := t.TempDir()
	for _, name := range []string{"alpha", "my beta"} {
		from := filepath.Join("../../testdata/models", strings.TrimPrefix(name, "my "))
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// listing is every file and folder below a folder.
func listing(t *testing.T, dir string) string {
	var names []string
	if err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		names = append(names, path)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, "\n")
}

// The questions in their order, each with an answer that passes.
var conversation = []struct{ question, answer string }{
	{"t = 0 gives): ", "alpha/"},
	{"t = 1 gives): ", `"my beta"`},
	{"Folder to save the merge in: ", "out/merged/"},
	{"t, from 0 (primary) to 1 (secondary) [0.5]: ", "0.3"},
	{"Format [safetensors]: ", ""},
	{"Run this merge? (yes or no) [yes]: ", ""},
}

// modes are the environments in which the questions come in different forms.
var modes = []struct{ name, env string }{
	{"editor", "NO_COLOR=1"},
	{"dumb", "TERM=dumb"},
	{"accessible", "ACCESSIBLE=1"},
}

// TestSession answers the questions on a terminal, and gives the command line
// that is printed to a shell.
func TestSession(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			dir := modelFolder(t)
			c := start(t, dir, mode.env)
			for _, q := range conversation {
				c.await(q.question)
				c.enter(q.answer)
			}
			c.await("The same merge without questions:\n")
			line := c.await("\n")
			if code := c.end(); code != "0" {
				t.Fatalf("exit code %s:\n%s", code, c.all)
			}
			for _, want := range []string{"slerp   0.3  BF16", "  out/merged  ", "slerpmerge: out/merged: 39 tensors"} {
				if !strings.Contains(c.all, want) {
					t.Errorf("no %q in:\n%s", want, c.all)
				}
			}
			if plain := mode.name != "editor"; plain && strings.Contains(c.all, "\x1b") {
				t.Errorf("escape sequences:\n%q", c.all)
			}
			if want := "slerpmerge merge alpha 'my beta' -o out/merged -t 0.3 --format safetensors"; line != want {
				t.Errorf("the command line is\n%s, want\n%s", line, want)
			}
			sh := exec.Command("sh", "-c", strings.Replace(line, "out/merged", "again", 1))
			sh.Dir = dir
			if out, err := sh.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			var weights [2][]byte
			for i, name := range []string{"out/merged", "again"} {
				var err error
				if weights[i], err = os.ReadFile(filepath.Join(dir, name, "model.safetensors")); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(weights[0], weights[1]) {
				t.Error("the command line makes another model")
			}
		})
	}
}

// TestSessionLeft leaves at every question, by every way there is.
func TestSessionLeft(t *testing.T) {
	t.Parallel()
	for _, mode := range modes[:2] {
		for i, q := range conversation {
			for _, key := range []struct{ name, press string }{{"C", "\x03"}, {"D", "\x04"}} {
				t.Run(fmt.Sprintf("%s/%d/%s", mode.name, i+1, key.name), func(t *testing.T) {
					t.Parallel()
					dir := modelFolder(t)
					before := listing(t, dir)
					c := start(t, dir, mode.env)
					for _, q := range conversation[:i] {
						c.await(q.question)
						c.enter(q.answer)
					}
					c.await(q.question)
					c.press(key.press)
					if code := c.end(); code != "130" {
						t.Errorf("exit code %s", code)
					}
					if !strings.Contains(c.all, "slerpmerge: error: stopped at a question; nothing was written\n") {
						t.Errorf("it ends with:\n%s", c.all)
					}
					if after := listing(t, dir); after != before {
						t.Errorf("there is now\n%s", after)
					}
				})
			}
		}
	}
}

// TestSessionStopped presses Ctrl-C while the merge runs, in every mode.
func TestSessionStopped(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			// Models that take seconds to merge and no room on the disk.
			hollow := testmodel.Model{Tensors: []testmodel.Tensor{{Info: tensor.Info{Name: "w", DType: tensor.BF16, Shape: []uint64{1 << 29}}}}}
			for _, name := range []string{"alpha", "my beta"} {
				testmodel.Make(t, filepath.Join(dir, name), hollow)
			}
			before := listing(t, dir)
			c := start(t, dir, mode.env)
			for _, q := range conversation {
				c.await(q.question)
				c.enter(q.answer)
			}
			c.await("The same merge without questions:\n")
			late := time.Now().Add(patience)
			for {
				if _, err := os.Stat(filepath.Join(dir, "out/.merged.partial/model.safetensors")); err == nil {
					break
				}
				if time.Now().After(late) {
					t.Fatalf("it does not begin:\n%s", c.all)
				}
				time.Sleep(time.Millisecond)
			}
			c.press("\x03")
			if code := c.end(); code != "130" {
				t.Errorf("exit code %s:\n%s", code, c.all)
			}
			if !strings.Contains(c.all, "slerpmerge: error: stopped by Ctrl-C\n") {
				t.Errorf("it ends with:\n%s", c.all)
			}
			if after := listing(t, dir); after != before {
				t.Errorf("there is now\n%s", after)
			}
		})
	}
}

// TestSessionVocabulary merges models whose vocabularies differ.
func TestSessionVocabulary(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"beta", "beta-vocab"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join("../../testdata/models", name))); err != nil {
			t.Fatal(err)
		}
	}
	c := start(t, dir, "TERM=dumb")
	for _, step := range []struct{ question, answer, reply string }{
		{conversation[0].question, "beta", ""},
		{conversation[1].question, "beta-vocab", "The vocabularies differ: 1024 rows in beta and 1032 in beta-vocab."},
		{"Rows of one vocabulary [extend]: ", "error", "error: answer extend, base, "},
		{"Rows of one vocabulary [extend]: ", "", ""},
		{conversation[2].question, "out", ""},
		{conversation[3].question, "", ""},
		{conversation[4].question, "", ""},
		{conversation[5].question, "", "slerpmerge merge beta beta-vocab -o out -t 0.5 --format safetensors --vocab extend\n"},
	} {
		c.await(step.question)
		c.enter(step.answer)
		c.await(step.reply)
	}
	if code := c.end(); code != "0" {
		t.Fatalf("exit code %s:\n%s", code, c.all)
	}
	config, err := os.ReadFile(filepath.Join(dir, "out/config.json"))
	if err != nil || !bytes.Contains(config, []byte(`"vocab_size": 1032`)) {
		t.Errorf("%v: %s", err, config)
	}
}

// TestSessionReports gives invalid answers: each is reported at its question,
// which comes again.
func TestSessionReports(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	if err := os.Rename(filepath.Join(dir, "alpha"), filepath.Join(dir, "alpha-1")); err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{"shelf/hidden": "../../testdata/models/bad-hidden", "shelf/alpha": "../../testdata/models/alpha"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	before := listing(t, dir)
	c := start(t, dir)
	for _, step := range []struct{ question, keys, reply string }{
		{conversation[0].question, "\r", "error: name a model folder or a weight file\n"},
		{conversation[0].question, "nowhere\r", "error: nowhere: no such file or folder\n"},
		{conversation[0].question, "org/name\r", "hint: if this is a name on the Hugging Face Hub"},
		{conversation[0].question, "9\r", "error: 9: no such file or folder\n"},
		{conversation[0].question, "shelf\r", "Models in shelf:\n  1  shelf/alpha\n  2  shelf/hidden\n"},
		{conversation[0].question, "al\t\r", ""},     // completion
		{conversation[1].question, "2\r", "error: "}, // they don't fit
		{conversation[1].question, "\x1b[A\r", ""},   // the first of the list
		{conversation[2].question, "\r", "error: name a folder"},
		{conversation[2].question, "my beta\r", "hint: name another folder\n"},
		{conversation[2].question, "alpha-1/new\r", "error: "}, // in a parent
		{conversation[2].question, "new\r", ""},
		{conversation[3].question, "half\r", "error: "},
		{conversation[3].question, "1.5\r", "error: -t 1.5 is outside 0"},
		{conversation[3].question, "0, 1\r", ""}, // a gradient
		{conversation[4].question, "gguf\r", "answer safetensors or bin\n"},
		{conversation[4].question, "2\r", ""},
		{conversation[5].question, "perhaps\r", "error: answer yes or no\n"},
		{conversation[5].question, "n\r", "Nothing was written. The same merge without questions:\nslerpmerge merge alpha-1 shelf/alpha -o new -t '0, 1' --format bin\n"},
	} {
		c.await(step.question)
		c.press(step.keys)
		c.await(step.reply)
	}
	if code := c.end(); code != "0" {
		t.Errorf("exit code %s:\n%s", code, c.all)
	}
	if after := listing(t, dir); after != before {
		t.Errorf("there is now\n%s", after)
	}
}
