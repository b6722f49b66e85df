#!/usr/bin/env python3
"""Open the .bin files that slerpmerge writes with the programs that its users have: torch old and new, transformers, huggingface_hub, mergekit.

usage: bin.py BINARY SHARED

SHARED is the folder that holds models/, interop/ and golden/. Every output is held against the same merge or conversion written as
safetensors, which check.py and golden.py look after. The old torch is Debian's, a child process (opened.py) of /usr/bin/python3.
One line per check; exit status 1 when one fails.
"""
import glob, hashlib, json, math, os, pickletools, random, subprocess, sys, tempfile, zipfile
import check, loading, opened, record
import torch
from check import folder, guarded, model, say, shards, tool

OLD_PYTHON, OLD_TORCH, NEW_TORCH = "/usr/bin/python3", "1.13.", "2.15."
OLD_MODES, NEW_MODES = ("plain", "weights_only"), ("plain", "weights_only", "mmap", "weights_only+mmap")
# what: command, parents, flags, shard size in bytes, types that the old torch can't know
CASES = {
    "one file": ("merge", "alpha beta", "", 0), "shards": ("merge", "alpha beta", "--shard-size 300KB", 300_000),
    "float16": ("merge", "alpha beta", "--dtype float16", 0), "float32": ("merge", "alpha beta", "--dtype float32", 0),
    "tied": ("merge", "tied-beta tied-alpha", "", 0), "tied, shards": ("merge", "tied-beta tied-alpha", "--shard-size 150KB", 150_000),
    "headless": ("merge", "tied-alpha tied-beta", "", 0), "buffers": ("merge", "neox-alpha neox-beta", "", 0),
    "convert": ("convert", "alpha", "", 0), "conv. shards": ("convert", "alpha-sharded", "--shard-size 300KB", 300_000),
    "conv. tied": ("convert", "tied-beta", "", 0), "conv. tied16": ("convert", "tied-beta", "--dtype bfloat16", 0),
    "conv. bf16": ("convert", "alpha-f32", "--dtype bfloat16", 0),
    "old types": ("convert", "old", "", 0), "all types": ("convert", "all", "", 0)}
LANGUAGE = ("one file", "shards", "float16", "float32", "tied", "tied, shards", "headless", "conv. shards", "conv. tied", "conv. bf16")
TIE = {"lm_head.weight", "transformer.wte.weight"}
# the names of safetensors and torch; the latter half is younger than torch 1.13
TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8",
         "BOOL": "bool", "C64": "complex64",
         "U64": "uint64", "U32": "uint32", "U16": "uint16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E4M3FNUZ": "float8_e4m3fnuz",
         "F8_E5M2FNUZ": "float8_e5m2fnuz", "F8_E8M0": "float8_e8m0fnu", "F4": "float4_e2m1fn_x2"}
OLD_TYPES = list(TYPES)[:11]
# docs/formats.md 3.2: what torch writes for a state dict
OPCODES = set("PROTO GLOBAL EMPTY_TUPLE REDUCE MARK BINUNICODE BINPUT LONG_BINPUT BINGET LONG_BINGET BININT1 BININT2 BININT LONG1 TUPLE TUPLE1 TUPLE2 TUPLE3 "
              "BINPERSID NEWFALSE NEWTRUE SETITEM SETITEMS EMPTY_DICT BUILD STOP".split())


def bits(dtype): return 4 if dtype == "F4" else 8 * getattr(torch, TYPES[dtype]).itemsize


