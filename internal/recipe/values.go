package recipe

import (
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"slerpmerge/internal/tensor"
)

// otherMethods are mergekit's methods that do not exist here (0.1.5,
// merge_methods/registry.py).
var otherMethods = []string{"arcee_fusion", "breadcrumbs", "breadcrumbs_ties", "dare_linear", "dare_ties", "della", "della_linear",
	"karcher", "model_stock", "multislerp", "nearswap", "nuslerp", "ram", "ramplus_tl", "sce", "task_arithmetic", "ties"}

// maxPadTo bounds pad_to_multiple_of; 8 to 256 are usual.
const maxPadTo = 1 << 16

var ourMethods = []string{string(Slerp), string(Linear), string(Passthrough)}

func (p *parser) method(t table) {
	v := t.value("merge_method")
	if v == nil {
		p.fail(t.node, "merge_method is missing; it is %s", alternatives(ourMethods, "or"))
		return
	}
	name, ok := p.text(v, "merge_method")
	if !ok {
		return
	}
	all := slices.Concat(ourMethods, otherMethods)
	switch near := nearest(name, all); {
	case slices.Contains(ourMethods, name):
		p.doc.Method, p.known = Method(name), true
	case slices.Contains(otherMethods, name):
		p.fail(v, "%s is a method of mergekit that does not exist here; merge_method is %s", quote(name), alternatives(ourMethods, "or"))
	case near != "":
		p.fail(v, "unknown method %s, did you mean %q?", quote(name), near)
	default:
		p.fail(v, "unknown method %s; merge_method is %s", quote(name), alternatives(ourMethods, "or"))
	}
}

// model reads a reference to a model: path or path@revision, or mappings of
// the same. Adapters are refused.
func (p *parser) model(n *yaml.Node) (*ModelRef, bool) {
	if follow(n).Kind != yaml.MappingNode {
		return p.modelText(n, true)
	}
	t, _ := p.table(n, "a model")
	p.only(t, "a model given as a mapping", []string{"model", "lora", "override_architecture"})
	if v := t.value("lora"); v != nil {
		p.adapter(v)
		return nil, false
	}
	if e, ok := t.at["override_architecture"]; ok {
		p.warn(e.key, "override_architecture does nothing here: layers are found by the names of the tensors")
	}
	v := t.value("model")
	if v == nil {
		p.fail(n, "the mapping names no model; write model: and a folder or a name on the hub")
		return nil, false
	}
	if follow(v).Kind != yaml.MappingNode {
		return p.modelText(v, false)
	}
	t, _ = p.table(v, "a model's path")
	p.only(t, "a model's path", []string{"path", "revision"})
	ref := ModelRef{Pos: at(v)}
	path := t.value("path")
	if path == nil {
		p.fail(v, "the mapping names no path")
		return nil, false
	}
	var ok bool
	if ref.Path, ok = p.text(path, "a path"); !ok {
		return nil, false
	}
	if r := t.value("revision"); r != nil {
		if ref.Revision, ok = p.text(r, "a revision"); !ok {
			return nil, false
		}
	}
	return p.named(path, &ref)
}

// modelText reads path@revision, or path@revision+adapter.
func (p *parser) modelText(n *yaml.Node, adapters bool) (*ModelRef, bool) {
	word, ok := p.text(n, "a model")
	if !ok {
		return nil, false
	}
	if adapters && strings.Contains(word, "+") {
		p.adapter(n)
		return nil, false
	}
	path, revision, has := strings.Cut(word, "@")
	if strings.Contains(revision, "@") {
		p.fail(n, "%s has more than one @; a model is a path, or path@revision", quote(word))
		return nil, false
	}
	if has && revision == "" {
		p.fail(n, "%s has no revision after the @", quote(word))
		return nil, false
	}
	return p.named(n, &ModelRef{Pos: at(n), Path: path, Revision: revision})
}

func (p *parser) named(n *yaml.Node, ref *ModelRef) (*ModelRef, bool) {
	if ref.Path == "" {
		p.fail(n, "the model has no name; it is a folder or a name on the hub")
		return nil, false
	}
	return ref, true
}

func (p *parser) adapter(n *yaml.Node) {
	p.fail(n, "adapters (LoRA) can't be merged here; merge this one into its model first, and name the result. "+
		"A path that has a + in its name is written as model: {model: {path: ...}}")
}

// dtypes are those of mergekit's dtype_from_name, which also takes "torch."
// before them.
var dtypes = []string{"float32", "float16", "bfloat16", "float64"}

func (p *parser) dtype(n *yaml.Node) DType {
	auto := DType{Auto: true}
	word, ok := p.text(n, "a dtype")
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
		p.fail(n, "weights can't be merged as int64; a dtype is %s", alternatives(dtypes, "or"))
		return auto
	case "auto":
		p.fail(n, "a recipe has no dtype \"auto\"; leave the key out to keep the parents' types")
		return auto
	}
	near := nearest(word, dtypes)
	if d, err := ParseDType(word); err == nil {
		near = d.String() // fp16, half
	}
	if near != "" {
		p.fail(n, "unknown dtype %s, did you mean %q?", quote(word), near)
	} else {
		p.fail(n, "unknown dtype %s; it is %s", quote(word), alternatives(dtypes, "or"))
	}
	return auto
}

