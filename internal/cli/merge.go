package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"slerpmerge/internal/merge"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/report"
	"slerpmerge/internal/text"
	"slerpmerge/mmapio"
	"slerpmerge/writer"
)

// planPool bounds the pages of weight files that reading headers makes
// resident.
const planPool = 2 << 20

type mergeCmd struct {
	Output string `short:"o" placeholder:"DIR" help:"Output folder; must not exist or be empty (required unless --dry-run)."`

	mergeFlags
	runFlags
	Overwrite bool   `help:"Replace the output folder in one step when the merge is complete."`
	DryRun    bool   `help:"Only show what would happen, as plan does."`
	NoCard    bool   `help:"Write no README.md."`
	Sweep     string `placeholder:"NAME=VALUE,..." help:"Make one output for each value of a parameter, such as t=0.3,0.5,0.7: DIR-t0.3 and so on."`
	HTML      string `name:"html" placeholder:"FILE" help:"Write a page about the merge when it is done: pictures, and a table of all tensors."`
}

// Help returns the text below the flags.
func (mergeCmd) Help() string {
	return "Example: slerpmerge merge ./alpha ./beta -o ./merged -t 0.3 --dtype bfloat16"
}

// Run merges.
func (c *mergeCmd) Run(ctx context.Context, a *app) error {
	r, w, several, err := c.order()
	switch {
	case err != nil:
		return err
	case several != nil && c.Sweep != "":
		return errSweptChain
	case several != nil:
		return a.carryOutChain(ctx, several)
	case c.Sweep != "":
		return a.carryOutSweep(ctx, r, w, c.Sweep)
	}
	return a.carryOut(ctx, r, w)
}

// order returns the request of the command line, or the chain where the recipe has several
// documents.
func (c *mergeCmd) order() (recipe.Request, work, *chain, error) {
	w := work{dryRun: c.DryRun, json: c.JSON, card: !c.NoCard, html: c.HTML, run: c.runFlags}
	r, several, err := c.orders(c.Output, w)
	r.Overwrite = c.Overwrite
	if several != nil && several.output != nil {
		several.output.request.Overwrite = c.Overwrite
	}
	return r, w, several, err
}

// work says how a recipe is to be carried out.
type work struct {
	dryRun, json, card bool
	html               string // a page to write, "" for none
	run                runFlags
	fingerprint        string // of the run; "" for that of its plan
}

// choices returns the settings beside the recipe on which the output depends.
func (w work) choices() []string {
	return []string{fmt.Sprintf("card=%v", w.card), fmt.Sprintf("checksums=%v", w.run.Checksums)}
}

// carryOut does what merge and convert do once the recipe is known.
func (a *app) carryOut(ctx context.Context, r recipe.Request, w work) error {
	if r.Output == "" && !w.dryRun {
		return errNoOutput
	}
	if w.dryRun {
		if w.html != "" {
			return errDryPage
		}
		return a.showPlan(ctx, r, w.json)
	}
	res, err := a.perform(ctx, r, w)
	var done *doneError
	switch {
	case errors.As(err, &done):
		if w.html != "" {
			a.log.warn(noPage)
		}
		return a.nothingToDo(done.plan, w.json)
	case err != nil:
		return err
	}
	return a.summary(res, "done", w.json)
}

// What is wrong with the flags that say what to do.
var (
	errNoOutput   = &requestError{msg: "no output folder: add -o DIR", hint: "--dry-run shows what would happen without one"}
	errSweptChain = &requestError{msg: "--sweep is for one merge, and the recipe has several documents"}
	errDryPage    = &requestError{msg: "--html reports what was done, and --dry-run does nothing", hint: "slerpmerge compare --html has a page about two models before they are merged"}
)

const noPage = "no page is written, since nothing was done: slerpmerge compare --html makes one of the two models"

// A doneError says that the output of a command exists already.
type doneError struct{ plan *plan.Plan }

func (e *doneError) Error() string { return e.plan.Run.Output + " is what this command makes" }

// perform plans and runs. Where there is nothing to do the error is a
// *doneError. An output of the same command that is no longer whole is made
// again and replaced.
func (a *app) perform(ctx context.Context, r recipe.Request, w work) (*merge.Result, error) {
	if w.run.Nice {
		beNice()
	}
	ctx, cancel := within(ctx, w.run.TimeBudget)
	defer cancel()
	res, err := a.attempt(ctx, r, w)
	if broken := (*brokenError)(nil); errors.As(err, &broken) {
		a.log.warn(fmt.Sprintf("%s is not as it was made: %s; it is made again", r.Output, broken.why))
		r.Overwrite = true
		return a.attempt(ctx, r, w)
	}
	return res, err
}

