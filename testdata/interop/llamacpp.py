#!/usr/bin/env python3
"""Give merges to llama.cpp's converter, and look for every tensor in the GGUF files that it makes.

usage: llamacpp.py BINARY SHARED SOURCE

SHARED is the folder that holds models/, interop/ and golden/; SOURCE that of llama-cpp-python (llamacpp.txt), with llama.cpp in it. The
tokenizer of the models is in no list of llama.cpp's, so it is told a name for its splitting rule; all else is the converter as it
stands. Names and the order of rows in a GGUF are worked out here, not asked of gguf. One line per check; exit status 1 when one fails.
"""
import json, logging, os, re, sys, tempfile

os.environ["TQDM_DISABLE"] = "1"
import check, families, record
import numpy as np
from check import folder, guarded, model

# what: primary, secondary, flags, type asked of the converter, type of its matrices, architecture
CASES = {
    "one file": ("alpha", "beta", "", "auto", "BF16", "llama"), "shards": ("alpha", "beta", "--shard-size 300KB", "auto", "BF16", "llama"),
    "bin": ("alpha", "beta", "--format bin", "auto", "BF16", "llama"), "bin shards": ("alpha", "beta", "--format bin --shard-size 300KB", "f32", "F32", "llama"),
    "float16": ("alpha", "beta", "--dtype float16", "auto", "F16", "llama"), "Mixtral": ("moe-alpha", "moe-beta", "--shard-size 60KB", "auto", "BF16", "llama"),
    "Qwen2": ("qwen2-a", "qwen2-b", "--format bin", "auto", "BF16", "qwen2")}
NAMES = [(re.compile(a), b) for a, b in (
    (r"model\.embed_tokens", "token_embd"), (r"lm_head", "output"), (r"model\.norm", "output_norm"), (r"model\.layers\.(\d+)\.input_layernorm", r"blk.\1.attn_norm"),
    (r"model\.layers\.(\d+)\.post_attention_layernorm", r"blk.\1.ffn_norm"), (r"model\.layers\.(\d+)\.self_attn\.([qkv])_proj", r"blk.\1.attn_\2"),
    (r"model\.layers\.(\d+)\.self_attn\.o_proj", r"blk.\1.attn_output"), (r"model\.layers\.(\d+)\.mlp\.(gate|up|down)_proj", r"blk.\1.ffn_\2"),
    (r"model\.layers\.(\d+)\.block_sparse_moe\.gate", r"blk.\1.ffn_gate_inp"))]
EXPERT = re.compile(r"model\.layers\.(\d+)\.block_sparse_moe\.experts\.(\d+)\.w([123])\.weight")
EXPERTS = {"1": "gate", "2": "down", "3": "up"}


class Warnings(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, r): self.lines.append(r.getMessage())


def converter(source):
    """The converter's own main, with a name for the splitting rule of any tokenizer. -> f(folder, file, type) -> what it warned of"""
    sys.path[:0] = [source, os.path.join(source, "gguf-py")]
    heard = Warnings()
    logging.getLogger().addHandler(heard)  # the converter's basicConfig then leaves things as they are
    import convert_hf_to_gguf
    from conversion.base import TextModel
    TextModel.get_vocab_base_pre = lambda self, tokenizer: "gpt-2"

    def run(given, to, outtype):
        heard.lines, argv, sys.argv = [], sys.argv, ["convert_hf_to_gguf.py", given, "--outfile", to, "--outtype", outtype]
        try: convert_hf_to_gguf.main()
        finally: sys.argv = argv
        return heard.lines
    return run


