package recipe

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"slerpmerge/internal/document"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/text"
)

// maxPadTo bounds pad_to_multiple_of; 8 to 256 are usual.
const maxPadTo = 1 << 16

func (p *parser) method(t document.Table) {
	var ours []string
	for _, m := range p.methods {
		ours = append(ours, string(m.Name()))
	}
	v := t.Value("merge_method")
	if v == nil {
		p.Fail(t.Node, "merge_method is missing; it is %s", text.List(ours, "or"))
		return
	}
	name, ok := p.Text(v, "merge_method")
	if !ok {
		return
	}
	if i := slices.Index(ours, name); i >= 0 {
		p.doc.Method, p.doc.Rules, p.known = Method(name), p.methods[i], true
		return
	}
	if near := text.Nearest(name, ours); near != "" {
		p.Fail(v, "unknown method %s, did you mean %q?", text.QuoteWord(name), near)
	} else {
		p.Fail(v, "unknown method %s; merge_method is %s", text.QuoteWord(name), text.List(ours, "or"))
	}
}

// model reads a reference to a model: path or path@revision, or mappings of
// the same. Adapters are refused.
func (p *parser) model(n *yaml.Node) (*ModelRef, bool) {
	if document.Follow(n).Kind != yaml.MappingNode {
		return p.modelText(n, true)
	}
	t, _ := p.Table(n, "a model")
	p.Only(t, "a model given as a mapping", []string{"model", "lora", "override_architecture"})
	if v := t.Value("lora"); v != nil {
		p.adapter(v)
		return nil, false
	}
	if e, ok := t.At["override_architecture"]; ok {
		p.warn(e.Key, "override_architecture does nothing here: layers are found by the names of the tensors")
	}
	v := t.Value("model")
	if v == nil {
		p.Fail(n, "the mapping names no model; write model: and a folder or a name on the hub")
		return nil, false
	}
	if document.Follow(v).Kind != yaml.MappingNode {
		return p.modelText(v, false)
	}
	t, _ = p.Table(v, "a model's path")
	p.Only(t, "a model's path", []string{"path", "revision"})
	ref := ModelRef{Pos: document.At(v)}
	path := t.Value("path")
	if path == nil {
		p.Fail(v, "the mapping names no path")
		return nil, false
	}
	var ok bool
	if ref.Path, ok = p.Text(path, "a path"); !ok {
		return nil, false
	}
	if r := t.Value("revision"); r != nil {
		if ref.Revision, ok = p.Text(r, "a revision"); !ok {
			return nil, false
		}
	}
	return p.named(path, &ref)
}

// modelText reads path@revision, or path@revision+adapter.
func (p *parser) modelText(n *yaml.Node, adapters bool) (*ModelRef, bool) {
	word, ok := p.Text(n, "a model")
	if !ok {
		return nil, false
	}
	if adapters && strings.Contains(word, "+") {
		p.adapter(n)
		return nil, false
	}
	path, revision, has := strings.Cut(word, "@")
	if strings.Contains(revision, "@") {
		p.Fail(n, "%s has more than one @; a model is a path, or path@revision", text.QuoteWord(word))
		return nil, false
	}
	if has && revision == "" {
		p.Fail(n, "%s has no revision after the @", text.QuoteWord(word))
		return nil, false
	}
	return p.named(n, &ModelRef{Pos: document.At(n), Path: path, Revision: revision})
}

func (p *parser) named(n *yaml.Node, ref *ModelRef) (*ModelRef, bool) {
	if ref.Path == "" {
		p.Fail(n, "the model has no name; it is a folder or a name on the hub")
		return nil, false
	}
	if len(ref.Path) > 1 && ref.Path[1] == ':' && strings.ContainsFunc(ref.Path, unicode.IsControl) { // "D:\new\table"
		p.Fail(n, "the path %s has control characters; %s", text.QuoteWord(ref.Path), document.BackslashAdvice)
		return nil, false
	}
	return ref, true
}

