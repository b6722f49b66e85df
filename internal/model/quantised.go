package model

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"slerpmerge/internal/tensor"
	"slerpmerge/internal/text"
)

// packed are name endings under which quantisers keep integers with scales.
var packed = []struct{ ending, what string }{
	{".qweight", "GPTQ or AWQ"}, {".qzeros", "GPTQ or AWQ"}, {".g_idx", "GPTQ"}, {".W_q", "HQQ"}, {".q_invperm", "EXL2"}, {".trellis", "EXL3 or QTIP"}, {".Qidxs", "QuIP#"},
	{".weight_packed", "compressed-tensors"}, {".absmax", "bitsandbytes"},
	{".quant_state.bitsandbytes__nf4", "bitsandbytes"}, {".quant_state.bitsandbytes__fp4", "bitsandbytes"}, {".SCB", "bitsandbytes"},
	{".weight_scale_inv", "block-scaled FP8"}, {".weight_scale", "scaled FP8"}, {"_blocks", "MXFP4"},
}

// mergeBefore is the hint for quantised models.
const mergeBefore = "merge the model it was quantised from, then quantise the result"

// Mergeable says why arithmetic on the stored values would be meaningless, as
// an *UnusableError, or nil: quantised weights are integers or small floats
// that only count together with their scales.
func (m *Model) Mergeable() error {
	quantised := func(how string) error {
		return &UnusableError{Path: m.Path, Msg: "is quantised (" + how + "), and quantised weights can be neither merged nor brought to another type", Hint: mergeBefore}
	}
	how := m.quantised()
	if m.Config != nil {
		if method, ok := m.quantMethod(); ok {
			return quantised(method + " in config.json")
		}
		if t := m.Config.String("peft_type"); t != "" {
			return &UnusableError{Path: m.Path, Msg: "is a " + text.Quote(t) + " adapter, not a whole model"}
		}
	}
	if how != "" {
		return quantised(how)
	}
	for i := range m.Tensors {
		t := &m.Tensors[i]
		for _, p := range packed {
			if strings.HasSuffix(t.Name, p.ending) && !(p.ending == "_blocks" && t.DType.Blends()) {
				return quantised(p.what + ": " + text.Quote(t.Name) + " is a packed tensor or its scale")
			}
		}
		if isAdapterTensor(t.Name) {
			return &UnusableError{Path: filepath.Join(m.Path, m.Files[t.File].Name), Msg: "is a LoRA adapter (" + text.Quote(t.Name) + "), not a whole model",
				Hint: "merge the adapter into its base model with peft first: merge_and_unload(), save_pretrained(FOLDER)"}
		}
	}
	return nil
}

// adapterWords stand in the names of the tensors that peft adds to a model, by
// its methods. base_model.model alone is the wrapper around the whole model.
var adapterWords = []string{".lora_A.", ".lora_B.", ".lora_embedding_", ".lora_magnitude_vector", ".ia3_l", ".hada_w", ".lokr_w", ".oft_", ".boft_", ".vera_lambda_",
	".adaption_", ".modules_to_save."}

// isAdapterTensor reports whether a tensor belongs to an adapter of peft.
// Models may have names of that kind themselves, so all but LoRA's count only
// behind peft's wrapper.
func isAdapterTensor(name string) bool {
	return strings.Contains(name, adapterWords[0]) || strings.HasPrefix(name, peftModel) &&
		slices.ContainsFunc(adapterWords, func(w string) bool { return strings.Contains(name, w) })
}

