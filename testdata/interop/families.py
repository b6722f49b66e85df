#!/usr/bin/env python3
"""Open merges of six model families with transformers, in both formats, in one file and in shards.

usage: families.py BINARY SHARED

SHARED is the folder that holds models/, interop/ and golden/. Every folder must load without missing, unexpected or mismatched keys and
without a warning, hold the tensors of our files to the bit (as save_pretrained writes them again) and run a forward pass; the four of
a family must give the same logits. There is no Qwen2 among the models: a pair is made here, and its merge held against mergekit's.
One line per check; exit status 1 when one fails.
"""
import os, re, shutil, sys, tempfile, warnings
import check
import torch, transformers
from check import folder, guarded, loading, model

# family: class, parents, tensors kept away from transformers' own files (tied heads; buffers of old releases go by loading.OLD_BUFFERS)
FAMILIES = {"Llama": ("LlamaForCausalLM", "alpha beta-bin-sharded", ()), "Qwen2": ("Qwen2ForCausalLM", "qwen2-a qwen2-b", ()),
            "GPT-NeoX": ("GPTNeoXForCausalLM", "neox-alpha neox-beta", ()), "Mixtral": ("MixtralForCausalLM", "moe-alpha moe-beta", ()),
            "BERT": ("BertModel", "bert-a bert-b", ()), "GPT-2": ("GPT2LMHeadModel", "tied-beta tied-alpha", ("lm_head.weight",))}
SHARDS = "60KB"
FORMS = {"safetensors": [], "safetensors shards": ["--shard-size", SHARDS], "bin": ["--format", "bin"], "bin shards": ["--format", "bin", "--shard-size", SHARDS]}
TEXT = "The function returns an error when the file cannot be opened."


def make_qwen2(out, seed):
    """A small Qwen2 as its makers save it: biases on q, k and v, a tied head, bfloat16; the weights are random."""
    torch.manual_seed(seed)
    config = transformers.Qwen2Config(vocab_size=1024, hidden_size=64, intermediate_size=160, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
                                      max_position_embeddings=256, tie_word_embeddings=True, bos_token_id=0, eos_token_id=0)
    m = transformers.Qwen2ForCausalLM(config)
    for name, p in m.named_parameters():  # biases begin as zeros, norms as ones: those say nothing about a merge
        if p.dim() == 1: torch.nn.init.normal_(p, mean=float("norm" in name), std=0.1)
    m.to(torch.bfloat16).save_pretrained(out)
    for f in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"): shutil.copy(os.path.join(model("alpha"), f), out)
    return out


logits = {}


def opened(family, form, out, work):
    wanted, _, tied = FAMILIES[family]
    files = [os.path.basename(p) for p in check.shards(out)]
    if form.startswith("bin") != files[0].endswith(".bin") or form.endswith("shards") != (len(files) > 1): return False, f"files {files[:3]}"
    types = {d for d, a in folder.read(out).values() if d in folder.BITS}
    own = transformers.AutoConfig.from_pretrained(out).dtype
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        m, tok, bad = loading.load(out, dtype=own)
    bad += [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
    if bad: return False, "; ".join(bad)[:300]
    if type(m).__name__ != wanted: return False, f"opened as {type(m).__name__}, not {wanted}"
    if types != {folder.from_torch(torch.zeros(1, dtype=own))[0]}: return False, f"config.json says {own}, the tensors are {sorted(types)}"
    again = os.path.join(work, "again")
    shutil.rmtree(again, ignore_errors=True)
    m.save_pretrained(again)
    ours, theirs = ({k: v for k, v in folder.read(d).items() if k not in tied and not loading.OLD_BUFFERS.search(k)} for d in (out, again))
    ok, text = check.same(ours, theirs)
    if not ok: return False, f"as save_pretrained writes it: {text}"
    ids = tok(TEXT, return_tensors="pt", add_special_tokens=False)["input_ids"]
    with torch.no_grad(): got = m.float()(input_ids=ids)
    logits[family, form] = got.logits if hasattr(got, "logits") else got.last_hidden_state
    if not torch.isfinite(logits[family, form]).all() or not logits[family, form].std() > 0: return False, "the forward pass gives no finite numbers, or always the same"
    return torch.equal(logits[family, form], logits[family, "safetensors"]), f"{len(files)} files, {len(ours)} tensors, no complaint; {ids.numel()} tokens"


def cut(out, work):
    """The check must fail where it should: a tensor less, and transformers complains."""
    to = os.path.join(work, "cut")
    shutil.copytree(out, to)
    tensors = folder.read(out)
    tensors.pop(sorted(tensors)[-1])
    folder.write_safetensors(os.path.join(to, "model.safetensors"), tensors)
    ok, text = opened("Llama", "safetensors", to, work)
    return not ok and "missing_keys" in text, "transformers complains: " + text.splitlines()[0]


def main():
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory(prefix="interop-") as work:
        made = {name: make_qwen2(os.path.join(work, name), seed) for seed, name in enumerate(("qwen2-a", "qwen2-b"))}
        for family, (_, parents, _) in FAMILIES.items():
            a, b = (made.get(p) or model(p) for p in parents.split())
            for form, flags in FORMS.items():
                out = os.path.join(work, re.sub(r"\W", "-", f"{family} {form}"))
                guarded(f"{family}, {form}", "family", lambda: opened(family, form, check.merge(a, b, out, "--nonfinite", "warn", *flags), work))
        kit = os.path.join(work, "mergekit-own")
        guarded("Qwen2", "mergekit's own merge", lambda: check.against_mergekit(os.path.join(work, "Qwen2-safetensors"), check.mergekit(made["qwen2-a"], made["qwen2-b"], kit)))
        guarded("Llama", "family, cut", cut, os.path.join(work, "Llama-safetensors"), work)
    print(f"families: {check.failed} failed (transformers {transformers.__version__})")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
