package recipe

import (
	"fmt"
	"regexp"
	"strconv"
)

// An Entry says which of several models in a PyTorch checkpoint is meant, as
// --entry [N:]KEY does. Key is as torchbin.Open takes it.
type Entry struct {
	Model int // the place of the parent, from 1; 0 for all that are checkpoints
	Key   string
}

var entryForm = regexp.MustCompile(`^([1-9][0-9]{0,3}):(.*)$`)

// ParseEntries reads the values of --entry.
func ParseEntries(args []string) ([]Entry, error) {
	var entries []Entry
	for _, arg := range args {
		e := Entry{Key: arg}
		if form := entryForm.FindStringSubmatch(arg); form != nil {
			e.Model, _ = strconv.Atoi(form[1])
			e.Key = form[2]
		}
		if e.Key == "" {
			return nil, badFlag("entry", "--entry %q names no key", arg)
		}
		for _, other := range entries {
			if other.Model == e.Model {
				return nil, badFlag("entry", "--entry %s and --entry %s are about the same model", other, e)
			}
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// String returns the entry as --entry takes it.
func (e Entry) String() string {
	if e.Model == 0 {
		return e.Key
	}
	return fmt.Sprintf("%d:%s", e.Model, e.Key)
}

// Entry returns the entry that Entries name for parent i, which counts from 0. Its
// Key is empty if they name none.
func (r *Recipe) Entry(i int) Entry {
	var found Entry
	for _, e := range r.Entries {
		if e.Model == i+1 || e.Model == 0 && found.Key == "" {
			found = e
		}
	}
	return found
}
