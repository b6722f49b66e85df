package plan

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"slerpmerge/internal/model"
	"slerpmerge/internal/tokenizer"
)

// sizes are the settings of config.json that decide shapes, by the names that
// the families of transformers give them.
var sizes = [][]string{
	{"hidden_size", "n_embd", "d_model"},
	model.DepthNames,
	{"num_attention_heads", "n_head"},
	{"num_key_value_heads"},
	{"head_dim"},
	{"intermediate_size", "n_inner"},
	{"num_local_experts", "num_experts"},
}

// compare looks at the config.json of the primary and another parent: sizes
// that differ forbid the merge (shapes that differ would, but the size is the
// better name for it), other settings that change what the weights mean are
// worth a warning. depth tells whether the numbers of layers must be equal.
func (p *planner) compare(b *model.Model, depth bool) {
	a := p.Primary
	if a.Config == nil || b.Config == nil {
		if a.Config == nil && a.Dir != "" || b.Config == nil && b.Dir != "" {
			p.warnUnconfigured(b)
		}
		return
	}
	for _, names := range sizes {
		x, okx := a.Config.Int(names...)
		y, oky := b.Config.Int(names...)
		if okx && oky && x != y && (depth || names[0] != model.DepthNames[0]) {
			name := names[0]
			if i := slices.IndexFunc(names, a.Config.Has); i >= 0 {
				name = names[i]
			}
			p.block("%s is %d in %s and %d in %s", name, x, a.Name(), y, b.Name())
			p.depthSaid = p.depthSaid || names[0] == "num_hidden_layers"
		}
	}
	if x, y := a.Config.SharesEmbeddings(), b.Config.SharesEmbeddings(); x != y {
		p.block("share_encoder_decoder_embeddings is %v in %s and %v in %s: encoder and decoder have one embedding only where it is true", x, a.Name(), y, b.Name())
	}
	p.compareSettings(b)
	p.autoMap()
	p.compareTokenizers(b)
	p.compareOutlines(b)
}

// compareTokenizers warns when the tokenizers are not the same: equal ids must
// mean equal tokens for a merge to make sense.
func (p *planner) compareTokenizers(b *model.Model) {
	a := p.Primary
	for _, name := range []string{"tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt"} {
		same, err := sameFile(a, b, name)
		if err != nil || same {
			continue
		}
		if d, ok := p.differences(b, name); ok {
			p.warnTokens(b, d)
		} else {
			p.warnFirst("%s is not the same in %s and %s: check that the ids mean the same tokens", name, a.Name(), b.Name())
		}
		return
	}
}

// differences compares the vocabularies, unless a file is too large for the
// memory that there is: reading one takes a part of its size.
func (p *planner) differences(b *model.Model, name string) (tokenizer.Difference, bool) {
	x, errX := p.Primary.CompanionSize(name)
	y, errY := b.CompanionSize(name)
	if errX != nil || errY != nil || x+y > p.Recipe.MaxMemory {
		return tokenizer.Difference{}, false
	}
	va, err := tokenizer.Read(p.Primary.OpenCompanion)
	if err != nil {
		return tokenizer.Difference{}, false
	}
	vb, err := tokenizer.Read(b.OpenCompanion)
	if err != nil {
		return tokenizer.Difference{}, false
	}
	return tokenizer.Compare(va, vb), true
}

