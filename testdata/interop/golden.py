#!/usr/bin/env python3
"""Run slerpmerge by flags over the golden cases that flags can express, and compare every output.

usage: golden.py BINARY SHARED [CASE ...]

SHARED is the folder that holds golden/, models/ and interop/. Parents, t, dtype, format and shard size come from each
case's config.yml and result.json. An output must be the exact result within 1 ulp and the recorded tool's within that case's
tolerance. Then every element is held against the exact value as a real number (worked out here from the parents, in
long double): per output dtype the largest distance in ulp. Half an ulp is what the one rounding costs. Elements in
which two terms cancel to less than an eighth are told apart, for there the float32 products show.
Exit status 1 when a case fails.
"""
import json, os, subprocess, sys, tempfile
import numpy as np
import yaml

# Cases that must be refused, and a word that the reason given must hold.
ERRORS = {"err-hidden": "hidden_size", "err-depth": "num_hidden_layers", "err-vocab": "vocabular", "err-quantized": "quantised"}
BY_FLAGS = ["flat-0.5", "flat-0", "flat-1", "flat-0.1-f32-to-bf16", "bin-parents", "mixed-formats", "edge", "tied", "neox-buffers", "moe", "bert",
            "sharded-output", "bin-output", "out-dtype-only", "nan-parent", *ERRORS]
# (significand bits, exponent of the smallest normal number, largest finite number)
FORM = {"BF16": (8, -126, float.fromhex("0x1.fep127")), "F16": (11, -14, 65504.0), "F32": (24, -126, float.fromhex("0x1.fffffep127"))}
# DESIGN's goal is 0.5001 ulp. Float32 arithmetic costs an 11-bit significand up to 5 * 2^-14 ulp before the last rounding.
LIMIT = {"BF16": 0.5001, "F16": 0.5 + 5 * 2.0 ** -14, "F32": 0.5001}
REFUSED = 2
L = np.longdouble


def settings(shared, name):
    """-> result.json, primary, secondary, flags"""
    d = os.path.join(shared, "golden", name)
    case, conf = json.load(open(os.path.join(d, "result.json"))), yaml.safe_load(open(os.path.join(d, "config.yml")))
    base = conf["base_model"]
    other = [m["model"] for m in conf["models"] if m["model"] != base]
    if conf["merge_method"] != "slerp" or len(other) != 1: sys.exit(f"{name}: flags can't express this recipe")
    flags = ["-t", str(conf["parameters"]["t"])] if "t" in conf["parameters"] else []
    # The recipe's dtype also casts the parents, our flag does not. It is the same where they have that type already; of bin-output's
    # bfloat16 parents the cast to float16 changes 12 and 11 elements, and their results stay within the 1 ulp that holds for all.
    dtype = conf.get("out_dtype") or conf.get("dtype")
    if dtype: flags += ["--dtype", dtype]
    opts = next(iter(case["tools"].values()))["options"]
    if "--out-shard-size" in opts: flags += ["--shard-size", opts[opts.index("--out-shard-size") + 1].upper() + "B"]
    if "--no-safe-serialization" in opts: flags += ["--format", "bin"]
    if "non-finite" in (case.get("may_refuse") or ""): flags += ["--nonfinite", "warn"]
    return case, os.path.basename(base), os.path.basename(other[0]), flags


def merge(binary, shared, first, second, out, flags):
    m = os.path.join(shared, "models")
    return subprocess.run([binary, "merge", "-q", os.path.join(m, first), os.path.join(m, second), "-o", out, *flags],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)


def exact(a, b, t, alike):
    """The two terms of the result as long doubles; their sum is the exact value."""
    if alike: return a, np.zeros_like(a)
    dot, na, nb = np.sum(a * b), np.sqrt(np.sum(a * a)), np.sqrt(np.sum(b * b))
    c = np.clip(dot / ((na if na > 1e-8 else L(1)) * (nb if nb > 1e-8 else L(1))), L(-1), L(1))
    t = L(t)
    if t == 0 or t == 1: return a * (1 - t), b * t
    if abs(c) > L("0.9995"): return (1 - t) * a, t * b
    th = np.arccos(c)
    return np.sin((1 - t) * th) / np.sin(th) * a, np.sin(t * th) / np.sin(th) * b


