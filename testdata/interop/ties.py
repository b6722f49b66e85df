#!/usr/bin/env python3
"""Merges pairs of every model class of transformers that ties weights.

usage: ties.py SLERPMERGE [--all] [--only WORD] [--flags] [--jobs N] [-v]

For each class with _tied_weights_keys two parents are made from a small config,
with random weights, as safetensors (as save_pretrained writes it: one name of
each parameter) and as .bin (all names, those of one parameter in one storage).
Of the four merges of the two:

  - the format of the secondary makes no difference to the SHA-256 of the output;
  - the format of the primary makes none to the values of any name that both
    outputs have;
  - both outputs load without missing or unexpected keys, and every weight of
    the loaded model is the blend of the parents' weights.

Where a class lets its config say that nothing is tied, a tied primary is also
merged with an untied secondary: both names must be written, each the blend of
what it is in the parents (or the merge is refused, and names what is missing,
where transformers works the names out in code, or the tensor that is of another
size in an untied model). And where all of a parameter's
names but one are left out by save_model of safetensors, the name that it keeps
must do as well, in either parent: the output of such a primary loads with
load_model, strictly, and in transformers if the primary does.

With --flags, some families are tried with every combination of
tie_word_embeddings at the top of config.json and in text_config (left out, true
or false) and of the names that are tied (left out, equal, or with values of
their own), in both parents alike and in one of them: the loaded output is the
blend of what transformers loads of the parents. Parents that transformers does
not load whole are passed over.

Without --all, some classes with different ways of tying are tried. A class
that can't be built small is listed with the reason.
"""
import argparse, collections, hashlib, importlib, inspect, json, multiprocessing, os, re, shutil, signal, subprocess, sys, tempfile, warnings

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_PROGRESS_BARS="1", TRANSFORMERS_VERBOSITY="critical", TOKENIZERS_PARALLELISM="false", CUDA_VISIBLE_DEVICES="")
warnings.simplefilter("ignore")

FAST = """LlamaForCausalLM GPT2LMHeadModel Gemma2ForCausalLM MambaForCausalLM T5ForConditionalGeneration MT5EncoderModel BartForConditionalGeneration
WhisperForConditionalGeneration BertForMaskedLM XLMRobertaForMaskedLM DebertaV2ForMaskedLM DistilBertForMaskedLM ModernBertForMaskedLM OPTForCausalLM
MarianMTModel UdopForConditionalGeneration""".split()

# The families of --flags.
FLAGS = """Gemma2ForCausalLM Gemma3ForConditionalGeneration Qwen2VLForConditionalGeneration LlavaForConditionalGeneration XLMRobertaForMaskedLM
ModernBertForMaskedLM BertForMaskedLM""".split()

LARGEST = 4_000_000  # parameters of a model that counts as small
SECONDS = 120        # for one class

# Settings by their names: EXACT, else the first pattern of SMALL that is part of the name.
EXACT = {"dim": 32, "emb_dim": 32, "encoder_hash_byte_group_vocab": 64, "num_kv_shared_layers": 0}
SMALL = [
    ("vocab_size", 128), ("num_labels", None), ("max_position", 96), ("n_positions", 96), ("max_source_positions", 48), ("max_target_positions", 48),
    ("num_mel_bins", 16), ("head_dim", 8), ("d_kv", 8), ("num_key_value_heads", 2), ("num_kv_heads", 2), ("n_head", 4), ("num_heads", 4),
    ("attention_heads", 4), ("n_layer", 2), ("num_blocks", 2), ("num_layers", 2), ("hidden_layers", 2), ("encoder_layers", 2), ("decoder_layers", 2), ("depth", 2),
    ("moe_intermediate_size", 16), ("intermediate_size", 64), ("ffn_dim", 64), ("d_ff", 64), ("d_inner", 64), ("n_inner", 64), ("mlp_dim", 64),
    ("feed_forward", 64), ("feedforward", 64), ("d_model", 32), ("n_embd", 32), ("hidden_size", 32), ("embed_dim", 32), ("embedding_size", 32), ("hidden_dim", 32),
    ("num_local_experts", 4), ("n_routed_experts", 4), ("num_experts_per_tok", 2), ("num_experts", 4), ("image_size", 32), ("patch_size", 8), ("projection_dim", 32),
    ("q_lora_rank", 16), ("kv_lora_rank", 16), ("qk_rope_head_dim", 8), ("qk_nope_head_dim", 8), ("v_head_dim", 8), ("state_size", 8),
]


