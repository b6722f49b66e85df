#!/usr/bin/env python3
"""Take models through `slerpmerge convert` and back, convert every value to every type, and merge parents of all formats.

usage: convert.py BINARY SHARED

SHARED is the folder that holds models/, interop/ and golden/. torch is the measure: torch.load for what a .bin holds, Tensor.to for what
a conversion of types gives, bit for bit (any NaN is as good as another there). One line per check; exit status 1 when one fails.
"""
import hashlib, json, os, sys, tempfile
import bin, check, opened
import numpy as np, torch
from check import folder, guarded, model, tool

# what: model, flags of all conversions
TRIPS = {"alpha": "", "alpha-f16": "", "tied-alpha": "", "bert-a": "", "moe-alpha": "", "edge-a": "", "types": "", "alpha in shards": "--shard-size 300KB",
         "alpha-sharded": "--shard-size 400KB", "moe-alpha in shards": "--shard-size 50KB"}
# .bin models, and the one that has the same tensors in safetensors
BINS = {"alpha-bin": "alpha", "alpha-bin-legacy": "alpha", "deep-a-bin": "deep-a", "beta-bin-sharded": "beta", "tied-beta": None, "neox-alpha": None,
        "neox-beta": None, "bert-b": None, "moe-beta": None, "deep-b-vocab-bin": None, "bad-missing": None}
PAIRS = [("alpha", "beta"), ("alpha-bin", "beta"), ("alpha", "beta-bin-sharded"), ("alpha-bin-legacy", "beta-bin-sharded"), ("alpha-sharded", "beta-bin-sharded")]
SOURCES, TARGETS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"), ("float32", "float16", "bfloat16")


def convert(source, out, *flags):
    tool("convert", "-q", source, "-o", out, *flags)
    return out


def files(out):
    """What must come back: the weights, their index, config.json. Names and contents."""
    kept = [f for f in sorted(os.listdir(out)) if f.endswith((".safetensors", ".bin", ".index.json")) or f == "config.json"]
    return {f: hashlib.sha256(open(os.path.join(out, f), "rb").read()).hexdigest() for f in kept}


def equal(got, want):
    off = sorted(f for f in got.keys() | want.keys() if got.get(f) != want.get(f))
    return not off, f"{len(want)} files" + (f", {len(off)} not the same: {off[:4]}" if off else "")


def trip(work, what, source, flags):
    """safetensors -> .bin -> safetensors: the bytes that a model of one file had, else those of the direct conversion."""
    flags, to = flags.split(), os.path.join(work, "trip-" + what.replace(" ", "-"))
    first = source if not flags and what != "types" else convert(source, to + "-first", *flags)
    if len(bin.shards(first)) == 1 and flags: return False, "not in shards"
    there = convert(first, to + "-bin", "--format", "bin", *flags)
    if not all(f.endswith(".bin") for f in bin.shards(there)): return False, f"{bin.shards(there)}"
    ok, text = equal(files(convert(there, to + "-again", "--format", "bin", "--threads", "1", *flags)), files(there))
    if not ok: return False, f".bin to .bin with one thread: {text}"
    ok, text = equal(files(convert(there, to + "-back", *flags)), files(first))
    if not ok or first == source: return ok, text
    return equal(files(convert(convert(source, to + "-bin1", "--format", "bin", *flags), to + "-back1", *flags)), files(first))


def loaded(work, name, twin):
    """.bin -> safetensors: what torch.load reads, a tied head only where config.json does not say that it is tied."""
    tied = json.load(open(os.path.join(model(name), "config.json"))).get("tie_word_embeddings")
    out = convert(model(name), os.path.join(work, "of-" + name))
    want = {}
    for d in (opened.described(p, "plain" if "legacy" in name else "weights_only") for p in bin.shards(model(name))):
        want.update({k: v for k, v in d["tensors"].items() if not tied or k not in d["ties"] or d["ties"][k] not in d["tensors"]})
    got = bin.digests(out)
    off = sorted(k for k in got.keys() | want.keys() if got.get(k) != want.get(k))
    if off: return False, f"{len(off)} of {len(want)} tensors differ, such as {off[0]}: {got.get(off[0])}, torch {want.get(off[0])}"
    if twin and hashlib.sha256(open(os.path.join(out, "model.safetensors"), "rb").read()).digest() != hashlib.sha256(open(os.path.join(model(twin), "model.safetensors"), "rb").read()).digest():
        return False, f"the file is not that of {twin}"
    return True, f"{len(got)} tensors" + (f", the file of {twin}" if twin else "")


def patterns(dtype):
    """All values of the small types; of the large ones those about which rounding to a small one can err, and random bits."""
    if dtype in ("F8_E4M3", "F8_E5M2"): return np.arange(256, dtype=np.uint8)
    if dtype in ("F16", "BF16"): return np.arange(65536, dtype=np.uint16)
    halves = np.sort(np.arange(0x7C01, dtype=np.uint16).view(np.float16).astype(np.float64))  # 0 to Inf; the last step is to 65536
    halves[-1] = 65536
    brains = (np.arange(0x7F80, dtype=np.uint32) << 16).view(np.float32).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        singles = np.random.default_rng(4).integers(0, 1 << 31, 200_000, dtype=np.uint32).view(np.float32).astype(np.float64)
        near = np.concatenate([halves, brains, (halves[1:] + halves[:-1]) / 2, (brains[1:] + brains[:-1]) / 2, [float.fromhex("0x1.ffp127"), 2.0 ** 128, np.inf, np.nan]])
        if dtype == "F64": near = np.concatenate([near, singles, (singles + np.nextafter(singles.astype(np.float32), np.float32(0))) / 2])
        bits = near.view(np.uint64) if dtype == "F64" else near.astype(np.float32).view(np.uint32)
    one = bits.dtype.type(1)
    bits = np.concatenate([bits, bits + one, bits - one, np.random.default_rng(5).integers(0, np.iinfo(bits.dtype).max, 500_000, dtype=bits.dtype, endpoint=True)])
    return np.concatenate([bits, bits ^ (one << bits.dtype.type(8 * bits.itemsize - 1))])


