#!/usr/bin/env python3
"""Open what slerpmerge writes with the programs that its users have: safetensors, transformers, huggingface_hub, mergekit.

usage: check.py BINARY SHARED

SHARED is the folder that holds models/, interop/ and golden/. One line per check; exit status 1 when one fails.
bin.py and convert.py use the same checks for PyTorch checkpoints.
"""
import importlib.metadata, json, os, subprocess, sys, tempfile, warnings

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TOKENIZERS_PARALLELISM="false", CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="2")
import huggingface_hub, safetensors, safetensors.torch, torch, transformers
import numpy as np

BINARY, SHARED = (os.path.abspath(p) for p in sys.argv[1:3])
sys.path.insert(0, os.path.join(SHARED, "interop"))
import compare, folder, loading
import record

MERGES = {"one file": [], "shards": ["--shard-size", "300KB"], "float16": ["--dtype", "float16"], "float32": ["--dtype", "float32"]}
PROMPT, TOKENS = "func main() {", 24
failed = 0


def say(ok, what, check, text):
    global failed
    failed += not ok
    record.check(what, check, ok, text)
    print(f"{'ok  ' if ok else 'FAIL'} {what:12} {check:28} {text}", flush=True)


def guarded(what, check, f, *args):
    """f gives (ok, text); whatever else it does is a failure too."""
    try: say(*(lambda ok, text: (ok, what, check, text))(*f(*args)))
    except Exception as e: say(False, what, check, f"{type(e).__name__}: {' '.join(str(e).split())[:300]}")


def model(name): return os.path.join(SHARED, "models", name)


