package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"slerpmerge/internal/fault"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/report"
	"slerpmerge/internal/text"
	"slerpmerge/internal/verify"
	"slerpmerge/mmapio"
	"slerpmerge/torchbin"
	"slerpmerge/writer"
)

type verifyCmd struct {
	Out       string     `arg:"" help:"Folder that merge or convert has made."`
	Parents   pathsFlag  `placeholder:"MODEL..." help:"Paths of the parents, in the order of the merge, if they have moved. Comes after OUT."`
	Sample    shareFlag  `placeholder:"PERCENT" default:"100%" help:"Compare only this share of every weight file, such as 5%, in whole tensors, always the same ones (default ${default})."`
	MaxMemory byteSize   `placeholder:"SIZE" default:"64MiB" help:"Resident memory that the run stays below (default ${default})."`
	Entry     entryFlags `placeholder:"[N:]KEY" help:"Entry of a PyTorch checkpoint that holds the parent now, if it is not that of the merge. Repeatable."`
	Threads   int        `placeholder:"N" help:"Worker threads (default all cores)."`
	JSON      bool       `name:"json" help:"Print the result as JSON."`
}

// Help returns the text below the flags.
func (verifyCmd) Help() string {
	return "Example: slerpmerge verify ./merged"
}

// A mismatchError says that a verified folder differs from the expected one, or
// that it can't be verified because its parents have changed.
type mismatchError struct {
	msg  string
	hint string
}

func (e *mismatchError) Error() string       { return e.msg }
func (e *mismatchError) Class() fault.Class  { return fault.Changed }
func (e *mismatchError) Hints() []fault.Hint { return fault.Advise(e.hint) }

// Run verifies.
func (c *verifyCmd) Run(ctx context.Context, a *app) error {
	bound(int64(c.MaxMemory), planPool) // the record of many shards is large
	rec, err := report.OpenRecord(c.Out)
	if err != nil {
		return err
	}
	made, err := rec.Recipe()
	if err != nil {
		return err
	}
	r := recipe.Request{Recipe: made}
	if v := a.version; rec.Version() != v {
		a.log.warn(fmt.Sprintf("%s was made by slerpmerge %s, and this is %s: should a difference be found, that may be the reason", c.Out, rec.Version(), v))
	}
	r.MaxMemory, r.Threads = int64(c.MaxMemory), c.Threads
	if r.Threads == 0 {
		r.Threads = runtime.GOMAXPROCS(0)
	}
	if err := r.Validate(); err != nil {
		return refuseFlags(err)
	}
	pool := mmapio.NewPool(planPool)
	models, err := c.open(pool, rec, r)
	defer func() {
		for _, m := range models {
			m.Close()
		}
	}()
	if err != nil {
		return err
	}
	changes, err := rec.Changed(models)
	if err != nil {
		return err
	}
	if len(changes) > 0 {
		return c.changed(a, rec, changes)
	}
	if err := settleTies(ctx, models); err != nil {
		return err
	}
	p, err := plan.ForVerifying(r, models...)
	if err != nil {
		return err
	}
	if err := p.Refusal(); err != nil {
		return err
	}
	bound(r.MaxMemory, p.Budget.Pool)
	tighten(p.Budget.Least, r.MaxMemory)
	_, total := verify.Picked(p, float64(c.Sample))
	bar := a.progress(total)
	v, err := verify.Run(ctx, p, c.Out, verify.Options{Pool: pool, Share: float64(c.Sample), Companions: rec.Companions(), Expected: rec.Expected(p), Progress: bar.add})
	bar.close()
	if err != nil {
		return err
	}
	return c.report(a, rec, v)
}