def typed(bits, dtype): return torch.from_numpy(bits.copy()).view(getattr(torch, bin.TYPES[dtype]))


def write_patterns(out):
    os.mkdir(out)
    head, at = {}, 0
    data = {d: patterns(d) for d in SOURCES} | {"I64": np.arange(-5, 5), "BOOL": np.array([0, 1, 1], np.uint8)}
    for d, bits in data.items():
        head[d] = {"dtype": d, "shape": [bits.size], "data_offsets": [at, at + bits.nbytes]}
        at += bits.nbytes
    text = json.dumps(head).encode()
    with open(os.path.join(out, "model.safetensors"), "wb") as f: f.write(len(text).to_bytes(8, "little") + text + b"".join(b.tobytes() for b in data.values()))
    with open(os.path.join(out, "config.json"), "w") as f: json.dump({"model_type": "llama"}, f)
    return data


def rounded(bits, source, target):
    """torch's own conversion. It takes F64 to the short types by way of float32, rounding twice: there others have to tell."""
    t = typed(bits, source)
    if source != "F64" or target == "float32": return t.to(getattr(torch, target))
    with np.errstate(over="ignore", invalid="ignore"):
        if target == "float16": return torch.from_numpy(t.numpy().astype(np.float16))
        x = t.numpy()
        near = x.astype(np.float32)
        odd = near.view(np.uint32).copy()  # round to odd, then torch's rounding to nearest is the only one
        toward = np.where(np.abs(near.astype(np.float64)) > np.abs(x), odd - np.uint32(1), odd)
        odd = np.where(near.astype(np.float64) != x, toward | np.uint32(1), odd)
    return torch.from_numpy(np.where(np.isnan(x), near.view(np.uint32), odd).astype(np.uint32)).view(torch.float32).to(torch.bfloat16)


def exact(out, data, target):
    """Bit for bit torch's values; tensors that have the type already and those that are no floats keep their bits."""
    tensors, total = check.torch_tensors(out), 0
    j = {t["name"]: t for t in json.load(open(os.path.join(out, "slerpmerge.json")))["tensors"]}
    for d, bits in data.items():
        got = tensors[d]
        keeps = d not in SOURCES or bin.TYPES[d] == target
        want = typed(bits, d) if keeps and d != "BOOL" else torch.from_numpy(bits.astype(bool)) if d == "BOOL" else rounded(bits, d, target)
        if (got.dtype, got.shape) != (want.dtype, want.shape): return False, f"{d}: {got.dtype} {list(got.shape)}, expected {want.dtype} {list(want.shape)}"
        off = (got.view(torch.uint8) != want.view(torch.uint8)).view(got.numel(), -1).any(1)
        if not keeps: off &= ~(got.isnan() & want.isnan())
        if off.any():
            i = int(off.nonzero()[0])
            return False, f"{d}: {int(off.sum())} of {off.numel()} values differ, such as {bits[i]:#x}: {got[i].item()!r}, expected {want[i].item()!r}"
        if not keeps:
            x = typed(bits, d).to(torch.float64)
            lost = {"overflow": int((x.isfinite() & want.isinf()).sum()), "underflow": int(((x != 0) & (want == 0)).sum())}
            said = {k: j[d].get(k, 0) for k in lost}
            if lost != said: return False, f"{d}: slerpmerge.json says {said}, torch makes it {lost}"
        total += got.numel()
    return True, f"{total} values"


def pairs(work):
    sums = {}
    for pair in PAIRS:
        out = check.merge(*map(model, pair), os.path.join(work, "-".join(pair)))
        sums[pair] = hashlib.sha256(open(os.path.join(out, "model.safetensors"), "rb").read()).hexdigest()
    other = [p for p in PAIRS if sums[p] != sums[PAIRS[0]]]
    return not other, f"{len(PAIRS)} pairs, {sums[PAIRS[0]][:16]}" + (f"; another file from {other}" if other else "")


def main():
    with tempfile.TemporaryDirectory(prefix="interop-") as work:
        bin.write_types(os.path.join(work, "in"), list(bin.TYPES), 50)
        for what, flags in TRIPS.items():
            source = os.path.join(work, "in") if what == "types" else model(what.split()[0])
            guarded(what, "there and back", trip, work, what, source, flags)
        for name, twin in BINS.items(): guarded(name, "as torch.load", loaded, work, name, twin)
        source = os.path.join(work, "patterns")
        data = write_patterns(source)
        for target in TARGETS:
            for form in ("safetensors", "bin"):
                out = os.path.join(work, f"{target}-{form}")
                guarded(target, f"every value, {form}", lambda: exact(convert(source, out, "--dtype", target, "--format", form), data, target))
        guarded("parents", "of any format, one SHA-256", pairs, work)
    print(f"convert: {check.failed} failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