def errors(folder, got, pa, pb, t):
    """-> {dtype: [largest error in ulp, the same where terms cancel, elements looked at]}"""
    worst = {}
    alien = sorted(k for k in got if k not in pa and k not in pb)
    if alien: raise ValueError(f"{alien[0]} is in neither parent")
    for name, (dt, arr) in got.items():
        (da, a), (db, b) = pa.get(name) or pb[name], pb.get(name) or pa[name]
        if dt not in FORM:
            if (dt, arr.tobytes()) != (da, a.tobytes()): raise ValueError(f"{name}: not the {'primary' if name in pa else 'secondary'}'s {da} buffer")
            continue
        alike = da == db and a.tobytes() == b.tobytes()
        with np.errstate(invalid="ignore", over="ignore"):
            x, y = exact(L(folder.to64(da, a)), L(folder.to64(db, b)), 0.5 if t is None else t, alike)
            v, g = x + y, L(folder.to64(dt, arr))
        prec, emin, top = FORM[dt]
        ok = np.isfinite(v) & (np.abs(v) <= top) & np.isfinite(g)
        if not (np.isnan(g) == np.isnan(v)).all() or np.isinf(g[np.isfinite(v) & (np.abs(v) <= top)]).any():
            raise ValueError(f"{name}: NaN or Inf where the exact value has none, or the reverse")
        x, y, v, g = x[ok], y[ok], v[ok], g[ok]
        _, e = np.frexp(v)
        ulp = np.ldexp(L(1), np.maximum(np.where(v == 0, emin, e - 1), emin) - (prec - 1))
        err = np.abs(g - v) / ulp
        near = np.abs(v) < np.maximum(np.abs(x), np.abs(y)) / 8
        w = worst.setdefault(dt, [0.0, 0.0, 0])
        w[0], w[1], w[2] = max(w[0], float(err[~near].max(initial=0))), max(w[1], float(err[near].max(initial=0))), w[2] + v.size
    return worst


