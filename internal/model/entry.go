package model

import (
	"errors"
	"strings"

	"slerpmerge/internal/fault"
	"slerpmerge/internal/text"
	"slerpmerge/torchbin"
)

// HasEntries reports whether the model is of PyTorch checkpoints, of which each
// can hold several models.
func (m *Model) HasEntries() bool { return len(m.Files) > 0 && m.Files[0].checkpoint != nil }

// chooseEntry suggests the flags by which one of several entries of a checkpoint
// is chosen.
func chooseEntry(entries []string) []fault.Hint {
	if len(entries) == 0 {
		return nil
	}
	var flags []fault.Flag
	for _, e := range entries {
		flags = append(flags, fault.Flag{Name: "entry", Value: e})
	}
	hint := "choose one with " + strings.Repeat("%s or ", len(flags)-1) + "%s"
	if entries[0] == torchbin.TopLevel {
		hint += " (a dot is the top level)"
	}
	return fault.Suggest(hint, flags...)
}

// entryNote says which entry of a checkpoint is read where there is something
// else that could be the model and nobody has chosen.
func (m *Model) entryNote(c *torchbin.Checkpoint) string {
	if len(c.Aside) == 0 || m.Entry != "" {
		return ""
	}
	which := "the model is the top level"
	if len(c.Entry) > 0 {
		which = "the model is the entry " + text.Quote(strings.Join(c.Entry, "/"))
	}
	return which + "; left aside: " + strings.Join(c.Aside, ", ")
}

// checkValues refuses a model whose parameters are not in its files: under
// DeepSpeed ZeRO stage 3 each process holds a part of every large parameter, and
// a model that is saved without gathering them has empty ones. The small ones,
// norms and biases, are whole even then.
func (m *Model) checkValues() error {
	empty, example := 0, ""
	for i := range m.Tensors {
		t := &m.Tensors[i]
		if len(t.Shape) != 1 || t.Shape[0] != 0 {
			continue
		}
		if empty++; example == "" || strings.HasSuffix(t.Name, "weight") {
			example = t.Name
		}
	}
	if empty == 0 || 4*empty < len(m.Tensors) || !strings.HasSuffix(example, "weight") {
		return nil
	}
	return &UnusableError{Path: m.Path, Err: errors.New(text.Quote(example) + " and others are empty tensors, as DeepSpeed ZeRO stage 3 leaves them: the values are not in the file"),
		Hint: "they are in the training checkpoint: zero_to_fp32.py there, or deepspeed's zero_to_fp32, makes a whole model of it"}
}
