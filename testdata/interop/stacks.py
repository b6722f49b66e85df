#!/usr/bin/env python3
"""Stack the layers of every family of transformers anew, and open the result with transformers.

usage: stacks.py BINARY [--full] [--only FAMILY,...] [-v]

A small model is made of each class for causal language models (MODEL_FOR_CAUSAL_LM_MAPPING), saved with save_pretrained, and merged by
recipes that duplicate, drop and reorder its layers. config.json stands as it was saved, and once more without the lists that its class
works out itself from other settings. The output must load without missing, unexpected or mismatched keys; each of its layers must hold
the tensors of its source and be built as its source was, by every number, text and class of module in it; and the lists of the
configuration with an entry for each layer must say so. Else slerpmerge has to refuse the recipe or to warn.

Without --full it is some families of all kinds. The last line counts the outcomes; exit status 1 when one is wrong.
"""
import argparse, collections, contextlib, io, json, os, re, resource, shutil, subprocess, sys, tempfile, warnings

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="2", TRANSFORMERS_VERBOSITY="critical")
import torch, transformers
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

DEPTH = 8
MOST = 20_000_000  # parameters of a model; a class that has no smaller one is not built
MEMORY = 3 << 30
FAST = "mpt gpt_neo gemma2 gemma3 mllama deepseek_v3 qwen3_moe qwen3_next llama4_text jamba modernbert-decoder nemotron_h smollm3 ernie4_5_moe gemma3n_text minimax".split()

# Sizes that make any class small. Numbers that a class must have otherwise are under its name.
SIZES = dict(vocab_size=99, vocab_size_per_layer_input=99, hidden_size=32, d_model=32, n_embd=32, word_embed_proj_dim=32, embedding_size=32, emb_dim=32, intermediate_size=48, ffn_dim=48, n_inner=48,
             d_ff=48, d_inner=48, dim_ff=48, moe_intermediate_size=16, moe_shared_expert_intermediate_size=16, shared_expert_intermediate_size=16, shared_intermediate_size=16,
             expert_ffn_hidden_size=16, ffn_hidden_size=48, num_attention_heads=4, n_head=4, n_heads=4, num_heads=4, num_key_value_heads=2, kv_n_heads=2, head_dim=8,
             num_hidden_layers=DEPTH, n_layer=DEPTH, n_layers=DEPTH, num_layers=DEPTH, num_blocks=DEPTH, encoder_layers=2, decoder_layers=DEPTH, num_encoder_layers=2, num_decoder_layers=DEPTH, encoder_ffn_dim=48, decoder_ffn_dim=48,
             encoder_attention_heads=4, decoder_attention_heads=4, max_position_embeddings=64, n_positions=64, max_seq_len=64, sliding_window=8,
             n_routed_experts=4, num_experts=4, num_local_experts=4, moe_num_experts=4, num_experts_per_tok=2, moe_k=2, top_k=2, n_group=1, topk_group=1,
             q_lora_rank=16, kv_lora_rank=16, qk_rope_head_dim=8, qk_nope_head_dim=8, v_head_dim=8, hidden_size_per_layer_input=8, laurel_rank=4, altup_num_inputs=2,
             linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8, linear_value_head_dim=8, mamba_n_heads=8, mamba_d_head=8, mamba_d_state=8, mamba_d_ssm=64,
             mamba_num_heads=8, mamba_head_dim=8, ssm_state_size=8, state_size=8, lru_width=32, expand=2, n_groups=1, mamba_n_groups=1, mamba_ngroups=1, time_step_rank=4, mamba_dt_rank=4,
             index_n_heads=2, index_head_dim=16, index_topk=4, attention_window=8, image_size=16, patch_size=8)


@contextlib.contextmanager
def quiet():
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


