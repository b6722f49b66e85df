package batch_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slerpmerge/internal/batch"
	"slerpmerge/internal/document"
	"slerpmerge/internal/fault"
)

// A fakeGrammar stands for the command line: its tasks write small outputs as a
// merge leaves them, or fail on demand.
type fakeGrammar struct {
	dir   string
	fail  map[string]error  // of a run, by job
	block map[string]error  // of a plan
	bytes map[string]int64  // that a plan says
	print map[string]string // fingerprints beside the inputs'
	ran   []string
	after func(job string) // called when a job was run
}

func (g *fakeGrammar) Flags(k batch.Kind) []batch.FlagForm {
	all := []batch.FlagForm{{Name: "dtype"}, {Name: "threads"}, {Name: "overwrite", Bool: true}}
	if k == batch.Merge {
		all = append(all, batch.FlagForm{Name: "t", List: true, Pair: true}, batch.FlagForm{Name: "vocab"})
	}
	return all
}

func (g *fakeGrammar) Check(k batch.Kind, f batch.Flag) error {
	if slices.Contains(f.Values, "wrong") {
		return fmt.Errorf("%s is wrong", f.Name)
	}
	return nil
}

func (g *fakeGrammar) Sweep(arg string) (suffixes, args []string, err error) {
	return nil, nil, errors.New("no sweep")
}

func (g *fakeGrammar) Task(j *batch.Job) (batch.Task, error) {
	for _, f := range j.Flags {
		if slices.Contains(f.Values, "late") {
			return nil, &fault.FlagError{Name: f.Name, Err: fmt.Errorf("--%s comes late", f.Name)}
		}
	}
	return &fakeTask{g, j}, nil
}

type fakeTask struct {
	*fakeGrammar
	job *batch.Job
}

func (t *fakeTask) path(text string) string { return filepath.Join(t.dir, text) }
func (t *fakeTask) Output() string          { return t.path(t.job.Output.Text) }

func (t *fakeTask) Parents() []string {
	var paths []string
	for _, w := range []batch.Word{t.job.Primary, t.job.Secondary, t.job.Model} {
		if w.Text != "" {
			paths = append(paths, t.path(w.Text))
		}
	}
	return paths
}

func (t *fakeTask) fingerprint() string {
	print := t.job.Name + t.print[t.job.Name]
	for _, p := range t.Parents() {
		b, _ := os.ReadFile(filepath.Join(p, "slerpmerge.json"))
		print += fmt.Sprintf(" %x", b)
	}
	return print
}

func (t *fakeTask) Survey(_ context.Context, overwrite bool) (*batch.Survey, error) {
	s := &batch.Survey{Fingerprint: t.fingerprint(), Bytes: t.bytes[t.job.Name], Refusal: t.block[t.job.Name]}
	if _, err := os.Stat(t.Output()); err == nil && !overwrite && s.Refusal == nil {
		s.Refusal = errors.New("it exists")
	}
	return s, nil
}

func (t *fakeTask) Run(ctx context.Context, overwrite bool) (*batch.Result, error) {
	if t.ran = append(t.ran, t.job.Name); t.after != nil {
		t.after(t.job.Name)
	}
	if err := t.fail[t.job.Name]; err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("merging: %w", context.Cause(ctx))
	}
	out := t.Output()
	os.RemoveAll(out)
	record := fmt.Appendf(nil, `{"schema":1,"tool":"slerpmerge","more":{"a":[1]},"fingerprint":%q,"output":{"files":[{"name":"w","bytes":5}]},"tensors":[{"name":"x"},1`, t.fingerprint())
	record = fmt.Appendf(record, ",\n  \"sha256\": \"%x\"\n}\n", sha256.Sum256(record))
	if err := errors.Join(os.MkdirAll(out, 0o777), os.WriteFile(filepath.Join(out, "w"), []byte("bytes"), 0o666),
		os.WriteFile(filepath.Join(out, "slerpmerge.json"), record, 0o666)); err != nil {
		return nil, err
	}
	return &batch.Result{Bytes: 5}, nil
}

// A world is a manifest, its folder and what happened.
type world struct {
	*fakeGrammar
	t      *testing.T
	name   string // of the manifest
	text   string
	opt    batch.Options
	events []string
	state  *batch.State
}

var errStop = errors.New("stopped")

