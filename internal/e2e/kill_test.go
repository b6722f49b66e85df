//go:build linux

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"slerpmerge/internal/tensor"
	"slerpmerge/internal/testmodel"
)

// How often TestKill kills, and the bytes of each parent, if the environment
// says another number.
const (
	killsEnv = "SLERPMERGE_TEST_KILLS"
	bytesEnv = "SLERPMERGE_TEST_BYTES"
)

func setNumber(t *testing.T, name string, preset int) int {
	text := os.Getenv(name)
	if text == "" {
		return preset
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// makeParent writes a model of bfloat16 tensors of all sizes.
func makeParent(t *testing.T, dir string, seed uint64, size int64) {
	t.Helper()
	m := testmodel.Model{Config: `{"model_type": "llama"}`}
	for i, left := 0, size; left > 0; i++ {
		n := min(left, size/int64(3+i*i%29))
		info := tensor.Info{Name: fmt.Sprintf("model.layers.%d.mlp.weight", i), DType: tensor.BF16, Shape: []uint64{uint64(max(n/2, 1))}}
		m.Tensors = append(m.Tensors, testmodel.Tensor{Info: info, Values: testmodel.Noise(seed)})
		left -= n
	}
	testmodel.Make(t, dir, m)
}

// folderSums are the SHA-256 of all files of a folder.
func folderSums(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	for _, e := range entries {
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		sums[e.Name()] = hex.EncodeToString(h.Sum(nil))
	}
	return sums
}

// bytesWritten is what a process has written so far, by its calls.
func bytesWritten(pid int) int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "wchar: "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
			return n
		}
	}
	return 0
}

// resumedAt finds in a JSON log how many bytes an earlier run had done.
func resumedAt(log []byte) int64 {
	for line := range bytes.Lines(log) {
		var event struct {
			Msg   string
			Bytes int64
		}
		if json.Unmarshal(line, &event) == nil && event.Msg == "resume" {
			return event.Bytes
		}
	}
	return 0
}

// A merge that is killed at any moment and run again ends in the files of one
// that was not, and does little twice.
func TestKill(t *testing.T) {
	t.Parallel()
	kills, size := setNumber(t, killsEnv, 12), int64(setNumber(t, bytesEnv, 40<<20))
	dir := t.TempDir()
	makeParent(t, filepath.Join(dir, "a"), 1, size)
	makeParent(t, filepath.Join(dir, "b"), 2, size)
	for i, form := range [][]string{
		{"--format", "safetensors"}, {"--format", "safetensors", "--shard-size", fmt.Sprint(size / 5)},
		{"--format", "bin"}, {"--format", "bin", "--shard-size", fmt.Sprint(size / 4)},
	} {
		t.Run(strings.Join(form, " "), func(t *testing.T) {
			t.Parallel()
			random, out := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(i))), fmt.Sprintf("out%d", i)
			command := func() (*exec.Cmd, *bytes.Buffer) {
				c := exec.Command("slerpmerge", append([]string{"merge", "a", "b", "-o", out, "-t", "0.4", "--log-format", "json"}, form...)...)
				c.Dir = dir
				log := new(bytes.Buffer)
				c.Stderr = log
				return c, log
			}
			clear := func() {
				for _, name := range []string{out, "." + out + ".partial", "." + out + ".lock"} {
					if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
						t.Fatal(err)
					}
				}
			}
			clear()
			once, log := command()
			began := time.Now()
			if err := once.Run(); err != nil {
				t.Fatalf("%v: %s", err, log)
			}
			took := time.Since(began)
			want := folderSums(t, filepath.Join(dir, out))
			var weights int64
			for name := range want {
				if st, err := os.Stat(filepath.Join(dir, out, name)); err == nil && strings.Contains(name, "model") {
					weights += st.Size()
				}
			}
			var costs []float64
			for range kills / 4 {
				clear()
				c, _ := command()
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Duration(random.Int64N(int64(took))))
				c.Process.Signal(syscall.SIGSTOP)
				time.Sleep(time.Millisecond)
				before := bytesWritten(c.Process.Pid)
				c.Process.Kill()
				c.Wait()
				if left := filepath.Join(dir, "."+out+".lock"); c.ProcessState.Exited() {
					if _, err := os.Stat(left); err == nil {
						t.Fatalf("%s is left", left)
					}
				}
				again, log := command()
				if err := again.Run(); err != nil {
					t.Fatalf("the second run: %v: %s", err, log)
				}
				if got := folderSums(t, filepath.Join(dir, out)); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("killed after %d of %d bytes, resumed at %d: %v, want %v", before, weights, resumedAt(log.Bytes()), got, want)
				}
				if c.ProcessState.Exited() {
					continue // it was done before
				}
				costs = append(costs, float64(before+weights-resumedAt(log.Bytes()))/float64(weights))
			}
			if len(costs) == 0 {
				return
			}
			slices.Sort(costs)
			median := costs[len(costs)/2]
			t.Logf("%d runs of %d bytes (%v) killed; both runs wrote %.3f of one at the median, %.3f at most", len(costs), weights, took.Round(time.Millisecond), median, costs[len(costs)-1])
			// Checkpoints are 16 MiB apart at least, much of a small output.
			if median > 1.15 && size >= 300e6 {
				t.Errorf("the median is above 1.15")
			}
		})
	}
}
