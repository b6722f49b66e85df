package plan

import (
	"cmp"
	"context"
	"slices"

	"slerpmerge/internal/disk"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/tokenizer"
	"slerpmerge/writer"
)

// A planner is a plan in the making.
type planner struct {
	*Plan

	purpose       Purpose
	at            recipe.Pos                          // of what is being worked on in a recipe file
	op            func(name string) method.Op         // of an output tensor, made of a pair
	depth         map[string]int                      // layers of each numbered stack of the output
	layers        []model.LayerSettings               // of the output, where a recipe file puts them together
	config        *model.Config                       // the output's, once layers are made true in it
	from          int                                 // the first layer of the current slice
	rows          map[operand.Operand][]*operand.Rows // by the root of the operand
	edited        []tokenizer.File                    // tokenizer files that a recipe changes
	tokens        *tokenizer.Output                   // what a recipe's tokenizer section comes to, nil without one
	vocab         []vocabChange                       // vocabularies of which one parent has more
	sizes         map[*model.Model][]uint64           // of the vocabularies of a model
	tokenRows     map[*model.Model][]uint64           // of its text vocabulary
	ranks         map[string]int                      // of Warnings that are not of middling weight
	own           map[string]string                   // of output tensors that are another one under one more name: that one; it need not be written
	left          []string                            // names that leavesOut dropped
	restored      []string                            // names that settleTies added
	contradiction [2]string                           // a target and a source that config.json ties and that are two tensors of the output
	depthNamed    bool                                // a difference in the number of layers is among the Blockers
	lastOp        method.Op                           // that shared returned
}

// New plans the work on opened models, in the order of Recipe.Models: the primary
// is the first. An error means that planning itself failed; reasons that forbid
// the work are in Plan.Blockers.
func New(r recipe.Request, models ...*model.Model) (*Plan, error) {
	return newPlan(Merging, r, models)
}

// ForVerifying is New for a run that compares the work with what is there. It
// takes less memory.
func ForVerifying(r recipe.Request, models ...*model.Model) (*Plan, error) {
	return newPlan(Verifying, r, models)
}

func newPlan(purpose Purpose, r recipe.Request, models []*model.Model) (*Plan, error) {
	p := &planner{purpose: purpose, Plan: &Plan{Recipe: &r.Recipe, Run: r.Run, Models: models, Primary: models[0], DiskFree: -1}}
	defer p.sortWarnings()
	if len(models) == 2 {
		p.Secondary = models[1]
	}
	p.label()
	for i, m := range p.Models {
		p.at = r.Models()[i].Pos
		for _, note := range m.Notes {
			if !slices.Contains(p.Warnings, note) { // a model merged with itself
				p.warnLast("%s", note)
			}
		}
		if p.exact() { // what the bytes mean does not matter
			continue
		}
		if err := m.Mergeable(); err != nil && !slices.Contains(p.Blockers, err.Error()) {
			p.block("%v", err)
		}
	}
	if err := findParameters(p.Models); err != nil {
		return nil, err
	}
	if len(p.Blockers) == 0 { // shapes of packed tensors would only confuse
		p.align()
	}
	if len(p.Blockers) > 0 {
		return p.Plan, nil
	}
	var err error
	if r.Method == recipe.Convert {
		p.convert()
	} else {
		err = p.assemble()
	}
	if err != nil {
		return nil, err
	}
	if len(p.Blockers) > 0 {
		return p.Plan, nil
	}
	p.sort()
	return p.Plan, p.lay()
}

// sort puts the tensors in the order of the output. From here on names and
// shapes that parents have in common are in memory once.
func (p *planner) sort() {
	slices.SortFunc(p.Tensors, func(a, b Tensor) int { return cmp.Compare(a.Name, b.Name) })
	for i := range p.Tensors {
		t := &p.Tensors[i]
		for _, o := range t.Operands {
			t.shareTexts(o)
		}
	}
}

// shareTexts gives the operand's entry the name and shape of the output tensor
// where they are equal.
func (t *Tensor) shareTexts(o operand.Operand) {
	if o.None() {
		return
	}
	own := o.Tensor()
	if own.Name == t.Name {
		own.Name = t.Name
	}
	if own.SameShape(t.Info) {
		own.Shape = t.Shape
	}
}

// findParameters finds the parameters of the models.
func findParameters(models []*model.Model) error {
	for _, m := range models {
		if err := m.Settle(context.Background(), false); err != nil {
			return err
		}
	}
	return nil
}

// label calls models whose names are alike by their paths.
func (p *planner) label() {
	for i, m := range p.Models {
		for _, n := range p.Models[:i] {
			if m.Name() == n.Name() && m.Path != n.Path {
				m.Label, n.Label = m.Path, n.Path
			}
		}
	}
}

// A table is the tensors of a plan as NewTableLayout wants them.
type table []Tensor

func (t table) Len() int                { return len(t) }
func (t table) Info(i int) *tensor.Info { return &t[i].Info }

// lay decides the files once the tensors are known.
func (p *planner) lay() error {
	p.dropModules()
	p.settleTies()
	format := writer.Safetensors
	if p.Recipe.Format == recipe.Bin {
		format = writer.Bin
		p.tie()
		p.newTypes()
	}
	var err error
	if p.Layout, err = writer.NewTableLayout(table(p.Tensors), p.Storage, p.Recipe.ShardSize, format, p.scheme()); err != nil {
		return &Error{Blockers: []string{err.Error()}}
	}
	p.editConfig()
	p.companions()
	p.OutputBytes = p.Layout.Bytes() + int64(len(p.Config))
	for _, c := range p.Companions {
		n, err := c.Size()
		if err != nil {
			return err
		}
		p.OutputBytes += n
	}
	if p.Run.Output != "" {
		if err := p.checkOutput(); err != nil {
			return err
		}
	}
	p.Plan.held = p.held()
	if p.purpose == Verifying {
		p.Budget, err = readBudget(p.Run.MaxMemory, p.Run.Threads, p.Plan.held)
	} else {
		p.Budget, err = newBudget(p.Run.MaxMemory, p.Run.Threads, p.Plan.held)
	}
	p.Budget.gathering(p.Run.MaxMemory, p.gatherBytes())
	return err
}

// checkOutput looks at the folder and the disk before anything is made.
func (p *planner) checkOutput() error {
	err := writer.Check(p.Run.Output, p.OutputOptions())
	if err == nil {
		if p.DiskFree, err = disk.FreeSpace(p.Run.Output); err != nil {
			return err
		}
		if p.DiskFree+writer.PartialBytes(p.Run.Output) < p.OutputBytes {
			err = &writer.NoSpaceError{Path: p.Run.Output, Need: p.OutputBytes, Free: p.DiskFree}
		}
	}
	if err != nil {
		p.OutputErr = err
		p.Blockers = append(p.Blockers, err.Error())
	}
	return nil
}