func newWorld(t *testing.T, text string) *world {
	w := &world{t: t, name: "m.yaml", text: text, fakeGrammar: &fakeGrammar{dir: t.TempDir(), fail: map[string]error{}, block: map[string]error{},
		bytes: map[string]int64{}, print: map[string]string{}}}
	clock := time.Date(2026, 11, 1, 2, 0, 0, 0, time.UTC)
	w.opt = batch.Options{Version: "v1",
		Now: func() time.Time { clock = clock.Add(time.Second); return clock },
		Classify: func(err error) (int, []string) {
			if errors.Is(err, errStop) {
				return 75, nil
			}
			return 4, []string{"do something"}
		},
		Event: func(name string, s *batch.State, j *batch.JobState) {
			if j != nil {
				name += " " + j.Name
			}
			w.events = append(w.events, name)
		}}
	return w
}

// run is one run of the manifest as the command does it.
func (w *world) run(ctx context.Context) error {
	w.t.Helper()
	w.ran, w.events = nil, nil
	m, err := batch.ParseManifest("m.yaml", []byte(w.text), w.fakeGrammar)
	if err != nil {
		w.t.Fatal(err)
	}
	b := batch.New(filepath.Join(w.dir, w.name), m, w.opt)
	w.state = b.State
	if err := b.Check(ctx); err != nil && ctx.Err() == nil {
		return errors.Join(err, b.Refuse(err))
	}
	if err := b.Begin(); err != nil {
		return err
	}
	return b.Run(ctx)
}

func (w *world) want(ran string, phase batch.Phase, exit int, jobs ...batch.JobPhase) {
	w.t.Helper()
	if got := strings.Join(w.ran, " "); got != ran {
		w.t.Errorf("ran %q, want %q", got, ran)
	}
	if w.state.Phase != phase || w.state.Exit == nil || *w.state.Exit != exit {
		w.t.Errorf("ended %s, want %s with exit code %d", w.state.Phase, phase, exit)
	}
	var got []batch.JobPhase
	for _, j := range w.state.Jobs {
		got = append(got, j.Phase)
	}
	if !slices.Equal(got, jobs) {
		w.t.Errorf("jobs are %v, want %v", got, jobs)
	}
}

const chain = `
jobs:
  - {name: third, model: second, output: third}
  - {name: second, model: first, output: second}
  - {name: first, primary: a, secondary: b, output: first}
  - {name: other, primary: a, secondary: b, output: other}
`

func TestOrderAndSkipping(t *testing.T) {
	w := newWorld(t, chain)
	if err := w.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.want("first second third other", batch.Done, 0, batch.JobDone, batch.JobDone, batch.JobDone, batch.JobDone)
	if want := []string{"batch_start", "job_start first", "job_done first", "job_start second", "job_done second",
		"job_start third", "job_done third", "job_start other", "job_done other", "batch_done"}; !slices.Equal(w.events, want) {
		t.Errorf("events %q, want %q", w.events, want)
	}
	w.run(t.Context())
	w.want("", batch.Done, 0, batch.JobSkipped, batch.JobSkipped, batch.JobSkipped, batch.JobSkipped)

	w.print["second"] = "!" // what second depends on has changed
	w.run(t.Context())
	w.want("second third", batch.Done, 0, batch.JobSkipped, batch.JobDone, batch.JobDone, batch.JobSkipped)

	if err := os.Remove(filepath.Join(w.dir, "other", "w")); err != nil {
		t.Fatal(err)
	}
	w.run(t.Context())
	w.want("other", batch.Done, 0, batch.JobSkipped, batch.JobSkipped, batch.JobSkipped, batch.JobDone)
	if got := w.state.Jobs[3].Why; got != "damaged" {
		t.Errorf("other is done because %q", got)
	}
}

func TestFailures(t *testing.T) {
	w := newWorld(t, chain)
	w.fail["first"] = errors.New("no")
	w.run(t.Context())
	w.want("first other", batch.Failed, 1, batch.JobFailed, batch.JobBlocked, batch.JobBlocked, batch.JobDone)
	if j := w.state.Jobs[0]; j.Error != "no" || j.Exit != 4 || !slices.Equal(j.Hints, []string{"do something"}) {
		t.Errorf("the failed job is %+v", j)
	}
	if got := w.state.Jobs[2].Error; got != "it needs second, which is not done" {
		t.Errorf("the blocked job says %q", got)
	}

	w = newWorld(t, chain)
	w.opt.StopOnError = true
	w.fail["second"] = errors.New("no")
	w.run(t.Context())
	w.want("first second", batch.Failed, 1, batch.JobDone, batch.JobFailed, batch.JobNotDone, batch.JobNotDone)
}

