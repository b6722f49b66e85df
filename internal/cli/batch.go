package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"slerpmerge/internal/batch"
	"slerpmerge/internal/disk"
	"slerpmerge/internal/document"
	"slerpmerge/internal/fault"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/text"
)

type batchCmd struct {
	Manifest    string        `arg:"" help:"YAML file of jobs. Paths in it are relative to its folder."`
	TimeBudget  time.Duration `placeholder:"TIME" help:"Stop after this time, such as 4h or 90m, and keep the work."`
	StopOnError bool          `help:"Start no more jobs after one has failed."`
	Status      string        `placeholder:"FILE" help:"Keep the state of all jobs in this file, as JSON."`
	Metrics     string        `placeholder:"FILE" help:"Keep metrics in this file, for the textfile collector of Prometheus."`
	DryRun      bool          `help:"Only show what would be done."`
	JSON        bool          `name:"json" help:"Print the state of all jobs as JSON at the end."`
}

// Help returns the text below the flags.
func (batchCmd) Help() string {
	return `Example: slerpmerge batch nightly.yaml -q --time-budget 4h --status state.json

A job has name, output, and primary and secondary, or models (a list, for method), or recipe, or model (to convert it); and any flag of merge or convert by its long name. Flags under "defaults" hold for all jobs. A job that reads another job's output runs after it; "after: NAME" adds other dependencies.

    defaults: {dtype: bfloat16}
    jobs:
      - {name: half, primary: alpha, secondary: beta, t: 0.5, output: out/half}
      - {name: bin, model: out/half, format: bin, output: out/half-bin}

Jobs that are done and unchanged are skipped.`
}

// A reportedError ends a command whose failure was reported already.
type reportedError int

func (e reportedError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// Run runs the jobs.
func (c *batchCmd) Run(ctx context.Context, a *app) error {
	ctx, cancel := within(ctx, c.TimeBudget)
	defer cancel()
	src, err := c.read()
	if err != nil {
		return err
	}
	path, err := filepath.Abs(c.Manifest)
	if err != nil {
		return err
	}
	opt := batch.Options{Version: a.version, StopOnError: c.StopOnError, Classify: classifyJob, Now: time.Now,
		Event: (&batchLog{app: a, manifest: c.Manifest}).event}
	if !c.DryRun {
		if opt.Status, opt.Metrics, err = c.files(); err != nil {
			return err
		}
		release, err := batch.Lock(path)
		if err != nil {
			return err
		}
		defer release()
	}
	if err := os.Chdir(filepath.Dir(path)); err != nil { // paths are relative to the manifest
		return &requestError{msg: err.Error()}
	}
	m, err := batch.ParseManifest(c.Manifest, src, newJobGrammar(a))
	b := batch.New(path, m, opt)
	if err == nil {
		err = b.Check(ctx)
	}
	if c.DryRun {
		if err != nil {
			return err
		}
		return a.showJobs(b.State, c.JSON)
	}
	stopped := ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) // Run says it of every job
	if err != nil && !stopped {
		if err := b.Refuse(err); err != nil {
			a.log.error(err.Error(), exitFailed, nil)
		}
		return err
	}
	if err := b.Begin(); err != nil { // files that can't be written are better known before the work
		b.Refuse(err) // one of the two may be in order
		return err
	}
	err = b.Run(ctx)
	exit := *b.State.Exit
	if err != nil {
		a.log.error(err.Error(), exitFailed, nil)
		exit = cmp.Or(exit, exitFailed)
	}
	if c.JSON {
		if err := a.printJSON(b.State); err != nil {
			return err
		}
	}
	if exit != exitDone {
		return reportedError(exit)
	}
	return nil
}

// files returns the places of the status and the metrics file. They are replaced
// again and again, so they must not be anything else.
func (c *batchCmd) files() (status, metrics string, err error) {
	taken := map[string]string{}
	for _, f := range []struct {
		what, path string
		to         *string
	}{{"the manifest", c.Manifest, new(string)}, {"--status", c.Status, &status}, {"--metrics", c.Metrics, &metrics}} {
		if f.path == "" {
			continue
		}
		if *f.to, err = disk.Resolve(f.path); err != nil {
			return "", "", fmt.Errorf("%s: %w", f.what, err)
		}
		switch st, err := os.Stat(*f.to); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return "", "", fmt.Errorf("%s: %w", f.what, err)
		case !st.Mode().IsRegular():
			return "", "", &requestError{msg: f.what + ": " + f.path + " is not a regular file"}
		}
		if other, ok := taken[*f.to]; ok {
			return "", "", &requestError{msg: f.what + " names the same file as " + other}
		}
		taken[*f.to] = f.what
	}
	return status, metrics, nil
}

// maxManifest bounds a manifest; ParseManifest has a limit of its own.
const maxManifest = 2 << 20

func (c *batchCmd) read() ([]byte, error) {
	file, err := disk.OpenRegular(c.Manifest)
	if err != nil {
		return nil, unopened("the manifest", err)
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxManifest))
}

// refuse reports every reason why a manifest can't be run.
func (a *app) refuse(r *batch.Refusal) int {
	code := exitCodes[r.Class()]
	said := map[string]bool{} // of a recipe that several jobs name
	for _, e := range r.Errors {
		_, hints := classifyJob(e)
		if doc := (*recipe.DocumentError)(nil); errors.As(e, &doc) {
			if text := doc.Error(); !said[text] {
				a.log.document(doc, code, hints)
				said[text] = true
			}
			continue
		}
		a.log.error(e.Error(), code, hints)
	}
	return code
}