// warnTokens says how two tokenizers differ; that the files do, but no token,
// is nothing to be warned about.
func (p *planner) warnTokens(b *model.Model, d tokenizer.Difference) {
	if d.Moved > 0 {
		var list []string
		for _, c := range d.Clash {
			list = append(list, fmt.Sprintf("%d is %q and %q", c.ID, c.A, c.B))
		}
		what := "1 id means"
		if d.Moved > 1 {
			what = fmt.Sprintf("%d ids mean", d.Moved)
		}
		p.warnFirst("%s different tokens in %s and %s: %s", what, p.Primary.Name(), b.Name(), strings.Join(list, ", "))
	}
	for _, only := range []struct {
		n     int
		first []string
		who   string
	}{{d.OnlyA, d.FirstA, p.Primary.Name()}, {d.OnlyB, d.FirstB, b.Name()}} {
		if only.n > 0 {
			what := "1 token is"
			if only.n > 1 {
				what = fmt.Sprintf("%d tokens are", only.n)
			}
			var list []string
			for _, token := range only.first {
				list = append(list, strconv.Quote(token))
			}
			text := strings.Join(list, ", ")
			if more := only.n - len(list); more > 0 {
				text += fmt.Sprintf(" and %d more", more)
			}
			p.warn("%s in the tokenizer of %s only: %s", what, only.who, text)
		}
	}
}

// warnUnconfigured says that config.json can't be compared, and what comes of
// it where the primary, whose own goes along, has none.
func (p *planner) warnUnconfigured(b *model.Model) {
	if p.Primary.Config != nil {
		p.warn("%s has no config.json, so only names and shapes of tensors can be compared", b.Name())
		return
	}
	p.warn("%s has no config.json, so only names and shapes of tensors can be compared, and the output will have none: transformers can't open it", p.Primary.Name())
}

// sameFile compares a companion file of both models; an error when one has none.
func sameFile(a, b *model.Model, name string) (bool, error) {
	fa, err := a.OpenCompanion(name)
	if err != nil {
		return false, err
	}
	defer fa.Close()
	fb, err := b.OpenCompanion(name)
	if err != nil {
		return false, err
	}
	defer fb.Close()
	bufA, bufB := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, errA := io.ReadFull(fa, bufA)
		m, errB := io.ReadFull(fb, bufB)
		if !bytes.Equal(bufA[:n], bufB[:m]) {
			return false, nil
		}
		if errA != nil || errB != nil {
			return errA == errB, nil
		}
	}
}

// stackDiff holds the layers that one parent has beyond the other.
type stackDiff map[string]int // stack -> layers in both

// covers reports whether a tensor belongs to a layer that is already named as
// missing.
func (d stackDiff) covers(name string) bool {
	for prefix := range d {
		if strings.HasPrefix(name, prefix+".") {
			return true
		}
	}
	return false
}

// compareStacks forbids stacks of unlike depth.
func (p *planner) compareStacks(a, b *model.Model) stackDiff {
	sa, sb := a.Stacks(), b.Stacks()
	diff := stackDiff{}
	for _, prefix := range slices.Sorted(maps.Keys(sa)) {
		if n, ok := sb[prefix]; ok && n != sa[prefix] {
			if beyondDepth(a, b, min(n, sa[prefix])) {
				continue
			}
			deeper := a
			if n > sa[prefix] {
				deeper = b
			}
			if deeper.OnlyRepeats(prefix, min(n, sa[prefix])) {
				continue
			}
			diff[prefix] = min(n, sa[prefix])
			if p.depthSaid {
				continue
			}
			p.block("%s has %d layers in %s and %d in %s", model.Quote(prefix), sa[prefix], a.Name(), n, b.Name())
		}
	}
	return diff
}

// beyondDepth reports whether both config.json say that a model of so many
// layers is whole: what comes after them in one parent is extra (a
// multi-token-prediction layer), and a matter for --missing.
func beyondDepth(a, b *model.Model, layers int) bool {
	if a.Config == nil || b.Config == nil {
		return false
	}
	x, okx := a.Config.Depth()
	y, oky := b.Config.Depth()
	return okx && oky && x == y && int64(layers) >= x
}

// squeeze takes the white space out of JSON text so that layout is no
// difference. Strings with spaces in them keep their meaning for comparison.
func squeeze(v []byte) []byte { return bytes.Join(bytes.Fields(v), nil) }

func clip(v []byte) string {
	const max = 80
	if len(v) > max {
		return fmt.Sprintf("%q...", v[:max])
	}
	return model.Quote(strings.ReplaceAll(string(v), `"`, ""))
}
