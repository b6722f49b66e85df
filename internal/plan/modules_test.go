package plan

import (
	"testing"

	"slerpmerge/internal/recipe"
)

func TestModuleOf(t *testing.T) {
	document := func(names ...string) *recipe.Recipe {
		d := &recipe.Recipe{}
		for _, n := range names {
			d.Modules = append(d.Modules, recipe.Module{Name: n})
		}
		return d
	}
	gemma := document("text_decoder", "vision_tower", "multi_modal_projector")
	t5 := document("encoder", "decoder", "shared")
	whisper := document("encoder", "decoder")
	for _, c := range []struct {
		d      *recipe.Recipe
		tensor string
		want   int
	}{
		{gemma, "language_model.model.layers.0.self_attn.q_proj.weight", 0},
		{gemma, "model.layers.0.self_attn.q_proj.weight", 0},
		{gemma, "lm_head.weight", 0},
		{gemma, "vision_tower.vision_model.encoder.layers.0.fc1.weight", 1},
		{gemma, "model.visual.blocks.0.attn.qkv.weight", 1},
		{gemma, "model.visual.merger.norm.weight", 2},
		{gemma, "model.visual.deepstack_merger_list.0.norm.weight", 2},
		{gemma, "multi_modal_projector.linear_1.weight", 2},
		{gemma, "model.visually.weight", 0},
		{t5, "encoder.block.0.layer.0.SelfAttention.q.weight", 0},
		{t5, "decoder.block.0.layer.1.EncDecAttention.q.weight", 1},
		{t5, "shared.weight", 2},
		{t5, "lm_head.weight", 2},
		{whisper, "model.encoder.conv1.weight", 0},
		{whisper, "model.decoder.layers.0.encoder_attn.k_proj.weight", 1},
		{whisper, "proj_out.weight", 1},
		{document("vision_tower", "audio_tower"), "lm_head.weight", -1},
		{document("text_decoder", "audio_tower"), "vision_tower.fc1.weight", -1},
		{document("text_decoder", "vision_tower"), "visual.merger.fc1.weight", 1},
		{document("default"), "anything", 0},
		{document(), "anything", 0},
	} {
		if got := moduleOf(c.d, c.tensor); got != c.want {
			t.Errorf("%s: module %d, want %d", c.tensor, got, c.want)
		}
	}
}
