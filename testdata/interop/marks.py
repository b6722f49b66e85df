#!/usr/bin/env python3
"""The tensors of large.py: 8.6 GiB of zeros with marks in them. For torch 1.13 to 2.15, with nothing but NumPy beside it.

usage: marks.py MODE FILE

Looks for the marks in a .bin, opened in a mode of opened.py or (directory) only as to the small tensors, and prints torch's version
and what is wrong as JSON.
"""
import hashlib, json, os, sys
import torch
import opened

GIB, MARK, ROW = 1 << 30, 1 << 16, 1 << 20
TENSORS = {"a.first": [3, 1000], "b.large": [2304, ROW], "c.behind": [2100, ROW], "d.last": [517]}  # BF16; 4.5 GiB and 4.1 GiB
# Bytes of a tensor at which a mark begins: both ends; about 2 and 4 GiB of the large one; about 8 GiB of the file, in the one behind.
MARKS = {"a.first": [0], "b.large": [0, 2 * GIB - MARK // 2, 4 * GIB - MARK // 2, 9 * GIB // 2 - MARK],
         "c.behind": [0, 7 * GIB // 2 - MARK // 2, 2 * 2100 * ROW - MARK], "d.last": [0]}


def size(name):
    n = 2
    for d in TENSORS[name]: n *= d
    return n


def mark(name, at): return hashlib.shake_128(("%s %d" % (name, at)).encode()).digest(min(MARK, size(name)))


def write(path):
    """As safetensors, with holes where the zeros are."""
    head, at = {"__metadata__": {"format": "pt"}}, 0
    for k, shape in TENSORS.items():
        head[k] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size(k)]}
        at += size(k)
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        f.truncate(f.tell() + at)
        for k, places in MARKS.items():
            for p in places:
                f.seek(8 + len(text) + head[k]["data_offsets"][0] + p)
                f.write(mark(k, p))


def missing(path, mode):
    """What is wrong: a mark that is not where it must be, or something else than zeros next to one."""
    if mode == "directory":
        r = torch._C.PyTorchFileReader(path)
        off = [k for i, k in enumerate(TENSORS) if size(k) < MARK and r.get_record("data/%d" % i) != mark(k, 0)]
        return "other values in %s" % off if off or r.has_record("data/4") else ""
    tensors = opened.load(path, mode)
    if {k: list(v.shape) for k, v in tensors.items()} != TENSORS: return "other tensors: %s" % list(tensors)
    for k, places in MARKS.items():
        raw = tensors[k].reshape(-1).view(torch.uint8)
        for p in places:
            end = p + len(mark(k, p))
            if raw[p:end].numpy().tobytes() != mark(k, p): return "%s has other values from byte %d on" % (k, p)
            if raw[max(0, p - MARK):p].any() or raw[end:end + MARK].any(): return "%s is not zero before or behind bytes %d to %d" % (k, p, end)
    return ""


if __name__ == "__main__":
    json.dump([torch.__version__, missing(sys.argv[2], sys.argv[1])], sys.stdout)