// open opens the parents where the record, or --parents, says that they are.
func (c *verifyCmd) open(pool *mmapio.Pool, rec *report.Record, r recipe.Request) (models []*model.Model, err error) {
	paths := rec.Parents()
	if n := len(paths); len(c.Parents) > 0 && len(c.Parents) != n {
		return nil, &requestError{msg: fmt.Sprintf("%s was made of %s, --parents names %d", c.Out, text.Count(n, "model"), len(c.Parents)),
			hint: "in the order of the merge they were: " + strings.Join(paths, ", ")}
	}
	if len(c.Parents) > 0 {
		paths = c.Parents
	} else {
		paths = fromAbove(c.Out, paths)
	}
	entries := c.Entry.entries
	if len(entries) == 0 {
		entries = rec.Entries()
	}
	if err := checkEntries(entries, len(paths)); err != nil {
		return models, err
	}
	gatherer := torchbin.NewGatherer()
	for i, path := range paths {
		m, err := model.OpenWith(pool, path, model.Options{Entry: (&recipe.Recipe{Entries: entries}).Entry(i).Key, Memory: plan.Unpickling(r.MaxMemory, models), Gatherer: gatherer, Admit: admission(r, plan.Verifying, models, len(paths))})
		var unusable *model.UnusableError
		if errors.As(err, &unusable) && len(c.Parents) == 0 {
			hint := c.parentsHint(rec)
			if isStagesFolder(filepath.Dir(path)) {
				hint = "it was made on the way, by a recipe of several documents, and removed; merge --intermediate-dir DIR keeps such models for verify"
			}
			return models, &requestError{msg: fmt.Sprintf("parent %d of %s is not where it was: %v", i+1, c.Out, err), hint: hint}
		}
		if err != nil {
			return models, outOfMemory(err, r.MaxMemory, models)
		}
		models = append(models, m)
	}
	return models, useEntries(c.Entry.entries, models)
}

// fromAbove gives relative paths that are not there from here as they are from
// a folder above out, if all are: the merge may have been run there, or its
// manifest may lie there.
func fromAbove(out string, paths []string) []string {
	there := func(dir string) ([]string, bool) {
		found := make([]string, len(paths))
		for i, path := range paths {
			if found[i] = path; !filepath.IsAbs(path) && dir != "" {
				found[i] = filepath.Join(dir, path)
			}
			if _, err := os.Stat(found[i]); err != nil {
				return nil, false
			}
		}
		return found, true
	}
	if _, ok := there(""); ok {
		return paths
	}
	dir, err := filepath.Abs(out)
	for err == nil && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		if found, ok := there(dir); ok {
			return found
		}
	}
	return paths
}

// parentsHint returns the command for parents that have moved.
func (c *verifyCmd) parentsHint(rec *report.Record) string {
	args := []string{"slerpmerge", "verify", text.ShellWord(c.Out), "--parents"}
	for i := range rec.Parents() {
		args = append(args, fmt.Sprintf("MODEL%d", i+1))
	}
	return "say where the parents are: " + strings.Join(args, " ")
}

// verifyJSON is the output of verify with --json.
type verifyJSON struct {
	Output      string           `json:"output"`
	OK          bool             `json:"ok"`
	Version     string           `json:"version"` // that made the folder
	Sample      string           `json:"sample"`
	Tensors     int              `json:"tensors"` // compared
	AllTensors  int              `json:"all_tensors"`
	Bytes       int64            `json:"bytes"` // of their values
	Files       int              `json:"files"`
	Checksums   int              `json:"checksums"` // files compared with SHA256SUMS
	Seconds     float64          `json:"seconds"`
	PeakMemory  int64            `json:"peak_memory"`
	Count       int              `json:"difference_count"`
	Differences []differenceJSON `json:"differences"` // the first ones
	Parents     []string         `json:"parents_changed"`
}

type differenceJSON struct {
	File         string    `json:"file"`
	Place        string    `json:"place"`
	Tensor       string    `json:"tensor,omitempty"`
	Offset       int64     `json:"offset"`
	TensorOffset *int64    `json:"tensor_offset,omitempty"`
	Index        shapeJSON `json:"index,omitempty"`
	Expected     string    `json:"expected,omitempty"`
	Found        string    `json:"found,omitempty"`
	ExpectedHex  string    `json:"expected_hex,omitempty"`
	FoundHex     string    `json:"found_hex,omitempty"`
	Count        int64     `json:"count"`
	Text         string    `json:"text"`
}