def interleaved(a, heads):
    """Rows of a head as GGUF's llama wants them: the first of the one half, the first of the other, the second of the one ..."""
    d = a.shape[0] // heads
    one = np.arange(d).reshape(2, d // 2).T.reshape(-1)
    return a[np.concatenate([h * d + one for h in range(heads)])]


def expected(tensors, config, arch):
    """Names of the GGUF -> our type and values."""
    out, experts = {}, {}
    for name, (dtype, a) in tensors.items():
        if m := EXPERT.fullmatch(name):
            experts.setdefault(f"blk.{m[1]}.ffn_{EXPERTS[m[3]]}_exps.weight", {})[int(m[2])] = (dtype, a)
            continue
        stem, _, end = name.rpartition(".")
        to = [p.sub(b, stem) for p, b in NAMES if p.fullmatch(stem)]
        if len(to) != 1: raise ValueError(f"no name for {name}")
        if arch == "llama" and stem.endswith(("q_proj", "k_proj")): a = interleaved(a, config["num_attention_heads" if stem.endswith("q_proj") else "num_key_value_heads"])
        out[f"{to[0]}.{end}"] = (dtype, a)
    for name, parts in experts.items(): out[name] = (parts[0][0], np.stack([parts[i][1] for i in range(len(parts))]))
    return out


def fields(reader):
    """What a GGUF says of itself, but for what comes from the folder's name, its size and its model card."""
    return {k: f.contents() for k, f in reader.fields.items() if not k.startswith(("GGUF.", "general."))}


def converted(what, convert, out, primary, work):
    import gguf
    _, _, _, outtype, matrices, arch = CASES[what]
    path, parent = (os.path.join(work, f"{what.replace(' ', '-')}{end}.gguf") for end in ("", "-parent"))
    said, before = convert(out, path, outtype), convert(primary, parent, outtype)
    if said != before: return False, f"it warns of {said[:3]}, at the primary of {before[:3]}"
    reader, theirs = gguf.GGUFReader(path), gguf.GGUFReader(parent)
    if reader.fields["general.architecture"].contents() != arch: return False, f"architecture {reader.fields['general.architecture'].contents()}"
    ours, his = fields(reader), fields(theirs)
    off = [k for k in ours.keys() | his.keys() if ours.get(k) != his.get(k)]
    if off: return False, f"it says other things than of the primary: {off[0]}: {ours.get(off[0])!r:.80}, {his.get(off[0])!r:.80}"
    with open(os.path.join(out, "tokenizer.json"), encoding="utf-8") as f: vocabulary = json.load(f)["model"]["vocab"]
    if [ours["tokenizer.ggml.tokens"][i] for i in vocabulary.values()] != list(vocabulary): return False, "other tokens than in tokenizer.json"
    with open(os.path.join(out, "config.json"), encoding="utf-8") as f: want = expected(folder.read(out), json.load(f), arch)
    got = {t.name: t for t in reader.tensors}
    if set(got) != set(want): return False, f"other tensors: {sorted(set(got) ^ set(want))[:3]}"
    for name, t in got.items():
        dtype, a = want[name]
        kind = "F32" if a.ndim == 1 or "ffn_gate_inp" in name else matrices
        if t.tensor_type.name != kind or tuple(reversed(t.shape.tolist())) != a.shape: return False, f"{name}: {t.tensor_type.name} {t.shape.tolist()}, expected {kind} {a.shape[::-1]}"
        if kind not in (dtype, "F32"): return False, f"{name}: {kind} of our {dtype}"
        if t.data.tobytes() != (a if kind == dtype else folder.to64(dtype, a).astype(np.float32)).tobytes(): return False, f"{name}: other values"
    return True, f"{len(got)} tensors, {len(ours)} fields as the primary's"


def other(what, convert, out, primary, work):
    """The check must fail where it should: the primary's weights are not the merge's."""
    at = os.path.join(work, "other")
    os.mkdir(at)
    for f in os.listdir(out): os.symlink(os.path.join(primary if f.endswith(".safetensors") else out, f), os.path.join(at, f))
    ok, text = converted(what, lambda given, to, outtype: convert(at if given == out else given, to, outtype), out, primary, work)
    return not ok and text.endswith("other values"), text


def main():
    source = os.path.abspath(sys.argv[3])
    with open(os.path.join(source, "PKG-INFO"), encoding="utf-8") as f: version = re.search(r"^Version: (.+)$", f.read(), re.M)[1]
    record.peer("llama-cpp-python", version)
    convert = converter(os.path.join(source, "vendor", "llama.cpp"))
    check.transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory(prefix="interop-") as work:
        made = {name: families.make_qwen2(os.path.join(work, name), seed) for seed, name in enumerate(("qwen2-a", "qwen2-b"))}
        for what, (first, second, flags, *_) in CASES.items():
            a, b, out = *(made.get(p) or model(p) for p in (first, second)), os.path.join(work, what.replace(" ", "-"))
            guarded(what, "converter", lambda: converted(what, convert, check.merge(a, b, out, *flags.split()), a, work))
        guarded("one file", "converter, other weights", lambda: other("one file", convert, os.path.join(work, "one-file"), model("alpha"), work))
    print(f"llamacpp: {check.failed} failed (llama.cpp in llama-cpp-python {version})")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