class Suite:
    def __init__(self, binary, shared, work):
        sys.path.insert(0, os.path.join(shared, "interop"))
        import check_golden, compare, folder
        self.binary, self.shared, self.work = binary, shared, work
        self.cg, self.compare, self.folder = check_golden, compare, folder
        self.failed, self.worst = 0, {}

    def say(self, ok, name, label, text):
        self.failed += not ok
        print(f"{'ok  ' if ok else 'FAIL'} {name:28} {label:16} {text}", flush=True)

    def refusal(self, name, first, second, flags):
        where = os.path.join(self.work, name)
        os.mkdir(where)
        r = merge(self.binary, self.shared, first, second, os.path.join(where, "out"), flags)
        left = os.listdir(where)
        said = r.stderr.strip().splitlines() or ["(silent)"]
        ok = r.returncode == REFUSED and not left and said[0].startswith("slerpmerge: error: ") and not r.stdout and ERRORS[name] in said[0]
        self.say(ok, name, f"exit {r.returncode}", (f"left {left}; " if left else "") + said[0].replace(self.shared, "..")[:110])

    def reference(self, case):
        """The exact result, and the recorded tool's output or None."""
        gold_dir = os.path.join(self.shared, "golden")
        d = os.path.join(gold_dir, case["name"])
        if case.get("same_as", "").startswith("models/"): return self.folder.read(os.path.join(self.shared, case["same_as"])), None
        tool = self.cg.gold(gold_dir, case["name"]) if os.path.exists(os.path.join(d, "expected.safetensors")) else None
        if case["exact"] == "exact.safetensors": return self.folder.read(os.path.join(d, "exact.safetensors")), tool
        return self.compare.apply_delta(self.cg.gold(gold_dir, case["name"]), os.path.join(d, "exact.delta.safetensors")), tool

    def case(self, label, case, first, second, flags):
        name, out = case["name"], os.path.join(self.work, label.replace(" ", "-"))
        r = merge(self.binary, self.shared, first, second, out, flags)
        if r.returncode: return self.say(False, label, f"exit {r.returncode}", r.stderr.strip()[:200])
        try: got = self.folder.read(out)
        except self.folder.FolderError as e: return self.say(False, label, "read", str(e))
        pa, pb = (self.folder.read(os.path.join(self.shared, "models", m)) for m in (first, second))
        # By flags a tensor keeps the primary's type; a recipe without dtype takes the wider one. Where these differ the
        # golden value has another type: the real value below still holds for it.
        ref, tool = self.reference(case)
        off = {} if "--dtype" in flags else {k: pa[k][0] for k in pa if k in pb and k in ref and pa[k][0] != pb[k][0] and pa[k][0] != ref[k][0]}
        if off:
            kept = all(got[k][0] == d for k, d in off.items())
            self.say(kept, label, "primary's dtype", ", ".join(f"{k} {got[k][0]}, recipe {ref[k][0]}" for k in off))
        optional = case.get("optional_names", [])  # a tied head, mask buffers: in one of the two only
        def cut(g, r, more=()): return ({k: v for k, v in d.items() if k not in off and k not in more} for d in self.cg.presence(g, r, optional))
        same = case.get("same_as", "").startswith("models/")
        self.say(*self.verdict(label, "parent's bits" if same else "exact", *cut(got, ref), 0 if same else 1, 0.0 if same else 2.0 ** -22))
        if tool and case.get("tolerance"):
            tol = case["tolerance"]
            self.say(*self.verdict(label, case["expected_from"], *cut(got, tool, case.get("expected_off", [])), tol["max_ulp"], tol["slack"]))
        self.real_value(label, got, pa, pb, float(flags[flags.index("-t") + 1]))
        for index in ("model.safetensors.index.json", "pytorch_model.bin.index.json"):
            if os.path.exists(os.path.join(self.shared, "golden", name, index)): self.index(label, out, name, index)

    def verdict(self, label, what, got, ref, ulp, slack):
        what, ok, text = self.cg.one(what, got, ref, ulp, slack)
        return ok, label, what, text

    def real_value(self, label, got, pa, pb, t):
        try: worst = errors(self.folder, got, pa, pb, t)
        except ValueError as e: return self.say(False, label, "real value", str(e))
        text = ", ".join(f"{d} {w[0]:.5f}" + (f" ({w[1]:.5f} where terms cancel)" if w[1] > w[0] else "") for d, w in sorted(worst.items()))
        self.say(all(w[0] <= LIMIT[d] for d, w in worst.items()), label, "real value", "largest error in ulp: " + text)
        for d, w in worst.items():
            o = self.worst.setdefault(d, [0.0, 0.0, 0])
            self.worst[d] = [max(o[0], w[0]), max(o[1], w[1]), o[2] + w[2]]

    def index(self, label, out, name, file):
        want, path = json.load(open(os.path.join(self.shared, "golden", name, file))), os.path.join(out, file)
        got = json.load(open(path)) if os.path.exists(path) else {"weight_map": {}}
        diff = [k for k in set(want["weight_map"]) | set(got["weight_map"]) if want["weight_map"].get(k) != got["weight_map"].get(k)]
        total = sum(a.nbytes for _, a in self.folder.read(out).values())
        ok = not diff and list(got["weight_map"]) == sorted(got["weight_map"]) and got.get("metadata", {}).get("total_size") == total
        files = len(set(got["weight_map"].values()))
        self.say(ok, label, "index", f"{files} shards, {len(got['weight_map'])} names, total_size {got.get('metadata', {}).get('total_size')} of {total}"
                 + (f"; {len(diff)} names in other shards than the golden index says, such as {sorted(diff)[0]}" if diff else ""))


def main():
    if len(sys.argv) < 3: sys.exit(__doc__)
    binary, shared, names = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3:] or BY_FLAGS
    with tempfile.TemporaryDirectory(prefix="golden-") as work:
        s = Suite(binary, shared, work)
        for name in names:
            case, first, second, flags = settings(shared, name)
            if case.get("must_refuse"):
                s.refusal(name, first, second, flags)
                continue
            if not case.get("same_as", "models/").startswith("models/"):  # the parents of another case in other formats
                case = settings(shared, case["same_as"])[0]
            s.case(name, case, first, second, flags)
            # At t = 0.5 a merge is symmetric: with unlike types the other order shows the rest.
            if name == "edge": s.case("edge, parents swapped", case, second, first, flags)
    for d, w in sorted(s.worst.items()):
        print(f"{d:5} {w[2]:8} elements, largest error {w[0]:.6f} ulp (limit {LIMIT[d]:.6f}), where terms cancel {w[1]:.6f}")
    print(f"golden: {s.failed} failed")
    return 1 if s.failed else 0


if __name__ == "__main__":
    sys.exit(main())
