#!/usr/bin/env python3
"""Tell as JSON what this Python's torch reads from .bin files. For torch 1.13 to 2.15, with nothing but NumPy beside it.

usage: opened.py MODE,MODE... FILE...

A mode is plain, weights_only, mmap or weights_only+mmap. For every file and mode: the names in order with type, shape and
SHA-256 of the values, and which names share another's memory; or the error.
"""
import hashlib, json, sys
import torch


def digest(t):
    raw = t.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
    return [str(t.dtype).replace("torch.", ""), list(t.shape), hashlib.sha256(raw.tobytes()).hexdigest()]


def load(path, mode="weights_only"):
    kw = {"mmap": True} if "mmap" in mode else {}
    return torch.load(path, map_location="cpu", weights_only="weights_only" in mode, **kw)


def described(path, mode):
    tensors = load(path, mode)
    ties, first = {}, {}
    for k, t in tensors.items():
        if type(t) is not torch.Tensor or not t.is_contiguous() or t.storage_offset() or t.requires_grad:
            raise ValueError("%s: %s, strides %s, offset %d, requires_grad %s" % (k, type(t).__name__, t.stride(), t.storage_offset(), t.requires_grad))
        if t.numel() and first.setdefault(t.data_ptr(), k) != k: ties[k] = first[t.data_ptr()]
    return {"names": list(tensors), "tensors": {k: digest(t) for k, t in tensors.items()}, "ties": ties}


def main():
    out = {"torch": torch.__version__, "files": {}}
    for path in sys.argv[2:]:
        got = out["files"][path] = {}
        for mode in sys.argv[1].split(","):
            try: got[mode] = described(path, mode)
            except Exception as e: got[mode] = {"error": "%s: %s" % (type(e).__name__, " ".join(str(e).split())[:300])}
    json.dump(out, sys.stdout)


if __name__ == "__main__":
    main()
