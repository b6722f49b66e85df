package batch

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"

	"slerpmerge/internal/report"
)

// Why a job is to be done.
const (
	whyNew     = "new"                 // there is no output
	whyChanged = "changed"             // its flags, parents or this program are not those of the output
	whyDamaged = "damaged"             // files are missing, or not as they were made
	whyForeign = "not of this program" // something else is at the output
	whyWaiting = "waiting"             // its inputs are not made yet
)

// A made output is the state of an output folder that this program made.
type made struct {
	ours        bool // slerpmerge.json says that this program made it
	fingerprint string
	why         string // it can't be what is wanted, "" if it can
}

// lookAt reads the state of an output folder.
func lookAt(ctx context.Context, out string) (made, error) {
	entries, err := os.ReadDir(out)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0:
		return made{why: whyNew}, nil
	case errors.Is(err, syscall.ENOTDIR):
		return made{why: whyForeign}, nil
	case err != nil:
		return made{}, err
	}
	there, err := report.OpenFinished(ctx, out)
	switch {
	case err != nil:
		return made{}, err
	case there == nil:
		return made{why: whyForeign}, nil
	case there.Wrong != "":
		return made{ours: true, why: whyDamaged}, nil
	}
	return made{ours: true, fingerprint: there.Fingerprint}, nil
}

// differs says how the output differs from the plan's, "" if it does not.
func (m made) differs(fingerprint string) string {
	if m.why == "" && m.fingerprint != fingerprint {
		return whyChanged
	}
	return m.why
}
