package model

import (
	"slices"
	"strings"
	"sync"
)

// tiedNames lists, as transformers 5 does in _tied_weights_keys, the tensors
// that a class ties: a target, and the tensors that it may be tied to. All of
// them may stand behind a prefix, which the two have in common: a model can be
// a part of another one. Whole modules that are tied are those of twins. Of
// several sources that a model has the first counts: a head is made from what
// encoder and decoder share, if they do. TARGET!TYPE is not tied in models of
// that type, SOURCE@TYPE is the source in those alone.
const tiedNames = `
lm_head.weight: model.embed_tokens.weight model.language_model.embed_tokens.weight shared.weight model.shared.weight model.decoder.embed_tokens.weight
	transformer.wte.weight model.text_model.embed_tokens.weight backbone.embeddings.weight transformer.word_embeddings.weight
	prophetnet.word_embeddings.weight transformer.w.weight model.language_model.shared.weight funnel.embeddings.word_embeddings.weight
	gpt_neox.embed_in.weight model.embed_tokens.embed_tokens.weight led.shared.weight model.text_model.embeddings.tok_embeddings.weight
	model.embed_tokens.word_embeddings.weight transformer.tokens_embed.weight embed_tokens.weight
encoder.embed_tokens.weight: shared.weight decoder.embed_tokens.weight@fsmt
cls.predictions.decoder.weight: bert.embeddings.word_embeddings.weight ernie.embeddings.word_embeddings.weight
	roc_bert.embeddings.word_embeddings.weight deberta.embeddings.word_embeddings.weight fnet.embeddings.word_embeddings.weight
	mobilebert.embeddings.word_embeddings.weight roformer.embeddings.word_embeddings.weight visual_bert.embeddings.word_embeddings.weight
	layoutlm.embeddings.word_embeddings.weight lxmert.embeddings.word_embeddings.weight mra.embeddings.word_embeddings.weight
	nomic_bert.embeddings.word_embeddings.weight nystromformer.embeddings.word_embeddings.weight transformer.embeddings.word_embeddings.weight
	tapas.embeddings.word_embeddings.weight yoso.embeddings.word_embeddings.weight
cls.predictions.decoder.bias!lxmert: cls.predictions.bias
decoder.embed_tokens.weight: shared.weight encoder.text_model.embed_tokens.weight
lm_head.decoder.weight: roberta.embeddings.word_embeddings.weight data2vec_text.embeddings.word_embeddings.weight
	roberta_prelayernorm.embeddings.word_embeddings.weight bert.embeddings.word_embeddings.weight esm.embeddings.word_embeddings.weight
	gte.embeddings.word_embeddings.weight ibert.embeddings.word_embeddings.weight longformer.embeddings.word_embeddings.weight
	mpnet.embeddings.word_embeddings.weight
lm_head.decoder.bias!esm!gte: lm_head.bias
text_decoder.embed_tokens.weight: shared.weight
proj_out.weight: model.decoder.embed_tokens.weight
text_encoder.embed_tokens.weight: shared.weight
encoder.embed_patches.proj.weight: patch_embed.proj.weight
encoder.embed_patches.proj.bias: patch_embed.proj.bias
generator_lm_head.weight: electra.embeddings.word_embeddings.weight convbert.embeddings.word_embeddings.weight
predictions.decoder.weight: albert.embeddings.word_embeddings.weight
predictions.decoder.bias: predictions.bias
pred_layer.proj.weight: transformer.embeddings.weight
decoder.weight: model.embeddings.tok_embeddings.weight
decoder.word_embeddings.weight: word_embeddings.weight
prompt_encoder.shared_embedding.positional_embedding: shared_image_embedding.positional_embedding
encoder.relative_bias.biases.0.relative_attention_bias.weight: encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight
output_projection.weight: biogpt.embed_tokens.weight model.decoder.embed_tokens.weight
mlm_score.decoder.weight: bridgetower.text_model.embeddings.word_embeddings.weight vilt.embeddings.text_embeddings.word_embeddings.weight
lm_head.out_proj.weight: model.decoder.embed_tokens.weight model.encoder.text_model.embed_tokens.weight
model.local_encoder.embed_tokens.weight: lm_head.weight
backbone_model.embed_tokens.embed_audio_tokens.weight: depth_decoder.model.embed_tokens.weight
encoder.language_model.norm.weight: decoder.norm.weight
encoder.language_model.embed_tokens.weight: decoder.embed_tokens.weight
vocab_projector.weight: distilbert.embeddings.word_embeddings.weight
mmm_text_head.bias: mmm_text_head.decoder.bias
mim_head.bias: mim_head.decoder.bias
mlm_head.bias: mlm_head.decoder.bias
mmm_image_head.bias: mmm_image_head.decoder.bias
decoder.output_projection.weight: decoder.embed_tokens.weight
output.weight: git.embeddings.word_embeddings.weight
embed_out.weight: gpt_neox_japanese.embed_in.weight
ctc_head.weight: encoder.out.weight
ctc_head.bias: encoder.out.bias
entity_predictions.decoder.weight: luke.entity_embeddings.entity_embeddings.weight
unembedding_projection.weight: model.embed_tokens.embedding_projection.weight
encoder.word_embeddings.weight: word_embeddings.weight
codec_head: model.codec_embedding.weight
head.weight: rwkv.embeddings.weight
text_decoder_postnet.lm_head.weight: speecht5.decoder.prenet.embed_tokens.weight
decoder.embed_tokens.eoi_embedding: encoder.text_model.embed_tokens.eoi_embedding
decoder.relative_bias.biases.0.relative_attention_bias.weight: encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight
head.decoder.weight: model.embed_tokens.weight
lm_loss.weight: transformer.word_embedding.weight
`

