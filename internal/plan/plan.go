// Package plan works out, from headers (and from samples of the values where
// config.json ties tensors that are stored one by one), everything that a merge or a
// conversion will do: for every output tensor its sources, t and action, the
// files with their exact sizes, the memory, and what is worth a warning or
// forbids it.
// Everything after it (the run, the dry run, the model card) reads the plan.
package plan

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"

	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/tokenizer"
	"slerpmerge/writer"
)

// A Tensor is one output tensor. Its Info is as it will be written.
//
// There can be a million of them: parts that only few tensors need are behind a
// pointer.
type Tensor struct {
	tensor.Info
	// Op is what is done with the Operands. A None among them is not read: the
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

// BlendElems is the number of elements that are blended: all, or those of the
// rows that both parents have.
func (t *Tensor) BlendElems() int64 {
	if t.Tail == nil {
		return t.Elems()
	}
	return t.Elems() / int64(t.Shape[t.Tail.Axis]) * int64(t.Tail.Shared)
}

// Sole is the operand of a copy or a conversion.
func (t *Tensor) Sole() operand.Operand {
	k := slices.IndexFunc(t.Operands, func(o operand.Operand) bool { return !o.None() })
	return t.Operands[k]
}

// Uses reports whether any operand is of a model.
func (t *Tensor) Uses(m *model.Model) bool {
	return slices.ContainsFunc(t.Operands, func(o operand.Operand) bool { return o.Model == m })
}

// Sum is the weighted sum that the tensor is, nil if it is none.
func (t *Tensor) Sum() *method.Linear {
	l, _ := t.Op.(*method.Linear)
	return l
}

// Blends reports whether the tensor is measured and blended.
func (t *Tensor) Blends() bool { return t.Op.Needs() == method.InnerProducts }

// A Plan is a merge or a conversion worked out.
type Plan struct {
	Recipe    recipe.Recipe
	Primary   *model.Model // its config goes along; the base model of a recipe file
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
	// Unlike says how the vocabularies differ where that is among the Blockers
	// for want of a policy; "" otherwise.
	Unlike string
	// OutputErr is the writer's own error where the output folder or its disk
	// is what forbids the merge; its text is among the Blockers.
	OutputErr error

	problems  []recipe.Problem                    // the Blockers of a recipe file, with their places
	at        recipe.Pos                          // of what is being worked on in a recipe file
	t         func(name string) float64           // of an output tensor
	depth     map[string]int                      // layers of each numbered stack of the output
	layers    []model.LayerSettings               // of the output, where a recipe file puts them together
	config    *model.Config                       // the output's, once layers are made true in it
	from      int                                 // the first layer of the current slice
	rows      map[operand.Operand][]*operand.Rows // by the root of the operand
	edited    []tokenizer.File                    // tokenizer files that a recipe changes
	tokens    *tokenizer.Output                   // what a recipe's tokenizer section comes to, nil without one
	tokensOf  *model.Model                        // whose tokenizer files it changes
	vocab     []vocabChange                       // vocabularies of which one parent has more
	sizes     map[*model.Model][]uint64           // of the vocabularies of a model
	tokenRows map[*model.Model][]uint64           // of its text vocabulary
	ranks     map[string]int                      // of Warnings that are not of middling weight
	own       map[string]string                   // of output tensors that are another one under one more name: that one; it need not be written
	depthSaid bool                                // unlike numbers of layers are among the Blockers
	lastOp    method.Op                           // of slerp
	hint      string                              // for the only one of the Blockers
}

// A Companion is a file that goes along, as Name: as a rule a copy, byte for
// byte.
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

// Size is the length of the content.
func (c Companion) Size() (int64, error) {
	if c.Edit != nil {
		return c.Edit.Size, nil
	}
	return c.From.CompanionSize(c.File)
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

// New plans what is to be done with opened models: the primary first, and for
// a recipe file in the order of its Models. An error means that planning
// itself failed; what forbids the work is in Plan.Blockers.
func New(r recipe.Recipe, models ...*model.Model) (*Plan, error) {
	p := &Plan{Recipe: r, Models: models, Primary: models[0], DiskFree: -1}
	defer p.sortWarnings()
	if len(models) == 2 {
		p.Secondary = models[1]
	}
	p.label()
	for i, m := range p.Models {
		if r.Document != nil {
			p.at = r.Document.Models()[i].Pos
		}
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
	if err := settle(p.Models); err != nil {
		return nil, err
	}
	if len(p.Blockers) == 0 { // shapes of packed tensors would only confuse
		p.align()
	}
	if len(p.Blockers) > 0 {
		return p, nil
	}
	var err error
	switch {
	case r.Document != nil:
		err = p.assemble()
	case r.Method == recipe.Convert:
		p.convert()
	default:
		p.compare(p.Secondary, true)
		p.measureStacks()
		p.t = p.flagT
		p.match(whole(p.Primary), whole(p.Secondary))
		p.unusedT()
	}
	if err != nil {
		return nil, err
	}
	if len(p.Blockers) > 0 {
		return p, nil
	}
	p.sort()
	return p, p.lay()
}

// sort puts the tensors in the order of the output. From here on names and
// shapes that parents have in common are in memory once.
func (p *Plan) sort() {
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

// settle finds the parameters of the models.
func settle(models []*model.Model) error {
	for _, m := range models {
		if err := m.Settle(context.Background(), false); err != nil {
			return err
		}
	}
	return nil
}

// label calls models whose names are alike by their paths.
func (p *Plan) label() {
	for i, m := range p.Models {
		for _, n := range p.Models[:i] {
			if m.Name() == n.Name() && m.Path != n.Path {
				m.Label, n.Label = m.Path, n.Path
			}
		}
	}
}

// exact reports whether every value is written as it stands in the parent.
func (p *Plan) exact() bool { return p.Recipe.Method == recipe.Convert && p.Recipe.DType.Auto }

// A table is the tensors of a plan as NewTableLayout wants them.
type table []Tensor

func (t table) Len() int                { return len(t) }
func (t table) Info(i int) *tensor.Info { return &t[i].Info }

// lay decides the files once the tensors are known.
func (p *Plan) lay() error {
	p.dropModules()
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
	if p.Recipe.Output != "" {
		if err := p.checkOutput(); err != nil {
			return err
		}
	}
	p.Budget, err = NewBudget(p.Recipe.MaxMemory, p.Recipe.Threads, p.tableBytes(Merging))
	return err
}

// checkOutput looks at the folder and the disk before anything is made.
func (p *Plan) checkOutput() error {
	err := writer.Check(p.Recipe.Output, p.OutputOptions())
	if err == nil {
		if p.DiskFree, err = writer.FreeSpace(p.Recipe.Output); err != nil {
			return err
		}
		if p.DiskFree+writer.PartialBytes(p.Recipe.Output) < p.OutputBytes {
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
	opt := writer.Options{Overwrite: p.Recipe.Overwrite}
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

// Refusal is nil if the plan can be carried out, else an error with every
// reason: the writer's own if the output is the only one; for a recipe file
// that does not fit its models a *recipe.DocumentError; else an *Error.
func (p *Plan) Refusal() error {
	switch {
	case len(p.Blockers) == 0:
		return nil
	case len(p.Blockers) == 1 && p.OutputErr != nil:
		return p.OutputErr
	}
	hint := ""
	if len(p.Blockers) == 1 {
		hint = p.hint
	}
	if p.Unlike != "" && len(p.Blockers) == 1 {
		hint = "try --vocab extend, which keeps the rows that only one has as they are"
	}
	for _, m := range p.Models {
		var u *model.UnusableError
		if errors.As(m.Mergeable(), &u) {
			hint = u.Hint
			if p.Recipe.Method == recipe.Convert {
				hint = "without --dtype it is converted as it is"
			}
		}
	}
	if len(p.problems) > 0 {
		err := p.Recipe.Document.Reject(p.problems...)
		if hint != "" {
			err.Hints = []string{hint}
		}
		return err
	}
	return &Error{Blockers: p.Blockers, Hint: hint}
}