KINDS = ["linear_attention", "linear_attention", "hybrid", "linear_attention"] * (DEPTH // 4)
OWN = {
    "cohere_compass_text": dict(rope_parameters={k: {"rope_type": "default", "rope_theta": 10000.0} for k in ("full_attention", "sliding_attention")}),
    "blt": dict(encoder_hash_byte_group_vocab=64),
    "dbrx": dict(attn_config=dict(kv_n_heads=2, rope_theta=10000.0)),
    "dots1": dict(n_shared_experts=1),
    "gpt_neo": dict(attention_types=[[["global", "local"], DEPTH // 2]]),
    "nemotron_h": dict(layers_block_type=["linear_attention", "moe", "full_attention", "mlp"] * (DEPTH // 4)),
    "gemma3n_text": dict(num_kv_shared_layers=3),
    "lfm2_moe": dict(layer_types=["conv", "conv", "full_attention", "conv"] * (DEPTH // 4)),
    "mllama_text_model": dict(cross_attention_layers=[1, 4, 6], num_hidden_layers=DEPTH, pad_token_id=1),
    "qwen4_exp_text": dict(indexer_n_heads=2, indexer_kv_heads=1, indexer_head_dim=8, indexer_budget=16, indexer_compress_ratio=4),
    "reformer": dict(is_decoder=True, attn_layers=["local", "lsh"] * (DEPTH // 2), axial_pos_shape=[8, 8], axial_pos_embds_dim=[16, 16]),
    "zaya": dict(num_experts_per_tok=1),
    "mamba2": dict(num_heads=8),
    "zamba": dict(layers_block_type=KINDS),
    "zamba2": dict(layers_block_type=KINDS, hybrid_layer_ids=[2, 6], num_mem_blocks=1),
}


def class_of(model_type):
    return getattr(transformers, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[model_type])


def small(model_type):
    """A configuration of small numbers: those that the class has."""
    cls = class_of(model_type).config_class

    def shrink(cls):
        names = set(getattr(cls, "__dataclass_fields__", {})) | set(cls.attribute_map)
        kwargs = {k: v for k, v in SIZES.items() if k in names}
        for k in names:
            if re.search(r"_token_id$|_token_index$", k): kwargs[k] = 1
        kwargs.update({k: v for k, v in OWN.get(cls.model_type, {}).items()})
        for k in getattr(cls, "sub_configs", {}):
            try: sub = type(getattr(cls(), k))
            except Exception: continue
            if hasattr(sub, "model_type"): kwargs.setdefault(k, shrink(sub) | {"model_type": sub.model_type})
        return kwargs

    return cls(**shrink(cls))


def build(model_type, out, seed):
    with quiet():
        torch.manual_seed(seed)
        config = small(model_type)
        with torch.device("meta"): n = sum(p.numel() for p in class_of(model_type)(config).parameters())
        if n > MOST: raise ValueError(f"{n / 1e6:.0f} million parameters")
        model = class_of(model_type)(config).float()
        for p in model.parameters():
            if p.is_floating_point(): torch.nn.init.normal_(p, std=0.02)
        model.save_pretrained(out)
    return model


INDEX = re.compile(r"(^|_)(layer_?idx|layer_?id|layer_?number|layer_?index|idx|seed|name_or_path|attention_layers|attn_layers|layer_block_map|block_id|max_seen\w*)$|^_|module_name")


def scalar(v):
    return v is None or isinstance(v, (bool, int, float, str, torch.dtype)) or isinstance(v, (tuple, list)) and len(v) < 9 and all(scalar(x) for x in v)


def built(layer):
    """A layer as a text: its modules with all numbers and texts in them, but not its place."""
    out = []
    for name, m in layer.named_modules():
        own = {k: v for k, v in vars(m).items() if scalar(v) and not INDEX.search(k)}
        out.append((name, type(m).__name__, repr(sorted(own.items(), key=lambda kv: kv[0]))))
        out += [(name, k, tuple(p.shape)) for k, p in m.named_parameters(recurse=False)]
    return out


def stack_of(model, path):
    """The module list of the layers that a recipe means, and the name of it in the file."""
    from safetensors import safe_open
    names = []
    for f in os.listdir(path):
        if f.endswith(".safetensors"):
            with safe_open(os.path.join(path, f), "pt") as s: names += list(s.keys())
    lists = [(n, m) for n, m in model.named_modules() if isinstance(m, torch.nn.ModuleList) and len(m) == DEPTH]
    if len(lists) != 1:
        lists = [(n, m) for n, m in lists if re.search(r"(^|\.)(layers|h|blocks|block|layer|transformer)$", n) and not re.search("vision|visual|audio", n)] or lists
    if not lists: raise ValueError("no list of its layers: " + ", ".join(f"{n} {len(m)}" for n, m in model.named_modules() if isinstance(m, torch.nn.ModuleList))[:200])
    return lists[0][0]


def lists_of(config, n):
    """What the configuration says layer by layer."""
    config = config.get_text_config()
    out = {}
    for k in set(config.to_dict()) | {"layer_types", "layers_block_type", "layers_num_experts", "mlp_layer_types", "no_rope_layers", "kv_sharing_modes"}:
        try: v = getattr(config, k)
        except Exception: continue
        if isinstance(v, (list, tuple)) and len(v) == n and k not in ("architectures", "moe_layers", "full_attn_idxs", "cross_attention_layers", "mlp_only_layers", "kv_source_layers"): out[k] = list(v)
    return out


RECIPES = {
    "duplicate": [(0, 3), (1, DEPTH)],
    "repeat": [(0, DEPTH), (0, DEPTH)],
    "drop": [(0, 2), (4, DEPTH)],
    "drop the first": [(1, DEPTH)],
    "reorder": [(4, DEPTH), (0, 4)],
}


def recipe(parts, a, b, slerp):
    lines = ["slices:"]
    for lo, hi in parts:
        lines += ["  - sources:"] + [f"      - model: {m}\n        layer_range: [{lo}, {hi}]" for m in ((a, b) if slerp else (a,))]
    return "\n".join(lines + (["merge_method: slerp", f"base_model: {a}", "parameters: {t: 0.5}"] if slerp else ["merge_method: passthrough"])) + "\n"


def difference(src, out, name, order, passthrough):
    """Why the output is not what the recipe says; "" if it is."""
    model, info = out
    bad = [f"{k.split('_')[0]} {sorted(map(str, v))[:2]}" for k, v in info.items() if k != "error_msgs" and v] + list(info.get("error_msgs") or [])
    if bad: return "; ".join(bad)
    theirs, ours = src.get_submodule(name), model.get_submodule(name)
    if len(ours) != len(order): return f"{len(ours)} layers, not {len(order)}"
    for j, i in enumerate(order):
        x, y = built(theirs[i]), built(ours[j])
        if x != y:
            d = next((p, q) for p, q in zip(x + [None] * len(y), y + [None] * len(x)) if p != q)
            return f"layer {j} is not built as layer {i}: {d}"
        if passthrough:
            for k, v in theirs[i].state_dict().items():
                if not torch.equal(v, ours[j].state_dict()[k]): return f"{k} of layer {j} is not that of layer {i}"
    said, says = lists_of(src.config, DEPTH), lists_of(model.config, len(order))
    for k in said.keys() & says.keys():
        for j, i in enumerate(order):
            if says[k][j] != said[k][i] and k != "kv_sharing_modes": return f"{k} says {says[k][j]!r} of layer {j}, and {said[k][i]!r} of layer {i} before"
    return ""


def opened(path):
    with open(os.path.join(path, "config.json")) as f: name = json.load(f)["architectures"][0]
    with quiet():
        return getattr(transformers, name).from_pretrained(path, output_loading_info=True, dtype=torch.float32)


def unlisted(path, to):
    """A copy whose config.json leaves out what its class works out itself; None where there is nothing of the kind."""
    with open(os.path.join(path, "config.json")) as f: config = json.load(f)
    parts = [config] + [v for v in config.values() if isinstance(v, dict) and "model_type" in v]
    keys = ("layer_types", "mlp_layer_types", "layers_block_type", "no_rope_layers", "indexer_types", "attention_layers", "per_layer_config", "layer_rope_theta", "moe_layers", "mlp_only_layers")
    found = [k for p in parts for k in keys if k in p and p.pop(k) is not None]
    if not found: return None
    shutil.copytree(path, to)
    with open(os.path.join(to, "config.json"), "w") as f: json.dump(config, f, indent=2)
    return to


class Sweep:
    def __init__(self, args):
        self.args, self.count, self.unbuilt, self.wrong = args, collections.Counter(), [], 0

    def family(self, model_type, work):
        a, b = os.path.join(work, "a"), os.path.join(work, "b")
        try:
            build(model_type, a, 1)
            build(model_type, b, 2)
            src, info = opened(a)
            if any(v for v in info.values()): raise ValueError(f"transformers can't open what it saved: {str({k: v for k, v in info.items() if v})[:200]}")
            name = stack_of(src, a)
        except Exception as e:
            self.unbuilt.append(model_type)
            print(f"not built: {model_type}: {type(e).__name__}: {' '.join(str(e).split())[:170]}", flush=True)
            return
        forms = {"as saved": (a, b, src)}
        try:
            bare = unlisted(a, os.path.join(work, "a2"))
            if bare:
                again, info = opened(bare)
                if not any(v for v in info.values()) and built(again) == built(src) and lists_of(again.config, DEPTH) == lists_of(src.config, DEPTH):
                    forms["by rule"] = (bare, b, again)
        except Exception: pass
        for form, (x, y, model) in forms.items():
            for title, parts in RECIPES.items():
                for slerp in (False, True) if title == "duplicate" else (False,):
                    outcome, text = self.one(x, y, model, name, parts, slerp, os.path.join(work, "out"))
                    self.count[outcome] += 1
                    self.wrong += outcome == "WRONG"
                    if outcome == "WRONG" or self.args.v: print(f"{outcome:7} {model_type}, {form}, {title}{' by slerp' if slerp else ''}: {text}", flush=True)

    def one(self, a, b, src, name, parts, slerp, out):
        shutil.rmtree(out, ignore_errors=True)
        with open(out + ".yml", "w") as f: f.write(recipe(parts, a, b, slerp))
        r = subprocess.run([self.args.binary, "merge", "-r", out + ".yml", "-o", out], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        if r.returncode not in (0, 2): return "WRONG", f"exit {r.returncode}: {r.stderr.strip()[-300:]}"
        said = [l for l in r.stderr.splitlines() if "warning:" in l]
        if r.returncode == 2: return "refused", r.stderr.strip().splitlines()[0].split(": ", 3)[-1][:250]
        order = [i for lo, hi in parts for i in range(lo, hi)]
        try: why = difference(src, opened(out), name, order, not slerp)
        except Exception as e: why = f"{type(e).__name__}: {' '.join(str(e).split())[:250]}"
        if not why: return ("warned", said[0]) if said else ("right", "")
        return ("warned of", f"{why} | {said[0]}") if said else ("WRONG", why)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("binary", type=os.path.abspath)
    p.add_argument("--full", action="store_true")
    p.add_argument("--only", default="")
    p.add_argument("-v", action="store_true")
    args = p.parse_args()
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    sweep = Sweep(args)
    families = list(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) if args.full or args.only else FAST
    if args.only: families = [f for f in families if f in args.only.split(",")]
    for model_type in families:
        with tempfile.TemporaryDirectory(prefix="stacks-") as work: sweep.family(model_type, work)
    print(f"stacks: {len(families) - len(sweep.unbuilt)} families of {len(families)}; " + ", ".join(f"{n} {k}" for k, n in sorted(sweep.count.items())) + f" (transformers {transformers.__version__})")
    return 1 if sweep.wrong or not sweep.count or (not args.full and not args.only and sweep.unbuilt) else 0


if __name__ == "__main__":
    sys.exit(main())
