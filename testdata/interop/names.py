"""names.py BINARY: one network under two names, as transformers and torch save it

Pairs of tiny models: a class with a part that the other lacks (a vision tower,
a head), and state dicts of wrapped models. With t = 1 every tensor that is
paired must have the secondary's values. The output must load in transformers
without missing or unexpected keys.
"""
import json, os, shutil, subprocess, sys, tempfile, warnings

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
warnings.filterwarnings("ignore")
import torch
import transformers
from safetensors.torch import load_file, save_file

binary = os.path.abspath(sys.argv[1])
tmp = tempfile.mkdtemp()
small = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=64, head_dim=8)
vision = dict(depth=2, hidden_size=32, embed_dim=32, intermediate_size=48, num_heads=4, num_hidden_layers=2, num_attention_heads=4, patch_size=4, image_size=16,
              out_hidden_size=32, spatial_merge_size=1)


def save(name, model, wrap=None):
    path = os.path.join(tmp, name)
    model.save_pretrained(path)
    if wrap:
        file = os.path.join(path, "model.safetensors")
        save_file({wrap(k): v for k, v in load_file(file).items()}, file, metadata={"format": "pt"})
    return path


def tensors(path):
    return load_file(os.path.join(path, "model.safetensors"))


def load(path):
    with open(os.path.join(path, "config.json")) as f:
        cls = getattr(transformers, json.load(f)["architectures"][0])
    _, info = cls.from_pretrained(path, output_loading_info=True)
    # The secondary alone has a pooler: --missing copy takes it, and transformers passes it over.
    bad = {k: v for k, v in ((k, sorted(str(x) for x in v if "pooler" not in str(x))[:3]) for k, v in info.items()) if v}
    return str(bad) if bad else ""


def merged(name, a, b, least):
    """Merges at t = 1: least tensors must be equal to one of b's; returns what is wrong."""
    out = os.path.join(tmp, "out")
    shutil.rmtree(out, ignore_errors=True)
    r = subprocess.run([binary, "merge", a, b, "-o", out, "-t", "1"], capture_output=True, text=True)
    if r.returncode:
        return r.stderr
    theirs = {t.numpy().tobytes() for t in tensors(b).values()}
    said = "under other names" in r.stderr or "wrapped model" in r.stderr
    if not said and not tensors(b).keys() <= tensors(a).keys():
        return "nothing is said: " + r.stderr
    n = sum(t.numpy().tobytes() in theirs for t in tensors(out).values())
    if n < least:
        return f"{n} of {least} tensors have the secondary's values: {r.stderr}"
    return load(out)


def pairs():
    t = transformers
    llama = lambda: t.LlamaForCausalLM(t.LlamaConfig(**small, tie_word_embeddings=False))
    n = len(llama().state_dict())
    yield "compiled secondary", save("a", llama()), save("b", llama(), lambda k: "_orig_mod." + k), n
    yield "compiled primary", save("a", llama(), lambda k: "_orig_mod." + k), save("b", llama()), n
    yield "DataParallel both", save("a", llama(), lambda k: "module." + k), save("b", llama(), lambda k: "module._orig_mod." + k), n
    yield "checkpointed layers", save("a", llama()), save("b", llama(), lambda k: k.replace(".self_attn.", "._checkpoint_wrapped_module.self_attn.")), n
    yield "lightning", save("a", llama()), save("b", llama(), lambda k: "model." + k), n
    for config, cls in ((t.BertConfig(**small), (t.BertForMaskedLM, t.BertModel)), (t.RobertaConfig(**small), (t.RobertaForMaskedLM, t.RobertaModel)),
                        (t.GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=64), (t.GPT2LMHeadModel, t.GPT2Model)),
                        (t.BartConfig(d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=48,
                                      decoder_ffn_dim=48, vocab_size=64), (t.BartForConditionalGeneration, t.BartModel)),
                        (t.GPTNeoXConfig(**small), (t.GPTNeoXForCausalLM, t.GPTNeoXModel)), (t.Qwen3Config(**small), (t.Qwen3ForCausalLM, t.Qwen3Model))):
        a, b = (save(x, c(config)) for x, c in zip("ab", cls))
        yield cls[0].__name__ + " and its base", a, b, len(tensors(b)) - 2  # a pooler has no pair
    for config, cls in ((t.Qwen2_5_VLConfig, t.Qwen2_5_VLForConditionalGeneration), (t.Qwen2VLConfig, t.Qwen2VLForConditionalGeneration), (t.Qwen3VLConfig, t.Qwen3VLForConditionalGeneration),
                        (t.Mistral3Config, t.Mistral3ForConditionalGeneration), (t.LlavaConfig, t.LlavaForConditionalGeneration), (t.Gemma3Config, t.Gemma3ForConditionalGeneration)):
        try:
            c = config()
            text, see = c.text_config.to_dict(), c.vision_config.to_dict()
            for part, values in ((text, small), (see, vision)):
                part.update({k: v for k, v in values.items() if k in part})
                for k in ("layer_types", "pad_token_id", "bos_token_id", "eos_token_id", "deepstack_visual_indexes", "fullatt_block_indexes"):
                    if k in part:
                        part[k] = [] if k in ("deepstack_visual_indexes", "fullatt_block_indexes") else None
            if text.get("rope_parameters") and "mrope_section" in text["rope_parameters"]:
                text["rope_parameters"]["mrope_section"] = [2, 1, 1]
            c = config(text_config=text, vision_config=see, tie_word_embeddings=False)
            vlm = cls(c)
            tc = vlm.config.get_text_config()
            tc.tie_word_embeddings = False
            name = type(tc).__name__.replace("TextConfig", "Config")
            causal = {"Qwen2_5_VLConfig": t.Qwen2ForCausalLM, "Qwen2VLConfig": t.Qwen2ForCausalLM, "Qwen3VLConfig": t.Qwen3ForCausalLM, "Gemma3Config": t.Gemma3ForCausalLM}.get(name)
            if causal in (t.Qwen2ForCausalLM, t.Qwen3ForCausalLM):
                d = {k: v for k, v in tc.to_dict().items() if k in small or k == "rms_norm_eps"}
                model = causal(causal.config_class(**d, tie_word_embeddings=False))
            else:
                model = (causal or t.AutoModelForCausalLM.from_config)(tc)
        except Exception as e:
            yield f"{cls.__name__}: not built ({type(e).__name__}: {e})", None, None, 0
            continue
        a, b = save("a", vlm), save("b", model)
        yield cls.__name__ + " and its text", a, b, len(tensors(b))


failed = 0
try:
    for name, a, b, least in pairs():
        why = merged(name, a, b, least) if a else "not tried"
        failed += bool(why)
        print("FAIL" if why else "ok  ", name, why)
        for x in "ab":
            shutil.rmtree(os.path.join(tmp, x), ignore_errors=True)
finally:
    shutil.rmtree(tmp)
print(f"names: {failed} failed")
sys.exit(failed > 0)