// chatTemplate reads chat_template by mergekit's rule for telling names from
// templates (0.1.5, _set_chat_template).
func (p *parser) chatTemplate(n *yaml.Node) {
	word, ok := p.text(n, "chat_template")
	if !ok {
		return
	}
	switch {
	case word == "" || word == "auto" || slices.Contains(ChatTemplates, word):
	case strings.Contains(word, "{") && utf8.RuneCountInString(word) >= 20:
	case nearest(word, ChatTemplates) != "":
		p.fail(n, "unknown chat template %s, did you mean %q?", quote(word), nearest(word, ChatTemplates))
	default:
		p.fail(n, "%s is no chat template; it is auto, %s, or a Jinja template of 20 characters or more", quote(word), alternatives(ChatTemplates, "or"))
	}
	p.doc.ChatTemplate, p.doc.TemplatePos = word, at(n)
}

// vocabulary reads tokenizer_source and tokenizer.
func (p *parser) vocabulary(t table) {
	source, tokenizer := t.value("tokenizer_source"), t.value("tokenizer")
	if source != nil && tokenizer != nil {
		second := t.at["tokenizer"].key
		if first := t.at["tokenizer_source"].key; first.Line > second.Line {
			second = first
		}
		p.fail(second, "tokenizer_source and tokenizer say the same thing; a recipe has one of them")
	}
	if source != nil {
		v := &Vocabulary{Pos: at(source)}
		p.vocabularySource(source, v)
		p.doc.Vocabulary = v
	}
	if tokenizer == nil {
		return
	}
	v := &Vocabulary{Pos: at(tokenizer)}
	p.doc.Vocabulary = v
	k, ok := p.table(tokenizer, "tokenizer")
	if !ok {
		return
	}
	p.only(k, "tokenizer", []string{"source", "tokens", "pad_to_multiple_of"})
	if s := k.value("source"); s != nil {
		p.vocabularySource(s, v)
	} else {
		v.Union = true
	}
	if s := k.value("tokens"); s != nil {
		p.tokens(s, v)
	}
	if s := k.value("pad_to_multiple_of"); s != nil {
		if v.PadTo, ok = p.natural(s, "pad_to_multiple_of"); !ok {
			v.PadTo = 0
		} else if v.PadTo > maxPadTo {
			p.fail(s, "pad_to_multiple_of %d, more than %d", v.PadTo, maxPadTo)
			v.PadTo = 0
		}
	}
}

func (p *parser) vocabularySource(n *yaml.Node, v *Vocabulary) {
	switch f := follow(n); {
	case f.Kind == yaml.ScalarNode && f.Value == "union":
		v.Union = true
	case f.Kind == yaml.ScalarNode && f.Value == "base":
		v.Base = true
	default:
		v.Model, _ = p.model(n)
	}
}

// natural reads an integer that is not negative.
func (p *parser) natural(n *yaml.Node, what string) (int, bool) {
	if f := follow(n); f.Kind == yaml.ScalarNode {
		if s, not := readScalar(f); not == "" {
			if i, ok := s.asInt(); ok && i >= 0 {
				return i, true
			}
		}
	}
	p.fail(n, "%s is an integer from 0, not %s", what, kindName(n))
	return 0, false
}

func (p *parser) tokens(n *yaml.Node, v *Vocabulary) {
	t, ok := p.table(n, "tokens")
	if !ok {
		return
	}
	for _, word := range t.keys {
		e := t.at[word]
		if s, not := readScalar(follow(e.key)); not != "" || s.kind != text {
			p.fail(e.key, "a token is text; write it in quotes: %s", quote(word))
			continue
		}
		k, ok := p.table(e.value, "what is said of a token")
		if !ok {
			continue
		}
		p.only(k, "a token", []string{"source", "force"})
		token := Token{Pos: at(e.key), Text: word}
		if f := k.value("force"); f != nil {
			token.Force = p.flag(f, "force")
		}
		if s := k.value("source"); s != nil {
			p.tokenSource(s, &token)
		}
		v.Tokens = append(v.Tokens, token)
	}
}

// flag reads true or false.
func (p *parser) flag(n *yaml.Node, what string) bool {
	if f := follow(n); f.Kind == yaml.ScalarNode {
		if s, not := readScalar(f); not == "" {
			if v, ok := s.asBool(); ok {
				return v != 0
			}
		}
	}
	p.fail(n, "%s is true or false, not %s", what, kindName(n))
	return false
}

// tokenSource reads where a token's embedding comes from: a model, kind: zero
// or kind: model_token (mergekit 0.1.5, tokenizer/config.py).
func (p *parser) tokenSource(n *yaml.Node, token *Token) {
	f := follow(n)
	isKind := func(k *yaml.Node) bool { return k.Value == "kind" }
	if f.Kind != yaml.MappingNode || !slices.ContainsFunc(f.Content, isKind) {
		token.Model, _ = p.model(n)
		return
	}
	t, _ := p.table(n, "a token's source")
	kind := t.value("kind")
	word := ""
	if kind != nil {
		word = follow(kind).Value
	}
	switch word {
	case "zero":
		p.only(t, "a source of kind zero", []string{"kind"})
		token.Zero = true
	case "model_token":
		p.only(t, "a source of kind model_token", []string{"kind", "model", "token_id", "token"})
		if m := t.value("model"); m != nil {
			token.Model, _ = p.model(m)
		} else {
			p.fail(n, "a source of kind model_token names a model")
		}
		id, other := t.value("token_id"), t.value("token")
		if (id == nil) == (other == nil) {
			p.fail(n, "a source of kind model_token has exactly one of token_id and token")
		}
		if id != nil {
			if i, ok := p.natural(id, "token_id"); ok {
				token.FromID = &i
			}
		}
		if other != nil {
			if s, ok := p.text(other, "a token"); ok {
				token.FromText = &s
			}
		}
	default:
		p.fail(n, "a token's source is a model, kind: zero or kind: model_token")
	}
}