// A stop ends the job that runs and begins no other; one after the last job
// makes no difference.
func TestStop(t *testing.T) {
	w := newWorld(t, chain)
	ctx, cancel := context.WithCancelCause(t.Context())
	w.after = func(job string) {
		if job == "second" {
			cancel(errStop)
		}
	}
	w.run(ctx)
	w.want("first second", batch.Stopped, 75, batch.JobDone, batch.JobNotDone, batch.JobNotDone, batch.JobNotDone)
	if w.state.Reason != "stopped" {
		t.Errorf("the reason is %q", w.state.Reason)
	}

	w.run(ctx) // before the first job
	w.want("", batch.Stopped, 75, batch.JobNotDone, batch.JobNotDone, batch.JobNotDone, batch.JobNotDone)

	// An error of the job's own is one, even if the stop came too.
	w = newWorld(t, chain)
	ctx, cancel = context.WithCancelCause(t.Context())
	w.fail["other"] = errors.New("no")
	w.after = func(job string) {
		if job == "other" {
			cancel(errStop)
		}
	}
	w.run(ctx)
	w.want("first second third other", batch.Failed, 1, batch.JobDone, batch.JobDone, batch.JobDone, batch.JobFailed)
}

// All that forbids the run is said, nothing is begun, and what only waits for
// another job is no obstacle.
func TestCheck(t *testing.T) {
	w := newWorld(t, chain)
	w.block["first"], w.block["other"], w.block["third"] = errors.New("one"), errors.New("two"), errors.New("never seen")
	err := w.run(t.Context())
	var r *batch.Refusal
	if !errors.As(err, &r) || len(r.Errors) != 2 || r.Class() != fault.Request {
		t.Fatalf("refused with %v", err)
	}
	if got := r.Errors[1].Error(); got != "m.yaml:6:5: job other: two" {
		t.Errorf("the second reason is %q", got)
	}
	w.want("", batch.Refused, 4, batch.JobPending, batch.JobPending, batch.JobPending, batch.JobPending)

	// Coming after a job is not reading what it makes.
	w = newWorld(t, "jobs:\n- {name: one, model: a, output: x}\n- {name: two, model: b, output: y, after: one}\n- {name: three, model: x, output: z}\n")
	w.block["two"], w.block["three"] = errors.New("reported"), errors.New("never seen")
	if err := w.run(t.Context()); !errors.As(err, &r) || len(r.Errors) != 1 || !strings.Contains(err.Error(), "job two: reported") {
		t.Errorf("refused with %v", err)
	}

	// Each has room, both have not. A job that is done needs none.
	w = newWorld(t, chain)
	w.bytes["first"], w.bytes["other"] = 1<<61, 1<<61
	err = w.run(t.Context())
	var full *batch.SpaceError
	if !errors.As(err, &full) || !errors.As(err, &r) || r.Class() != fault.Space || full.Need != 1<<62 || !slices.Equal(full.Jobs, []string{"first", "other"}) {
		t.Fatalf("refused with %v", err)
	}
	w.bytes["first"], w.bytes["other"] = 0, 0
	if err := w.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.bytes["first"], w.bytes["other"] = 1<<61, 1<<61
	if err := w.run(t.Context()); err != nil {
		t.Errorf("refused though nothing is to do: %v", err)
	}

	// What is not ours stays.
	w = newWorld(t, chain)
	if err := os.Mkdir(filepath.Join(w.dir, "other"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "other", "slerpmerge.json"), []byte(`{"tool":"slerpmerge","output":{}}`), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := w.run(t.Context()); err == nil || !strings.Contains(err.Error(), "job other: it exists") {
		t.Errorf("a folder of somebody else's: %v", err)
	}
}

func TestStatusFile(t *testing.T) {
	w := newWorld(t, chain)
	w.opt.Status = filepath.Join(w.dir, "state.json")
	w.fail["second"] = errors.New("no")
	var during batch.State
	w.after = func(job string) {
		if job == "second" {
			readJSON(t, w.opt.Status, &during)
		}
	}
	if err := w.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if during.Phase != batch.Running || during.Exit != nil || during.Jobs[0].Phase != batch.JobDone || during.Jobs[1].Phase != batch.JobRunning ||
		during.Counts[batch.JobPending] != 2 || during.Bytes != 5 || during.PID != os.Getpid() {
		t.Errorf("during the second job the file says %+v", during)
	}
	var end batch.State
	readJSON(t, w.opt.Status, &end)
	if end.Phase != batch.Failed || *end.Exit != 1 || end.Finished == nil || end.Jobs[1].Error != "no" || end.Bytes != 10 {
		t.Errorf("at the end the file says %+v", end)
	}
	if names, _ := filepath.Glob(filepath.Join(w.dir, ".*")); len(names) > 0 {
		t.Errorf("left behind: %q", names)
	}

	// A file that can't be written any more ends nothing, but is reported.
	w = newWorld(t, chain)
	w.opt.Status = filepath.Join(w.dir, "sub", "state.json")
	if err := os.Mkdir(filepath.Dir(w.opt.Status), 0o777); err != nil {
		t.Fatal(err)
	}
	w.after = func(string) { os.RemoveAll(filepath.Dir(w.opt.Status)) }
	if err := w.run(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the status file is gone, and the error is %v", err)
	}
	w.want("first second third other", batch.Done, 0, batch.JobDone, batch.JobDone, batch.JobDone, batch.JobDone)
}

func readJSON(t *testing.T, path string, to any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestManifestValues(t *testing.T) {
	g := &fakeGrammar{dir: t.TempDir()}
	m, err := batch.ParseManifest("m.yaml", []byte(`
defaults: {dtype: f16, t: 0.25, overwrite: yes, vocab: base}
jobs:
  - {name: numbers, primary: a, secondary: b, output: o1, t: [0, .5, 1e-1]}
  - {name: rules, primary: a, secondary: b, output: o2, t: [mlp=0.5, 1], overwrite: false, dtype: ~}
  - {name: recipe, recipe: r.yml, output: o3, threads: 010}
  - {name: convert, model: a, output: o4, after: [rules, numbers]}
  - &base {name: base, model: a, output: o5, dtype: f32}
  - {<<: *base, name: like-base, output: o6}
`), g)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"numbers":   "t=[0,.5,1e-1] dtype=[f16] overwrite=[] vocab=[base]",
		"rules":     "t=[mlp=0.5 1] vocab=[base]",
		"recipe":    "threads=[010] dtype=[f16] overwrite=[] vocab=[base]",
		"convert":   "dtype=[f16] overwrite=[]",
		"base":      "dtype=[f32] overwrite=[]",
		"like-base": "dtype=[f32] overwrite=[]",
	}
	for _, j := range m.Jobs {
		var flags []string
		for _, f := range j.Flags {
			flags = append(flags, fmt.Sprintf("%s=%v", f.Name, f.Values))
		}
		if got := strings.Join(flags, " "); got != want[j.Name] {
			t.Errorf("%s has %s, want %s", j.Name, got, want[j.Name])
		}
	}
	if len(m.Jobs) != len(want) {
		t.Errorf("%d jobs, want %d", len(m.Jobs), len(want))
	}
}

// A message about a flag stands where the flag does, even that of a default.
func TestManifestPlaces(t *testing.T) {
	for src, want := range map[string]string{
		"jobs:\n- {name: a, model: m, output: o, dtype: wrong}":                           "2:41: dtype is wrong",
		"jobs:\n- {name: a, model: m, output: o, dtype: late}":                            "2:34: --dtype comes late",
		"defaults:\n  threads: late\njobs:\n- {name: a, model: m, output: o}":             "2:3: --threads comes late",
		"jobs:\n- {name: a, model: m, output: o}\n- {<<: {name: a}, model: m, output: p}": `3:3: the name of job "a" is already on line 2; each job needs its own`,
		"jobs:\n- {name: a, model: o/w.bin, output: o/}":                                  `2:37: "o/" contains `,
		"jobs:\n- {name: a, model: m, output: o}\n- {name: b, model: o/in/m, output: p}":  `2:31: "o" contains `,
		"jobs:\n- {name: a, model: m, output: o, threads: [1]}":                           "2:43: threads is one value, not a list",
		"jobs:\n- {name: a, primary: m, secondary: n, output: o, t: []}":                  "2:53: the list is empty",
		"jobs: []":                                   "1:7: the list of jobs is empty",
		"jobs:\n- {name: 7, model: m}":               "2:3: the job has no output; write output: and the folder to be made",
		"jobs: {name: a}":                            "1:7: jobs is a list, not a mapping",
		"dtype: f16\njobs:\n- {}":                    `1:1: key "dtype" stands outside of defaults; put it under "defaults"`,
		"model: f16\njobs:\n- {}":                    `1:1: key "model" stands outside of jobs; put it into an entry of "jobs"`,
		"jobs:\n- {name: a, model: \"\", output: o}": "2:20: model is empty",
	} {
		_, err := batch.ParseManifest("m.yaml", []byte(src), &fakeGrammar{dir: t.TempDir()})
		var doc *document.Error
		if !errors.As(err, &doc) {
			t.Errorf("%q gives %v", src, err)
			continue
		}
		p := doc.Problems[0]
		if got := fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Message); !strings.HasPrefix(got, want) {
			t.Errorf("%q gives\n\t%s, want\n\t%s", src, got, want)
		}
	}
}
