//go:build unix

package writer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"slerpmerge/internal/disk"
)

// nobody is a user who owns nothing.
const nobody = 65534

// A strangerProcess is a process of another user that does mischief when asked.
type strangerProcess struct {
	mu  sync.Mutex // one order at a time
	in  io.Writer
	out *bufio.Reader
}

// mischief is what a stranger can do in a folder where all can write. base is
// the folder of the output "out", victim one that is not his.
var mischief = map[string]func(base, victim string) error{
	"a link for the partial folder": func(base, victim string) error {
		return errors.Join(away(base, ".out.partial"), os.Symlink(victim, filepath.Join(base, ".out.partial")))
	},
	"his own partial folder": func(base, victim string) error {
		return errors.Join(away(base, ".out.partial"), poison(filepath.Join(base, ".out.partial")))
	},
	"a pipe for the partial folder": func(base, victim string) error {
		return errors.Join(away(base, ".out.partial"), syscall.Mkfifo(filepath.Join(base, ".out.partial"), 0o666))
	},
	"a link for the lock": func(base, victim string) error {
		return errors.Join(away(base, ".out.lock"), os.Symlink(filepath.Join(victim, "made"), filepath.Join(base, ".out.lock")))
	},
	"a pipe for the lock": func(base, victim string) error {
		return errors.Join(away(base, ".out.lock"), syscall.Mkfifo(filepath.Join(base, ".out.lock"), 0o666))
	},
	"a link for the output": func(base, victim string) error {
		return errors.Join(away(base, "out"), os.Symlink(victim, filepath.Join(base, "out")))
	},
	"his own output": func(base, victim string) error {
		return errors.Join(away(base, "out"), poison(filepath.Join(base, "out")))
	},
	"a link for the old folder": func(base, victim string) error {
		return errors.Join(away(base, ".out.old"), os.Symlink(victim, filepath.Join(base, ".out.old")))
	},
	"his own old folder": func(base, victim string) error {
		return errors.Join(away(base, ".out.old"), poison(filepath.Join(base, ".out.old")))
	},
	"a link for the folder above": func(base, victim string) error {
		err := os.Rename(base, base+".moved")
		return errors.Join(err, os.Symlink(filepath.Dir(victim), base))
	},
}

// away renames what stands in the way.
func away(base, name string) error {
	err := os.Rename(filepath.Join(base, name), filepath.Join(base, fmt.Sprint("away", time.Now().UnixNano())))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// poison makes a folder that looks like the work of a run, or its output.
func poison(dir string) error {
	err := os.Mkdir(dir, 0o777)
	for _, name := range []string{"config.json", "model.safetensors", journalName} {
		text := "poison"
		if name == journalName {
			text = journalHead("f", "out")
		}
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666))
	}
	return err
}

// stranger does what it reads, line by line: NAME, base and victim, separated by
// tabs. "loop" does all of it again and again.
func stranger() {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		word := strings.Split(in.Text(), "\t")
		if word[0] != "loop" {
			err := mischief[word[0]](word[1], word[2])
			fmt.Println(err == nil, err)
			continue
		}
		fmt.Println("true")
		for until := time.Now().Add(time.Minute); time.Now().Before(until); {
			for name, do := range mischief {
				if name != "a link for the folder above" {
					do(word[1], word[2])
				}
				time.Sleep(time.Duration(rand.Int64N(int64(3 * time.Millisecond))))
				for _, left := range []string{".out.lock", ".out.partial", ".out.old", "out"} {
					away(word[1], left)
				}
				time.Sleep(time.Duration(rand.Int64N(int64(30 * time.Millisecond))))
			}
		}
	}
}

// newStranger starts one. A test without root can't.
func newStranger(t *testing.T) (*strangerProcess, *exec.Cmd) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can be another user")
	}
	self, err := os.Executable()
	must(t, err)
	program, err := os.ReadFile(self)
	must(t, err)
	path := filepath.Join(open(t), "stranger")
	// A process that another test starts now would inherit the open file until
	// its exec, and nobody can run a file that is open for writing (ETXTBSY).
	syscall.ForkLock.RLock()
	err = os.WriteFile(path, program, 0o755)
	syscall.ForkLock.RUnlock()
	must(t, err)
	cmd := exec.Command(path)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), strangerEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return &strangerProcess{in: in, out: bufio.NewReader(out)}, cmd
}

