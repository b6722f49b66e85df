// Package plan works out, from headers (and from samples of the values where
// config.json ties tensors that are stored one by one), everything that a merge or a
// conversion will do: for every output tensor its sources, t and action, the
// files with their exact sizes, the memory, and what is worth a warning or
// forbids it.
// Everything after it (the run, the dry run, the model card) reads the plan.
package plan

import (
	"errors"
	"io"
	"slices"

	"slerpmerge/internal/fault"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/tokenizer"
	"slerpmerge/slerp"
	"slerpmerge/writer"
)

// A Tensor is one output tensor. Its Info is as it will be written.
//
// There can be a million of them: parts that only few tensors need are behind a
// pointer.
type Tensor struct {
	tensor.Info
	// Op is the operation on the Operands. A None among them is not read: the
	// Op gives it no weight, or zeros stand for it. Of two, the first is the
	// primary's.
	Op       method.Op
	Operands []operand.Operand
	Tail     *Tail   // nil where all rows are blended
	T        float64 // where Mixed
	Mixed    bool    // both parents have it, and T says how much of each is taken
	Why      string  // what is out of the ordinary, "" when nothing is
}

// A Tail is the operand whose rows from Shared on are taken as they are; only
// those before are measured and blended.
type Tail struct {
	Operand int // its index
	Shared  uint64
	Axis    int // in which they are counted: 0 as a rule
}

// BlendElems returns the number of elements that are blended: all, or those of the
// rows that both parents have.
func (t *Tensor) BlendElems() int64 {
	if t.Tail == nil {
		return t.Elems()
	}
	return t.Elems() / int64(t.Shape[t.Tail.Axis]) * int64(t.Tail.Shared)
}

// Sole returns the operand of a copy or a conversion.
func (t *Tensor) Sole() operand.Operand {
	k := slices.IndexFunc(t.Operands, func(o operand.Operand) bool { return !o.None() })
	return t.Operands[k]
}

// Uses reports whether any operand is of a model.
func (t *Tensor) Uses(m *model.Model) bool {
	return slices.ContainsFunc(t.Operands, func(o operand.Operand) bool { return o.Model == m })
}

// Sum returns the weighted sum that the tensor is, nil if it is none.
func (t *Tensor) Sum() *method.Linear {
	l, _ := t.Op.(*method.Linear)
	return l
}

// Blends reports whether the tensor is measured and blended.
func (t *Tensor) Blends() bool {
	switch t.Op.Needs() {
	case method.InnerProducts, method.Deltas, method.Passes:
		return true
	}
	return false
}

// Shapes describes the tensor and its operands as they are read.
func (t *Tensor) Shapes() slerp.Operands {
	o := slerp.Operands{Tensor: t.Name, Shape: t.Shape, Out: t.DType}
	for k := range t.Operands {
		o.In = append(o.In, operand.Type(t.Operands, k))
	}
	return o
}

// A Plan is a merge or a conversion worked out.
type Plan struct {
	Recipe    *recipe.Recipe
	Run       recipe.Run
	Primary   *model.Model // its config is the output's; the base model of a recipe file
	Secondary *model.Model // nil unless there are exactly two parents
	Models    []*model.Model
	// Tensors are sorted by name: the order in the parents' files depends on
	// their format, the output must not. mergekit fills its shards in this
	// order too.
	Tensors []Tensor
	// Storage says for each tensor which one's bytes it shares in the output:
	// its own index, or that of an earlier one to which it is tied in all
	// parents. It is nil where none are shared.
	Storage []int
	Layout  *writer.Layout
	// Config is the output's config.json, nil when the primary has none.
	Config     []byte
	Companions []Companion
	LeftBehind []LeftBehind // by the models that have such files
	Budget     Budget
	// OutputBytes is the size of all files but the card and slerpmerge.json.
	OutputBytes int64
	DiskFree    int64    // -1 when no output was named
	Warnings    []string // the weightiest first
	Differences []string // settings of the parents that differ and rarely matter
	Blockers    []string // why the merge can't be done; empty when it can
	// VocabMismatch says how the vocabularies differ where that is among the Blockers
	// for want of a policy; "" otherwise.
	VocabMismatch string
	// OutputErr is the writer's error if the output folder or its disk forbids
	// the merge; its text is among the Blockers.
	OutputErr error

	held     held             // what its tables take
	problems []recipe.Problem // the Blockers of a recipe file, with their places
	tokensOf *model.Model     // whose tokenizer files it changes
	hint     string           // for the only one of the Blockers
}

