package recipe

import (
	"errors"
	"fmt"
)

// A Run says how the output of a recipe is made. The bytes do not depend on it.
type Run struct {
	Output    string // the folder; "" when only a plan is wanted
	Overwrite bool
	MaxMemory int64 // bytes of resident memory that the run may reach
	Threads   int
}

// A Request is the content of a command line.
type Request struct {
	Recipe
	Run
}

// maxThreads is beyond any machine; more would only overflow a budget.
const maxThreads = 1 << 16

// Validate reports everything in the request that can't be right whatever the
// models are.
func (r *Request) Validate() error { return errors.Join(r.Recipe.Validate(), r.Run.Validate()) }

// Validate reports everything that can't be right.
func (r *Run) Validate() error {
	switch {
	case r.Threads < 1:
		return errors.New("--threads must be at least 1")
	case r.Threads > maxThreads:
		return fmt.Errorf("--threads must be at most %d", maxThreads)
	}
	return nil
}