// A tie is a target and a source of tiedNames, and the model types that it is
// limited to or that lack it.
type tie struct {
	target, source string
	only           string
	except         []string
}

// ties finds the entries of tiedNames by the last two parts of a name.
var ties = sync.OnceValue(func() (byName struct{ targets, sources map[string][]tie }) {
	byName.targets, byName.sources = map[string][]tie{}, map[string][]tie{}
	var target []string // and the types that lack it
	for word := range strings.FieldsSeq(tiedNames) {
		if name, ok := strings.CutSuffix(word, ":"); ok {
			target = strings.Split(name, "!")
			continue
		}
		word, only, _ := strings.Cut(word, "@")
		t := tie{target[0], word, only, target[1:]}
		byName.targets[ending(t.target)] = append(byName.targets[ending(t.target)], t)
		byName.sources[ending(word)] = append(byName.sources[ending(word)], t)
		if short := withoutBase(word); short != "" && ending(short) != ending(word) {
			byName.sources[ending(short)] = append(byName.sources[ending(short)], t)
		}
	}
	return byName
})

// ending returns the last two parts of a name.
func ending(name string) string {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		if j := strings.LastIndexByte(name[:i], '.'); j >= 0 {
			return name[j+1:]
		}
	}
	return name
}

// withoutBase returns a source as the base model alone names it, without the name
// of the base model in its class: wte.weight for transformer.wte.weight. It is
// "" where nothing would be left that tells one tensor from another.
func withoutBase(source string) string {
	_, rest, ok := strings.Cut(source, ".")
	if !ok || !strings.Contains(rest, ".") || rest == "w.weight" {
		return ""
	}
	return rest
}

// cutName takes an ending of whole parts off a name.
func cutName(name, end string) (prefix string, ok bool) {
	prefix, ok = strings.CutSuffix(name, end)
	return prefix, ok && (prefix == "" || strings.HasSuffix(prefix, "."))
}

// A tiedName is a name that may be tied to another one.
type tiedName struct {
	name   string
	prefix string // of both names: the part of the model that ties them
	source bool   // whether the other one is made from name
	by     tie
}

// tiesOf lists the names that some class of transformers ties to name, the
// likeliest first.
func tiesOf(name string) []tiedName {
	all := ties()
	var exact, short, indirect []tiedName
	for _, t := range all.targets[ending(name)] {
		prefix, ok := cutName(name, t.target)
		if !ok {
			continue
		}
		exact = append(exact, tiedName{prefix + t.source, prefix, true, t})
		if s := withoutBase(t.source); s != "" {
			short = append(short, tiedName{prefix + s, prefix, true, t})
		}
		for _, u := range all.sources[ending(t.source)] {
			if u.source == t.source && u.target != t.target {
				indirect = append(indirect, tiedName{prefix + u.target, prefix, false, t})
			}
		}
	}
	for _, t := range all.sources[ending(name)] {
		if prefix, ok := cutName(name, t.source); ok {
			exact = append(exact, tiedName{prefix + t.target, prefix, false, t})
		} else if s := withoutBase(t.source); s != "" {
			if prefix, ok := cutName(name, s); ok {
				short = append(short, tiedName{prefix + t.target, prefix, false, t})
			}
		}
	}
	list := slices.Concat(exact, short, indirect)
	seen := map[[2]string]bool{{name, ""}: true}
	return slices.DeleteFunc(list, func(t tiedName) bool {
		key := [2]string{t.name, t.by.only}
		if seen[key] {
			return true
		}
		seen[key] = true
		return false
	})
}

