#!/usr/bin/env python3
"""Make the table of interop from the record of a run, and hold the one in README.md against it.

usage: table.py RECORD README [--write]

RECORD is what the other scripts leave in the file that INTEROP_RECORD names. With --write the table goes into README, between the
markers. Exit status 1 when a check has failed, when the table in README says something else (spaces don't count), when a row has
no check or no version, or when a check belongs to no row.
"""
import re, sys
import record

BEGIN, END = "<!-- interop -->", "<!-- /interop -->"
INTRO = ("## Tried with", "", "What other programs make of files that this one has written; `bash .ci/run interop` repeats it, and fails when the table is no longer true.", "")
HEAD = ("program", "version", "what it does", "outputs", "checks", "result")
# program, its name in the record, what it does, its checks
ROWS = (
    ("safetensors for Python", "safetensors", "opens them; writes the same bytes for the same tensors", r"safe_open|save_file, byte for byte"),
    ("safetensors crate (Rust)", "safetensors crate", "reads the names, types, shapes and SHA-256 that `inspect --digest` tells; writes the same bytes",
     r"crate, (as inspect --digest|byte for byte)"),
    ("PyTorch, old (Debian's)", "old torch", "`torch.load` of `.bin`, with and without `weights_only`: every bit, tied tensors in one storage", r"torch 1\..*"),
    ("PyTorch", "torch", "the same, and with `mmap`; `convert` finds in a `.bin` what it loads; `--dtype` gives the bits of `Tensor.to`",
     r"torch [2-9]\..*|as torch\.load|every value, .*"),
    ("transformers", "transformers", "`from_pretrained` without a complaint, and a forward pass: Llama, Qwen2, GPT-NeoX, Mixtral, BERT and GPT-2, safetensors "
     "and `.bin`, whole and in shards; the two formats give the same logits and text", r"family|transformers"),
    ("huggingface_hub", "huggingface_hub", "cuts shards and writes the index alike, loads both formats by them into a model; reads the model card", r"index|huggingface_hub|card"),
    ("mergekit", "mergekit", "takes them as parents: safetensors and `.bin`, whole and in shards, lazily unpickled too", r"mergekit, ours as a parent|mergekit as a consumer.*"),
    ("mergekit", "mergekit", "merges the same parents itself: every element within one unit in the last place of ours", r"mergekit's own merge"),
    ("mergekit", "mergekit", "runs the same recipes with every method, `dtype: float32`: formulas within one unit in the last place of its float64 result, order statistics alike off ties, "
     "random ones alike in what they keep and how they rescale", r"the same recipe"),
    ("mergekit", "mergekit", "merges by the same recipe itself: perplexity on held-out text within 0.1 % of ours", r"perplexity"),
    ("mergekit", "mergekit", "has templates for chats: those that a recipe names here render every conversation as they do", r"chat template"),
    ("llama.cpp's converter", "llama-cpp-python", "makes GGUF of them (Llama, Mixtral, Qwen2) with every tensor and field in its place", r"converter"))
VERSIONS = {"llama-cpp-python": "in llama-cpp-python {}"}
# Checks with no program as judge, and those which show that a check can fail.
OWN = (r"values|same as one file|same text as one file|container|order|there and back|of any format, one SHA-256|"
       r"crate, changed files|family, cut|converter, other weights|perplexity, 0\.2 % off")


def table(entries):
    """-> lines, complaints"""
    checks, versions, bad = [e for e in entries if "check" in e], {}, []
    for e in entries:
        if "peer" in e and versions.setdefault(e["peer"], e["version"]) != e["version"]: bad.append(f"{e['peer']} is {versions[e['peer']]} and {e['version']}")
    lines = [HEAD, ("---",) * len(HEAD)]
    for program, peer, text, pattern in ROWS:
        mine = [e for e in checks if re.fullmatch(pattern, e["check"])]
        failed = sum(not e["ok"] for e in mine)
        if not mine: bad.append(f"no check of {program}: {text}")
        if peer not in versions: bad.append(f"no version of {program}")
        lines.append((program, VERSIONS.get(peer, "{}").format(versions.get(peer, "?")), text, str(len({(e["script"], e["what"]) for e in mine})), str(len(mine)),
                      f"{failed} failed" if failed else "passed"))
    for e in checks:
        if sum(bool(re.fullmatch(p, e["check"])) for p in (*(r[3] for r in ROWS), OWN)) != 1: bad.append(f"{e['script']}: {e['what']}: the check {e['check']!r} belongs to no row, or to two")
        if not e["ok"]: bad.append(f"{e['script']}: {e['what']}: {e['check']}: {e['text']}")
    return [*INTRO, *("| " + " | ".join(cells) + " |" for cells in lines)], bad


def split(text):
    """-> what stands before, between and behind the markers"""
    m = re.fullmatch(f"(.*?{re.escape(BEGIN)}\n)(.*?)({re.escape(END)}.*)", text, re.S)
    if not m: sys.exit(f"table: no {BEGIN} with {END} below it")
    return m.groups()


def cells(lines): return [[c.strip() for c in line.strip().strip("|").split("|")] for line in lines if line.strip()]


def main():
    if len(sys.argv) < 3: sys.exit(__doc__)
    lines, bad = table(record.read(sys.argv[1]))
    with open(sys.argv[2], encoding="utf-8") as f: before, said, behind = split(f.read())
    if "--write" in sys.argv[3:]:
        with open(sys.argv[2], "w", encoding="utf-8") as f: f.write(before + "".join(line + "\n" for line in lines) + behind)
    elif cells(said.splitlines()) != cells(lines): bad.append(f"the table in {sys.argv[2]} says something else than this run")
    print(*lines, sep="\n")
    for line in bad: print("FAIL", line)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
