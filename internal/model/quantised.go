package model

import (
	"path/filepath"
	"strings"
)

// packed are name endings under which quantisers keep integers with scales.
var packed = []struct{ ending, what string }{
	{".qweight", "GPTQ or AWQ"}, {".qzeros", "GPTQ or AWQ"}, {".g_idx", "GPTQ"},
	{".weight_packed", "compressed-tensors"}, {".absmax", "bitsandbytes"},
	{".quant_state.bitsandbytes__nf4", "bitsandbytes"}, {".quant_state.bitsandbytes__fp4", "bitsandbytes"}, {".SCB", "bitsandbytes"},
	{".weight_scale_inv", "block-scaled FP8"}, {".weight_scale", "scaled FP8"}, {"_blocks", "MXFP4"},
}

// Mergeable says why arithmetic on the stored values would be meaningless, as
// an *UnusableError, or nil: quantised weights are integers or small floats
// that only count together with their scales.
func (m *Model) Mergeable() error {
	const hint = "merge the model it was quantised from, then quantise the result"
	if m.Config != nil {
		if m.Config.Has("quantization_config") && string(m.Config.Raw("quantization_config")) != "null" {
			method := m.quantMethod()
			return &UnusableError{Path: m.Path, Msg: "is quantised (" + method + " in config.json), and quantised weights can be neither merged nor brought to another type", Hint: hint}
		}
		if t := m.Config.String("peft_type"); t != "" {
			return &UnusableError{Path: m.Path, Msg: "is a " + Quote(t) + " adapter, not a whole model"}
		}
	}
	for i := range m.Tensors {
		t := &m.Tensors[i]
		for _, p := range packed {
			if strings.HasSuffix(t.Name, p.ending) && !(p.ending == "_blocks" && t.DType.Blends()) {
				return &UnusableError{Path: m.Path, Msg: "is quantised (" + p.what + ": " + Quote(t.Name) + " is a packed tensor or its scale), and quantised weights can be neither merged nor brought to another type", Hint: hint}
			}
		}
		if strings.Contains(t.Name, ".lora_A.") || strings.HasPrefix(t.Name, "base_model.model.") {
			return &UnusableError{Path: filepath.Join(m.Path, m.Files[t.File].Name), Msg: "is a LoRA adapter (" + Quote(t.Name) + "), not a whole model",
				Hint: "merge the adapter into its base model with peft first: merge_and_unload(), save_pretrained(FOLDER)"}
		}
	}
	return nil
}

func (m *Model) quantMethod() string {
	for i := range m.Config.fields {
		f := &m.Config.fields[i]
		if f.sub == "quantization_config" && f.name == "quant_method" {
			return Quote(strings.Trim(string(m.Config.raw[f.valStart:f.valEnd]), `"`))
		}
	}
	return "quantization_config"
}