def write_types(out, types, small):
    """A model folder with tensors of many types, shapes and names, and `small` more in which the bits are as random."""
    r, head, body = random.Random(4), {}, b""
    shapes = {d: [[3, 6], [5, 0, 2], [6] if d == "F4" else []] for d in types}
    todo = [(f"{d}.{i}", d, s) for d in types for i, s in enumerate(shapes[d])] + [(f"many.{i}", "I8", [1]) for i in range(small)]
    todo += [("größe/.. 'x' \"y\" 名前 \U0001f600", "I16", [3]), ("long." + "n" * 1000, "F32", [1, 1, 1, 2, 1]), ("vector", "BF16", [65537])]
    for name, d, shape in todo:
        raw = bytearray(r.randbytes(math.prod(shape) * bits(d) // 8))
        if d == "BOOL": raw = bytearray(b & 1 for b in raw)
        head[name] = {"dtype": d, "shape": shape, "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    os.mkdir(out)
    text = json.dumps(head).encode()
    with open(os.path.join(out, "model.safetensors"), "wb") as f: f.write(len(text).to_bytes(8, "little") + text + body)
    with open(os.path.join(out, "config.json"), "w") as f: json.dump({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}, f)


def digests(out):
    """What opened.digest would say, from the bytes of safetensors files alone."""
    got = {}
    for path in shards(out):
        with open(path, "rb") as f:
            start = 8 + int.from_bytes(f.read(8), "little")
            for k, e in check.header(path).items():
                a, b = e["data_offsets"]
                f.seek(start + a)
                shape = e["shape"][:-1] + [e["shape"][-1] // 2] if e["dtype"] == "F4" else e["shape"]
                got[k] = [TYPES[e["dtype"]], shape, hashlib.sha256(f.read(b - a)).hexdigest()]
    return got


def opens(out, twin, tied, modes, read):
    """Every mode gives the twin's tensors bit for bit, and shared memory where and only where tensors are tied."""
    want = digests(twin)
    for mode in modes:
        got, ties = {}, []
        for path in shards(out):
            d = read(path, mode)
            if "error" in d: return False, f"{mode}: {d['error']}"
            if set(got) & set(d["tensors"]): return False, f"{mode}: {sorted(set(got) & set(d['tensors']))[0]} stands in two files"
            got.update(d["tensors"])
            ties += [{a, b} for a, b in d["ties"].items()]
        if ties != tied: return False, f"{mode}: tensors that share memory: {ties}, expected {tied}"
        names = set(want).union(*(t for t in tied if t & set(want)))
        if set(got) != names: return False, f"{mode}: other names than in safetensors: {sorted(set(got) ^ names)[:3]}"
        off = [k for k in want if got[k] != want[k]]
        if off: return False, f"{mode}: {len(off)} of {len(want)} tensors differ, such as {off[0][:60]}: {got[off[0]]}, expected {want[off[0]]}"
    return True, f"{len(got)} tensors" + (f", {len(ties)} tied" if ties else "") + ": " + ", ".join(modes)


def reader(path, mode):
    try: return opened.described(path, mode)
    except Exception as e: return {"error": f"{type(e).__name__}: {' '.join(str(e).split())[:300]}"}


def old_torch(files, modes=",".join(OLD_MODES)):
    """One child opens them all; its torch must be the old one."""
    r = subprocess.run([OLD_PYTHON, opened.__file__, modes, *files], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=600)
    if r.returncode: raise RuntimeError((r.stderr.strip().splitlines() or ["(silent)"])[-1][:300])
    got = json.loads(r.stdout)
    if not got["torch"].startswith(OLD_TORCH): raise RuntimeError(f"{OLD_PYTHON} has torch {got['torch']}, not {OLD_TORCH}x")
    return got


def package():
    """Debian's 1.13.1 calls itself 1.13.0a0."""
    return subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "python3-torch"], check=True, capture_output=True, text=True).stdout.partition("+")[0]


def order(out):
    """Sorted by name, in the pickle as in the file, where a tied tensor stands with the first that has its storage."""
    for path in shards(out):
        t = opened.load(path, "mmap")
        at = [v.data_ptr() for k, v in t.items() if v.numel() and k not in TIE]
        if list(t) != sorted(t) or at != sorted(at): return False, f"{os.path.basename(path)}: {[k[:60] for k in t][:3]} ..."
    return True, "by name"


def zipped(path):
    """The container as docs/formats.md 3.4 wants it: stored, aligned, with right checksums at all three places; a pickle of plain opcodes."""
    with zipfile.ZipFile(path) as z, open(path, "rb") as f:
        if bad := z.testzip(): return False, f"{bad} has a wrong CRC"
        entries = z.infolist()
        for e in entries:
            f.seek(e.header_offset)
            h = f.read(30)
            n, extra = int.from_bytes(h[26:28], "little"), int.from_bytes(h[28:30], "little")
            body, local = e.header_offset + 30 + n + extra, f.read(n).decode()
            if local != e.filename or e.compress_type or e.compress_size != e.file_size: return False, f"{e.filename}: {local!r}, method {e.compress_type}, {e.compress_size} of {e.file_size} bytes"
            if body % 64: return False, f"{e.filename} begins at {body}, not a multiple of 64"
            crc, sizes = h[14:18], h[18:26]
            if e.flag_bits & 8:
                f.seek(body + e.file_size)
                wide = 8 if e.file_size >= 0xFFFFFFFF else 4
                if f.read(4) != b"PK\7\10": return False, f"{e.filename}: no descriptor behind it"
                crc, sizes = f.read(4), f.read(2 * wide)
                if sizes != 2 * e.file_size.to_bytes(wide, "little"): return False, f"{e.filename}: the descriptor says {sizes.hex()}, the size is {e.file_size}"
            elif sizes != 2 * e.file_size.to_bytes(4, "little"): return False, f"{e.filename}: the local header says {sizes.hex()}, the size is {e.file_size}"
            if int.from_bytes(crc, "little") != e.CRC: return False, f"{e.filename}: CRC {int.from_bytes(crc, 'little'):08x} beside the body, {e.CRC:08x} in the directory"
        want = ["data.pkl", "byteorder", *(f"data/{i}" for i in range(len(entries) - 3)), "version"]
        if [e.filename for e in entries] != ["archive/" + n for n in want]: return False, f"entries {[e.filename for e in entries][:4]} ..."
        if (z.read("archive/byteorder"), z.read("archive/version")) != (b"little", b"3\n"): return False, "byteorder or version"
        ops = list(pickletools.genops(z.read("archive/data.pkl")))
    alien = {o.name for o, _, _ in ops} - OPCODES
    return not alien and ops[0][1] == 2, f"{len(entries)} entries" if not alien else f"opcodes {sorted(alien)}"


def container(out):
    res = [(*zipped(p), os.path.basename(p)) for p in shards(out)]
    bad = [f"{name}: {text}" for ok, text, name in res if not ok]
    return not bad, "; ".join(bad) or ", ".join(text for _, text, _ in res)


def transformed(what, out, twin):
    """from_pretrained takes the .bin, for there is nothing else, and says what it says of the twin."""
    if glob.glob(os.path.join(out, "*.safetensors*")): return False, "there are safetensors too"
    for w, f in ((what, out), (what + " twin", twin)):
        ok, text = check.transformed(w, f)
        if not ok: return False, f"{os.path.basename(f)}: {text}"
    same = torch.equal(check.logits[what], check.logits[what + " twin"])
    return same and check.texts[what] == check.texts[what + " twin"], text if same else "other logits than the twin's"


def mergekit(out, twin, flags):
    """A merge with ours as a parent equals the same with the safetensors twin as a parent, which is made once."""
    to = twin + "-mergekit"
    if not os.path.exists(to): check.mergekit(twin, model("alpha"), to)
    return check.same(folder.read(check.mergekit(out, model("alpha"), out + "-mergekit" + "".join(flags), *flags)), folder.read(to))


def main():
    if not torch.__version__.startswith(NEW_TORCH): sys.exit(f"torch {torch.__version__}, not {NEW_TORCH}x")
    with tempfile.TemporaryDirectory(prefix="interop-") as work:
        write_types(os.path.join(work, "old"), OLD_TYPES, 0)
        write_types(os.path.join(work, "all"), list(TYPES), 2100)
        made = {}
        for what, (command, given, flags, _) in CASES.items():
            out = os.path.join(work, what.replace(" ", "-"))
            parents = [os.path.join(work, p) if p in ("old", "all") else model(p) for p in given.split()]
            try:
                for to, form in ((out, "bin"), (out + "-twin", "safetensors")): tool(command, "-q", *parents, "-o", to, "--format", form, *flags.split())
                made[what] = (out, out + "-twin")
            except Exception as e: say(False, what, command, f"{type(e).__name__}: {e}")
        try: old = old_torch([p for what, (out, _) in made.items() if what != "all types" for p in shards(out)])
        except Exception as e: old = say(False, "all", "torch " + OLD_TORCH + "x", str(e)) or {"files": {}}
        if "torch" in old: record.peer("old torch", f"{package()}, calls itself {old['torch']}")
        for what, (out, twin) in made.items():
            tied, limit = [TIE] if what.startswith(("tied", "conv. tied")) else [], CASES[what][3]
            guarded(what, "container", container, out)
            guarded(what, "torch " + torch.__version__, opens, out, twin, tied, NEW_MODES, reader)
            if what != "all types": guarded(what, "torch " + old.get("torch", "?"), opens, out, twin, tied, OLD_MODES, lambda p, mode: old["files"][p][mode])
            guarded(what, "order", order, out)
            if what in LANGUAGE:
                guarded(what, "index", check.index, out, limit)
                guarded(what, "huggingface_hub", check.hub, out)
                guarded(what, "transformers", transformed, what, out, twin)
        for what, flags in (("one file", []), ("one file", ["--lazy-unpickle"]), ("shards", []), ("shards", ["--lazy-unpickle"])):
            if what in made: guarded(what, " ".join(["mergekit as a consumer", *flags]), mergekit, *made[what], flags)
    print(f"bin: {check.failed} failed (torch {torch.__version__} and {old.get('torch')})")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