// TiedTo finds a tensor that the class and the config of the model tie name to,
// and the name by which find knows it. name itself is not stored: it is that
// tensor.
func (m *Model) TiedTo(name string, find func(name string) (int, bool)) (index int, found string, ok bool) {
	if m.Config == nil {
		return 0, "", false
	}
	for _, t := range tiesOf(name) {
		if i, ok := find(t.name); ok && m.tiesBy(name, t) {
			return i, t.name, true
		}
	}
	for _, twin := range m.twins(name) {
		if i, ok := find(twin); ok {
			return i, twin, true
		}
	}
	// Of a class that transformers does not know, the only embedding is the head.
	if !IsHead(name) && !IsEmbedding(name) || !m.ties(name, "") {
		return 0, "", false
	}
	head, embedding := m.ends()
	switch {
	case IsHead(name) && head == none && embedding >= 0:
		return embedding, m.Tensors[embedding].Name, true
	case IsEmbedding(name) && embedding == none && head >= 0:
		return head, m.Tensors[head].Name, true
	}
	return 0, "", false
}

// TieTargets lists the names that some class of transformers makes from a
// tensor of the given name. Heads of parts of a model are left out: nothing in
// a name shows whether a part has one.
func TieTargets(source string) []string {
	if ties().sources[ending(source)] == nil {
		return nil
	}
	var names []string
	for _, t := range tiesOf(source) {
		if !t.source && (t.prefix == "" || strings.Count(t.name[len(t.prefix):], ".") > 1) {
			names = append(names, t.name)
		}
	}
	return names
}

// TieSource returns the name of the tensor from which transformers makes the tensor
// of another name, by the class and the config of the model. find reports
// whether there is one of a name.
func (m *Model) TieSource(name string, find func(name string) bool) (source string, ok bool) {
	if m.Config == nil {
		return "", false
	}
	for _, t := range tiesOf(name) {
		if t.source && find(t.name) && m.tiesBy(name, t) {
			return t.name, true
		}
	}
	for _, twin := range m.twins(name) {
		if twin == name {
			break
		}
		if find(twin) {
			return twin, true
		}
	}
	if !IsHead(name) {
		return "", false
	}
	head, embedding := m.ends()
	if embedding >= 0 && embedding != head && (head == none || head >= 0 && m.Tensors[head].Name == name) && find(m.Tensors[embedding].Name) && m.ties(name, "") {
		return m.Tensors[embedding].Name, true
	}
	return "", false
}

// tiesBy reports whether the class and the config of the model tie name and
// another one by an entry of tiedNames.
func (m *Model) tiesBy(name string, t tiedName) bool {
	if t.by.only != "" || len(t.by.except) > 0 {
		kind := m.Config.part(t.prefix).String("model_type")
		if t.by.only != "" && kind != t.by.only || slices.Contains(t.by.except, kind) {
			return false
		}
	}
	return m.ties(name, t.prefix)
}

// ties reports whether the class and the config of the model tie name, where
// the part of the model whose names begin with prefix is concerned.
func (m *Model) ties(name, prefix string) bool {
	return m.tiedIn(prefix) && (prefix != "" || TieRank(name) < 2 || !m.headless())
}

// OneEnd reports whether one tensor is embedding and head: the class has a head,
// and only one of the two is stored.
func (m *Model) OneEnd() bool {
	head, embedding := m.ends()
	return m.Config != nil && m.ties("lm_head.weight", "") && (head == none && embedding >= 0 || embedding == none && head >= 0 || head >= 0 && head == embedding)
}

// Values that ends returns in place of an index.
const (
	none    = -1
	several = -2
)

// ends finds the head and the input embedding of the model.
func (m *Model) ends() (head, embedding int) {
	if m.endsKnown {
		return m.head, m.embedding
	}
	head, embedding = none, none
	note := func(at *int, i int) {
		if *at == none {
			*at = i
		} else {
			*at = several
		}
	}
	for i := range m.Tensors {
		switch name := m.Tensors[i].Name; {
		case IsHead(name):
			note(&head, i)
		case IsEmbedding(name):
			note(&embedding, i)
		}
	}
	for _, a := range m.Aliases() { // a name that is left out takes its place as well
		switch i := int(a.Index); {
		case IsHead(a.Name):
			note(&head, i)
		case IsEmbedding(a.Name):
			note(&embedding, i)
		}
	}
	m.head, m.embedding, m.endsKnown = head, embedding, true
	return head, embedding
}

// TieRank orders the names of one parameter: first those that the others are
// made from, then their targets, then heads.
func TieRank(name string) int {
	if IsHead(name) {
		return 2
	}
	for _, t := range ties().targets[ending(name)] {
		if _, ok := cutName(name, t.target); ok {
			body := strings.HasPrefix(t.target, "encoder.") || strings.HasPrefix(t.target, "decoder.")
			if strings.Contains(t.target, "embed") || body && strings.Count(t.target, ".") > 1 {
				return 1
			}
			return 2
		}
	}
	return 0
}
