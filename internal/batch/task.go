package batch

import "context"

// A Task is a job as the command line understands it. Overwrite allows it to
// replace the output.
type Task interface {
	Output() string
	Parents() []string // in no special order; some may be names on the hub
	// Survey plans the job. An error says that it can't even be planned.
	Survey(ctx context.Context, overwrite bool) (*Survey, error)
	// Run does the job. After an error the output is as it was before.
	Run(ctx context.Context, overwrite bool) (*Result, error)
}

// A Survey is a summary of the plan of a job.
type Survey struct {
	Fingerprint string // of all that the output's bytes depend on
	Bytes       int64  // of all files but those about the work itself; 0 where Refusal leaves it open
	Warnings    []string
	Refusal     error // why the job can't be done; nil if it can
}

// A Result is the result of a job.
type Result struct {
	Bytes int64 // written
}
