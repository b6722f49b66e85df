package cli

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"slerpmerge/internal/method"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/text"
)

// maxFiles is the largest number of weight files that are listed without -v.
const maxFiles = 8

// printPlan shows a plan to people.
func (a *app) printPlan(p *plan.Plan) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for i, m := range p.Models {
		role := p.Recipe.Role(i)
		if m, ok := p.Recipe.Rules.(method.Method); !ok || p.Recipe.FromFile() && m.Base() == recipe.BaseIsModel {
			role = "model"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", role, clean(m.Path), text.Count(len(m.Tensors), "tensor"), size(m.Bytes()))
	}
	if p.Layout != nil {
		fmt.Fprintln(w)
		if err := w.Flush(); err != nil { // the table has columns of its own
			return err
		}
		printParts(w, p)
		fmt.Fprintln(w)
		if a.globs.Verbose {
			for i := range p.Tensors {
				t := &p.Tensors[i]
				fmt.Fprintf(w, "%s\t%v\t%s\t%s\t%s\n", what(t), t.DType, size(t.Bytes()), text.Quote(t.Name), clean(t.Why))
				if i%10000 == 9999 { // else a large table is held whole for its column widths
					if err := w.Flush(); err != nil {
						return err
					}
				}
			}
			fmt.Fprintln(w)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		a.printOutput(w, p)
	}
	if len(p.Warnings)+len(p.Differences)+len(p.Blockers) > 0 {
		fmt.Fprintln(w)
		if err := w.Flush(); err != nil {
			return err
		}
	}
	for _, s := range p.Blockers {
		fmt.Fprintf(w, "blocker\t%s\n", clean(s))
	}
	for _, s := range p.Warnings {
		fmt.Fprintf(w, "warning\t%s\n", clean(s))
	}
	for _, s := range p.Differences {
		fmt.Fprintf(w, "note\t%s\n", clean(s))
	}
	if a.globs.Verbose {
		for _, l := range p.LeftBehind {
			for _, name := range l.Names {
				fmt.Fprintf(w, "not copied\t%s\n", clean(filepath.Join(l.Model.Dir, ".")+"/"+name))
			}
		}
	}
	return w.Flush()
}

// printOutput shows the files that would be written, and their size.
func (a *app) printOutput(w io.Writer, p *plan.Plan) {
	files := p.Layout.Files
	for i, f := range files {
		if !a.globs.Verbose && len(files) > maxFiles && i == maxFiles-2 {
			fmt.Fprintf(w, "\t%s\t\t\t(all with -v)\n", fmt.Sprintf("%d more files", len(files)-maxFiles+1))
		}
		if a.globs.Verbose || len(files) <= maxFiles || i < maxFiles-2 || i == len(files)-1 {
			fmt.Fprintf(w, "file\t%s\t%s\t%d bytes\n", clean(f.Name), text.Count(f.Tensors, "tensor"), f.Size)
		}
	}
	if p.Layout.IndexName != "" {
		fmt.Fprintf(w, "file\t%s\t\t%d bytes\n", p.Layout.IndexName, p.Layout.IndexBytes)
	}
	if names, n := beside(p); len(names) > 0 {
		fmt.Fprintf(w, "with\t%s\t\t%s\n", strings.Join(names, ", "), size(n))
	}
	output := clean(p.Run.Output)
	if output == "" {
		output = "(no folder named)"
	}
	fmt.Fprintf(w, "output\t%s\t\t%s\n", output, size(p.OutputBytes))
	if p.DiskFree >= 0 {
		fmt.Fprintf(w, "disk\t\t\t%s free\n", size(p.DiskFree))
	}
	fmt.Fprintf(w, "memory\t%s\t\t%s of %s\n", text.Count(p.Budget.Threads, "thread"), mib(p.Budget.Total), mib(p.Run.MaxMemory))
}

// maxBeside is the largest number of small files that are named.
const maxBeside = 2

// beside names the files that are copied with the weights.
func beside(p *plan.Plan) (names []string, bytes int64) {
	if p.Config != nil {
		names, bytes = []string{p.ConfigName()}, int64(len(p.Config))
	}
	for _, c := range p.Companions {
		if n, err := c.Size(); err == nil {
			bytes += n
		}
		names = append(names, clean(c.Name))
	}
	if n := len(names); n > maxBeside+1 {
		names = append(names[:maxBeside], fmt.Sprintf("%d more", n-maxBeside))
	}
	return names, bytes
}

// what names the operation on a tensor, with its t.
func what(t *plan.Tensor) string {
	if t.Mixed {
		return fmt.Sprintf("%s, t %v", t.Op.Word(), t.T)
	}
	return t.Op.Word()
}

// maxParts keeps the table of a plan readable, whatever names a file holds.
const maxParts = 60

func printParts(w io.Writer, p *plan.Plan) {
	list := p.Parts()
	fmt.Fprintf(w, "KIND\tLAYERS\tTENSORS\tACTION\tT\tTYPE\tSIZE\n")
	for i := range list {
		g := &list[i]
		if i == maxParts {
			fmt.Fprintf(w, "%d more lines\t\t\t\t\t\t\t(all tensors with -v)\n", len(list)-i)
			break
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s", g.Kind, clean(dash(g.Where())), g.Tensors, g.Op, dash(g.T()), g.Types, size(g.Bytes))
		if why := g.Remark(); why != "" {
			fmt.Fprintf(w, "\t%s", clean(why))
		}
		fmt.Fprintln(w)
	}
}

func dash(s string) string { return cmp.Or(s, "-") }
