package model

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"slerpmerge/internal/text"
)

// DepthNames are the settings that give the number of layers, by the names
// that the families of transformers have for it.
var DepthNames = []string{"num_hidden_layers", "n_layer", "num_layers", "n_layers", "num_blocks", "num_transformer_layers", "layers"}

// The same of a model that is a pair of encoder and decoder. num_hidden_layers
// is another name for the encoder's there.
var (
	decoderDepths = []string{"decoder_layers", "num_decoder_layers", "decoder_num_hidden_layers", "decoder_num_layers", "n_decoder_layers"}
	encoderDepths = []string{"encoder_layers", "num_encoder_layers", "encoder_num_hidden_layers", "encoder_num_layers", "n_encoder_layers"}
)

// depthWords finds the names of settings that may give the number of layers.
var depthWords = regexp.MustCompile(`^(n|num|number_of|total)_([a-z]+_)?(layers?|blocks?)$|^n(um)?(layers|blocks)$|^(n_layer|depth|layers)$`)

// notDepth are integers that speak of layers and are not their number.
var notDepth = []string{"max_window_layers", sharedKey, "num_nextn_predict_layers", "num_mtp_layers", "num_dense_layers", "num_hash_layers", "num_mem_blocks",
	"num_adapter_layers", "num_global_layers"}

// depthKeys returns the settings that give the number of layers of a stack.
func depthKeys(c *Config, stack string) []string {
	has := func(names []string) bool { return slices.ContainsFunc(names, c.Has) }
	segments := strings.Split(stack, ".")
	switch {
	case slices.Contains(segments, "decoder") && has(decoderDepths):
		if has(encoderDepths) || c.Has("num_layers") {
			return decoderDepths
		}
		return slices.Concat(decoderDepths, DepthNames)
	case slices.Contains(segments, "encoder") && has(encoderDepths):
		return slices.Concat(encoderDepths, DepthNames)
	case has(DepthNames):
		return DepthNames
	}
	return slices.Concat(decoderDepths, encoderDepths)
}

// setDepth writes the number of layers in the place of the old one.
func (r *relayer) setDepth(c *Config, stack string) {
	old, now := strconv.Itoa(r.depth), strconv.Itoa(len(r.layers))
	found := false
	for _, name := range depthKeys(c, stack) {
		if string(c.Raw(name)) == old {
			c.Set(name, now)
			found = true
		}
	}
	if found || old == now {
		return
	}
	var like []string
	for _, name := range c.Names() {
		if depthWords.MatchString(name) && !slices.Contains(notDepth, name) && string(c.Raw(name)) == old {
			like = append(like, name)
		}
	}
	if len(like) == 1 {
		c.Set(like[0], now)
		r.note("%s in config.json is taken for the number of layers, and becomes %s", text.Quote(like[0]), now)
		return
	}
	for _, name := range []string{"layer_types", "layers_block_type", "attn_layers"} {
		if len(c.list("", name)) == len(r.layers)+r.extra && !slices.ContainsFunc(c.Names(), depthWords.MatchString) {
			return // the length of the list is the number of layers
		}
	}
	for _, name := range depthKeys(c, stack) {
		if f := c.find("", name); f != nil && f.kind == '0' {
			r.note("%s is %s in config.json, but there were %s layers; it becomes %s", name, c.Raw(name), old, now)
			c.Set(name, now)
			return
		}
	}
	r.note("config.json does not say the number of layers, which is now %s and no longer %s: num_hidden_layers is added", now, old)
	c.Set("num_hidden_layers", now)
}

// repeat gives the settings at the top that repeat those of the language part
// the new values too.
func (r *relayer) repeat(top *Config, stack string) {
	for _, name := range depthKeys(top, stack) {
		if string(top.Raw(name)) == strconv.Itoa(r.depth) {
			top.Set(name, strconv.Itoa(len(r.layers)))
		}
	}
	for _, name := range layerFields {
		if own := top.list("", name); len(own) == r.depth && r.depth > 0 {
			if values := r.entries("", name, own, func(c *Config) []string { return c.list("", name) }); !slices.Equal(values, own) {
				top.setList("", name, values)
			}
		}
	}
}
