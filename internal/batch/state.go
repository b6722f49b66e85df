package batch

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"
)

// A Phase is the phase of a run.
type Phase string

const (
	Running Phase = "running"
	Done    Phase = "done"    // every job is
	Failed  Phase = "failed"  // some job is not done, and it failed or needs one that did
	Stopped Phase = "stopped" // by a signal or the time budget, before all was done
	Refused Phase = "refused" // nothing was begun
)

// A JobPhase is the phase of a job.
type JobPhase string

const (
	JobPending JobPhase = "pending"
	JobRunning JobPhase = "running"
	JobDone    JobPhase = "done"
	JobSkipped JobPhase = "skipped"  // its output exists and is up to date
	JobFailed  JobPhase = "failed"   // see Error
	JobBlocked JobPhase = "blocked"  // a job that it needs is not done
	JobNotDone JobPhase = "not_done" // the run ended before its turn, or in the middle of it
)

var jobPhases = []JobPhase{JobPending, JobRunning, JobDone, JobSkipped, JobFailed, JobBlocked, JobNotDone}

// A State is all that there is to know about a run: the content of the status
// file. Its names in JSON are relied upon. Schema counts up when a reader of
// the old form would misunderstand the new one.
type State struct {
	Schema   int              `json:"schema"`
	Manifest string           `json:"manifest"` // an absolute path
	Version  string           `json:"version"`
	PID      int              `json:"pid"`
	Host     string           `json:"host"`
	Phase    Phase            `json:"state"`
	Reason   string           `json:"reason,omitempty"` // why it was stopped or refused
	Exit     *int             `json:"exit"`             // the exit code; null while it runs
	Started  time.Time        `json:"started"`
	Updated  time.Time        `json:"updated"`
	Finished *time.Time       `json:"finished"`
	Seconds  float64          `json:"seconds"` // from Started to Updated
	Bytes    int64            `json:"bytes"`   // written by all jobs
	Counts   map[JobPhase]int `json:"counts"`  // of jobs; every phase is there
	Jobs     []*JobState      `json:"jobs"`    // in the order in which they run
}

// A JobState is a job's part of a State.
type JobState struct {
	Name        string     `json:"name"`
	Kind        Kind       `json:"kind"`
	Output      string     `json:"output"` // an absolute path
	Needs       []string   `json:"needs"`  // names of jobs
	Phase       JobPhase   `json:"state"`
	Why         string     `json:"why,omitempty"` // it is to be done: new, changed, damaged, waiting
	Fingerprint string     `json:"fingerprint,omitempty"`
	Started     *time.Time `json:"started"`
	Finished    *time.Time `json:"finished"`
	Seconds     float64    `json:"seconds"`
	Bytes       int64      `json:"bytes"`              // written; while the job is pending, what the plan says
	Warnings    []string   `json:"warnings,omitempty"` // of the plan
	Error       string     `json:"error,omitempty"`
	Exit        int        `json:"exit,omitempty"` // the exit code that the command by itself would have had
	Hints       []string   `json:"hints,omitempty"`
}

// finished reports whether nothing more will happen to the job.
func (j *JobState) finished() bool { return j.Phase != JobPending && j.Phase != JobRunning }

// Ready reports whether the output is up to date.
func (j *JobState) Ready() bool { return j.Phase == JobDone || j.Phase == JobSkipped }

func newState(manifest, version string, jobs []*Job, now time.Time) *State {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	if abs, err := filepath.Abs(manifest); err == nil {
		manifest = abs
	}
	s := &State{Schema: 1, Manifest: manifest, Version: version, PID: os.Getpid(), Host: host, Phase: Running, Started: now, Jobs: []*JobState{}}
	for _, j := range jobs {
		js := &JobState{Name: j.Name, Kind: j.Kind, Output: j.out, Needs: []string{}, Phase: JobPending}
		for _, n := range j.needs {
			js.Needs = append(js.Needs, n.Name)
		}
		s.Jobs = append(s.Jobs, js)
	}
	s.touch(now)
	return s
}

// touch brings the sums up to date.
func (s *State) touch(now time.Time) {
	s.Updated, s.Seconds, s.Bytes = now, now.Sub(s.Started).Seconds(), 0
	s.Counts = map[JobPhase]int{}
	for _, p := range jobPhases {
		s.Counts[p] = 0
	}
	for _, j := range s.Jobs {
		s.Counts[j.Phase]++
		if j.finished() {
			s.Bytes += j.Bytes
		}
	}
}

// end closes the state.
func (s *State) end(phase Phase, exit int, now time.Time) {
	s.Phase, s.Exit, s.Finished = phase, &exit, &now
	s.touch(now)
}

func (s *State) json() ([]byte, error) {
	b, err := json.MarshalIndent(s, "", "  ")
	return append(b, '\n'), err
}
