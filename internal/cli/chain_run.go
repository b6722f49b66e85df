package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"slerpmerge/internal/disk"
	"slerpmerge/internal/fault"
	"slerpmerge/internal/merge"
	"slerpmerge/internal/report"
)

// run makes the stages. The result is that of the output, or of the last one without one;
// nil where there was nothing to do.
func (c *chain) run(ctx context.Context, a *app) (last *merge.Result, err error) {
	if c.work.run.Nice {
		beNice()
	}
	ctx, cancel := within(ctx, c.work.run.TimeBudget)
	defer cancel()
	if err := c.identify(ctx, a); err != nil {
		return nil, err
	}
	if err := c.look(ctx); err != nil {
		return nil, err
	}
	for _, w := range c.notes {
		a.log.warn(w)
	}
	if err := c.makeFolders(); err != nil {
		return nil, err
	}
	open := 0
	for _, st := range c.stages {
		if st.state == stageOpen {
			open++
		}
	}
	if open > 1 {
		a.log.info("stages", fmt.Sprintf("%d documents are merged in the order in which they need each other, as batch orders its jobs", open), "stages", open)
	}
	for _, st := range c.stages {
		if st.state != stageOpen {
			continue
		}
		if ctx.Err() != nil {
			return nil, c.fail(context.Cause(ctx))
		}
		one := *a
		if st != c.output {
			one.log = a.log.named(strings.TrimPrefix(a.log.job+"/"+st.Name, "/"))
		}
		if st.wrong != "" {
			one.log.warn(fmt.Sprintf("%s is not as it was made: %s; it is made again", st.request.Output, st.wrong))
		}
		st.request.Overwrite = st.request.Overwrite || st.ours
		res, err := one.perform(ctx, st.request, st.work)
		switch done := (*doneError)(nil); {
		case errors.As(err, &done): // by another run, meanwhile
		case err != nil:
			return nil, c.fail(err)
		case st == c.output:
			last = res
		default:
			if err := one.summary(res, "stage", false); err != nil {
				return nil, err
			}
			if c.output == nil {
				last = res
			}
			debug.FreeOSMemory() // the next stage is to begin as the first did
		}
		st.state = stageDone
	}
	return last, c.cleanUp(ctx, a)
}

// A stageError is that of one stage.
type stageError struct {
	err  error
	kept bool // other stages are done
}

// fail returns the error of a stage.
func (c *chain) fail(err error) error {
	return &stageError{err, slices.ContainsFunc(c.stages, func(st *stage) bool { return st.state == stageDone })}
}

func (e *stageError) Error() string { return e.err.Error() }
func (e *stageError) Unwrap() error { return e.err }

// Hints are those of the error; of a run that was stopped, that it need not begin anew.
func (e *stageError) Hints() []fault.Hint {
	if class, _ := classOf(e.err); e.kept && (class == fault.Stopped || class == fault.Interrupted) {
		return fault.Advise("the stages before it are done and kept: the same command goes on there")
	}
	_, hints := classOf(e.err)
	return hints
}

// makeFolders makes the folder of the intermediates.
func (c *chain) makeFolders() error {
	if !slices.ContainsFunc(c.stages, func(st *stage) bool { return st != c.output && st.state == stageOpen }) {
		return nil
	}
	if c.own {
		if err := os.MkdirAll(filepath.Dir(c.dir), 0o777); err != nil {
			return err
		}
		err := os.Mkdir(c.dir, 0o700)
		if errors.Is(err, fs.ErrExist) { // of a run that did not end
			err = disk.VetPath(c.dir)
		}
		if err != nil {
			return err
		}
	} else if err := os.MkdirAll(c.dir, 0o777); err != nil {
		return err
	}
	for _, st := range c.stages {
		if up := filepath.Dir(st.request.Output); st != c.output && up != filepath.Clean(c.dir) {
			if err := os.MkdirAll(up, 0o777); err != nil {
				return err
			}
		}
	}
	return nil
}

// cleanUp removes the intermediates that this chain has made, if nobody asked for them.
func (c *chain) cleanUp(ctx context.Context, a *app) error {
	if !c.own {
		return nil
	}
	switch err := disk.VetPath(c.dir); { // also where this run has made nothing
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		a.log.warn(fmt.Sprintf("%s stays: %v", c.dir, err))
		return nil
	}
	for _, st := range slices.Backward(c.stages) {
		if st == c.output {
			continue
		}
		there, err := report.OpenFinished(ctx, st.request.Output)
		if err != nil {
			return err
		}
		if there != nil && there.Fingerprint == st.fingerprint {
			if err := os.RemoveAll(st.request.Output); err != nil {
				return err
			}
		}
		for up := filepath.Dir(st.request.Output); up != filepath.Clean(c.dir) && os.Remove(up) == nil; up = filepath.Dir(up) {
		}
	}
	if err := os.Remove(c.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.log.warn(fmt.Sprintf("%s stays: there is something else in it", c.dir))
	}
	return nil
}

// carryOutChain does what merge does for a file of several documents.
func (a *app) carryOutChain(ctx context.Context, c *chain) error {
	w := c.work
	switch {
	case w.dryRun && w.html != "":
		return errDryPage
	case w.dryRun:
		return a.showChain(ctx, c, w.json)
	case c.output != nil && c.output.request.Output == "":
		return errNoOutput
	}
	res, err := c.run(ctx, a)
	switch {
	case err != nil:
		return err
	case res != nil && c.output != nil:
		return a.summary(res, "done", w.json)
	case res != nil:
		return nil
	}
	out := c.dir
	if c.output != nil {
		out = c.output.request.Output
	}
	a.log.info("done", out+": nothing left to do: it is what this command makes", "output", out, "bytes", 0, "nothing_to_do", true)
	if w.html != "" {
		a.log.warn(noPage)
	}
	if !w.json {
		return nil
	}
	return a.printJSON(map[string]any{"output": out, "bytes": 0, "stages": len(c.stages)})
}
