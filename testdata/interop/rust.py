#!/usr/bin/env python3
"""Read the safetensors files that slerpmerge writes with the Rust crate, and have it write them again.

usage: rust.py BINARY SHARED TARGET

SHARED is the folder that holds models/, interop/ and golden/; TARGET is the folder that cargo builds in. Names, types, shapes and
a SHA-256 of every tensor must be those of `slerpmerge inspect --json --digest`. One line per check; exit status 1 when one fails.
"""
import json, os, re, shutil, subprocess, sys, tempfile
import bin, check, record
from check import guarded, model, shards, tool

CRATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rust")
# what: command, parents, flags, files
CASES = {
    "one file": ("merge", "alpha beta", "", 1), "shards": ("merge", "alpha beta", "--shard-size 300KB", 5),
    "float16": ("merge", "alpha beta", "--dtype float16", 1), "float32": ("merge", "alpha beta-bin-sharded", "--dtype float32", 1),
    "tied": ("merge", "tied-beta tied-alpha", "", 1), "headless": ("merge", "tied-alpha tied-beta", "", 1), "buffers": ("merge", "neox-alpha neox-beta", "", 1),
    "experts": ("merge", "moe-alpha moe-beta", "--shard-size 50KB", 6), "encoder": ("merge", "bert-b bert-a", "", 1), "mixed types": ("merge", "edge-a edge-b", "", 1),
    "from .bin": ("convert", "alpha-bin-legacy", "--shard-size 400KB", 4), "all types": ("convert", "all", "", 1)}


def build(target):
    """The program and the version of the crate. Cargo writes its lock file beside the source, hence the copy."""
    source = os.path.join(target, "source")
    shutil.copytree(CRATE, source, dirs_exist_ok=True)
    subprocess.run(["cargo", "build", "--quiet", "--release", "--manifest-path", os.path.join(source, "Cargo.toml"), "--target-dir", target], check=True)
    with open(os.path.join(source, "Cargo.lock"), encoding="utf-8") as f: lock = f.read()
    return os.path.join(target, "release", "told"), re.search(r'name = "safetensors"\nversion = "([^"]+)"', lock)[1]


def told(program, files):
    """What the crate reads from every file: one child for all of them."""
    r = subprocess.run([program, *files], capture_output=True, text=True, timeout=120)
    got = [json.loads(line) for line in r.stdout.splitlines()]
    if [d["file"] for d in got] != files or r.returncode != any("error" in d for d in got): raise RuntimeError(f"told: exit {r.returncode}, {len(got)} of {len(files)} files: {r.stderr.strip()[:200]}")
    return got


def read(out, got, files):
    """The crate and `inspect` say the same of every file, in the same order."""
    want = json.loads(tool("inspect", out, "--json", "--digest"))["tensors"]
    if len(got) != files: return False, f"{len(got)} files, {files} expected"
    n = 0
    for d in got:
        name = os.path.basename(d["file"])
        if "error" in d: return False, f"{name}: {d['error']}"
        if d["metadata"] != {"format": "pt"}: return False, f"{name}: metadata {d['metadata']}"
        ours = [{k: t[k] for k in ("name", "dtype", "shape", "sha256")} for t in want if t["file"] == name]
        if d["tensors"] != ours:
            off = next((p for p in zip(d["tensors"], ours) if p[0] != p[1]), (len(d["tensors"]), len(ours)))
            return False, f"{name}: the crate reads {off[0]}, inspect {off[1]}"
        n += len(ours)
    return n == len(want) > 0, f"{n} of {len(want)} tensors in {len(got)} files"


def rewritten(got):
    other = [f"{os.path.basename(d['file'])} ({how})" for d in got for how in ("serialize", "serialize_to_file") if d.get(how) is not True]
    return not other, f"{len(got)} files" + (f"; not the same: {other[:3]}" if other else "")


def changed(program, path, work):
    """One bit of one tensor is seen; so is a header that has one space more."""
    raw = bytearray(open(path, "rb").read())
    size, seen = int.from_bytes(raw[:8], "little"), []
    flipped = raw[:-1] + bytes([raw[-1] ^ 1])
    spaced = (size + 8).to_bytes(8, "little") + raw[8:8 + size] + b" " * 8 + raw[8 + size:]
    for name, body in (("as it is", raw), ("flipped", flipped), ("spaced", spaced)):
        to = os.path.join(work, f"{name}.safetensors")
        with open(to, "wb") as f: f.write(body)
        seen += told(program, [to])
    ours, flipped, spaced = seen
    ok = ours["tensors"] != flipped["tensors"] and ours["serialize"] and ours["tensors"] == spaced["tensors"] and not spaced["serialize"]
    return ok, "another bit, another header: both are seen"


def main():
    program, version = build(os.path.abspath(sys.argv[3]))
    record.peer("safetensors crate", version)
    with tempfile.TemporaryDirectory(prefix="interop-") as work:
        bin.write_types(os.path.join(work, "all"), list(bin.TYPES), 200)
        made, got = {}, {}
        for what, (command, parents, flags, _) in CASES.items():
            out = os.path.join(work, what.replace(" ", "-").replace(".", ""))
            try:
                tool(command, "-q", *(os.path.join(work, p) if p == "all" else model(p) for p in parents.split()), "-o", out, *flags.split())
                made[what] = out
            except Exception as e: check.say(False, what, command, f"{type(e).__name__}: {e}")
        for d in told(program, [p for out in made.values() for p in shards(out)]): got.setdefault(os.path.dirname(d["file"]), []).append(d)
        for what, out in made.items():
            guarded(what, "crate, as inspect --digest", read, out, got[out], CASES[what][3])
            guarded(what, "crate, byte for byte", rewritten, got[out])
        guarded("one file", "crate, changed files", changed, program, shards(made["one file"])[0], work)
    print(f"rust: {check.failed} failed (safetensors crate {version})")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