ROPE = {"rope_type": "default", "rope_theta": 10000.0}
# Settings without which a model type can't be built.
OWN = {
    "cohere_compass_text": {"rope_parameters": {"full_attention": ROPE, "sliding_attention": ROPE}},
    "dots1": {"n_shared_experts": 1, "n_routed_experts": 4, "num_experts_per_tok": 2},
    "esm": {"vocab_size": 40, "mask_token_id": 32},
    "hunyuan_v1_dense": {"head_dim": 8},
    "hunyuan_v1_moe": {"head_dim": 8},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "mamba2": {"num_heads": 8, "n_groups": 1},
    "ministral": {"head_dim": 8},
    "nemotron": {"num_key_value_heads": 2},
}


def shrunk(cls, depth=0, default=None):
    """A small config of the class: its defaults, with sizes that fit each other."""
    default = default if default is not None else cls()
    subs = getattr(cls, "sub_configs", None) or {}
    kw = {}
    for name, value in vars(default).items():
        if name.startswith("_") or name in ("transformers_version", "architectures", "dtype", "torch_dtype", "id2label", "label2id"):
            continue
        if name in subs or hasattr(value, "to_dict"):
            if value is not None and depth < 3 and hasattr(value, "to_dict"):
                kw[name] = shrunk(type(value), depth + 1, value).to_dict()
            continue
        if isinstance(value, bool) or not isinstance(value, int):
            if name == "layer_types" and isinstance(value, list):
                kw[name] = pattern(value)
            continue
        if name.endswith(("_id", "_index", "_idx")):
            kw[name] = min(value, 5) if value >= 0 else value
            continue
        if name in EXACT:
            kw[name] = EXACT[name]
            continue
        for part, small in SMALL:
            if part in name and small is not None:
                kw[name] = min(value, small) if value > 0 else value
                break
    return build(cls, kw | OWN.get(cls.model_type, {}))


def pattern(kinds):
    """Two layers, of two kinds if there are as many."""
    first = kinds[0]
    return [first, next((k for k in kinds if k != first), first)]


def build(cls, kw):
    for attempt in range(6):
        try:
            return cls(**kw)
        except Exception as e:
            drop = [k for k in kw if k in str(e)]
            if not drop or attempt == 5:
                raise
            for k in drop:
                kw.pop(k)


def classes(word):
    """All classes that tie something and have a word in their names, by name."""
    import transformers
    import transformers.models as models
    found, failed = {}, {}
    root = os.path.dirname(models.__file__)
    for family in sorted(os.listdir(root)):
        folder = os.path.join(root, family)
        if not os.path.isdir(folder):
            continue
        for file in sorted(os.listdir(folder)):
            if not file.startswith("modeling_") or not file.endswith(".py"):
                continue
            name = f"transformers.models.{family}.{file[:-3]}"
            with open(os.path.join(folder, file), encoding="utf-8") as f:
                text = f.read()
            if "_tied_weights_keys" not in text or not any(word in n for n in re.findall(r"^class (\w+)", text, re.M)):
                continue
            try:
                module = importlib.import_module(name)
            except Exception as e:
                failed[name] = f"can't be imported: {e}"
                continue
            for n, c in vars(module).items():
                if inspect.isclass(c) and issubclass(c, transformers.PreTrainedModel) and c.__module__ == module.__name__:
                    if getattr(c, "_tied_weights_keys", None) is not None or "_tied_weights_keys" in inspect.getsource(c):
                        found[n] = c
    return found, failed


