package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// An Outline has the settings beside a vocabulary that matter to the users of the
// model: the special tokens by role, and the chat template.
type Outline struct {
	Special  map[string]string // such as eos_token: </s>
	Template string            // a digest of the chat template, "" if there is none
}

// Roles returns the roles that an Outline knows, in the order of transformers.
func Roles() []string { return slices.Clone(specialNames) }

// ReadOutline reads special_tokens_map.json and tokenizer_config.json, whose
// tokens count where both name some, and the chat template, see Template.
func ReadOutline(open Opener) (Outline, error) {
	out := Outline{Special: map[string]string{}}
	names := specials{attribute: map[string]Token{}}
	each := func(s *stream, name string) error {
		if slices.Contains(specialNames, name) {
			return names.one(s, name)
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
	template, err := Template(open)
	if err != nil {
		return out, err
	}
	if template != "" {
		sum := sha256.Sum256([]byte(strings.TrimRight(template, "\n"))) // the file ends with one, the JSON text may not
		out.Template = hex.EncodeToString(sum[:])
	}
	return out, nil
}
