// Package batch runs a list of merges and conversions unattended: it checks all
// of them before the first one starts, skips finished jobs, continues after
// failures, and reports the progress. The meaning of a job is known to the
// command line alone, which hands it over as a Task.
package batch

import (
	"slerpmerge/internal/document"
)

// A Kind is the command that a job stands for.
type Kind string

const (
	Merge   Kind = "merge"
	Convert Kind = "convert"
)

// A Manifest is a file of jobs.
type Manifest struct {
	Name string // of the file, as it was given
	// Jobs stand in the order in which they run: that of the file, but after
	// all that they need.
	Jobs []*Job

	source []byte
}

// A Job is one merge or conversion of a manifest.
type Job struct {
	Pos    document.Pos
	Name   string
	Kind   Kind
	Output Word
	// The inputs are Primary and Secondary, or Models, or Recipe, or Model, which is
	// converted. The others are empty.
	Primary, Secondary, Recipe, Model Word
	Models                            []Word
	After                             []Word // jobs to be done before this one
	Flags                             []Flag // its own and the defaults that apply
	Task                              Task

	group  string // the name of the job whose sweep it is a part of
	out    string // the output, absolute and without links
	needs  []*Job // that come first: those of After, and makers
	makers []*Job // whose output is a parent
}

// A Word is a text of a manifest and its place.
type Word struct {
	document.Pos
	Text string
}

// A Flag is a flag of the command line that a job has as a key.
type Flag struct {
	document.Pos
	Name string
	// Values are given one after the other, each with the flag; none for a
	// flag that takes no value.
	Values []string

	off bool // the job takes back a default
}

// A FlagForm says which flag a key stands for.
type FlagForm struct {
	Name string // the long one
	Bool bool   // it takes no value
	// Switch is for one that takes true and false as values.
	Switch bool
	List   bool // it may be given more than once
	Pair   bool // it has no place beside a recipe, so that a default does not apply there
}

// A Grammar knows the command line.
type Grammar interface {
	// Flags returns the flags that a job of this kind may have as keys.
	Flags(Kind) []FlagForm
	// Check looks at the values of one flag.
	Check(Kind, Flag) error
	// Task reads a whole job as its command would. Errors in a recipe file come
	// as a *document.Error; fault.FlagOf gives the flag that another error is
	// about.
	Task(*Job) (Task, error)
	// Sweep takes the values of a sweep apart: the suffixes of their names, and for each
	// the flag of that value alone.
	Sweep(arg string) (suffixes, args []string, err error)
}
