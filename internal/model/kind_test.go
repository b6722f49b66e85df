package model

import "testing"

// Names as the families of transformers have them.
func TestKindOf(t *testing.T) {
	for kind, names := range map[Kind][]string{
		Attention: {
			"model.layers.0.self_attn.q_proj.weight", "model.layers.31.self_attn.o_proj.bias", // Llama, Qwen2
			"h.0.attn.c_attn.weight", "h.0.attn.bias", // GPT-2 and its mask
			"gpt_neox.layers.0.attention.query_key_value.weight", "gpt_neox.layers.0.attention.rotary_emb.inv_freq",
			"bert.encoder.layer.0.attention.self.query.weight", "encoder.layer.0.attention.output.dense.weight",
			"transformer.h.0.self_attention.dense.weight",                   // Bloom, Falcon
			"encoder.block.0.layer.0.SelfAttention.q.weight",                // T5
			"decoder.block.0.layer.1.EncDecAttention.k.weight",              // T5
			"encoder.block.0.layer.0.SelfAttention.relative_attention_bias", // T5
			"layers.0.attention.wq.weight",                                  // Meta's own
			"model.layers.0.self_attn.kv_a_proj_with_mqa.weight",            // DeepSeek
			"model.layers.0.linear_attn.in_proj_qkvz.weight",                // Qwen3-Next
			"transformer.blocks.0.attn.Wqkv.weight",                         // MPT
		},
		MLP: {
			"model.layers.0.mlp.up_proj.weight", "h.0.mlp.c_fc.weight", "gpt_neox.layers.0.mlp.dense_h_to_4h.bias",
			"model.layers.0.block_sparse_moe.gate.weight", "model.layers.0.block_sparse_moe.experts.2.w1.weight", // Mixtral
			"model.layers.0.mlp.shared_expert_gate.weight", "model.layers.3.mlp.gate.e_score_correction_bias",
			"bert.encoder.layer.0.intermediate.dense.weight", "encoder.layer.0.output.dense.weight", // BERT
			"model.decoder.layers.0.fc1.weight",                   // OPT
			"layers.0.feed_forward.w1.weight",                     // Meta's own
			"encoder.block.0.layer.1.DenseReluDense.wi_0.weight",  // T5
			"transformer.blocks.0.ffn.up_proj.weight",             // MPT
			"model.layers.0.feed_forward.router.weight",           // Llama 4
			"transformer.encoder.layers.0.layernorm_mlp.fc1.bias", // Transformer Engine
		},
		Norm: {
			"model.norm.weight", "model.layers.0.input_layernorm.weight", "model.layers.0.post_attention_layernorm.weight",
			"model.layers.0.self_attn.q_norm.weight", // Qwen3
			"h.0.ln_1.weight", "transformer.ln_f.weight", "gpt_neox.final_layer_norm.weight",
			"bert.embeddings.LayerNorm.weight", "encoder.layer.0.attention.output.LayerNorm.bias", "word_embeddings_layernorm.weight",
			"layers.0.ffn_norm.weight", "norm.weight", "model.layers.61.shared_head.norm.weight",
			"encoder.block.0.layer.1.layer_norm.weight",
		},
		Embedding: {
			"model.embed_tokens.weight", "wte.weight", "transformer.wpe.weight", "gpt_neox.embed_in.weight", "shared.weight",
			"bert.embeddings.position_embeddings.weight", "tok_embeddings.weight", "model.decoder.embed_positions.weight",
			"vision_model.embeddings.patch_embedding.weight", "model.layers.61.embed_tokens.weight",
		},
		Head: {
			"lm_head.weight", "lm_head.bias", "embed_out.weight", "output.weight", "cls.predictions.decoder.weight", "cls.predictions.bias",
			"score.weight", "classifier.out_proj.weight", "qa_outputs.weight", "model.layers.61.shared_head.head.weight",
		},
		Other: {
			"", "w", "bert.pooler.dense.weight", "backbone.layers.0.mixer.in_proj.weight", "model.rotary_emb.inv_freq", "multi_modal_projector.linear_1.weight",
			"model.layers.0.output_scale.weight", "planner.weight",
		},
	} {
		for _, name := range names {
			if got := KindOf(name); got != kind {
				t.Errorf("%q is %s, want %s", name, got, kind)
			}
		}
	}
}