class Skip(Exception):
    pass


class Refused(AssertionError):
    """The program refused a merge, with exit 2."""


def aliases(sd):
    """Groups of names that are one parameter."""
    import torch
    groups = collections.defaultdict(list)
    for n, t in sd.items():
        if isinstance(t, torch.Tensor) and t.numel():
            groups[(t.untyped_storage().data_ptr(), t.storage_offset(), tuple(t.shape), t.stride())].append(n)
    return [g for g in groups.values() if len(g) > 1]


def model_of(cls, config, seed):
    import torch
    with torch.device("meta"):
        n = sum(p.numel() for p in cls(config).parameters())
    if n > LARGEST:
        raise Skip(f"{n} parameters")
    m = cls(config).float().eval()
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in m.parameters():
            if p.is_floating_point() and p.requires_grad:  # tables of sines stay as they are
                p.copy_(torch.randn(p.shape, generator=g) * 0.1)
    return m


def save(m, folder):
    """Writes a parent in both formats, and says how the .bin has its aliases."""
    import torch
    from safetensors.torch import load_file
    st, bin = os.path.join(folder, "st"), os.path.join(folder, "bin")
    m.save_pretrained(st)
    tensors = {}
    for f in sorted(os.listdir(st)):
        if f.endswith(".safetensors"):
            tensors.update(load_file(os.path.join(st, f)))
    groups = aliases(m.state_dict())
    added = 0
    for g in groups:
        stored = [n for n in g if n in tensors]
        for n in g:
            if stored and n not in tensors:
                tensors[n] = tensors[stored[0]]
                added += 1
    # Tables that save_pretrained leaves out are in a state dict all the same.
    for n, t in m.state_dict().items():
        if any(re.search(p, n) for p in getattr(m, "_keys_to_ignore_on_save", None) or ()):
            tensors.setdefault(n, t)
    os.makedirs(bin)
    torch.save(tensors, os.path.join(bin, "pytorch_model.bin"))
    shutil.copy(os.path.join(st, "config.json"), bin)
    return groups, added


def run(binary, args, cwd):
    r = subprocess.run([binary] + args, cwd=cwd, capture_output=True, text=True)
    if r.returncode:
        kind = Refused if r.returncode == 2 else AssertionError
        raise kind(f"slerpmerge {' '.join(args)}: exit {r.returncode}: {r.stderr.strip()}")
    return r.stderr


def digest(folder):
    h = hashlib.sha256()
    for f in sorted(os.listdir(folder)):
        if f.endswith((".safetensors", ".bin", ".index.json")) or f == "config.json":
            with open(os.path.join(folder, f), "rb") as x:
                h.update(f.encode() + x.read())
    return h.hexdigest()


def values(folder):
    import torch
    from safetensors.torch import load_file
    out = {}
    for f in sorted(os.listdir(folder)):
        if f.endswith(".safetensors"):
            out.update(load_file(os.path.join(folder, f)))
        elif f.endswith(".bin"):
            out.update(torch.load(os.path.join(folder, f), weights_only=True))
    return out