// quantMethod returns the method of quantisation that config.json names, for the
// whole model or a part of it, and whether it names one.
func (m *Model) quantMethod() (string, bool) {
	fields := m.Config.fields
	for i := range fields {
		f := &fields[i]
		raw := m.Config.raw[f.valStart:f.valEnd]
		switch f.name {
		case "quantization_config", "compression_config":
			if string(raw) == "null" {
				continue
			}
			path := joinPath(f.sub, f.name)
			for k := range fields {
				if g := &fields[k]; g.sub == path && g.name == "quant_method" {
					return text.Quote(strings.Trim(string(m.Config.raw[g.valStart:g.valEnd]), `"`)), true
				}
			}
			return f.name, true
		case "quantization":
			// MLX says how many bits and how large the groups are.
			if f.kind == '{' && (bytes.Contains(raw, []byte(`"bits"`)) || bytes.Contains(raw, []byte(`"group_size"`))) {
				return "MLX", true
			}
		}
	}
	return "", false
}

// quantised finds a tensor of codes, integers or floats of at most 8 bits, that
// has a scale beside it, and says what they are; "" if there is none.
//
// The structure decides: the codes have two dimensions, and in the same module
// there is a smaller tensor that is a scale by its name and belongs to them, or
// beside a weight one of floats that is not a bias and has the shape of a
// scale: one number, one for each row or column, or one for each block. Names
// then tell the method.
func (m *Model) quantised() string {
	for i := range m.Tensors {
		t := &m.Tensors[i]
		if !isCode(t.DType) {
			continue
		}
		module, leaf := parentOf(t.Name), lastPart(t.Name)
		if module == "" && leaf == "scaled_fp8" {
			return "scaled FP8 of ComfyUI: it has the mark scaled_fp8"
		}
		dims := len(t.Shape)
		if t.DType.Blends() { // a vector may have dimensions of one element
			dims = len(squeezed(t.Shape))
		}
		if dims < 2 && !anyOf(leaf, flatCodes) {
			continue
		}
		scale := m.scaleOf(t, module, leaf)
		if scale == nil {
			continue
		}
		return fmt.Sprintf("%s: %s is %v with %s for a scale", m.method(t, scale, module, leaf), text.Quote(t.Name), t.DType, text.Quote(scale.Name))
	}
	return ""
}

// isCode reports whether quantised weights are stored in a type.
func isCode(d tensor.DType) bool {
	switch d {
	case tensor.BOOL, tensor.C64, tensor.F16, tensor.BF16, tensor.F32, tensor.F64:
		return false
	}
	return true
}

// Words in the last components of names. One that begins with an equals sign
// is the whole component.
var (
	// Codes that are the only ones of their module, so that any scale in it is theirs.
	soleCodes = []string{"=weight", "=qweight", "=q_weight", "=W_q", "=_data", "=_weight_qdata", "=qdata", "=weight:qdata", "=weight:int_data", "=weight_packed", "=weight_quantized", "=codes", "=indices",
		"=Qidxs", "=trellis", "=dense_weights", "=kernel", "=B", "=B_24"}
	flatCodes   = []string{"=W_q", "=_data", "=_weight_qdata", "=codes", "=dense_weights"} // may have one dimension
	shapeCodes  = []string{"=weight", "=kernel"}                                           // a scale of theirs may have any name
	chosenCodes = []string{"=codes", "=indices"}                                           // numbers of vectors, beside which quantisers have more than a codebook
	scaleWords  = []string{"scale", "scaling_factor", "absmax", "amax", "scb", "zero", "codebook", "invperm", "row_offsets",
		"=suh", "=svh", "=su", "=sv", "=s", "=s_channel", "=s_group", "=B_meta", "=meta", "=lut", "=tlut", "=tables", "=tables2"}
	// Parameters that stand beside weights of any type: biases, and the
	// magnitudes of weight normalisation and DoRA.
	ordinaryWords = []string{"bias", "weight_g", "weight_v", "original0", "original1", "magnitude", "running_", "gamma", "beta", "mean", "std", "logit_scale", "layer_scale"}
	// Vectors that are inputs themselves, such as eoi_embedding of T5Gemma 2.
	inputWords = []string{"embed", "token", "query", "prompt", "position"}
)

