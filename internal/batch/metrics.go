package batch

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"slerpmerge/internal/disk"
)

// Metrics are in the text format of Prometheus, for the textfile collector of
// its node exporter. Two of them continue from one run to the next: their last
// values are in the file that is replaced.

// A memory is the content of the previous run's metrics about a job, or about
// the whole for the name "".
type memory struct {
	lastSuccess float64 // seconds since 1970; 0 for never
	failures    float64
}

const (
	metricBatchSuccess = "slerpmerge_batch_last_success_timestamp_seconds"
	metricJobSuccess   = "slerpmerge_job_last_success_timestamp_seconds"
	metricJobFailures  = "slerpmerge_job_failures_total"
)

// maxMetrics bounds a file that is read back.
const maxMetrics = 16 << 20

// remember reads the metrics of the previous run. Those that are missing or
// can't be understood count as none.
func remember(path string) map[string]memory {
	past := map[string]memory{}
	f, err := disk.OpenRegular(path)
	if err != nil {
		return past
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxMetrics+1))
	if err != nil || len(text) > maxMetrics {
		return past
	}
	for line := range strings.Lines(string(text)) {
		metric, labels, ok := strings.Cut(strings.TrimSpace(line), "{")
		if !ok {
			continue
		}
		end := strings.LastIndex(labels, "} ")
		if end < 0 {
			continue
		}
		v, err := strconv.ParseFloat(labels[end+2:], 64)
		if err != nil || v < 0 {
			continue
		}
		job := ""
		if _, after, ok := strings.Cut(labels[:end], `,job="`); ok {
			job = strings.TrimSuffix(after, `"`)
		}
		m := past[job]
		switch {
		case metric == metricBatchSuccess && job == "", metric == metricJobSuccess && namePattern.MatchString(job):
			m.lastSuccess = v
		case metric == metricJobFailures && namePattern.MatchString(job):
			m.failures = v
		default:
			continue
		}
		past[job] = m
	}
	return past
}

// metrics renders the state.
func (s *State) metrics(past map[string]memory) []byte {
	var b bytes.Buffer
	label := `manifest="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(filepath.Base(s.Manifest), "?")) + `"`
	family := func(name, kind, help string) {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %[1]s %[3]s\n", name, help, kind)
	}
	sample := func(name, more string, v float64) {
		fmt.Fprintf(&b, "%s{%s%s} %s\n", name, label, more, strconv.FormatFloat(v, 'f', -1, 64))
	}
	one := func(name, help string, v float64) {
		family(name, "gauge", help)
		sample(name, "", v)
	}
	at := func(t *time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

	one("slerpmerge_batch_running", "Whether the run goes on: 1, or 0 when it has ended.", truth(s.Phase == Running))
	one("slerpmerge_batch_start_timestamp_seconds", "When the run began.", at(&s.Started))
	if s.Finished != nil {
		one("slerpmerge_batch_end_timestamp_seconds", "When the run ended.", at(s.Finished))
		one("slerpmerge_batch_exit_code", "Exit code of the run: 0 when all is done.", float64(*s.Exit))
	}
	last := past[""].lastSuccess
	if s.Phase == Done && s.Finished != nil {
		last = at(s.Finished)
	}
	if last > 0 {
		one(metricBatchSuccess, "When a run last ended with nothing left to do.", last)
	}
	one("slerpmerge_batch_duration_seconds", "Seconds that the run took so far.", s.Seconds)
	one("slerpmerge_batch_written_bytes", "Bytes that the run wrote.", float64(s.Bytes))
	family("slerpmerge_batch_jobs", "gauge", "Jobs by what became of them.")
	for _, p := range jobPhases {
		sample("slerpmerge_batch_jobs", `,state="`+string(p)+`"`, float64(s.Counts[p]))
	}

	jobs := map[string]*JobState{}
	for _, j := range s.Jobs {
		jobs[j.Name] = j
	}
	names := slices.Sorted(maps.Keys(jobs))
	if len(names) == 0 { // the manifest could not be read: earlier values are kept
		names = slices.DeleteFunc(slices.Sorted(maps.Keys(past)), func(n string) bool { return n == "" })
	}
	perJob := func(name, kind, help string, value func(name string, j *JobState) (float64, bool)) {
		begun := false
		for _, n := range names {
			v, ok := value(n, jobs[n])
			if !ok {
				continue
			}
			if !begun {
				family(name, kind, help)
				begun = true
			}
			sample(name, `,job="`+n+`"`, v)
		}
	}
	perJob(metricJobSuccess, "gauge", "When the output was last found or made as it should be.", func(name string, j *JobState) (float64, bool) {
		if j != nil && j.Ready() && j.Finished != nil {
			return at(j.Finished), true
		}
		return past[name].lastSuccess, past[name].lastSuccess > 0
	})
	perJob(metricJobFailures, "counter", "How often the job has failed.", func(name string, j *JobState) (float64, bool) {
		return past[name].failures + truth(j != nil && j.Phase == JobFailed), true
	})
	perJob("slerpmerge_job_failed", "gauge", "Whether the job failed, or could not start because one that it needs failed.", func(_ string, j *JobState) (float64, bool) {
		return truth(j != nil && (j.Phase == JobFailed || j.Phase == JobBlocked)), j != nil
	})
	perJob("slerpmerge_job_duration_seconds", "gauge", "Seconds that the job took in this run.", func(_ string, j *JobState) (float64, bool) {
		return seconds(j), j != nil && j.finished()
	})
	perJob("slerpmerge_job_written_bytes", "gauge", "Bytes that the job wrote in this run.", func(_ string, j *JobState) (float64, bool) {
		if j == nil || !j.finished() {
			return 0, false
		}
		return float64(j.Bytes), true
	})
	return b.Bytes()
}

func seconds(j *JobState) float64 {
	if j == nil {
		return 0
	}
	return j.Seconds
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