func (p *parser) adapter(n *yaml.Node) {
	p.Fail(n, "adapters (LoRA) can't be merged here; merge this one into its model first, and name the result. "+
		"A path that has a + in its name is written as model: {model: {path: ...}}")
}

// dtypes are those of mergekit's dtype_from_name, which also takes "torch."
// before them.
var dtypes = []string{"float32", "float16", "bfloat16", "float64"}

func (p *parser) dtype(n *yaml.Node) DType {
	auto := DType{Auto: true}
	word, ok := p.Text(n, "a dtype")
	if !ok {
		return auto
	}
	switch name := strings.TrimPrefix(word, "torch."); name {
	case "":
		return auto
	case "float64":
		return DType{To: tensor.F64}
	case "float32", "float16", "bfloat16":
		d, _ := ParseDType(name)
		return d
	case "int64":
		p.Fail(n, "weights can't be merged as int64; a dtype is %s", text.List(dtypes, "or"))
		return auto
	case "auto":
		p.Fail(n, "a recipe has no dtype \"auto\"; leave the key out to keep the parents' types")
		return auto
	}
	near := text.Nearest(word, dtypes)
	if d, err := ParseDType(word); err == nil {
		near = d.String() // fp16, half
	}
	if near != "" {
		p.Fail(n, "unknown dtype %s, did you mean %q?", text.QuoteWord(word), near)
	} else {
		p.Fail(n, "unknown dtype %s; it is %s", text.QuoteWord(word), text.List(dtypes, "or"))
	}
	return auto
}

// chatTemplate reads chat_template by mergekit's rule for telling names from
// templates (0.1.5, _set_chat_template).
func (p *parser) chatTemplate(n *yaml.Node) {
	word, ok := p.Text(n, "chat_template")
	if !ok {
		return
	}
	switch {
	case word == "" || word == "auto" || slices.Contains(ChatTemplates, word):
	case strings.Contains(word, "{") && utf8.RuneCountInString(word) >= 20:
	case text.Nearest(word, ChatTemplates) != "":
		p.Fail(n, "unknown chat template %s, did you mean %q?", text.QuoteWord(word), text.Nearest(word, ChatTemplates))
	default:
		p.Fail(n, "%s is not a chat template; it is auto, %s, or a Jinja template of 20 characters or more", text.QuoteWord(word), text.List(ChatTemplates, "or"))
	}
	p.doc.ChatTemplate, p.doc.TemplatePos = word, document.At(n)
}

// vocabulary reads tokenizer_source and tokenizer.
func (p *parser) vocabulary(t document.Table) {
	source, tokenizer := t.Value("tokenizer_source"), t.Value("tokenizer")
	if source != nil && tokenizer != nil {
		second := t.At["tokenizer"].Key
		if first := t.At["tokenizer_source"].Key; first.Line > second.Line {
			second = first
		}
		p.Fail(second, "tokenizer_source and tokenizer say the same thing; a recipe has one of them")
	}
	if source != nil {
		v := &Vocabulary{Pos: document.At(source)}
		p.vocabularySource(source, v)
		p.doc.Vocabulary = v
	}
	if tokenizer == nil {
		return
	}
	v := &Vocabulary{Pos: document.At(tokenizer)}
	p.doc.Vocabulary = v
	k, ok := p.Table(tokenizer, "tokenizer")
	if !ok {
		return
	}
	p.Only(k, "tokenizer", []string{"source", "tokens", "pad_to_multiple_of"})
	if s := k.Value("source"); s != nil {
		p.vocabularySource(s, v)
	} else {
		v.Union = true
	}
	if s := k.Value("tokens"); s != nil {
		p.tokens(s, v)
	}
	if s := k.Value("pad_to_multiple_of"); s != nil {
		if v.PadTo, ok = p.natural(s, "pad_to_multiple_of"); !ok {
			v.PadTo = 0
		} else if v.PadTo > maxPadTo {
			p.Fail(s, "pad_to_multiple_of %d, more than %d", v.PadTo, maxPadTo)
			v.PadTo = 0
		}
	}
}