// anyOf reports whether the last component of a name has one of the words.
func anyOf(leaf string, words []string) bool {
	lower := strings.ToLower(leaf)
	return slices.ContainsFunc(words, func(w string) bool {
		if whole, ok := strings.CutPrefix(w, "="); ok {
			return strings.EqualFold(leaf, whole)
		}
		return strings.Contains(lower, w)
	})
}

// scaleOf finds the scale that belongs to codes; nil if there is none.
func (m *Model) scaleOf(codes *Tensor, module, leaf string) *Tensor {
	if lastPart(module) == "_data" { // quanto packs the codes of an inner tensor
		module = parentOf(module)
	}
	sole, stem := anyOf(leaf, soleCodes), leaf
	for _, end := range []string{"_weight", "_blocks", "_quantized", "_qdata", "_packed", "_codes"} {
		stem = strings.TrimSuffix(stem, end)
	}
	var found *Tensor
	visit := func(s *Tensor) bool {
		own := lastPart(s.Name)
		named := anyOf(own, scaleWords)
		integers := sole && named && !codes.DType.Blends() // packed ones may be fewer than their scales
		if s == codes || s.Elems() >= codes.Elems() && !integers || anyOf(own, ordinaryWords) {
			return true
		}
		derived := stem != "" && (strings.HasPrefix(own, stem+"_") || strings.HasSuffix(own, "_"+stem))
		if s.DType == codes.DType && codes.DType.Blends() && !derived { // all were brought to one type
			return true
		}
		isScale := strings.Contains(strings.ToLower(own), "scal")
		// A scale is a float, but those of MXFP4 and MXFP8 are exponents, and
		// a zero point or a codebook may be anything.
		number := s.DType.Blends() || s.DType == tensor.F8E8M0 || isScale && s.DType == tensor.U8 || !isScale
		if anyOf(leaf, chosenCodes) && anyOf(own, []string{"codebook"}) { // VQ-VAE has them too, and its weights are floats
			return true
		}
		if leaf == "indices" && !strings.Contains(own, "weight") { // VPTQ's is weight_scale
			return true
		}
		switch {
		case named && number && (sole || derived):
			found = s
		case !named && s.DType.Blends() && !isCode(s.DType) && !anyOf(own, inputWords) && anyOf(leaf, shapeCodes) && scales(s.Shape, codes.Shape):
			found = s
		}
		return found == nil
	}
	within := module
	if within != "" {
		within += "."
	}
	if sole {
		m.eachFrom(within, visit)
	} else { // of a large module only what is called after the codes
		m.eachFrom(within+stem+"_", visit)
		for _, before := range []string{"scale_", "scales_", "qscale_"} {
			if i, ok := m.Lookup(within + before + stem); ok && found == nil {
				visit(&m.Tensors[i])
			}
		}
	}
	if found == nil && anyOf(leaf, shapeCodes) {
		found = m.scaleAround(codes, within, leaf)
	}
	if i, ok := m.Lookup(within + "centroids.weight"); ok && found == nil && leaf == "indices" {
		// VPTQ has one row of centroids for each of its codebooks.
		if s := &m.Tensors[i]; len(codes.Shape) == 3 && len(s.Shape) == 2 && s.Shape[0] == codes.Shape[0] {
			found = s
		}
	}
	return found
}

// scaleAround finds a scale that is called after the codes but stands in a module
// below theirs (weight.scale, weight_quantizer._scale) or in one for all scales.
func (m *Model) scaleAround(codes *Tensor, within, leaf string) (found *Tensor) {
	visit := func(s *Tensor) bool {
		if s.Elems() < codes.Elems() && anyOf(lastPart(s.Name), []string{"scale", "absmax", "amax"}) {
			found = s
		}
		return found == nil
	}
	m.eachFrom(within+leaf+".", visit)
	m.eachFrom(within+leaf+"_quantizer.", visit)
	for _, all := range []string{"scale.", "scales.", "weight_scale.", "weight_scales."} {
		if i, ok := m.Lookup(all + codes.Name); ok && found == nil {
			found = &m.Tensors[i]
		}
	}
	return found
}