def load(cls, folder):
    m, info = cls.from_pretrained(folder, output_loading_info=True, dtype="float32")
    bad = {k: sorted(map(str, v))[:4] for k, v in info.items() if v and k in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")}
    return m.eval(), bad


def blend(a, b, t):
    import torch
    x, y = a.double().flatten(), b.double().flatten()
    cos = float(x @ y / (x.norm() * y.norm()).clamp(min=1e-300))
    if abs(cos) > 0.9995 or not float(x.norm()) or not float(y.norm()):
        r = (1 - t) * x + t * y
    else:
        w = torch.arccos(torch.tensor(cos, dtype=torch.float64))
        r = (torch.sin((1 - t) * w) * x + torch.sin(t * w) * y) / torch.sin(w)
    return r.reshape(a.shape)


def expect(loaded, a, b, t, what, skip=()):
    """Every weight of a loaded model is the blend of the parents'."""
    import torch
    got, x, y = loaded.state_dict(), a.state_dict(), b.state_dict()
    if set(got) != set(x):
        raise AssertionError(f"{what}: other names: {sorted(set(got) ^ set(x))[:4]}")
    for n, v in got.items():
        if n in skip or not isinstance(v, torch.Tensor) or not v.is_floating_point() or not v.numel():
            continue
        want = x[n] if torch.equal(x[n], y[n]) else blend(x[n], y[n], t)
        if not torch.allclose(v.double(), want.double(), atol=1e-5, rtol=1e-4):
            raise AssertionError(f"{what}: {n} is not the blend of the parents: off by {(v.double() - want.double()).abs().max():.3g}")


def fused(m, folder):
    """Names whose values in the file are not those of the model: several of its tensors in one, or one in several."""
    import torch
    stored = values(folder)
    sd = m.state_dict()
    have = {}
    for n, t in stored.items():
        have.setdefault((tuple(t.shape), hashlib.sha256(t.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()).digest()), n)
    out = set()
    for n, t in sd.items():
        if isinstance(t, torch.Tensor) and t.numel() and (tuple(t.shape), hashlib.sha256(t.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()).digest()) not in have:
            out.add(n)
    return out


def load_kept(binary, cls, config, a, b, t, tmp, odd):
    """Merges a primary of save_model, and loads the output as the primary can be loaded."""
    from safetensors.torch import load_model
    kept, o = os.path.join(tmp, "b", "kept"), os.path.join(tmp, "kept-primary")
    file = "model.safetensors"

    def strictly(folder):
        m = cls(config).float().eval()
        load_model(m, os.path.join(folder, file), strict=True)
        return m

    by = []
    for name, f in (("load_model", strictly), ("from_pretrained", lambda folder: load(cls, folder))):
        try:
            m = f(kept)
        except Exception:
            continue  # such as the names of modules that transformers converts
        if name == "load_model" or not m[1]:
            by.append((name, f))
    if not by:
        return ""
    run(binary, ["merge", "b/kept", "a/bin", "-o", o, "-t", str(t), "--missing", "error", "-q", "--no-card"], tmp)
    for name, f in by:
        try:
            m = f(o)
        except Exception as e:
            raise AssertionError(f"the output of a primary of save_model does not load by {name}: {e}")
        if name == "from_pretrained":
            m, bad = m
            if bad:
                raise AssertionError(f"the output of a primary of save_model: {bad}")
        expect(m, b, a, t, f"a primary of save_model, by {name}", odd)
    return " loads by " + " and ".join(name for name, _ in by)


def untied(config):
    """The same config without ties; None if the class does not let it say so."""
    c = type(config).from_dict(config.to_dict())
    for part in [c] + [v for v in vars(c).values() if hasattr(v, "to_dict")]:
        for name in ("tie_word_embeddings", "tie_codebooks_embeddings"):
            if hasattr(part, name):
                setattr(part, name, False)
    c = type(config).from_dict(c.to_dict())
    return None if getattr(c, "tie_word_embeddings", False) else c


def check(binary, cls, tmp):
    """Tries one class; the outcomes by kind."""
    import torch
    if cls.config_class is None:
        raise Skip("has no config class")
    try:
        config = shrunk(cls.config_class)
        if hasattr(config, "tie_word_embeddings") and config.model_type != "dbrx":
            config.tie_word_embeddings = True
        if hasattr(config, "tie_codebooks_embeddings"):
            config.tie_codebooks_embeddings = True
        config = type(config).from_dict(config.to_dict())
        a, b = model_of(cls, config, 1), model_of(cls, config, 2)
    except Skip:
        raise
    except Exception as e:
        raise Skip(f"can't be built: {type(e).__name__}: {str(e).strip().splitlines()[0][:160] if str(e).strip() else ''}")
    t = 0.3
    done = []
    try:
        groups, added = save(a, os.path.join(tmp, "a"))
        save(b, os.path.join(tmp, "b"))
        ref, bad = load(cls, os.path.join(tmp, "a", "st"))
        if bad:
            raise Skip(f"transformers does not load what it saved itself: {bad}")
        for n, v in ref.state_dict().items():
            if isinstance(v, torch.Tensor) and not torch.equal(v, a.state_dict()[n]):
                raise Skip(f"transformers loads {n} otherwise than it was saved")
    except Skip:
        raise
    except Exception as e:
        raise Skip(f"can't be saved or loaded: {type(e).__name__}: {str(e).strip().splitlines()[0][:160] if str(e).strip() else ''}")
    if not groups:
        raise Skip("ties nothing with this config")
    try:
        _, bad = load(cls, os.path.join(tmp, "a", "bin"))
    except Exception:
        bad = True
    if bad:  # such as ImageGPT, whose head has a row less than the embedding until they are tied
        for x in "ab":
            torch.save(values(os.path.join(tmp, x, "st")), os.path.join(tmp, x, "bin", "pytorch_model.bin"))
        done.append("a .bin with all names does not load")
    odd = fused(a, os.path.join(tmp, "a", "st"))
    out = {}
    for x in ("st", "bin"):
        for y in ("st", "bin"):
            o = out[x, y] = os.path.join(tmp, f"{x}-{y}")
            run(binary, ["merge", f"a/{x}", f"b/{y}", "-o", o, "-t", str(t), "--missing", "error", "-q", "--no-card"], tmp)
        if digest(out[x, "st"]) != digest(out[x, "bin"]):
            raise AssertionError(f"{x} primary: the output depends on the format of the secondary")
    done.append("four merges")
    v, w = values(out["st", "st"]), values(out["bin", "st"])
    for n in set(v) & set(w):
        if not torch.equal(v[n], w[n]):
            raise AssertionError(f"{n} depends on the format of the primary")
    loaded = []
    for x in ("st", "bin"):
        m, bad = load(cls, out[x, "st"])
        if bad:
            raise AssertionError(f"{x} primary: {bad}")
        expect(m, a, b, t, f"{x} primary", odd)
        loaded.append(m.state_dict())
    for n, x in loaded[0].items():
        if isinstance(x, torch.Tensor) and not torch.equal(x, loaded[1][n]):
            raise AssertionError(f"loaded {n} depends on the format of the primary")
    done.append("loads alike" + (" (some names are stored in parts)" if odd else ""))
    # A .bin output of either.
    for x in ("st", "bin"):
        o = os.path.join(tmp, "out-bin-" + x)
        run(binary, ["merge", f"a/{x}", "b/bin", "-o", o, "-t", str(t), "--format", "bin", "-q", "--no-card"], tmp)
        m, bad = load(cls, o)
        if bad:
            raise AssertionError(f"{x} primary, .bin output: {bad}")
        expect(m, a, b, t, f"{x} primary, .bin output", odd)
    # Every name with bytes of its own, as old releases wrote safetensors.
    from safetensors.torch import save_file
    os.makedirs(os.path.join(tmp, "b", "copies"))
    shutil.copy(os.path.join(tmp, "b", "st", "config.json"), os.path.join(tmp, "b", "copies"))
    save_file({n: x.clone().contiguous() for n, x in values(os.path.join(tmp, "b", "bin")).items()}, os.path.join(tmp, "b", "copies", "model.safetensors"), {"format": "pt"})
    o = os.path.join(tmp, "copies")
    run(binary, ["merge", "a/st", "b/copies", "-o", o, "-t", str(t), "--missing", "error", "-q", "--no-card"], tmp)
    if digest(o) != digest(out["st", "st"]):
        raise AssertionError("a secondary with every name stored by itself gives another output")
    # What save_model of safetensors keeps: the first name by the alphabet.
    kept = dict(values(os.path.join(tmp, "b", "bin")))
    metadata = {"format": "pt"}
    for g in aliases(kept):
        g = sorted(g)
        for n in g[1:]:
            kept.pop(n)
            metadata[n] = g[0]
    if len(metadata) > 1:
        os.makedirs(os.path.join(tmp, "b", "kept"))
        shutil.copy(os.path.join(tmp, "b", "st", "config.json"), os.path.join(tmp, "b", "kept"))
        save_file({n: x.contiguous() for n, x in kept.items()}, os.path.join(tmp, "b", "kept", "model.safetensors"), metadata)
        o = os.path.join(tmp, "kept")
        run(binary, ["merge", "a/st", "b/kept", "-o", o, "-t", str(t), "--missing", "error", "-q", "--no-card"], tmp)
        if digest(o) != digest(out["st", "st"]):
            raise AssertionError("a secondary of save_model gives another output")
        done.append("save_model" + load_kept(binary, cls, config, a, b, t, tmp, odd))
    # The other parent is not tied.
    free = untied(config)
    if free is None:
        return done
    try:
        c = model_of(cls, free, 3)
        if aliases(c.state_dict()):
            return done
        save(c, os.path.join(tmp, "c"))
    except Exception:
        return done
    try:
        for x in ("st", "bin"):
            for p, q, pm, qm, what in ((f"a/{x}", "c/st", a, c, "the other parent untied"), ("c/st", f"a/{x}", c, a, "the primary untied")):
                o = os.path.join(tmp, f"mixed-{x}-{p[0]}")
                run(binary, ["merge", p, q, "-o", o, "-t", str(t), "--missing", "error", "-q", "--no-card"], tmp)
                m, bad = load(cls, o)
                if bad:
                    raise AssertionError(f"{x}, {what}: {bad}")
                expect(m, pm, qm, t, f"{x}, {what}", odd | fused(c, os.path.join(tmp, "c", "st")))
    except Refused as e:
        # The head of ImageGPT has a row less than the embedding until they are
        # tied: an untied head has no value for that row. A merge is refused,
        # as --vocab is to say what becomes of it.
        sizes = {n: x.shape for n, x in c.state_dict().items() if isinstance(x, torch.Tensor)}
        resized = [n for n, x in a.state_dict().items() if isinstance(x, torch.Tensor) and n in sizes and sizes[n] != x.shape]
        if resized and "the vocabularies differ" in str(e) and any(n in str(e) for n in resized):
            done.append("untied other refused with the rows that are missing")
            return done
        if "missing from" not in str(e):
            raise
        done.append("untied other refused with the names that are missing")
        return done
    done.append("untied other")
    return done


def stored_with(m, folder):
    """Every way to store a model that its config and its names allow: what it is, its config and its tensors."""
    import torch
    stored, groups = values(folder), aliases(m.state_dict())
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
        config = json.load(f)
    flags = (None, True, False)
    for top in flags:
        for text in flags if "text_config" in config else (None,):
            for others in ("absent", "equal", "unlike"):
                c, tensors = json.loads(json.dumps(config)), dict(stored)
                for part, value in ((c, top), (c.get("text_config", {}), text)):
                    part.pop("tie_word_embeddings", None)
                    if value is not None:
                        part["tie_word_embeddings"] = value
                for g in groups:
                    kept = [n for n in g if n in stored]
                    for n in g if kept and others != "absent" else ():
                        if n not in stored:
                            x = stored[kept[0]]
                            tensors[n] = x.clone() if others == "equal" else torch.randn(x.shape, generator=torch.Generator().manual_seed(len(n))) * 0.1
                yield (top, text, others), c, tensors


def check_flags(binary, cls, tmp):
    """Tries flags that disagree with each other or with the tensors."""
    import torch
    from safetensors.torch import save_file
    config = shrunk(cls.config_class)
    config.tie_word_embeddings = True
    config = type(config).from_dict(config.to_dict())
    loaded, t = {}, 0.3
    for side, seed in (("a", 1), ("b", 2)):
        m = model_of(cls, config, seed)
        m.save_pretrained(os.path.join(tmp, side))
        for key, c, tensors in stored_with(m, os.path.join(tmp, side)):
            folder = os.path.join(tmp, side + str(key))
            os.makedirs(folder)
            with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as f:
                json.dump(c, f)
            save_file({n: x.contiguous() for n, x in tensors.items()}, os.path.join(folder, "model.safetensors"), {"format": "pt"})
            model, bad = load(cls, folder)
            if not bad:
                loaded[side, key] = model
    whole = [key for side, key in loaded if side == "a" and ("b", key) in loaded]
    pairs = {(k, k) for k in whole} | {(whole[0], k) for k in whole} | {(k, whole[0]) for k in whole}
    for x, y in sorted(pairs, key=str):
        out = os.path.join(tmp, "out")
        shutil.rmtree(out, ignore_errors=True)
        run(binary, ["merge", "a" + str(x), "b" + str(y), "-o", out, "-t", str(t), "--missing", "error", "-q", "--no-card"], tmp)
        m, bad = load(cls, out)
        if bad:
            raise AssertionError(f"{x} and {y}: {bad}")
        expect(m, loaded["a", x], loaded["b", y], t, f"{x} and {y}")
    return [f"{len(pairs)} pairs of {len(whole)} ways to store it"]


def work(job):
    binary, name, flags = job
    import torch, logging, transformers
    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)
    transformers.utils.logging.disable_progress_bar()
    tmp = tempfile.mkdtemp(prefix="ties-")

    def late(*_):
        raise Skip(f"takes longer than {SECONDS} s")
    signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS * (5 if flags else 1))
    try:
        return name, "ok", ", ".join((check_flags if flags else check)(binary, FOUND[name], tmp))
    except Skip as e:
        return name, "skipped", str(e)
    except AssertionError as e:
        return name, "WRONG", str(e)
    except Exception as e:
        return name, "WRONG", f"{type(e).__name__}: {e}"
    finally:
        signal.alarm(0)
        shutil.rmtree(tmp, ignore_errors=True)