func (p *parser) vocabularySource(n *yaml.Node, v *Vocabulary) {
	f := document.Follow(n)
	old, isOld := strings.CutPrefix(f.Value, "model:") // as mergekit 0.0.3 spelled it
	switch {
	case f.Kind == yaml.ScalarNode && f.Value == "union":
		v.Union = true
	case f.Kind == yaml.ScalarNode && f.Value == "base":
		v.Base = true
	case f.Kind == yaml.ScalarNode && isOld && strings.TrimSpace(old) != "":
		p.warn(n, "model: before the name is an old spelling; write tokenizer_source: %s", strings.TrimSpace(old))
		named := *f
		named.Value = strings.TrimSpace(old)
		v.Model, _ = p.model(&named)
	default:
		v.Model, _ = p.model(n)
	}
}

// natural reads an integer that is not negative.
func (p *parser) natural(n *yaml.Node, what string) (int, bool) {
	if f := document.Follow(n); f.Kind == yaml.ScalarNode {
		if s, not := document.ReadScalar(f); not == "" {
			if i, ok := s.AsInt(); ok && i >= 0 {
				return i, true
			}
		}
	}
	p.Fail(n, "%s is an integer from 0, not %s", what, document.KindName(n))
	return 0, false
}

func (p *parser) tokens(n *yaml.Node, v *Vocabulary) {
	t, ok := p.Table(n, "tokens")
	if !ok {
		return
	}
	for _, word := range t.Keys {
		e := t.At[word]
		if s, not := document.ReadScalar(document.Follow(e.Key)); not != "" || s.Kind != document.Text {
			p.Fail(e.Key, "a token is text; write it in quotes: %s", text.QuoteWord(word))
			continue
		}
		k, ok := p.Table(e.Value, "the entry of a token")
		if !ok {
			continue
		}
		p.Only(k, "a token", []string{"source", "force"})
		token := Token{Pos: document.At(e.Key), Text: word}
		if f := k.Value("force"); f != nil {
			token.Force = p.flag(f, "force")
		}
		if s := k.Value("source"); s != nil {
			p.tokenSource(s, &token)
		}
		v.Tokens = append(v.Tokens, token)
	}
}

// flag reads true or false.
func (p *parser) flag(n *yaml.Node, what string) bool {
	if f := document.Follow(n); f.Kind == yaml.ScalarNode {
		if s, not := document.ReadScalar(f); not == "" {
			if v, ok := s.AsBool(); ok {
				return v != 0
			}
		}
	}
	p.Fail(n, "%s is true or false, not %s", what, document.KindName(n))
	return false
}

// tokenSource reads where a token's embedding comes from: a model, kind: zero
// or kind: model_token (mergekit 0.1.5, tokenizer/config.py).
func (p *parser) tokenSource(n *yaml.Node, token *Token) {
	f := document.Follow(n)
	isKind := func(k *yaml.Node) bool { return k.Value == "kind" }
	if f.Kind != yaml.MappingNode || !slices.ContainsFunc(f.Content, isKind) {
		token.Model, _ = p.model(n)
		return
	}
	t, _ := p.Table(n, "a token's source")
	kind := t.Value("kind")
	word := ""
	if kind != nil {
		word = document.Follow(kind).Value
	}
	switch word {
	case "zero":
		p.Only(t, "a source of kind zero", []string{"kind"})
		token.Zero = true
	case "model_token":
		p.Only(t, "a source of kind model_token", []string{"kind", "model", "token_id", "token"})
		if m := t.Value("model"); m != nil {
			token.Model, _ = p.model(m)
		} else {
			p.Fail(n, "a source of kind model_token names a model")
		}
		id, other := t.Value("token_id"), t.Value("token")
		if (id == nil) == (other == nil) {
			p.Fail(n, "a source of kind model_token has exactly one of token_id and token")
		}
		if id != nil {
			if i, ok := p.natural(id, "token_id"); ok {
				token.FromID = &i
			}
		}
		if other != nil {
			if s, ok := p.Text(other, "a token"); ok {
				token.FromText = &s
			}
		}
	default:
		p.Fail(n, "a token's source is a model, kind: zero or kind: model_token")
	}
}