// A brokenError says that the output of a command exists, but is not whole.
type brokenError struct{ why string }

func (e *brokenError) Error() string { return e.why }

func (a *app) attempt(ctx context.Context, r recipe.Request, w work) (*merge.Result, error) {
	pool := mmapio.NewPool(planPool)
	p, done, err := a.plan(ctx, pool, r, true)
	if err != nil {
		return nil, err
	}
	defer done()
	refusal := p.Refusal()
	var exists *writer.ExistsError
	if refusal != nil && !errors.As(refusal, &exists) {
		return nil, refusal
	}
	fingerprint := w.fingerprint
	if fingerprint == "" {
		fingerprint, err = p.Fingerprint(a.version, w.choices()...)
	}
	switch {
	case err != nil:
		return nil, err
	case exists != nil:
		there, err := report.OpenFinished(ctx, r.Output)
		switch {
		case err != nil:
			return nil, err
		case there == nil || there.Fingerprint != fingerprint:
			return nil, exists
		case there.Wrong != "":
			return nil, &brokenError{there.Wrong}
		}
		writer.Cleanup(r.Output)
		return nil, &doneError{p}
	}
	page, err := mergePage(w.html, r.Output)
	if err != nil {
		return nil, err
	}
	defer page.drop()
	for _, w := range p.Warnings {
		a.log.warn(w)
	}
	parents := append(r.Parents(), "")
	a.log.info("start", "", "method", r.Method, "primary", parents[0], "secondary", parents[1], "output", r.Output,
		"tensors", len(p.Tensors), "bytes", p.Layout.TotalBytes, "threads", p.Budget.Threads)
	bar := a.progress(p.Layout.TotalBytes)
	res, err := merge.Run(ctx, p, merge.Options{Pool: pool, Fingerprint: fingerprint, Restart: w.run.Restart,
		Checksums: w.run.Checksums, IOLimit: int64(w.run.IOLimit), DropPages: exceeds(p, freeMemory()), KeepCached: w.run.KeepCached,
		Progress: bar.add, Warn: a.log.warn, Checking: a.checking,
		Resumed: func(r merge.Resumed) {
			a.resumed(r)
			bar.skip(r.Done)
		},
		Sidecars: func(res *merge.Result) []merge.Sidecar { return sidecars(res, w.card, a.version) },
	})
	bar.close()
	if err == nil && page != nil {
		err = a.writePage(ctx, page, res)
	}
	return res, err
}

// exceeds reports whether a plan reads and writes so much that keeping it in
// the page cache would push out what others have there, and serve nobody.
func exceeds(p *plan.Plan, memory int64) bool {
	n := p.OutputBytes
	for _, m := range p.Models {
		n += m.Bytes()
	}
	return memory > 0 && n > memory/2
}

// nothingToDo closes a command whose output is there already.
func (a *app) nothingToDo(p *plan.Plan, asJSON bool) error {
	a.log.info("done", p.Run.Output+": nothing left to do: it is what this command makes", "output", p.Run.Output,
		"tensors", len(p.Tensors), "bytes", 0, "nothing_to_do", true)
	if !asJSON {
		return nil
	}
	return a.printJSON(resultJSON{Output: p.Run.Output, Tensors: len(p.Tensors), Files: planFiles(p), PeakMemory: peakMemory(),
		Branches: map[method.Outcome]int{}, Warnings: append([]string{}, p.Warnings...)})
}

// longCheck is how much of an unfinished run takes so long to read that it is said.
const longCheck = 1 << 30

// checking says that an unfinished run is read again.
func (a *app) checking(bytes int64) {
	if bytes >= longCheck {
		a.log.info("check", fmt.Sprintf("checking the %s of an unfinished run", size(bytes)), "bytes", bytes)
	}
}

// resumed reports whether an unfinished run is resumed.
func (a *app) resumed(r merge.Resumed) {
	if r.Why != "" {
		a.log.info("afresh", "an unfinished run is discarded: "+r.Why, "why", r.Why)
		return
	}
	a.log.info("resume", fmt.Sprintf("resuming an unfinished run: %s of %s are done", size(r.Done), size(r.Total)), "bytes", r.Done, "total", r.Total)
}

