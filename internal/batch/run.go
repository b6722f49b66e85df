package batch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"slerpmerge/internal/disk"
	"slerpmerge/writer"
)

// The names of events, for logs. Users rely on them.
const (
	EventBatchStart = "batch_start"
	EventJobStart   = "job_start"
	EventJobDone    = "job_done"
	EventJobSkipped = "job_skipped"
	EventJobFailed  = "job_failed"
	EventJobBlocked = "job_blocked"
	EventJobNotDone = "job_not_done"
	EventBatchDone  = "batch_done"
)

// Options say how to run a manifest.
type Options struct {
	Version     string
	StopOnError bool
	Status      string // the file for the state, "" for none
	Metrics     string // the file for metrics, "" for none
	// Event receives one of the names above, and the job if it is about one.
	Event func(name string, s *State, j *JobState)
	// Classify says which exit code an error has, and what to do about it.
	Classify func(error) (exit int, hints []string)
	// Now is the clock.
	Now func() time.Time
}

// A Batch is one run of a manifest.
type Batch struct {
	State *State

	opt      Options
	manifest *Manifest
	past     map[string]memory // by job, from the metrics of the run before
	fileErr  error             // of the status or metrics file, the last one
}

// New begins a run. m is nil where the manifest can't be read; only Refuse is
// of use then.
func New(name string, m *Manifest, opt Options) *Batch {
	b := &Batch{opt: opt, manifest: m}
	var jobs []*Job
	if m != nil {
		jobs = m.Jobs
	}
	b.State = newState(name, opt.Version, jobs, opt.Now())
	if opt.Metrics != "" {
		b.past = remember(opt.Metrics)
	}
	return b
}

// Check plans every job that can be planned now, and records its result. It
// makes nothing. Errors: a *Refusal with every reason why the manifest can't be
// run, or the cause of ctx.
func (b *Batch) Check(ctx context.Context) error {
	refusal := &Refusal{}
	var room volumes
	current := map[*Job]bool{}
	for i, j := range b.manifest.Jobs {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		js := b.State.Jobs[i]
		ready := true
		for _, m := range j.makers {
			ready = ready && current[m]
		}
		if !ready { // its inputs are not there yet, or will change
			js.Why = whyWaiting
			continue
		}
		why, s, err := b.survey(ctx, j)
		if err == nil && why == "" {
			current[j] = true
			js.Fingerprint = s.Fingerprint
			continue
		}
		if err == nil {
			err = s.Refusal
		}
		if full := (*writer.NoSpaceError)(nil); errors.As(err, &full) && s != nil {
			err = nil // said of all jobs together
		}
		if err != nil {
			refusal.Errors = append(refusal.Errors, &JobError{b.manifest.Name, j.Pos, j.Name, err})
			js.Error = err.Error()
			js.Exit, js.Hints = b.opt.Classify(err)
			continue
		}
		js.Why, js.Fingerprint, js.Bytes, js.Warnings = why, s.Fingerprint, s.Bytes, s.Warnings
		room.add(j, s.Bytes)
	}
	full, err := room.full()
	if err != nil {
		return err
	}
	if refusal.Errors = append(refusal.Errors, full...); len(refusal.Errors) > 0 {
		return refusal
	}
	return nil
}

// survey plans a job and compares it with its output: why says what is to be
// done, "" if nothing is.
func (b *Batch) survey(ctx context.Context, j *Job) (why string, s *Survey, err error) {
	there, err := lookAt(ctx, j.out)
	if err != nil {
		return "", nil, err
	}
	if s, err = j.Task.Survey(ctx, there.ours); err != nil {
		return "", nil, err
	}
	return there.differs(s.Fingerprint), s, nil
}

// Refuse ends a run that can't begin. Errors are those of the status and
// metrics files.
func (b *Batch) Refuse(reason error) error {
	exit, _ := b.opt.Classify(reason)
	b.State.Reason = reason.Error()
	return b.end(Refused, exit)
}

// Begin writes the first state. A status or metrics file that can't be written
// is better known before the work than after it.
func (b *Batch) Begin() error {
	if b.write(); b.fileErr == nil {
		b.opt.Event(EventBatchStart, b.State, nil)
	}
	return b.fileErr
}

