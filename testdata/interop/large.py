#!/usr/bin/env python3
"""A .bin of more than 8 GiB with a storage of more than 4, and one of 70,000 storages, in torch old and new, and back again.

usage: large.py BINARY SHARED

It needs 25 GB of free disk where TMPDIR is, and fails with less. One line per check; exit status 1 when one fails.
"""
import json, os, shutil, subprocess, sys, tempfile
import bin, check, marks
from check import guarded, tool

DISK, MEMORY, MANY = 25e9, 14e9, 70_000


def old_torch(path):
    """It has no mmap: all tensors are in memory, where that is large enough."""
    free = int(next(l for l in open("/proc/meminfo") if l.startswith("MemAvailable")).split()[1]) << 10
    mode = "weights_only" if free >= MEMORY else "directory"
    r = subprocess.run([bin.OLD_PYTHON, marks.__file__, mode, path], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=300)
    if r.returncode: return False, (r.stderr.strip().splitlines() or [f"exit {r.returncode}"])[-1][:300]
    version, bad = json.loads(r.stdout)
    return version.startswith(bin.OLD_TORCH) and not bad, f"torch {version}, {mode} ({free / 1e9:.0f} GB of memory free): {bad or 'all marks'}"


def new_torch(path):
    for mode in ("mmap", "weights_only+mmap"):
        if bad := marks.missing(path, mode): return False, f"{mode}: {bad}"
    return True, "all marks: mmap, weights_only+mmap"


def inspected(path):
    j = json.loads(tool("inspect", path, "--json"))
    got = {t["name"]: (t["dtype"], t["shape"]) for t in j["tensors"]}
    return got == {k: ("BF16", s) for k, s in marks.TENSORS.items()}, f"{len(got)} tensors"


def convert(source, out, form, *flags):
    tool("convert", "-q", source, "-o", out, "--format", form, "--shard-size", "20GB", *flags, timeout=300)
    return os.path.getsize(os.path.join(out, "pytorch_model.bin" if form == "bin" else "model.safetensors"))


def back(source, made, out, *flags):
    """The .bin as safetensors again: every byte of the parent."""
    convert(made, out, "safetensors", *flags)
    r = subprocess.run(["cmp", *(os.path.join(d, "model.safetensors") for d in (source, out))], capture_output=True, text=True)
    return r.returncode == 0, (r.stdout + r.stderr).strip() or "same bytes"


def large(work):
    source, made, path = os.path.join(work, "large"), os.path.join(work, "large-bin"), os.path.join(work, "large-bin", "pytorch_model.bin")
    os.mkdir(source)
    marks.write(os.path.join(source, "model.safetensors"))
    with open(os.path.join(source, "config.json"), "w") as f: json.dump({"model_type": "llama"}, f)
    guarded("large", "written", lambda: ((n := convert(source, made, "bin")) > 8 << 30, f"{n / (1 << 30):.2f} GiB, one tensor {marks.size('b.large') / (1 << 30):.2f} GiB"))
    guarded("large", "inspect", inspected, path)
    guarded("large", "torch new", new_torch, path)
    guarded("large", "torch old", old_torch, path)
    guarded("large", "container", bin.container, made)
    guarded("large", "there and back", back, source, made, os.path.join(work, "large-back"))
    for d in (source, made, os.path.join(work, "large-back")): shutil.rmtree(d, ignore_errors=True)


def many(work):
    source, twin, made = (os.path.join(work, "many" + end) for end in ("-in", "", "-bin"))
    bin.write_types(source, ["F16", "I8"], MANY)
    flags = ["--max-memory", "128MiB"]  # their names and places alone take more than the 64 MiB that are the default
    convert(source, twin, "safetensors", *flags)
    guarded("many", "written", lambda: (convert(twin, made, "bin", *flags) > 0, f"{MANY} storages and some more"))
    guarded("many", "torch new", bin.opens, made, twin, [], bin.NEW_MODES[1::2], bin.reader)
    guarded("many", "torch old", lambda: bin.opens(made, twin, [], bin.OLD_MODES[1:], lambda p, mode: bin.old_torch([p], mode)["files"][p][mode]))
    guarded("many", "container", bin.container, made)
    guarded("many", "there and back", back, twin, made, os.path.join(work, "many-back"), *flags)


def main():
    with tempfile.TemporaryDirectory(prefix="interop-") as work:
        free = shutil.disk_usage(work).free
        if free < DISK: sys.exit(f"FAIL large: {free / 1e9:.0f} GB of disk are free in {work}, {DISK / 1e9:.0f} are needed")
        many(work)
        large(work)
    print(f"large: {check.failed} failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