// A Companion is a file of the output beside the weights, called Name: usually
// a copy, byte for byte.
type Companion struct {
	Name string
	From *model.Model
	File string          // its name in From
	Edit *tokenizer.File // what is changed in it; nil as a rule
}

// LeftBehind are the names of a model's files and folders, these with a slash
// at the end, that are neither read nor copied.
type LeftBehind struct {
	Model *model.Model
	Names []string
}

// Open gives the content.
func (c Companion) Open() (io.ReadCloser, error) {
	if c.Edit != nil {
		return c.Edit.Open(c.From.OpenCompanion)
	}
	return c.From.OpenCompanion(c.File)
}

// Size returns the length of the content.
func (c Companion) Size() (int64, error) {
	if c.Edit != nil {
		return c.Edit.Size, nil
	}
	return c.From.CompanionSize(c.File)
}

// An Error says that a request can't be carried out, with every reason.
type Error struct {
	Blockers []string
	Advice   []fault.Hint
}

// Class returns the class of a request.
func (e *Error) Class() fault.Class { return fault.Request }

// Hints returns the Advice.
func (e *Error) Hints() []fault.Hint { return e.Advice }

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

// exact reports whether every value is written as it stands in the parent.
func (p *Plan) exact() bool { return p.Recipe.Method == recipe.Convert && p.Recipe.OutputType().Auto }

// OutputOptions returns the writer's options for the output folder.
func (p *Plan) OutputOptions() writer.Options {
	opt := writer.Options{Overwrite: p.Run.Overwrite}
	for _, m := range p.Models {
		opt.Inputs = append(opt.Inputs, m.Place())
		if m.Dir != "" && m.Place() != m.Dir { // one file stands for others, which can be links
			for i := range m.Files {
				opt.Inputs = append(opt.Inputs, m.Files[i].Path)
			}
		}
	}
	return opt
}

// Pairs reports whether the plan merges two models by going from one to the
// other.
func (p *Plan) Pairs() bool {
	m, ok := p.Recipe.Rules.(method.Method)
	return ok && m.Pairs()
}

// Refusal returns nil if the plan can be carried out, else an error with every
// reason: the writer's own if the output is the only one; for a recipe file
// that does not fit its models a *recipe.DocumentError; else an *Error.
func (p *Plan) Refusal() error {
	switch {
	case len(p.Blockers) == 0:
		return nil
	case len(p.Blockers) == 1 && p.OutputErr != nil:
		return p.OutputErr
	}
	var hints []fault.Hint
	if len(p.Blockers) == 1 {
		hints = fault.Advise(p.hint)
	}
	if p.VocabMismatch != "" && len(p.Blockers) == 1 {
		hints = fault.Suggest("try %s, which keeps the rows that only one has as they are", fault.Flag{Name: "vocab", Value: "extend"})
	}
	for _, m := range p.Models {
		var u *model.UnusableError
		if errors.As(m.Mergeable(), &u) {
			hints = u.Hints()
			if p.Recipe.Method == recipe.Convert {
				hints = fault.Suggest("without %s it is converted as it is", fault.Flag{Name: "dtype"})
			}
		}
	}
	if len(p.problems) > 0 {
		err := p.Recipe.Reject(p.problems...)
		err.Advice = hints
		return err
	}
	return &Error{Blockers: p.Blockers, Advice: hints}
}
