package tokenizer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"slices"
)

// An Outline is what the settings beside a vocabulary say to whoever uses the
// model: the special tokens by role, and the chat template.
type Outline struct {
	Special  map[string]string // such as eos_token: </s>
	Template string            // a digest of the chat template, "" if there is none
}

// Roles are the roles that an Outline knows, in the order of transformers.
func Roles() []string { return slices.Clone(specialNames) }

// ReadOutline reads special_tokens_map.json and tokenizer_config.json, whose
// tokens count where both name some, and the chat template: that of
// chat_template.jinja comes before that of tokenizer_config.json.
func ReadOutline(open Opener) (Outline, error) {
	out := Outline{Special: map[string]string{}}
	names := specials{attribute: map[string]Token{}}
	var template []byte
	each := func(s *stream, name string) (err error) {
		switch {
		case slices.Contains(specialNames, name):
			return names.one(s, name)
		case name == "chat_template" && s.PeekKind() == '"':
			template, err = s.textInto(nil, name)
			return err
		case name == "chat_template" && s.PeekKind() == '[': // several, by name
			raw, err := s.ReadValue()
			template = bytes.Clone(raw)
			return readError(s.file, err)
		}
		return s.skip()
	}
	for _, file := range []string{"special_tokens_map.json", "tokenizer_config.json"} {
		if err := readObject(open, file, each); err != nil {
			return out, err
		}
	}
	for role, token := range names.attribute {
		out.Special[role] = token.Text
	}
	own, err := readTemplate(open)
	if err != nil {
		return out, err
	}
	if own != nil {
		template = own
	}
	if template != nil {
		sum := sha256.Sum256(bytes.TrimRight(template, "\n")) // the file ends with one, the JSON text may not
		out.Template = hex.EncodeToString(sum[:])
	}
	return out, nil
}

// readTemplate reads the chat template that is a file of its own, if it is
// there.
func readTemplate(open Opener) ([]byte, error) {
	const file = "chat_template.jinja"
	r, err := open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, readError(file, err)
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxValue+1))
	if err == nil && len(text) > maxValue {
		err = corrupt(file, "is longer than %d MiB", maxValue>>20)
	}
	return text, readError(file, err)
}