def tool(*args, timeout=120):
    r = subprocess.run([BINARY, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
    if r.returncode: raise RuntimeError(f"slerpmerge exit {r.returncode}: {r.stderr.strip()}")
    return r.stdout


def merge(first, second, out, *flags):
    tool("merge", "-q", first, second, "-o", out, *flags)
    return out


def shards(out): return [os.path.join(out, f) for f in folder.weight_files(out)[0]]


def same(x, y):
    """Equal in type, shape and every bit: (ok, text)"""
    if set(x) != set(y): return False, f"names differ: {sorted(set(x) ^ set(y))[:3]}"
    off = [k for k in x if x[k][0] != y[k][0] or x[k][1].shape != y[k][1].shape or x[k][1].tobytes() != y[k][1].tobytes()]
    return not off, f"{len(x)} tensors, {len(off)} differ" + (f", such as {off[0]}" if off else "")


def opened(out, names):
    got = {}
    for path in shards(out):
        with safetensors.safe_open(path, "pt") as f:
            if f.metadata() != {"format": "pt"}: return False, f"metadata {f.metadata()}"
            for k in f.keys(): got[k] = folder.from_torch(f.get_tensor(k))
    if names is not None and set(got) != names: return False, f"not the primary's names: {sorted(set(got) ^ names)[:3]}"
    return same(got, folder.read(out))


def values(out, dtype):
    """Against the golden exact result of alpha and beta, cast to the type where the merge was asked for another."""
    gold = os.path.join(SHARED, "golden", "flat-0.5")
    ref = compare.apply_delta(folder.read(os.path.join(gold, "expected.safetensors")), os.path.join(gold, "exact.delta.safetensors"))
    got = folder.read(out)
    if {d for d, _ in got.values()} != {dtype}: return False, f"types {sorted({d for d, _ in got.values()})}"
    if dtype != "BF16":  # brought to BF16, a once more rounded value may be one step off
        got = {k: folder.from_torch(torch.from_numpy(a.copy()).to(torch.bfloat16)) for k, (_, a) in got.items()}
    r = compare.compare(got, ref, 1)
    return r["ok"], f"{r['unequal']} of {r['elements']} elements unequal, max {r['max_ulp']} ulp"


def rewritten(out):
    n = 0
    for path in shards(out):
        ours, again = open(path, "rb").read(), path + ".again"
        tensors = safetensors.torch.load_file(path)
        safetensors.torch.save_file(tensors, again, metadata={"format": "pt"})
        theirs = open(again, "rb").read()
        os.remove(again)
        if theirs != ours or safetensors.torch.save(tensors, metadata={"format": "pt"}) != ours: return False, f"{os.path.basename(path)}: {len(ours)} bytes, safetensors writes {len(theirs)} others"
        n += len(ours)
    return True, f"{len(shards(out))} files, {n} bytes"


def index(out, limit=300_000):
    files, wm = folder.weight_files(out)
    if wm is None: return not [f for f in os.listdir(out) if f.endswith(".index.json")], "one file, no index"
    pattern = "pytorch_model{suffix}.bin" if files[0].endswith(".bin") else "model{suffix}.safetensors"
    j = json.load(open(os.path.join(out, pattern.format(suffix="") + ".index.json")))
    tensors = {k: v for f in files for k, v in in_file_order(os.path.join(out, f))}
    if set(tensors) != set(folder.read(out)): return False, "the index and the files differ"
    total = sum({v.data_ptr(): v.nbytes for v in tensors.values()}.values())
    split = huggingface_hub.split_torch_state_dict_into_shards(tensors, filename_pattern=pattern, max_shard_size=limit)
    if split.tensor_to_filename != wm: return False, "huggingface_hub would cut the shards elsewhere"
    ok = j["metadata"]["total_size"] == total == split.metadata["total_size"] and list(wm) == sorted(wm) and len(files) > 1
    return ok, f"{len(files)} shards as huggingface_hub would cut them, total_size {j['metadata']['total_size']} of {total}"


def in_file_order(path):
    """Names and tensors as they follow in the file; only tied ones share memory."""
    if path.endswith(".bin"): return list(torch.load(path, weights_only=True).items())
    t = safetensors.torch.load_file(path)
    return [(k, t[k].clone()) for k in header(path)]


def header(path):
    with open(path, "rb") as f: j = json.loads(f.read(int.from_bytes(f.read(8), "little")))
    j.pop("__metadata__", None)
    return j


def hub(out):
    """huggingface_hub reads the index (or the one file) into a model, by names."""
    got, safe = {}, not shards(out)[0].endswith(".bin")
    for path in shards(out): got.update({k: folder.from_torch(v) for k, v in huggingface_hub.load_state_dict_from_file(path, safe=safe).items()})
    ok, text = same(got, folder.read(out))
    m = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.from_pretrained(out)).to(next(v.dtype for v in torch_tensors(out).values() if v.is_floating_point()))
    r = huggingface_hub.load_torch_model(m, out, strict=False, safe=safe)
    missing = [k for k in r.missing_keys if k not in getattr(m, "all_tied_weights_keys", {})]
    alien = [k for k in r.unexpected_keys if not loading.OLD_BUFFERS.search(k)]
    off = [k for k, v in torch_tensors(out).items() if not loading.OLD_BUFFERS.search(k) and not torch.equal(m.state_dict()[k], v)]
    return ok and not missing and not alien and not off, f"{text}; load_torch_model: missing {missing[:3]}, unexpected {alien[:3]}, other values {off[:3]}"


def torch_tensors(out): return {k: v for p in shards(out) for k, v in in_file_order(p)}


texts, logits = {}, {}


def transformed(what, out):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        m, tok, bad = loading.load(out)
    bad += [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
    if bad: return False, "; ".join(bad)[:300]
    own = transformers.AutoConfig.from_pretrained(out).dtype
    tensors = {k: v for k, v in torch_tensors(out).items() if not loading.OLD_BUFFERS.search(k)}
    kept = {v.dtype for v in tensors.values()}
    if {own} != kept: return False, f"config.json says {own}, the tensors are {kept}"
    for k, v in tensors.items():
        if not torch.equal(m.state_dict()[k], v.float()): return False, f"{k} has other values in the model"
    ids = tok(PROMPT, return_tensors="pt", add_special_tokens=False)["input_ids"]
    with torch.no_grad(): new = m.generate(ids, max_new_tokens=TOKENS, do_sample=False, pad_token_id=0)[0, ids.shape[1]:]
    with torch.no_grad(): logits[what] = m(ids).logits
    texts[what] = tok.decode(new)
    return len(new) > 0 and bool(torch.isfinite(logits[what]).all()), f"no complaint; {PROMPT!r} -> {texts[what][:50]!r}"


def mergekit(first, second, out, *flags, t=0.5):
    cfg = out + ".yml"
    with open(cfg, "w") as f:
        json.dump({"models": [{"model": first}, {"model": second}], "merge_method": "slerp", "base_model": first, "parameters": {"t": t}, "dtype": "bfloat16"}, f)
    r = subprocess.run([os.path.join(os.path.dirname(sys.executable), "mergekit-yaml"), cfg, out, "--quiet", *flags], capture_output=True, text=True, timeout=600)
    if r.returncode: raise RuntimeError("mergekit: " + (r.stderr.strip().splitlines() or ["(silent)"])[-1])
    return out


def against_mergekit(ours, theirs):
    r = compare.compare(folder.read(ours), folder.read(theirs), 1)
    n = sum(1 for t in r["tensors"].values() if t.get("unequal"))
    return r["ok"], f"{r['unequal']} of {r['elements']} elements differ ({100 * r['unequal_share']:.5f} %), in {n} of {len(r['tensors'])} tensors, max {r['max_ulp']} ulp, {r['over']} over"


def tied_pair(work):
    """tied-beta is a .bin with old buffers: the same tensors as safetensors, without the head and the buffers."""
    out = os.path.join(work, "tied-beta")
    os.mkdir(out)
    names = set(folder.read(model("tied-alpha")))
    folder.write_safetensors(os.path.join(out, "model.safetensors"), {k: v for k, v in folder.read(model("tied-beta")).items() if k in names})
    for f in ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        open(os.path.join(out, f), "wb").write(open(os.path.join(model("tied-beta"), f), "rb").read())
    return out


def main():
    for m in (safetensors, transformers, huggingface_hub, torch): record.peer(m.__name__, m.__version__)
    record.peer("mergekit", importlib.metadata.version("mergekit"))
    with tempfile.TemporaryDirectory(prefix="interop-") as work:
        outs = {}
        for what, flags in MERGES.items(): outs[what] = (model("alpha"), merge(model("alpha"), model("beta"), os.path.join(work, what.replace(" ", "-")), *flags))
        outs["tied"] = (model("tied-alpha"), merge(model("tied-alpha"), tied_pair(work), os.path.join(work, "tied")))
        for what, (primary, out) in outs.items():
            guarded(what, "safe_open", opened, out, set(folder.read(primary)))
            guarded(what, "save_file, byte for byte", rewritten, out)
            guarded(what, "index", index, out)
            if what != "tied": guarded(what, "values", values, out, {"float16": "F16", "float32": "F32"}.get(what, "BF16"))
            guarded(what, "huggingface_hub", hub, out)
            guarded(what, "transformers", transformed, what, out)
        guarded("shards", "same as one file", lambda: same(folder.read(outs["shards"][1]), folder.read(outs["one file"][1])))
        guarded("shards", "same text as one file", lambda: (texts["shards"] == texts["one file"], "generated"))
        ours = outs["one file"][1]
        kit = os.path.join(work, "mergekit-own")
        guarded("one file", "mergekit's own merge", lambda: against_mergekit(ours, mergekit(model("alpha"), model("beta"), kit)))
        for what in ("one file", "shards"):
            o, again = outs[what][1], os.path.join(work, "again-" + what.replace(" ", "-"))
            guarded(what, "mergekit, ours as a parent", lambda: against_mergekit(merge(o, model("alpha"), again), mergekit(o, model("alpha"), again + "-mergekit")))
    print(f"interop: {failed} failed ({', '.join(f'{m.__name__} {m.__version__}' for m in (safetensors, transformers, huggingface_hub, torch))})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
