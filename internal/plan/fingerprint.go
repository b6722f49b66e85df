package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"unicode/utf8"

	"slerpmerge/internal/model"
	"slerpmerge/internal/recipe"
)

// Fingerprint stands for all that the output's bytes depend on: the recipe,
// the parents as they are on the disk (size, modification time and inode of
// weight files, their tables, the content of all small files) and the version
// of this program. Threads, memory and the output's place are not in it. extra
// are choices of the caller that matter as well.
//
// Two runs with the same fingerprint write the same bytes, unless a parent was
// changed behind the back of its file system.
func (p *Plan) Fingerprint(version string, extra ...string) (string, error) {
	h := sha256.New()
	describe(h, version, p.Recipe, extra)
	for _, m := range p.Models {
		if err := identify(h, m); err != nil {
			return "", err
		}
	}
	if p.tokensOf != nil && !slices.Contains(p.Models, p.tokensOf) {
		if err := identify(h, p.tokensOf); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// FingerprintOf is [Plan.Fingerprint] before the parents can be opened: they are given by
// what stands for their bytes, an [Identity], or the fingerprint of the run that
// makes them.
func FingerprintOf(version string, r *recipe.Recipe, parents []string, extra ...string) string {
	h := sha256.New()
	describe(h, version, r, extra)
	for _, p := range parents {
		fmt.Fprintf(h, "made %q\n", p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Identity stands for all that a model can give to an output.
func Identity(m *model.Model) (string, error) {
	h := sha256.New()
	if err := identify(h, m); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// describe writes what the output depends on beside the parents.
func describe(h hash.Hash, version string, r *recipe.Recipe, extra []string) {
	// Every text is quoted, so that no two lists of texts run together alike.
	say := func(format string, args ...any) { fmt.Fprintf(h, format+"\n", args...) }
	say("slerpmerge %q %q", version, extra)
	say("%q %v %q %d", r.Method, r.OutputType(), r.Format, r.ShardSize)
	say("%q %q %q %q", r.Missing, r.NonFinite, r.Tokenizer, r.Vocab)
	for _, g := range r.Given() {
		name := g.Name
		if g.Place > 0 {
			name = fmt.Sprintf("%d:%s", g.Place, g.Name)
		}
		for _, rule := range g.Setting {
			say("%s %q %v", name, rule.Filter, rule.Values)
		}
	}
	if r.Base != nil && !r.FromFile() {
		_, place := r.Listed()
		say("base %d", place)
	}
	if r.Seed != 0 {
		say("seed %d", r.Seed)
	}
	say("file %q", r.Source)
	for _, g := range r.Overrides {
		say("override %s %v", g.Name, g.Setting[0].Values)
	}
}

// appendIdentity adds the line "tensor %q %v %v %d %d %q" of package fmt, of a
// tensor's name, type, shape, file, offset and the name that it shares bytes with.
func appendIdentity(b []byte, t *model.Tensor, shares string) []byte {
	b = append(strconv.AppendQuote(append(b, "tensor "...), t.Name), ' ')
	b = append(append(b, t.DType.String()...), " ["...)
	for k, d := range t.Shape {
		if k > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendUint(b, d, 10)
	}
	b = strconv.AppendInt(append(b, "] "...), int64(t.File), 10)
	b = strconv.AppendInt(append(b, ' '), t.Offset, 10)
	return append(strconv.AppendQuote(append(b, ' '), shares), '\n')
}

// identify writes the identity of one parent.
func identify(h hash.Hash, m *model.Model) error {
	fmt.Fprintf(h, "model %q\n", m.Format)
	if m.Entry != "" {
		fmt.Fprintf(h, "entry %q\n", m.Entry)
	}
	for i := range m.Files {
		f := &m.Files[i]
		fmt.Fprintf(h, "file %q %+v\n", f.Name, f.Identity())
	}
	var line []byte
	for i := range m.Tensors {
		line = appendIdentity(line[:0], &m.Tensors[i], m.SharesWith(i))
		h.Write(line)
	}
	if m.Config != nil {
		io.WriteString(h, "config ")
		quote(h, m.Config.Bytes())
		io.WriteString(h, "\n")
	}
	names := append(append(m.Companions(true), m.Companions(false)...), m.Licences()...)
	switch _, err := m.CompanionSize(cardName); { // the model card takes the licence from it
	case m.Dir == "" || errors.Is(err, fs.ErrNotExist) || errors.As(err, new(*model.FormatError)):
	case err != nil:
		return fmt.Errorf("reading %s of %s: %w", cardName, m.Name(), err)
	default:
		names = append(names, cardName)
	}
	for _, name := range names {
		f, err := m.OpenCompanion(name)
		if err != nil {
			return fmt.Errorf("reading %s of %s: %w", name, m.Name(), err)
		}
		own := sha256.New()
		_, err = io.Copy(own, f)
		f.Close()
		if err != nil {
			return fmt.Errorf("reading %s of %s: %w", name, m.Name(), err)
		}
		fmt.Fprintf(h, "companion %q %x\n", name, own.Sum(nil))
	}
	return nil
}

// quote writes text as %q does, part by part: quoted whole, a large config.json
// would be in memory three times.
func quote(h hash.Hash, text []byte) {
	const part = 4 << 10
	var buf []byte
	io.WriteString(h, `"`)
	for len(text) > 0 {
		n := min(part, len(text))
		for n < len(text) && !utf8.RuneStart(text[n]) {
			n++
		}
		buf = strconv.AppendQuote(buf[:0], string(text[:n]))
		h.Write(buf[1 : len(buf)-1])
		text = text[n:]
	}
	io.WriteString(h, `"`)
}