// scales reports whether a tensor has the shape of scales for another: one
// number, one for each index of a dimension, or one for each block.
func scales(scale, codes []uint64) bool {
	s, c := squeezed(scale), squeezed(codes)
	switch {
	case len(s) == 0:
		return true
	case len(s) == 1:
		return slices.Contains(c, s[0])
	case len(s) != len(c):
		return false
	}
	for i := range s {
		if s[i] > c[i] {
			return false
		}
	}
	return true
}

// squeezed returns a shape without its dimensions of one element.
func squeezed(shape []uint64) []uint64 {
	return slices.DeleteFunc(slices.Clone(shape), func(d uint64) bool { return d == 1 })
}

// eachFrom calls f for the tensors whose names have no further dot behind the
// prefix, until f returns false.
func (m *Model) eachFrom(prefix string, f func(*Tensor) bool) {
	m.Lookup("")
	at := func(name string) int {
		k, _ := slices.BinarySearchFunc(m.byName, name, func(i int32, name string) int { return strings.Compare(m.Tensors[i].Name, name) })
		return k
	}
	for k := at(prefix); k < len(m.byName); {
		t := &m.Tensors[m.byName[k]]
		rest, ok := strings.CutPrefix(t.Name, prefix)
		if !ok {
			return
		}
		if dot := strings.IndexByte(rest, '.'); dot >= 0 { // past the module that it is in: / comes after the dot
			k = max(k+1, at(prefix+rest[:dot]+"/"))
			continue
		}
		if !f(t) {
			return
		}
		k++
	}
}

// method names the quantiser that stores codes and scales in this way.
func (m *Model) method(codes, scale *Tensor, module, leaf string) string {
	has := func(leaf string) bool {
		if module != "" {
			leaf = module + "." + leaf
		}
		_, ok := m.Lookup(leaf)
		return ok
	}
	float8 := codes.DType.Blends()
	switch {
	case has("scale_weight"), has("comfy_quant"):
		return "scaled weights of ComfyUI"
	case has("W_q"):
		return "HQQ"
	case strings.HasSuffix(leaf, "_qdata"), strings.HasPrefix(leaf, "weight:"):
		return "torchao"
	case strings.HasSuffix(module, ".weight") && leaf == "_data", strings.HasSuffix(module, "._data"):
		return "quanto"
	case has("q_weight"):
		return "EXL2"
	case has("trellis"):
		return "EXL3 or QTIP"
	case has("Qidxs"):
		return "QuIP#"
	case leaf == "codes":
		return "AQLM"
	case leaf == "indices":
		return "VPTQ"
	case has("dense_weights"):
		return "SpQR"
	case has("tables2"):
		return "HIGGS"
	case has("qweight"):
		return "GPTQ or AWQ"
	case has("B") && (has("s") || has("s_channel")), has("B_24"):
		return "Marlin"
	case has("qbiases"), codes.DType == tensor.U32 && has("scales"):
		return "MLX"
	case has("weight_scales") && !float8:
		return "EETQ"
	case has("weight_packed"):
		return "compressed-tensors"
	case has("weight_scale_2"):
		return "NVFP4"
	case has("SCB"), has("weight.absmax"):
		return "bitsandbytes"
	case has("weights_scaling_factor"):
		return "TensorRT-LLM"
	case strings.HasSuffix(leaf, "_blocks"):
		return "MXFP4"
	case strings.HasSuffix(leaf, "_quantized"), has("input_activation_scale"):
		return "packed integers of Gemma"
	case has("weight_scale_inv"), strings.HasSuffix(scale.Name, "_scale_inv"):
		return "block-scaled FP8"
	case codes.DType == tensor.U8 && has("weight_scale"):
		return "packed 8-bit, such as BitNet"
	case float8:
		return "scaled FP8"
	}
	return "scaled integers"
}
