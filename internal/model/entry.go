package model

import (
	"strings"

	"slerpmerge/internal/text"
	"slerpmerge/torchbin"
)

// HasEntries reports whether the model is of PyTorch checkpoints, of which each
// can hold several models.
func (m *Model) HasEntries() bool { return len(m.Files) > 0 && m.Files[0].checkpoint != nil }

// entryHint says how to choose one of several entries of a checkpoint.
func entryHint(entries []string) string {
	if len(entries) == 0 {
		return ""
	}
	var flags []string
	for _, e := range entries {
		flags = append(flags, "--entry "+ShellWord(e))
	}
	text := "choose one with " + strings.Join(flags, " or ")
	if entries[0] == torchbin.TopLevel {
		text += " (a dot is the top level)"
	}
	return text
}

// ShellWord quotes a text for a shell if it must.
func ShellWord(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:", r))
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(printable(s), "'", `'\''`) + "'"
}

// printable is Quote without the quotes: control characters are escaped.
func printable(s string) string {
	msg := text.Quote(s)
	if i, j := strings.IndexByte(msg, '"'), strings.LastIndexByte(msg, '"'); i == 0 && j > 0 {
		return strings.ReplaceAll(msg[1:j], `\"`, `"`) + msg[j+1:]
	}
	return msg
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
	return &UnusableError{Path: m.Path, Msg: text.Quote(example) + " and others are empty tensors, as DeepSpeed ZeRO stage 3 leaves them: the values are not in the file",
		Hint: "they are in the training checkpoint: zero_to_fp32.py there, or deepspeed's zero_to_fp32, makes a whole model of it"}
}