// elsewhere is the hint for parents that are not those of the merge.
const elsewhere = "--parents names the models that it was made of"

// changed reports parents of which it is plain at once that they are others.
func (c *verifyCmd) changed(a *app, rec *report.Record, changes []string) error {
	if c.JSON {
		if err := a.printJSON(verifyJSON{Output: c.Out, Version: rec.Version(), Sample: c.Sample.String(), PeakMemory: peakMemory(), Differences: []differenceJSON{}, Parents: changes}); err != nil {
			return err
		}
	}
	hint := elsewhere
	if _, err := os.Stat(filepath.Join(c.Out, writer.DigestsName)); err == nil {
		hint += "; sha256sum -c " + writer.DigestsName + " in " + c.Out + " needs none"
	}
	return &mismatchError{msg: fmt.Sprintf("%s can't be verified: %s", c.Out, strings.Join(changes, "; ")), hint: hint}
}

// maxShown is the largest number of differences that the text names.
const maxShown = 20

// maxDrifts is the largest number of tensors of changed parents that are named.
const maxDrifts = 3

// report reports the outcome.
func (c *verifyCmd) report(a *app, rec *report.Record, v *verify.Result) error {
	f, err := judge(rec, v)
	if err != nil {
		return err
	}
	if c.JSON {
		err = c.printJSON(a, rec, v, f)
	} else {
		err = c.print(a, f)
	}
	if err != nil {
		return err
	}
	switch {
	case f.drifted > 0:
		besides := "nothing else differs"
		if f.count > 0 {
			besides = text.Count(f.count, "difference") + " besides"
		}
		hint := elsewhere
		if v.Sums > 0 && len(v.BadSums) == 0 {
			hint += "; the SHA-256 sums of its files hold"
		}
		return &mismatchError{msg: fmt.Sprintf("the parents of %s are no longer those that were merged: %s of theirs %s other values; %s",
			c.Out, text.Count(f.drifted, "tensor"), text.Verb(f.drifted, "has", "have"), besides), hint: hint}
	case f.count > 0:
		return &mismatchError{msg: fmt.Sprintf("%s is not what its parents give: %s", c.Out, text.Count(f.count, "difference"))}
	case len(v.Gone) > 0:
		return &mismatchError{msg: fmt.Sprintf("%s could not be compared in full: its parents no longer have %s that %s copied from them", c.Out, text.Count(len(v.Gone), "file"), text.Verb(len(v.Gone), "was", "were"))}
	}
	msg := fmt.Sprintf("%s: verified, %s and %s", c.Out, c.extent(v), text.Count(v.Files, "file"))
	if v.Sums > 0 {
		msg += fmt.Sprintf(", SHA-256 of %d", v.Sums)
	}
	msg += fmt.Sprintf(" in %.1f s, peak memory %s; no difference", v.Duration.Seconds(), mib(peakMemory()))
	a.log.info("verified", msg, "output", c.Out, "tensors", v.Tensors, "bytes", v.Bytes, "files", v.Files, "checksums", v.Sums, "sample", c.Sample.String(),
		"seconds", v.Duration.Seconds(), "peak_memory", peakMemory())
	return nil
}

// findings are the outcome of a verification.
type findings struct {
	own     []verify.Difference // of the folder, as far as they were kept
	count   int                 // of all of them
	drifted int                 // tensors that have other values in the parents
	parents []string            // how those have changed
}

