package batch

import (
	"errors"
	"io/fs"
	"os"

	"slerpmerge/internal/report"
)

// Why a job is to be done.
const (
	whyNew     = "new"                 // there is no output
	whyChanged = "changed"             // its flags, parents or this program are not those of the output
	whyDamaged = "damaged"             // weight files are missing or have another size
	whyForeign = "not of this program" // something else is at the output
	whyWaiting = "waiting"             // what it needs is not made yet
)

// A made output is what this program left at an output folder.
type made struct {
	ours        bool // slerpmerge.json says that this program made it
	fingerprint string
	why         string // it can't be what is wanted, "" if it can
}

// lookAt reads what is at an output folder.
func lookAt(out string) made {
	entries, err := os.ReadDir(out)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return made{why: whyNew}
	}
	fingerprint, whole, err := report.Made(out)
	switch {
	case err != nil:
		return made{why: whyForeign}
	case !whole:
		return made{ours: true, why: whyDamaged}
	}
	return made{ours: true, fingerprint: fingerprint}
}

// differs says why the output is not what a plan would make, "" if it is.
func (m made) differs(fingerprint string) string {
	if m.why == "" && m.fingerprint != fingerprint {
		return whyChanged
	}
	return m.why
}