// classifyJob is classify for an error of a job. Its hints have flags as a
// manifest takes them.
func classifyJob(err error) (code int, hints []string) {
	code, advice := classify(err)
	for _, h := range advice {
		hints = append(hints, h.Format(func(f fault.Flag) string {
			switch {
			case f.Value == "":
				return f.Name + ": true"
			case f.Name == "max-memory": // a size needs no quotes
				return f.Name + ": " + f.Value
			}
			return f.Name + ": " + document.WriteText(f.Value)
		}))
	}
	return code, hints
}

// showJobs shows what would be done.
func (a *app) showJobs(s *batch.State, asJSON bool) error {
	for _, j := range s.Jobs {
		for _, w := range j.Warnings {
			a.log.named(j.Name).warn(w)
		}
	}
	if asJSON {
		return a.printJSON(s)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "JOB\tKIND\tTO DO\tSIZE\tOUTPUT")
	var bytes int64
	todo := 0
	for _, j := range s.Jobs {
		what, n := cmp.Or(j.Why, "nothing"), "-"
		if j.Why != "" {
			todo++
		}
		switch {
		case j.Bytes > 0:
			n = size(j.Bytes)
			bytes += j.Bytes
		case len(j.Needs) > 0 && j.Why != "":
			what, n = "after "+strings.Join(j.Needs, ", "), "?"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", j.Name, j.Kind, clean(what), n, clean(fromHere(j.Output)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.stdout, "%d of %s to do, %s known to be written\n", todo, text.Count(len(s.Jobs), "job"), size(bytes))
	return err
}

// fromHere returns a path as seen from the current folder, that of the manifest, if
// it lies below it.
func fromHere(path string) string {
	if dir, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(rel) {
			return rel
		}
	}
	return path
}

// batchLog logs the events of the jobs.
type batchLog struct {
	app      *app
	manifest string
	turn     int // jobs whose turn it was
}

func (b *batchLog) event(name string, s *batch.State, j *batch.JobState) {
	log := b.app.log
	if j != nil {
		b.turn++
		log = log.named(j.Name)
	}
	switch name {
	case batch.EventBatchStart:
		log.info(name, fmt.Sprintf("%s: %s", b.manifest, text.Count(len(s.Jobs), "job")), "manifest", s.Manifest, "jobs", len(s.Jobs))
	case batch.EventJobStart:
		b.turn-- // it is counted at its end
		out := fromHere(j.Output)
		log.info(name, fmt.Sprintf("%s to %s (%d of %d, %s)", j.Kind, out, b.turn+1, len(s.Jobs), j.Why),
			"kind", j.Kind, "output", out, "why", j.Why, "number", b.turn+1, "of", len(s.Jobs))
	case batch.EventJobDone: // said by summary, which knows more
		debug.FreeOSMemory() // the next job is to begin as the first did
	case batch.EventJobSkipped:
		log.info(name, "unchanged", "output", fromHere(j.Output))
	case batch.EventJobFailed:
		debug.FreeOSMemory()
		log.failure(name, "failed: "+j.Error, "text", clean(j.Error), "exit", j.Exit, "hints", j.Hints)
	case batch.EventJobBlocked:
		log.failure(name, "not started: "+j.Error, "text", clean(j.Error))
	case batch.EventJobNotDone:
		log.info(name, "")
	case batch.EventBatchDone:
		b.done(s)
	}
}

// done closes a run. Refusals are reported by refuse.
func (b *batchLog) done(s *batch.State) {
	log, exit := b.app.log, *s.Exit
	attrs := []any{"manifest", s.Manifest, "state", s.Phase, "exit", exit, "seconds", s.Seconds, "bytes", s.Bytes, "counts", s.Counts}
	if exit == exitDone {
		log.info(batch.EventBatchDone, fmt.Sprintf("%s: %s done, %d unchanged, %s in %.1f s",
			b.manifest, text.Count(s.Counts[batch.JobDone], "job"), s.Counts[batch.JobSkipped], size(s.Bytes), s.Seconds), attrs...)
		return
	}
	if log.json != nil {
		log.json.Error(batch.EventBatchDone, attrs...)
		return
	}
	if s.Phase == batch.Refused {
		return
	}
	msg := s.Reason
	if msg == "" {
		msg = fmt.Sprintf("%d of %s failed", s.Counts[batch.JobFailed], text.Count(len(s.Jobs), "job"))
	} else if n := s.Counts[batch.JobFailed]; n > 0 {
		msg += fmt.Sprintf("; %s failed", text.Count(n, "job"))
	}
	if n := s.Counts[batch.JobBlocked] + s.Counts[batch.JobNotDone]; n > 0 {
		msg += fmt.Sprintf(", %d not done", n)
	}
	log.line("error: %s: %s", clean(b.manifest), msg)
	open := slices.DeleteFunc(slices.Clone(s.Jobs), func(j *batch.JobState) bool { return j.Ready() })
	width := 0
	for _, j := range open {
		width = max(width, len(j.Name))
	}
	for _, j := range open {
		log.line("  %-*s  %s", width, j.Name, clean(cmp.Or(j.Error, "not done")))
		for _, h := range j.Hints {
			log.line("  %-*s  hint: %s", width, "", clean(h))
		}
	}
	log.line("hint: run the same command again: finished jobs are skipped")
}