def main():
    global FOUND
    p = argparse.ArgumentParser()
    p.add_argument("binary")
    p.add_argument("--all", action="store_true")
    p.add_argument("--only", default="")
    p.add_argument("--flags", action="store_true")
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("-v", action="store_true")
    a = p.parse_args()
    import transformers
    if a.flags:
        FOUND, failed = {n: getattr(transformers, n) for n in FLAGS}, {}
    elif a.all or a.only:
        FOUND, failed = classes(a.only)
    else:
        FOUND, failed = {n: getattr(transformers, n) for n in FAST}, {}
    jobs = [(os.path.abspath(a.binary), n, a.flags) for n in sorted(FOUND) if a.only in n]
    counts = collections.Counter()
    bad = False
    with multiprocessing.get_context("fork").Pool(a.jobs, maxtasksperchild=20) as pool:
        for name, outcome, text in pool.imap_unordered(work, jobs):
            counts[outcome] += 1
            if outcome == "ok":
                counts.update("ok: " + k for k in text.split(", "))
            bad |= outcome == "WRONG"
            if a.v or outcome != "ok":
                print(f"{outcome:8} {name}: {text}", flush=True)
    for name, text in failed.items():
        print(f"skipped  {name}: {text}")
        counts["skipped"] += 1
    print("; ".join(f"{v} {k}" for k, v in sorted(counts.items())))
    if not a.all and not a.only and counts["ok"] != len(jobs):
        bad = True  # each of the few can be built
    sys.exit(bad)


FOUND = {}
if __name__ == "__main__":
    main()
