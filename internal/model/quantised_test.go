package model

import (
	"strings"
	"testing"

	"slerpmerge/internal/tensor"
)

// quantTable makes a model of NAME:DTYPE:SHAPE.
func quantTable(t *testing.T, config, specs string) *Model {
	t.Helper()
	var names []string
	var types []tensor.DType
	for spec := range strings.FieldsSeq(specs) {
		parts := strings.Split(spec, ":")
		d, ok := tensor.ParseDType(parts[1])
		if !ok || len(parts) < 2 {
			t.Fatalf("%s: no type", spec)
		}
		name := parts[0] + ":1"
		if len(parts) > 2 {
			name = parts[0] + ":" + parts[2]
		}
		names, types = append(names, name), append(types, d)
	}
	m := tableOf(t, config, names...)
	for i := range m.Tensors {
		m.Tensors[i].DType = types[i]
	}
	m.Files = []File{{Name: "model.safetensors"}}
	return m
}

func TestQuantised(t *testing.T) {
	const norm = " model.norm.weight:BF16:64"
	for _, c := range []struct{ what, config, tensors string }{
		// by their names
		{"MLX", "", "a.weight:U32:64x8 a.scales:F16:64x1 a.biases:F16:64x1"},
		{"MLX", "", "a.weight:U32:64x8 a.scales:U8:64x2"},
		{"MLX", "", "a.weight:U32:64x8 a.scales:BF16:64x1 a.qbiases:BF16:64x1"},
		{"MLX in config.json", `{"quantization": {"group_size": 64, "bits": 4}}`, "a.weight:BF16:64x8"},
		{"ComfyUI", "", "scaled_fp8:F8_E4M3:2 a.weight:F8_E4M3:64x64 a.scale_weight:F32:1"},
		{"ComfyUI", "", "scaled_fp8:F8_E4M3:0 a.weight:F8_E4M3:64x64"},
		{"ComfyUI", "", "a.weight:F8_E4M3:64x64 a.scale_weight:F32:1 a.scale_input:F32:1"},
		{"ComfyUI", "", "a.weight:F8_E4M3:64x3x3x3 a.weight_scale:F32:1 a.comfy_quant:U8:40"},
		{"HQQ", "", "a.W_q:U8:32x64 a.scale:F16:64x1 a.zero:F16:64x1"},
		{"HQQ", "", "a.W_q:I32:2048 a.meta:U8:90"},
		{"quanto", "", "a.weight._data:I8:64x64 a.weight._scale:BF16:64x1"},
		{"quanto", "", "a.weight._data:F8_E4M3:64x64 a.weight._scale:BF16:64x1 a.input_scale:F32:1"},
		{"quanto", "", "a.weight._data._data:U8:16x64 a.weight._scale:BF16:32x1 a.weight._shift:BF16:32x1"},
		{"EXL2", "", "a.q_weight:I32:8x64 a.q_scale:I32:2x8 a.q_scale_max:F16:2 a.q_invperm:I16:64 a.q_groups:I16:4"},
		{"EXL3", "", "a.trellis:I16:4x4x48 a.suh:F16:64 a.svh:F16:64"},
		{"AQLM", "", "a.codes:I8:64x8x1 a.codebooks:F16:1x256x1x8 a.scales:F16:64x1x1x1"},
		{"AQLM", "", "a.codes:I16:64x8x2 a.codebooks:F16:2x65536x1x8 a.scales:F16:64x1x1x1"},
		{"AQLM", "", "a.codes:I8:8x1x1 a.codebooks:F16:1x256x1x8 a.scales:F16:8x1x1x1"}, // fewer codes than scales
		{"MLX", "", "a.weight:U32:8x1 a.scales:F16:8x1 a.biases:F16:8x1"},
		{"QuIP#", "", "a.Qidxs:I32:8x1 a.SU:F16:8 a.SV:F16:8"},
		{"HQQ", "", "a.W_q:U8:32x64 a.meta.scale:F16:64x1"},
		{"EETQ", "", "a.weight:I8:64x64 a.weight_scales:F16:64"},
		{"VPTQ", "", "a.indices:I32:1x64x8 a.centroids.weight:BF16:1x2048"},
		{"VPTQ", "", "a.indices:I32:1x64x8 a.weight_scale:BF16:64 a.weight_bias:BF16:64"},
		{"torchao", "", "a._weight_qdata:I8:64x64 a._weight_scale:BF16:64x1"},
		{"torchao", "", "a._weight_qdata:U8:64x32 a._weight_scale_and_zero:BF16:2x64x2"},
		{"torchao", "", "a._weight_qdata:F8_E4M3:64x64 a._weight_scale:F32:64x1"},
		{"SpQR", "", "a.dense_weights:I64:512 a.row_offsets:I32:65 a.col_vals:I32:4 a.in_perm:I16:64"},
		{"BitNet", "", "a.weight:U8:16x64 a.weight_scale:BF16:1"},
		{"QuIP#", "", "a.Qidxs:I64:64x8 a.SU:F16:64 a.SV:F16:64 a.Wscale:F32:1 a.codebook_id:I64:1"},
		{"HIGGS", "", "a.weight:I16:16x64 a.scales:F16:64x1 a.tables:F16:16 a.tables2:F32:16x16"},
		{"scaled FP8", "", "a.weight:F8_E4M3:64x64 a.weight_scale:F32:64x1"},
		{"scaled FP8", "", "a.weight:F8_E5M2:64x64 a.weight_scale:BF16 a.input_scale:BF16"},
		{"block-scaled FP8", "", "a.weight:F8_E4M3:64x64 a.weight_scale_inv:F32:1x1"},
		{"block-scaled FP8", "", "a.weight:F8_E4M3:64x64 a.weight_scale_inv:F8_E8M0:1x2"},
		{"block-scaled FP8", "", "x.experts.gate_up_proj:F8_E4M3:2x64x64 x.experts.gate_up_proj_scale_inv:F32:2x1x1"},
		{"scaled FP8", "", "x.experts.down_proj:F8_E4M3:2x64x64 x.experts.down_proj_scale:F32:2x64x1"},
		{"scaled FP8", "", "a.weight:F8_E4M3:64x64 a.scale:F32:2x2"},
		{"scaled FP8", "", "a.weight:F8_E4M3:64x64 a.qscale_weight:F32:1"},
		{"NVFP4", "", "a.weight:U8:64x32 a.weight_scale:F8_E4M3:64x4 a.weight_scale_2:F32 a.input_scale:F32"},
		{"compressed-tensors", "", "a.weight_packed:I32:64x8 a.weight_scale:BF16:64x2 a.weight_shape:I64:2"},
		{"compressed-tensors in config.json", `{"compression_config": {"quant_method": "compressed-tensors"}}`, "a.weight:BF16:64x8"},
		{"MXFP4", "", "x.experts.gate_up_proj_blocks:U8:2x64x2x16 x.experts.gate_up_proj_scales:U8:2x64x2"},
		{"Gemma", "", "e.embedding_quantized:U8:64x8 e.embedding_scale:F32:64x1"},
		{"Marlin", "", "a.B:I32:4x128 a.s:F16:1x64 a.workspace:I32:8"},
		{"Marlin", "", "a.B:I32:4x128 a.s_channel:F32:1x64 a.s_group:F16:1x64"}, // QQQ
		{"Marlin", "", "a.B_24:I32:2x128 a.B_meta:I16:8x64 a.s:F16:1x64"},
		{"scaled FP8", "", "a.weight:F8_E4M3:64x64 a.weight.scale:F32"},
		{"scaled integers", "", "a.weight:I8:64x64 a.weight.scale:F32:1x64"},
		{"scaled FP8", "", "a.weight:F8_E4M3:64x64 a.weight_quantizer._scale:F32 a.input_quantizer._amax:F32"},
		{"scaled FP8", "", "a.weight:F8_E4M3:64x64 scales.a.weight:F32"},
		{"fp8 in config.json", `{"text_config": {"quantization_config": {"quant_method": "fp8"}}}`, "a.weight:BF16:64x8"},
		{"MLX in config.json", `{"language_config": {"quantization": {"group_size": 64, "bits": 4}}}`, "a.weight:BF16:64x8"},
		{"TensorRT-LLM", "", "a.weight:F8_E4M3:64x64 a.weights_scaling_factor:F32:1 a.activation_scaling_factor:F32:1"},
		{"GPTQ or AWQ", "", "a.qweight:I32:8x64 a.qzeros:I32:1x8 a.scales:F16:1x64 a.g_idx:I32:64"},
		{"GPTQ or AWQ", "", "a.qweight:I32:8x64"},
		{"bitsandbytes", "", "a.weight:I8:64x64 a.SCB:F32:64"},
		{"bitsandbytes", "", "a.weight:U8:2048x1 a.weight.absmax:U8:64 a.weight.quant_map:F32:16"},
		{`fp8 in config.json`, `{"quantization_config": {"quant_method": "fp8"}}`, "a.weight:BF16:64x8"},
		// by structure, under names that nobody knows
		{"scaled integers", "", "a.weight:I8:64x64 a.per_row:F16:64"},
		{"scaled integers", "", "a.weight:U8:64x32 a.step:F32 a.bias:F32:64"},
		{"scaled FP8", "", "a.weight:F8_E4M3:64x64 a.alpha:F32"},
		{"scaled FP8", "", "a.weight:F8_E5M2:64x64 a.multiplier:BF16:4x4"},
	} {
		m := quantTable(t, c.config, c.tensors+norm)
		err := m.Mergeable()
		if err == nil || !strings.Contains(err.Error(), "is quantised (") || !strings.Contains(err.Error(), c.what) {
			t.Errorf("%s, %s: %v", c.what, c.tensors, err)
		}
	}
	for _, c := range []struct{ config, tensors string }{
		{"", "a.weight:BF16:64x64 a.bias:BF16:64"},
		// brought to FP8 without scales, whole or its matrices alone
		{"", "a.weight:F8_E4M3:64x64 a.bias:F8_E4M3:64 n.weight:F8_E4M3:64"},
		{"", "a.weight:F8_E4M3:64x64 a.bias:BF16:64 n.weight:BF16:64"},
		{"", "m.A_log:F8_E4M3:64x16 m.D:F32:64 m.dt_bias:F32:64 m.in_proj.weight:F8_E4M3:64x64"},
		{"", "c.weight_g:F32:64x1 c.weight_v:F8_E4M3:64x64 c.bias:F32:64"},
		{"", "c.parametrizations.weight.original0:F32:64x1 c.parametrizations.weight.original1:F8_E4M3:64x64"},
		{"", "g.weight:F8_E4M3:8x64 g.e_score_correction_bias:F32:8"},
		{"", "logit_scale:F32 text_projection:F8_E4M3:64x64 visual.proj:F8_E4M3:64x64 positional_embedding:F8_E4M3:77x64"},
		{"", "q.weight:F8_E4M3:64x64 q.lora_magnitude_vector:F32:64"},
		{"", "b.ls1.gamma:F8_E4M3:64 b.fc.weight:F8_E4M3:64x64 b.layer_scale_parameter:F32:64"},
		{"", "a.weight:F8_E4M3:64x64 a.scale:F8_E4M3:64"},                                // one type for all
		{"", "e.embed_tokens.weight:F8_E4M3:640x64 e.embed_tokens.eoi_embedding:F32:64"}, // T5Gemma 2
		{"", "a.weight:I8:64x64 a.bias:F32:64"},                                          // integers without scales are copied
		// scales of what is not quantised
		{"", "logit_scale:F32 layer_scale1.lambda1:BF16:64 n.scale:BF16:64 vision.scales:F32:4 a.weight:BF16:64x64"},
		{"", "a.weight:BF16:64x64 self_attn.k_scale:F32 self_attn.v_scale:F32"},
		{"", "x.experts.down_proj_blocks:BF16:2x64x64 x.experts.down_proj_scales:BF16:2x64"},
		// integers that are no weights
		{"", "e.position_ids:I64:1x77 e.class_embedding:F32:77 e.position_embedding.weight:F32:77x8"},
		{"", "s.relative_position_index:I64:49x49 s.relative_position_bias_table:F32:169x3"},
		{"", "h.attn.bias:U8:1x1x64x64 h.attn.masked_bias:F32 h.attn.c_attn.weight:F32:64x192"},
		{"", "h.attn.bias:BOOL:1x1x64x64 h.attn.masked_bias:F32"},
		{"", "embed.weight:I8:64x8 norm.scale:F32:8"},
		{"", "bn.weight:F32:64 bn.running_mean:F32:64 bn.num_batches_tracked:I64"},
		{"", "q.codebook.embed:F32:64x8 q.codebook.cluster_size:F32:64 q.codebook.inited:F32:1"},
		{"", "r.tokens:I32:64x4 r.scale_factor:F32"},
		// VQ-VAE
		{"", "q.codebook:F32:512x64 q.indices:I64:8x8"},
		{"", "q.codebook:F32:512x64 q.codes:I64:8x8 q.proj.weight:F32:64x64"},
		{"", "codebook:BF16:512x64 indices:I32:1x64"},
		{"", "q.codebook:F32:512x64 q.indices:I64:8x8 q.scale:F32"},
		{"", "k.centroids.weight:F32:100x64 k.indices:I64:2x300"}, // clusters
		{`{"text_config": {"quantization_config": null}}`, "a.weight:BF16:64x8"},
		{"", "q.codebooks:F32:4x512x64 q.indices:I32:4x64 q.codebook_usage:F32:4x512"},
		{`{"quantization": null}`, "a.weight:BF16:64x8"},
		{`{"quantization": "none", "quantization_config": null}`, "a.weight:BF16:64x8"},
	} {
		if err := quantTable(t, c.config, c.tensors+norm).Mergeable(); err != nil {
			t.Errorf("%s: %v", c.tensors, err)
		}
	}
}