// open is a temporary folder that all can search.
func open(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "writer-test")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	dir, err = filepath.EvalSymlinks(dir)
	must(t, err)
	return dir
}

func (s *strangerProcess) do(t *testing.T, name, base, victim string) bool {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.in, "%s\t%s\t%s\n", name, base, victim)
	line, err := s.out.ReadString('\n')
	must(t, err)
	return strings.HasPrefix(line, "true")
}

// A scene is a folder where all can write, and beside it one that nobody else
// may touch.
type scene struct {
	base, victim string
	before       map[string][]byte
}

func newScene(t *testing.T, mode fs.FileMode) scene {
	t.Helper()
	dir := open(t)
	must(t, os.Chmod(dir, 0o777)) // so that base can be renamed, too
	s := scene{base: filepath.Join(dir, "base"), victim: filepath.Join(dir, "owner", "out")}
	must(t, os.Mkdir(s.base, 0o777))
	must(t, os.Chmod(s.base, mode))
	must(t, os.MkdirAll(s.victim, 0o755))
	for _, sub := range []string{"", "../.out.partial", "../.out.old"} {
		must(t, os.MkdirAll(filepath.Join(s.victim, sub), 0o755))
		must(t, os.WriteFile(filepath.Join(s.victim, sub, "config.json"), []byte("precious"), 0o644))
	}
	s.before = s.look(t)
	return s
}

// look reads all that is the victim's.
func (s scene) look(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	must(t, filepath.WalkDir(filepath.Dir(s.victim), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			all[path], err = os.ReadFile(path)
		} else if err == nil {
			all[path] = nil
		}
		return err
	}))
	return all
}

// judge makes sure that nothing of the victim's was touched, and that what a run
// says to have published is its own.
func (s scene) judge(t *testing.T, what string, err error, want map[string][]byte) {
	t.Helper()
	if now := s.look(t); !maps.EqualFunc(now, s.before, bytes.Equal) {
		t.Errorf("%s: the victim's folder has changed: %v", what, now)
	}
	if err != nil {
		return
	}
	// Whoever can rename in the folder can also take away what was published; only
	// he can have put his own there then.
	if fi, err := os.Lstat(filepath.Join(s.base, "out")); err == nil && disk.OwnerName(fi) == ownerName(t, nobody) && !strings.Contains(what, "output") {
		t.Errorf("%s: the output is the stranger's", what)
	}
	places, err := filepath.Glob(filepath.Join(s.base+"*", "*"))
	must(t, err)
	for _, place := range places {
		if fi, err := os.Lstat(place); err != nil || !fi.IsDir() || !disk.Owned(fi) {
			continue
		}
		if got := readAll(t, place); maps.EqualFunc(got, want, bytes.Equal) {
			return
		}
	}
	t.Errorf("%s: what was written is nowhere", what)
}

func ownerName(t *testing.T, uid int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x")
	must(t, os.WriteFile(path, nil, 0o666))
	must(t, os.Chown(path, uid, -1))
	fi, err := os.Lstat(path)
	must(t, err)
	return disk.OwnerName(fi)
}

// everyStep calls f before each thing that a run does to the disk, with its
// number.
func everyStep(sys *system, f func(n int64)) {
	var n atomic.Int64
	now := func() { f(n.Add(1)) }
	sys.step = func(string) { now() }
	sys.syncFile = func(*os.File) error { now(); return nil }
	sys.syncDir = func(*disk.Folder) error { now(); return nil }
	real := *sys
	sys.reserve = func(f *os.File, size int64) error { now(); return real.reserve(f, size) }
	sys.writeAt = func(f *os.File, p []byte, off int64) (int, error) { now(); return real.writeAt(f, p, off) }
	sys.rename = func(d *disk.Folder, a, b string) error { now(); return real.rename(d, a, b) }
	sys.exchange = func(d *disk.Folder, a, b string) error { now(); return real.exchange(d, a, b) }
}