// sidecars returns the files that describe the work, the record last.
func sidecars(r *merge.Result, card bool, version string) []merge.Sidecar {
	var files []merge.Sidecar
	if card {
		files = append(files, merge.Sidecar{Name: report.CardName, Write: func(w io.Writer) error {
			_, err := w.Write(report.Card(r))
			return err
		}})
	}
	return append(files, merge.Sidecar{Name: report.ProvenanceName, Write: func(w io.Writer) error {
		return report.Provenance(w, r, version)
	}})
}

// plan opens the parents and plans. done closes them. run says whether the plan
// will be carried out: then it must not rest on samples.
func (a *app) plan(ctx context.Context, pool *mmapio.Pool, r recipe.Request, run bool) (p *plan.Plan, done func(), err error) {
	bound(r.MaxMemory, planPool)
	models, err := openParents(pool, r, plan.Merging)
	done = func() { closeAll(models) }
	if err == nil && run {
		err = settleTies(ctx, models)
	}
	if err == nil {
		p, err = plan.New(r, models...)
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	bound(r.MaxMemory, p.Budget.Pool)
	tighten(p.Budget.Least, r.MaxMemory)
	return p, done, nil
}

// settleTies compares all bytes of tensors that are tied if they are equal.
func settleTies(ctx context.Context, models []*model.Model) error {
	for _, m := range models {
		if err := m.Settle(ctx, true); err != nil {
			return err
		}
	}
	return nil
}

// resultJSON is the output of merge and convert with --json.
type resultJSON struct {
	Output     string                 `json:"output"`
	Tensors    int                    `json:"tensors"`
	Files      []fileJSON             `json:"files"`
	Bytes      int64                  `json:"bytes"`
	Seconds    float64                `json:"seconds"`
	BytesPerS  float64                `json:"bytes_per_second"`
	PeakMemory int64                  `json:"peak_memory"`
	Branches   map[method.Outcome]int `json:"branches"`
	Warnings   []string               `json:"warnings"`
}

// summary closes a merge or conversion. event is its name in the log.
func (a *app) summary(r *merge.Result, event string, asJSON bool) error {
	for _, w := range r.Warnings[len(r.Plan.Warnings):] {
		a.log.warn(w)
	}
	if a.log.verbose {
		for i := range r.Tensors {
			t, res := &r.Plan.Tensors[i], &r.Tensors[i]
			msg := fmt.Sprintf("%s: %s", text.Quote(t.Name), res.Outcome)
			if res.Measured {
				msg += fmt.Sprintf(", t %v, cosine %.6f, norms %.6g and %.6g", t.T, res.Cos, res.NormA, res.NormB)
			}
			a.log.debug("tensor", msg, "name", t.Name, "branch", res.Outcome)
		}
	}
	for _, line := range report.CameTo(r) {
		a.log.info("method", line)
	}
	seconds := r.Duration.Seconds()
	rate := float64(r.Written) / max(seconds, 1e-9)
	peak := peakMemory()
	branches := r.Outcomes()
	msg := fmt.Sprintf("%s: %s, %s in %.1f s (%s/s), peak memory %s; %s", r.Plan.Run.Output,
		text.Count(len(r.Tensors), "tensor"), size(r.Written), seconds, size(int64(rate)), mib(peak), branchText(branches, r.Plan.Pairs()))
	if n := len(r.Warnings); n > 0 {
		msg += "; " + text.Count(n, "warning")
	}
	a.log.info(event, msg, "output", r.Plan.Run.Output, "tensors", len(r.Tensors), "bytes", r.Written,
		"seconds", seconds, "bytes_per_second", rate, "peak_memory", peak, "branches", branches, "warnings", len(r.Warnings))
	if !asJSON {
		return nil
	}
	out := resultJSON{Output: r.Plan.Run.Output, Tensors: len(r.Tensors), Files: planFiles(r.Plan), Bytes: r.Written,
		Seconds: seconds, BytesPerS: rate, PeakMemory: peak, Branches: branches, Warnings: append([]string{}, r.Warnings...)}
	return a.printJSON(out)
}

func branchText(n map[method.Outcome]int, merged bool) string {
	own := []method.Outcome{method.Spherical, method.Straight, method.Equal, method.Copied, method.Converted}
	var list []string
	for _, b := range append(own, slices.DeleteFunc(slices.Sorted(maps.Keys(n)), func(b method.Outcome) bool { return slices.Contains(own, b) })...) {
		if n[b] > 0 || merged && (b == method.Spherical || b == method.Straight) {
			list = append(list, fmt.Sprintf("%d %s", n[b], b))
		}
	}
	return strings.Join(list, ", ")
}

func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