// A module can hold others without number; what is directly in it is found
// without walking through them.
func TestEachFrom(t *testing.T) {
	m := tableOf(t, "", "a.b.c", "a.x", "a.b.d.e", "a.z", "ab.q", "a-b.q", "a.b", "a0.w", "top", "a.x_scale", "a.x_y.z")
	for prefix, want := range map[string]string{"a.": "a.b a.x a.x_scale a.z", "": "top", "a.b.": "a.b.c", "none.": "", "a.b.d.": "a.b.d.e", "a.x_": "a.x_scale"} {
		var got []string
		m.eachFrom(prefix, func(s *Tensor) bool {
			got = append(got, s.Name)
			return true
		})
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %q", prefix, got, want)
		}
	}
}

// The names of peft's wrapper alone make no adapter.
func TestAdapterTensors(t *testing.T) {
	for tensors, want := range map[string]bool{
		"base_model.model.model.layers.0.q_proj.weight:BF16:64x64":                                                      false,
		"base_model.model.model.layers.0.q_proj.lora_A.weight:BF16:8x64":                                                true,
		"base_model.model.model.layers.0.q_proj.weight:BF16:64x64 base_model.model.layers.0.k_proj.ia3_l:BF16:64x1":     true,
		"base_model.model.lm_head.modules_to_save.weight:BF16:64x64":                                                    true,
		"model.layers.0.q_proj.lora_A.weight:BF16:8x64":                                                                 true,
		"model.layers.0.oft_block.weight:BF16:8x64 model.layers.0.q_proj.weight:BF16:64x64 model.norm.weight:BF16:64x1": false,
	} {
		err := quantTable(t, "", tensors).Mergeable()
		if got := err != nil && strings.Contains(err.Error(), "LoRA adapter"); got != want {
			t.Errorf("%s: %v", tensors, err)
		}
	}
}