// judge keeps the differences of the folder apart from those of its parents:
// where a tensor differs, and the parents' norms are not those on record either,
// it is their values that have changed.
func judge(rec *report.Record, v *verify.Result) (f findings, err error) {
	drifts, drifted, err := rec.Drifts(v.Plan, v.Results, maxDrifts)
	var other *report.OtherTensorsError
	if err != nil && !errors.As(err, &other) {
		return f, err
	}
	theirs := map[string]bool{}
	f.count = v.Count
	if slices.Contains(v.Differs, true) { // else another version may sum up in another way
		for _, d := range drifts {
			f.parents = append(f.parents, fmt.Sprintf("tensor %s: %s was %v at the merge, and is %v", text.Quote(d.Tensor), quantities[d.Quantity], d.Was, d.Is))
		}
		for i, is := range drifted {
			if !is || v.Plan.Storage != nil && v.Plan.Storage[i] != i {
				continue
			}
			f.drifted++
			if v.Differs[i] {
				theirs[v.Plan.Tensors[i].Name] = true
				f.count--
			}
		}
	}
	for _, name := range v.Gone {
		f.parents = append(f.parents, fmt.Sprintf("%s was copied from them, but they no longer have it, so it was not compared", text.Quote(name)))
	}
	named := map[string]bool{}
	for _, d := range v.Differences {
		if d.Place != verify.InTensor || !theirs[d.Tensor] {
			f.own = append(f.own, d)
			named[d.File] = true
		}
	}
	if other != nil {
		f.own = append(f.own, verify.Difference{File: report.ProvenanceName, Place: verify.InRecord, Found: other.Error()})
		f.count++
	}
	for _, d := range v.BadSums {
		if !named[d.File] {
			f.own = append(f.own, d)
			f.count++
		}
	}
	return f, nil
}

var quantities = map[string]string{"norm_primary": "the primary's norm", "norm_secondary": "the secondary's norm", "cos": "the cosine"}

// extent says how much was compared.
func (c *verifyCmd) extent(v *verify.Result) string {
	if c.Sample >= 1 {
		return fmt.Sprintf("%s (%s)", text.Count(v.Tensors, "tensor"), size(v.Bytes))
	}
	return fmt.Sprintf("%d of %s (%s of %s)", v.Tensors, text.Count(len(v.Plan.Tensors), "tensor"), size(v.Bytes), size(v.Plan.Layout.TotalBytes))
}

// print writes a line for each difference.
func (c *verifyCmd) print(a *app, f findings) error {
	for _, line := range f.parents {
		if _, err := fmt.Fprintln(a.stdout, clean("parents: "+line)); err != nil {
			return err
		}
	}
	for i, d := range f.own {
		if i == maxShown {
			break
		}
		if _, err := fmt.Fprintln(a.stdout, clean(d.String())); err != nil {
			return err
		}
	}
	if more := f.count - min(len(f.own), maxShown); more > 0 {
		if _, err := fmt.Fprintf(a.stdout, "and %s more\n", text.Count(more, "difference")); err != nil {
			return err
		}
	}
	return nil
}

func (c *verifyCmd) printJSON(a *app, rec *report.Record, v *verify.Result, f findings) error {
	out := verifyJSON{Output: c.Out, OK: f.count == 0 && len(f.parents) == 0, Version: rec.Version(), Sample: c.Sample.String(), Tensors: v.Tensors,
		AllTensors: len(v.Plan.Tensors), Bytes: v.Bytes, Files: v.Files, Checksums: v.Sums, Seconds: v.Duration.Seconds(), PeakMemory: peakMemory(),
		Count: f.count, Differences: []differenceJSON{}, Parents: append([]string{}, f.parents...)}
	for _, d := range f.own {
		j := differenceJSON{File: d.File, Place: string(d.Place), Tensor: d.Tensor, Offset: d.Offset, Index: d.Index,
			Expected: d.Expected, Found: d.Found, ExpectedHex: d.ExpectedHex, FoundHex: d.FoundHex, Count: d.Count, Text: d.String()}
		if d.Place == verify.InTensor {
			j.TensorOffset = &d.TensorOffset
		}
		out.Differences = append(out.Differences, j)
	}
	return a.printJSON(out)
}