// Run does the jobs, one after the other, and records the outcome in State. The
// error is that of the status or metrics file at the end.
func (b *Batch) Run(ctx context.Context) error {
	failed := false
	for i, j := range b.manifest.Jobs {
		js := b.State.Jobs[i]
		switch blocker := b.blocker(j); {
		case ctx.Err() != nil || failed && b.opt.StopOnError:
			b.finish(js, JobNotDone, EventJobNotDone)
		case blocker != "":
			js.Error = fmt.Sprintf("it needs %s, which is not done", blocker)
			b.finish(js, JobBlocked, EventJobBlocked)
		default:
			b.job(ctx, j, js)
		}
		failed = failed || js.Phase == JobFailed
	}
	notDone, exit := b.State.Counts[JobNotDone] > 0, 0
	switch {
	case notDone && ctx.Err() != nil:
		b.State.Reason = context.Cause(ctx).Error()
		exit, _ = b.opt.Classify(context.Cause(ctx))
		return b.end(Stopped, exit)
	case failed:
		return b.end(Failed, 1)
	}
	return b.end(Done, 0)
}

// blocker names a job that this one needs and that is not done, "" for none.
func (b *Batch) blocker(j *Job) string {
	for _, n := range j.needs {
		for _, js := range b.State.Jobs {
			if js.Name == n.Name && !js.Ready() {
				return n.Name
			}
		}
	}
	return ""
}

// job does one job whose turn it is.
func (b *Batch) job(ctx context.Context, j *Job, js *JobState) {
	start := b.opt.Now()
	js.Started, js.Phase, js.Bytes = &start, JobRunning, 0
	why, s, err := b.survey(ctx, j)
	if err == nil {
		js.Why, js.Fingerprint, js.Warnings = why, s.Fingerprint, s.Warnings
		if why == "" {
			writer.Cleanup(j.out)
			b.finish(js, JobSkipped, EventJobSkipped)
			return
		}
		err = s.Refusal
	}
	if err == nil {
		b.event(EventJobStart, js)
		var r *Result
		var there made
		if there, err = lookAt(ctx, j.out); err == nil {
			r, err = j.Task.Run(ctx, there.ours)
		}
		if err == nil {
			js.Bytes = r.Bytes
			b.finish(js, JobDone, EventJobDone)
			return
		}
	}
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		b.finish(js, JobNotDone, EventJobNotDone)
		return
	}
	js.Error = err.Error()
	js.Exit, js.Hints = b.opt.Classify(err)
	b.finish(js, JobFailed, EventJobFailed)
}

func (b *Batch) finish(js *JobState, phase JobPhase, event string) {
	now := b.opt.Now()
	js.Phase = phase
	if js.Started != nil {
		js.Finished, js.Seconds = &now, now.Sub(*js.Started).Seconds()
	}
	if phase != JobDone {
		js.Bytes = 0
	}
	b.event(event, js)
}

func (b *Batch) end(phase Phase, exit int) error {
	b.State.end(phase, exit, b.opt.Now())
	b.write()
	b.opt.Event(EventBatchDone, b.State, nil)
	return b.fileErr
}

// event writes the files, then calls Event.
func (b *Batch) event(name string, js *JobState) {
	b.State.touch(b.opt.Now())
	b.write()
	b.opt.Event(name, b.State, js)
}

// write puts the state into the status and metrics files. Errors are remembered
// until a write succeeds; the work continues.
func (b *Batch) write() {
	b.fileErr = nil
	if b.opt.Status != "" {
		text, err := b.State.json()
		if err == nil {
			err = disk.WriteFile(b.opt.Status, text)
		}
		if err != nil {
			b.fileErr = fmt.Errorf("status file: %w", err)
		}
	}
	if b.opt.Metrics != "" {
		if err := disk.WriteFile(b.opt.Metrics, b.State.metrics(b.past)); err != nil {
			b.fileErr = errors.Join(b.fileErr, fmt.Errorf("metrics file: %w", err))
		}
	}
}
