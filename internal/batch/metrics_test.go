package batch_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// metrics reads a metrics file as Prometheus does, by name and job (or state).
func metrics(t *testing.T, path string) map[string]map[string]float64 {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	values := map[string]map[string]float64{}
	for name, f := range families {
		if f.GetHelp() == "" || f.GetType() == dto.MetricType_UNTYPED {
			t.Errorf("%s has no help or no type", name)
		}
		values[name] = map[string]float64{}
		for _, m := range f.Metric {
			key := ""
			for _, l := range m.Label {
				switch l.GetName() {
				case "manifest":
					if l.GetValue() != manifestName {
						t.Errorf("%s: the manifest is %q", name, l.GetValue())
					}
				default:
					key = l.GetValue()
				}
			}
			if _, ok := values[name][key]; ok {
				t.Errorf("%s of %q is there twice", name, key)
			}
			values[name][key] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return values
}

// manifestName needs every escape that there is.
const manifestName = "night \"ly\"\\\n,job=\"x\"} 1.yaml"

func TestMetrics(t *testing.T) {
	w := newWorld(t, chain)
	w.opt.Metrics = filepath.Join(w.dir, "slerpmerge.prom")
	w.name = manifestName
	w.fail["second"] = errors.New("no")
	expect := func(name, of string, want float64) {
		t.Helper()
		m, ok := metrics(t, w.opt.Metrics)[name]
		v, there := m[of]
		if ok = ok && there; !ok && want >= 0 || ok && v != want {
			t.Errorf("%s of %q is %v (%v), want %v", name, of, v, ok, want)
		}
	}
	const none = -1
	w.run(t.Context())
	expect("slerpmerge_batch_running", "", 0)
	expect("slerpmerge_batch_exit_code", "", 1)
	expect("slerpmerge_batch_last_success_timestamp_seconds", "", none)
	expect("slerpmerge_batch_written_bytes", "", 10)
	expect("slerpmerge_batch_jobs", "done", 2)
	expect("slerpmerge_batch_jobs", "failed", 1)
	expect("slerpmerge_batch_jobs", "blocked", 1)
	expect("slerpmerge_batch_jobs", "not_done", 0)
	expect("slerpmerge_job_failed", "first", 0)
	expect("slerpmerge_job_failed", "second", 1)
	expect("slerpmerge_job_failed", "third", 1)
	expect("slerpmerge_job_failures_total", "second", 1)
	expect("slerpmerge_job_failures_total", "third", 0)
	expect("slerpmerge_job_last_success_timestamp_seconds", "second", none)
	expect("slerpmerge_job_written_bytes", "first", 5)
	first := metrics(t, w.opt.Metrics)["slerpmerge_job_last_success_timestamp_seconds"]["first"]
	if start := metrics(t, w.opt.Metrics)["slerpmerge_batch_start_timestamp_seconds"][""]; first <= start {
		t.Errorf("first was done at %v, the run began at %v", first, start)
	}

	// Counts and times of success go on over runs.
	w.fail["first"], w.print["first"] = errors.New("no"), "!"
	w.run(t.Context())
	expect("slerpmerge_job_failures_total", "first", 1)
	expect("slerpmerge_job_failures_total", "second", 1)
	expect("slerpmerge_job_last_success_timestamp_seconds", "first", first)
	clear(w.fail)
	during := map[string]map[string]float64{}
	w.after = func(job string) {
		if job == "second" {
			during = metrics(t, w.opt.Metrics)
		}
	}
	w.run(t.Context())
	if during["slerpmerge_batch_running"][""] != 1 || during["slerpmerge_batch_jobs"]["running"] != 1 || during["slerpmerge_batch_exit_code"] != nil {
		t.Errorf("during a job: %v", during)
	}
	expect("slerpmerge_batch_exit_code", "", 0)
	expect("slerpmerge_job_failures_total", "first", 1)
	success := metrics(t, w.opt.Metrics)["slerpmerge_batch_last_success_timestamp_seconds"][""]
	if success <= first {
		t.Errorf("the last success was at %v", success)
	}

	// A refusal keeps what was known too.
	w.after = nil
	w.print["first"], w.block["first"] = "?", errors.New("no")
	w.run(t.Context())
	expect("slerpmerge_batch_exit_code", "", 4)
	expect("slerpmerge_batch_last_success_timestamp_seconds", "", success)
	expect("slerpmerge_job_failures_total", "first", 1)

	// What can't be understood counts as nothing.
	for _, text := range []string{"", "{", "slerpmerge_job_failures_total{", "slerpmerge_job_failures_total{job=\"x} 1", "\x00\xff{} 1\n"} {
		if err := os.WriteFile(w.opt.Metrics, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		w.run(t.Context())
		expect("slerpmerge_job_failures_total", "first", 0)
	}
}
