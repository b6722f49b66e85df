#!/usr/bin/env python3
"""Perplexity of slerpmerge's merges on held-out text, against that of mergekit's own merges by the same recipes: within 0.1 %.

usage: perplexity.py BINARY SHARED

SHARED is the folder that holds models/, interop/ and golden/. mergekit's tensors are those in golden/; that they are brought back to life
as they were is shown by the perplexities in golden/README.md. One line per check; exit status 1 when one fails.
"""
import json, os, re, shutil, subprocess, sys, tempfile
import check
from check import guarded, tool

CASES = ("flat-0.5", "flat-0.1-f32-to-bf16", "gradient-base-second", "tied", "neox-buffers", "moe", "vocab-union")
WITHIN, TEXTS = 0.001, ("go", "prose")
GOLDEN = os.path.join(check.SHARED, "golden")


def ours(name, work):
    """The recipe as it stands; its parents are ./models/NAME."""
    out = os.path.join(work, name)
    r = subprocess.run([check.BINARY, "merge", "-q", "-r", os.path.join(GOLDEN, name, "config.yml"), "-o", out, "--nonfinite", "warn"],
                       cwd=check.SHARED, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    if r.returncode: raise RuntimeError(f"{name}: exit {r.returncode}: {r.stderr.strip()}")
    return out


def theirs(name, out):
    """mergekit's output with the config.json that it wrote. Its tokenizers are those of the parents, as ours are; the union is in our output alone."""
    to = out + "-mergekit"
    os.mkdir(to)
    for source, f in ((os.path.join(GOLDEN, name, "expected.safetensors"), "model.safetensors"), (os.path.join(GOLDEN, name, "output-config.json"), "config.json"),
                      *((os.path.join(out, f), f) for f in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json") if os.path.exists(os.path.join(out, f)))):
        shutil.copy(source, os.path.join(to, f))
    return to


def measured(folders):
    r = subprocess.run([sys.executable, os.path.join(check.SHARED, "interop", "ppl.py"), *folders, "--threads", "2"], capture_output=True, text=True, timeout=900)
    rows = [json.loads(line) for line in r.stdout.splitlines()]
    if len(rows) != len(folders): raise RuntimeError(f"ppl.py: exit {r.returncode}: {r.stderr.strip()[-300:]}")
    return {row["model"]: row for row in rows}


def recorded():
    with open(os.path.join(GOLDEN, "README.md"), encoding="utf-8") as f: text = f.read()
    return {name: (go, prose) for name, go, prose in re.findall(r"^\| merge `([^`]+)` by mergekit 0\.1\.5 \| ([0-9.]+) \| ([0-9.]+) \|", text, re.M)}


def equal(name, rows, noted):
    got, kit = rows[name], rows[name + "-mergekit"]
    for row in (got, kit):
        if row["complaints"]: return False, f"{row['model']}: {' '.join(str(row['complaints']).split())[:300]}"
    for text, said in zip(TEXTS, noted):
        if abs(kit[text] - float(said)) > 0.0051: return False, f"{text}: mergekit's merge has {kit[text]}, golden/README.md says {said}"
    off = max(abs(got[text] / kit[text] - 1) for text in TEXTS)
    return off <= WITHIN, ", ".join(f"{text} {got[text]} (mergekit's {kit[text]})" for text in TEXTS) + f": {100 * off:.3f} % off at most"


def main():
    with tempfile.TemporaryDirectory(prefix="interop-") as work:
        outs = [ours(name, work) for name in CASES]
        rows, noted = measured([f for name, out in zip(CASES, outs) for f in (out, theirs(name, out))]), recorded()
        for name in CASES: guarded(name, "perplexity", equal, name, rows, noted[name])
        other = rows | {CASES[0]: rows[CASES[0]] | {"go": rows[CASES[0]]["go"] * (1 + 2 * WITHIN)}}
        guarded(CASES[0], "perplexity, 0.2 % off", lambda: (not equal(CASES[0], other, noted[CASES[0]])[0], "is seen"))
    print(f"perplexity: {check.failed} failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
