package writer

import (
	"bufio"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"slerpmerge/internal/disk"
)

// holdEnv makes the test binary a process that holds an output.
const holdEnv = "WRITER_TEST_HOLD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(holdEnv); dir != "" {
		o, err := Create(dir, Options{})
		if err != nil {
			os.Stdout.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Stdout.WriteString("held\n")
		io.Copy(io.Discard, os.Stdin)
		if err := o.Publish(); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Getenv(strangerEnv) != "" {
		stranger()
		os.Exit(0)
	}
	// The tests wait for the disk most of the time.
	flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0)))
	os.Exit(m.Run())
}

// strangerEnv makes the test binary another user's process.
const strangerEnv = "WRITER_TEST_STRANGER"

// hold starts a process that holds dir until its input ends.
func hold(t *testing.T, dir string) (cmd *exec.Cmd, end io.Closer) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd = exec.Command(self)
	cmd.Env = append(os.Environ(), holdEnv+"="+dir)
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if line != "held\n" {
		t.Fatalf("the other process: %q, %v", line, err)
	}
	return cmd, stdin
}

func wantLocked(t *testing.T, dir string, pid int) {
	t.Helper()
	_, err := Create(dir, Options{})
	var locked *LockedError
	if !errors.As(err, &locked) {
		t.Fatalf("Create of a held output: %v", err)
	}
	host, _ := os.Hostname()
	if runtime.GOOS == "windows" {
		pid, host = 0, ""
	}
	if locked.PID != pid || locked.Host != host || filepath.Base(locked.Path) != ".out.lock" {
		t.Errorf("%+v, want process %d on %s", locked, pid, host)
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	out := filepath.Join(base, "out")
	o := create(t, out, Options{})
	must(t, o.Put("config.json", nil))
	wantLocked(t, out, os.Getpid())
	wantList(t, filepath.Join(base, ".out.partial"), "config.json") // the loser left it alone
	wantList(t, base, ".out.lock", ".out.partial")
	must(t, o.Abort())
	o = create(t, out, Options{})
	must(t, o.Publish())
	wantList(t, base, "out")
}

func TestLockAcrossProcesses(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	out := filepath.Join(base, "out")
	cmd, end := hold(t, out)
	wantLocked(t, out, cmd.Process.Pid)
	must(t, end.Close())
	must(t, cmd.Wait())
	wantList(t, base, "out")

	must(t, os.Remove(out))
	cmd, _ = hold(t, out)
	must(t, cmd.Process.Kill())
	cmd.Wait()
	wantList(t, base, ".out.lock", ".out.partial")
	o := create(t, out, Options{})
	must(t, o.Publish())
	wantList(t, base, "out")
}

func TestLockFaults(t *testing.T) {
	t.Parallel()
	var result error
	sys := realSystem()
	sys.tryLock = func(f *os.File) (bool, error) {
		if err := result; err != nil {
			if err == syscall.EINTR {
				result = nil
			}
			return false, err
		}
		return disk.Calls().Try(f)
	}
	for _, c := range []struct {
		result error
		ok     bool
	}{{syscall.ENOLCK, true}, {syscall.ENOTSUP, true}, {syscall.EOPNOTSUPP, true}, {syscall.ENOSYS, true}, {syscall.EINTR, true}, {syscall.EIO, false}} {
		base := t.TempDir()
		result = c.result
		o, err := Create(filepath.Join(base, "out"), Options{sys: sys})
		if (err == nil) != c.ok || !c.ok && !errors.Is(err, c.result) {
			t.Errorf("%v: %v", c.result, err)
		}
		if err == nil {
			must(t, o.Publish())
			wantList(t, base, "out")
		}
	}
	result = nil
	base := t.TempDir()
	target := filepath.Join(base, "precious")
	must(t, os.WriteFile(target, []byte("data"), 0o666))
	must(t, os.Symlink(target, filepath.Join(base, ".out.lock")))
	if _, err := Create(filepath.Join(base, "out"), Options{}); err == nil {
		t.Error("a lock file that is a link was accepted")
	}
	if got, _ := os.ReadFile(target); string(got) != "data" {
		t.Errorf("the link's target: %q", got)
	}
}
