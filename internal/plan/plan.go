// Package plan works out, from headers alone, everything that a merge will
// do: for every output tensor its sources, t and action, the files with their
// exact sizes, the memory, and what is worth a warning or forbids the merge.
// Everything after it (the run, the dry run, the model card) reads the plan.
package plan

import (
	"errors"
	"slices"

	"slerpmerge/internal/model"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/writer"
)

// An Action is what happens to one tensor.
type Action string

const (
	// Slerp measures both parents and blends them; which branch of the
	// formula applies (slerp, linear, or copy of equal bytes) shows when they
	// are measured.
	Slerp Action = "slerp"
	// Copy takes the bytes of one parent as they are.
	Copy Action = "copy"
	// Convert takes the values of one parent in another type.
	Convert Action = "convert"
	// Follow takes the primary's bytes and compares the secondary's: integer
	// and boolean tensors can't be blended.
	Follow Action = "follow"
)

// An Operand is one parent's tensor. The zero Operand is none.
type Operand struct {
	Model *model.Model
	Index int // into Model.Tensors
}

// Tensor is the operand's entry in its model's table.
func (o Operand) Tensor() *model.Tensor { return &o.Model.Tensors[o.Index] }

// None reports whether there is no operand.
func (o Operand) None() bool { return o.Model == nil }

// A Tensor is one output tensor. Its Info is as it will be written.
type Tensor struct {
	tensor.Info
	Action Action
	T      float64
	A, B   Operand // primary's and secondary's; none where the action needs none
	// ZeroA and ZeroB put zeros in the place of a missing tensor.
	ZeroA, ZeroB bool
	Why          string // what is out of the ordinary, "" when nothing is
}

// Sole is the operand of Copy and Convert.
func (t *Tensor) Sole() Operand {
	if t.A.None() {
		return t.B
	}
	return t.A
}

// A Plan is a merge worked out.
type Plan struct {
	Recipe             recipe.Recipe
	Primary, Secondary *model.Model
	// Tensors in the primary's file order, then what only the secondary has.
	Tensors []Tensor
	Layout  *writer.Layout
	// Config is the output's config.json, nil when the primary has none.
	Config     []byte
	Companions []Companion
	Budget     Budget
	// OutputBytes is the size of all files but the card and slerpmerge.json.
	OutputBytes int64
	DiskFree    int64 // -1 when no output was named
	Warnings    []string
	Blockers    []string // why the merge can't be done; empty when it can
	// OutputErr is the writer's own error where the output folder or its disk
	// is what forbids the merge; its text is among the Blockers.
	OutputErr error

	untied    bool // the primary's head is its embedding, and is written beside it
	depthSaid bool // unlike numbers of layers are among the Blockers
}

// A Companion is a file that is copied along, as Name, byte for byte.
type Companion struct {
	Name string
	From *model.Model
	File string // its name in From
}

// An Error says that a request can't be carried out, with every reason.
type Error struct {
	Blockers []string
	Hint     string
}

func (e *Error) Error() string {
	s := ""
	for i, b := range e.Blockers {
		if i > 0 {
			s += "; "
		}
		s += b
	}
	return s
}

// New plans the merge of two opened models. An error means that planning
// itself failed; what forbids the merge is in Plan.Blockers.
func New(r recipe.Recipe, primary, secondary *model.Model) (*Plan, error) {
	p := &Plan{Recipe: r, Primary: primary, Secondary: secondary, DiskFree: -1}
	if primary.Name() == secondary.Name() && primary.Path != secondary.Path {
		primary.Label, secondary.Label = primary.Path, secondary.Path
	}
	for _, m := range []*model.Model{primary, secondary} {
		for _, note := range m.Notes {
			if !slices.Contains(p.Warnings, note) { // a model merged with itself
				p.Warnings = append(p.Warnings, note)
			}
		}
		if err := m.Mergeable(); err != nil && !slices.Contains(p.Blockers, err.Error()) {
			p.Blockers = append(p.Blockers, err.Error())
		}
	}
	if len(p.Blockers) > 0 { // shapes of packed tensors would only confuse
		return p, nil
	}
	p.compare()
	p.match()
	if len(p.Blockers) > 0 {
		return p, nil
	}
	return p, p.lay()
}

// lay decides the files once the tensors are known.
func (p *Plan) lay() error {
	infos := make([]tensor.Info, len(p.Tensors))
	for i := range p.Tensors {
		infos[i] = p.Tensors[i].Info
	}
	var err error
	if p.Layout, err = writer.Lay(infos, p.Recipe.ShardSize, writer.Safetensors); err != nil {
		return &Error{Blockers: []string{err.Error()}}
	}
	p.editConfig()
	p.companions()
	p.OutputBytes = p.Layout.Bytes() + int64(len(p.Config))
	for _, c := range p.Companions {
		n, err := c.From.CompanionSize(c.File)
		if err != nil {
			return err
		}
		p.OutputBytes += n
	}
	if p.Recipe.Output != "" {
		if err := p.checkOutput(); err != nil {
			return err
		}
	}
	p.Budget, err = NewBudget(p.Recipe.MaxMemory, p.Recipe.Threads, p.tableBytes())
	return err
}

// checkOutput looks at the folder and the disk before anything is made.
func (p *Plan) checkOutput() error {
	err := writer.Check(p.Recipe.Output, p.OutputOptions())
	if err == nil {
		if p.DiskFree, err = writer.FreeSpace(p.Recipe.Output); err != nil {
			return err
		}
		if p.DiskFree < p.OutputBytes {
			err = &writer.NoSpaceError{Path: p.Recipe.Output, Need: p.OutputBytes, Free: p.DiskFree}
		}
	}
	if err != nil {
		p.OutputErr = err
		p.Blockers = append(p.Blockers, err.Error())
	}
	return nil
}

// OutputOptions are what the writer must know to make the output folder.
func (p *Plan) OutputOptions() writer.Options {
	return writer.Options{Overwrite: p.Recipe.Overwrite, Inputs: []string{p.Primary.Path, p.Secondary.Path}}
}

// Refusal is nil if the plan can be carried out, else an error with every
// reason: the writer's own if the output is the only one, else an *Error.
func (p *Plan) Refusal() error {
	switch {
	case len(p.Blockers) == 0:
		return nil
	case len(p.Blockers) == 1 && p.OutputErr != nil:
		return p.OutputErr
	}
	err := &Error{Blockers: p.Blockers}
	for _, m := range []*model.Model{p.Primary, p.Secondary} {
		var u *model.UnusableError
		if errors.As(m.Mergeable(), &u) {
			err.Hint = u.Hint
		}
	}
	return err
}

// tableBytes estimates what the tables of both models, of the plan, the layout
// and the run hold in memory: 640 bytes for a tensor of each were measured with
// 70,000 of them, and the collector lets a quarter of garbage stand.
//
// Texts come on top, since a file can hold large ones: names stand in both
// tables and in the output's header; a config.json is parsed, edited and
// written.
func (p *Plan) tableBytes() int64 {
	const entry, configs = 800, 4
	n := entry * int64(len(p.Primary.Tensors)+len(p.Secondary.Tensors)+len(p.Tensors)) / 3
	for _, m := range []*model.Model{p.Primary, p.Secondary} {
		n += m.TextBytes()
		if m.Config != nil {
			n += configs * int64(len(m.Config.Bytes()))
		}
	}
	return n
}