// Whatever a stranger swaps at whatever step, a run fails or makes its output,
// and touches nothing else.
func TestStrangerAtEveryStep(t *testing.T) {
	t.Parallel()
	s, _ := newStranger(t)
	want := map[string][]byte{}
	{
		out := filepath.Join(t.TempDir(), "out")
		must(t, run(t, out, Options{}))
		want = readAll(t, out)
	}
	for _, c := range []struct {
		name                string
		overwrite, exchange bool
	}{{"new", false, true}, {"overwrite", true, true}, {"overwrite by two renames", true, false}} {
		for name := range mischief {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				stride := int64(4) // enough over many runs of the test
				if os.Getenv("SLERPMERGE_TEST_FAULTS") != "" {
					stride = 1
				}
				for at, more := 1+rand.Int64N(stride), true; more; at += stride {
					sc := newScene(t, 0o777)
					if c.overwrite {
						model(t, filepath.Join(sc.base, "out"))
					}
					sys := realSystem()
					if !c.exchange {
						sys.exchange = func(*disk.Folder, string, string) error { return errors.ErrUnsupported }
					}
					more = false
					everyStep(sys, func(n int64) {
						if n == at {
							more = true
							s.do(t, name, sc.base, sc.victim)
						}
					})
					err := attempt(t, filepath.Join(sc.base, "out"), Options{Fingerprint: "f", Overwrite: c.overwrite, sys: sys})
					sc.judge(t, fmt.Sprintf("%s at step %d", name, at), err, want)
				}
			})
		}
	}
}

// attempt makes a whole output.
func attempt(t *testing.T, out string, opt Options) error {
	l, data := sample(t)
	o, err := Create(out, opt)
	if err != nil {
		return err
	}
	defer o.Abort()
	if err := o.Presize(t.Context(), l); err != nil {
		return err
	}
	for i, f := range l.Files {
		for _, e := range f.Extents {
			if err := o.Write(i, data[e.Tensor], e.Off, nil); err != nil {
				return err
			}
		}
		if err := o.Checkpoint(nil); err != nil {
			return err
		}
	}
	if err := o.Put("config.json", []byte("new")); err != nil {
		return err
	}
	return o.Publish()
}

// errNotLooked leaves out what was published: it may be gone again.
var errNotLooked = errors.New("not looked at")

// The same against a stranger who swaps all the time, where names can be swapped
// and where they can't.
func TestStrangerInALoop(t *testing.T) {
	t.Parallel()
	for _, mode := range []fs.FileMode{0o777, 0o777 | fs.ModeSticky} {
		s, cmd := newStranger(t)
		sc := newScene(t, mode)
		s.do(t, "loop", sc.base, sc.victim)
		made := 0
		for i := range 60 {
			err := attempt(t, filepath.Join(sc.base, "out"), Options{Fingerprint: "f", Overwrite: i%2 == 1, sys: noFlush()})
			if err == nil {
				made++
			}
			sc.judge(t, fmt.Sprintf("round %d", i), errors.Join(err, errNotLooked), nil)
		}
		cmd.Process.Kill()
		cmd.Wait()
		t.Logf("mode %v: %d of 60 runs came to an end", mode, made)
	}
}

// What somebody else has put beside an output is in the way, and he is named.
func TestStrangersLeftovers(t *testing.T) {
	t.Parallel()
	s, _ := newStranger(t)
	owner := ownerName(t, nobody)
	for name := range mischief {
		if strings.Contains(name, "output") || strings.Contains(name, "above") {
			continue
		}
		sc := newScene(t, 0o777|fs.ModeSticky)
		if !s.do(t, name, sc.base, sc.victim) {
			t.Fatalf("%s can't be done", name)
		}
		err := attempt(t, filepath.Join(sc.base, "out"), Options{Fingerprint: "f"})
		var foreign *disk.ForeignError
		if !errors.As(err, &foreign) || foreign.Owner != owner {
			t.Errorf("%s: %v, want an error that names %s", name, err, owner)
		}
		sc.judge(t, name, err, nil)
	}
	// An output of his is not replaced, nor a link to another followed.
	for _, name := range []string{"his own output", "a link for the output"} {
		sc := newScene(t, 0o777|fs.ModeSticky)
		s.do(t, name, sc.base, sc.victim)
		err := attempt(t, filepath.Join(sc.base, "out"), Options{Overwrite: true})
		if foreign := (*disk.ForeignError)(nil); !errors.As(err, &foreign) || foreign.Owner != owner {
			t.Errorf("%s: %v", name, err)
		}
		sc.judge(t, name, err, nil)
	}
}
