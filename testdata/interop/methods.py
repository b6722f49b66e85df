#!/usr/bin/env python3
"""Run every merge method on the same recipes with mergekit 0.1.5 and with slerpmerge, and compare all elements.

usage: methods.py BINARY SHARED [METHOD ...]

SHARED is the folder that holds models/. Other models are made here: siblings of one base, near it and far from it, with tensors of
one to three dimensions, scalars, zeros, and BF16, F16 and F32 in one file. All recipes have dtype: float32; mergekit's own bfloat16
results are off by units in the last place (docs/methods.md). mergekit runs in this process.

- Methods whose result is a formula are held against mergekit in float32 (relative 2e-6 of the largest operand) and against the same
  recipe with dtype: float64: one unit in the last place of float32 there.
- Order statistics (ties, breadcrumbs, sce, arcee_fusion): elements at a threshold, where mergekit's choice is arbitrary or a matter of
  rounding, are told apart and counted; the others must agree. ties and breadcrumbs are also held, every element, against a
  reference that keeps elements at the threshold in index order.
- Random ones (dare, della): the share that is kept, the l1 norm after rescaling, the values that are kept, and one mask whatever the
  number of threads and the memory.
- What mergekit lacks (karcher with weights), models that are opposite, and F64 models whose inner products are beyond float64 are held against formulas of this file.
- bfloat16 models without dtype: the exact result, rounded once.
One line per case and a table; exit status 1 when a case fails.
"""
import hashlib, itertools, json, logging, math, os, subprocess, sys, tempfile, time, warnings
warnings.simplefilter("ignore")
import numpy as np, torch, yaml
from safetensors.torch import load_file, save_file
logging.disable(logging.CRITICAL)
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions
import importlib.metadata
import record

torch.set_num_threads(1)
WIDE = 2e-6   # of the largest operand: what float32 arithmetic may cost mergekit where terms cancel
EXACT = 1e-12 # of the largest operand: what float64 coefficients may cost
ULP = 2.0 ** -23


# ---- models ----------------------------------------------------------------

def tensors(seed, parent=None, spread=0.0, zeros=False, scalars=True):
    """A model of three layers, or a sibling of parent at a relative distance."""
    g = torch.Generator().manual_seed(seed)
    shapes = {"model.embed_tokens.weight": (160, 64), "model.norm.weight": (64,), "lm_head.weight": (160, 64)}
    for l in range(3):
        p = f"model.layers.{l}."
        shapes |= {p + "self_attn.q_proj.weight": (64, 64), p + "self_attn.q_proj.bias": (64,), p + "mlp.up_proj.weight": (96, 64),
                   p + "mlp.experts.weight": (3, 20, 64), p + "mlp.gate": (3,), p + "input_layernorm.weight": (64,)}
        if scalars: shapes |= {p + "temperature": ()}
        if zeros: shapes |= {p + "mlp.bias": (96,), p + "mlp.zero.bias": (64,)}
    out = {}
    for name, shape in shapes.items():
        x = torch.randn(shape, generator=g, dtype=torch.float64) * (0.1 if len(shape) > 1 else 0.5)
        if parent: x = parent[name].double() + spread * x
        elif "norm" in name: x = x + 1
        if not shape: x = x.abs() + 0.1 # two scalars of unlike sign are opposite: mergekit's karcher takes the first
        if name.endswith("zero.bias") or name.endswith("mlp.bias") and not seed % 3: x = torch.zeros(shape, dtype=torch.float64)
        out[name] = x
    return out


def save(path, values, dtype):
    """dtype is a type, or None for a mix of three."""
    os.makedirs(path)
    kinds = [torch.bfloat16, torch.float32, torch.float16]
    cast = {n: x.to(dtype or kinds[int(hashlib.sha256((path[-1] + n).encode()).hexdigest(), 16) % 3]).contiguous() for n, x in values.items()}
    save_file(cast, os.path.join(path, "model.safetensors"), metadata={"format": "pt"})
    # transformers has no causal ViT, so that mergekit takes the names from the files.
    config = {"architectures": ["SiblingForCausalLM"], "model_type": "vit", "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2,
              "intermediate_size": 96, "vocab_size": 160}
    json.dump(config, open(os.path.join(path, "config.json"), "w"))


class World:
    """A base and its siblings a to e."""
    def __init__(self, work, name, spread, dtype, zeros, scalars=True):
        self.dir, self.noise = os.path.join(work, name), WIDE
        base = tensors(3, zeros=zeros, scalars=scalars)
        save(self.path("base"), base, dtype)
        for i, m in enumerate("abcde"): save(self.path(m), tensors(10 + i, base, spread, zeros, scalars), dtype)

    def path(self, m): return os.path.join(self.dir, m)


class Huge:
    """The models of another world in F64, times 2^700."""
    def __init__(self, work, world):
        self.dir, self.small = os.path.join(work, "huge"), world
        for m in ("base", "a", "b", "c"): save(self.path(m), {n: torch.from_numpy(np.asarray(np.ldexp(x, 700))) for n, x in load(world.path(m)).items()}, torch.float64)

    def path(self, m): return os.path.join(self.dir, m)


class Shared:
    """The trained models: alpha and beta are tuned from base. The others are alpha in other types."""
    names = {"base": "base", "a": "alpha", "b": "beta", "c": "alpha-f16", "d": "beta-f32", "e": "alpha-f32"}
    def __init__(self, shared): self.dir, self.noise = os.path.join(shared, "models"), 5 * WIDE # float32 sums of 98,304 products
    def path(self, m): return os.path.join(self.dir, self.names[m])


def load(folder):
    out = {}
    for f in sorted(os.listdir(folder)):
        if f.endswith(".safetensors"): out |= load_file(os.path.join(folder, f))
    return {n: x.double().numpy() for n, x in out.items()}


# ---- running ---------------------------------------------------------------

class Suite:
    def __init__(self, binary, work):
        self.binary, self.work, self.n = binary, work, 0
        self.rows, self.failed, self.values = {}, 0, {}

    def out(self):
        self.n += 1
        return os.path.join(self.work, f"out-{self.n}")

    def model(self, path):
        if path not in self.values: self.values[path] = load(path)
        return self.values[path]

    def kit(self, recipe):
        out = self.out()
        run_merge(MergeConfiguration.model_validate(recipe), out, MergeOptions(copy_tokenizer=False, quiet=True, write_model_card=False))
        return load(out)

    def ours(self, recipe, *flags):
        out = self.out()
        file = out + ".yml"
        with open(file, "w") as f: yaml.safe_dump(recipe, f, sort_keys=False)
        r = subprocess.run([self.binary, "merge", "-q", "--recipe", file, "-o", out, *flags], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        if r.returncode: raise RuntimeError(f"exit {r.returncode}: " + r.stderr.strip().splitlines()[0][:200])
        self.folder = out
        return load(out)

    def say(self, ok, method, label, text, row=None):
        self.failed += not ok
        record.check(method, "the same recipe", ok, f"{label}: {text}")
        print(f"{'ok  ' if ok else 'FAIL'} {method:17} {label:58} {text}", flush=True)
        r = self.rows.setdefault(method, {"cases": 0, "failed": 0, "elements": 0, "f32": 0.0, "f64": 0.0, "unclear": 0})
        r["cases"], r["failed"] = r["cases"] + 1, r["failed"] + (not ok)
        for k, v in (row or {}).items(): r[k] = r[k] + v if k in ("elements", "unclear") else max(r[k], v)


def difference(got, want, size, slack):
    """The largest difference in ulp of float32 that slack times size does not explain, and its place."""
    if got.shape != want.shape: return math.inf, f"shape {got.shape}, not {want.shape}"
    if not got.size: return 0.0, ""
    both = np.isfinite(want)
    if (np.isfinite(got) != both).any(): return math.inf, "not finite in one of the two"
    d = np.maximum(0, np.abs(np.where(both, got - want, 0)) - slack * size)
    unit = np.maximum(ULP * 2.0 ** np.floor(np.log2(np.maximum(np.abs(np.where(both, want, 1)), 1e-37))), 2.0 ** -149)
    u = d / unit
    at = np.unravel_index(np.argmax(u), u.shape)
    return float(u[at]), f"{float(got[at])!r}, not {float(want[at])!r}"


def compare(got, want, sizes, slack, skip=None):
    """-> (largest difference in ulp, where, elements, skipped)"""
    if sorted(got) != sorted(want): return math.inf, f"names differ: {sorted(set(got) ^ set(want))[:3]}", 0, 0
    worst, where, n, skipped = 0.0, "", 0, 0
    for name in got:
        g, w, s = got[name], want[name], sizes.get(name, np.zeros(got[name].shape))
        if skip is not None:
            m = ~skip[name]
            n, skipped = n + g.size, skipped + int(g.size - m.sum())
            g, w, s = g[m], w[m], s[m]
        else: n += g.size
        u, place = difference(g, w, s, slack)
        if u > worst: worst, where = u, f"{name}: {place}"
    return worst, where, n, skipped


# ---- recipes ---------------------------------------------------------------

class Case:
    """A recipe of one method in a world, and what is known of it. models maps letters to parameters; base is how base_model stands there:
    None, "added" or a place among the models."""
    def __init__(self, method, world, models, base=None, shared=None, label="", slices=None):
        self.method, self.world, self.models, self.base, self.shared = method, world, models, base, shared or {}
        self.label = label or ", ".join([world.dir.split("/")[-1], " ".join(models), *([] if base is None else [f"base {base}"]),
                                         *(f"{k} {v}" for k, v in self.shared.items())])
        own = [p for p in models.values() if p]
        if own and not label: self.label += f", {json.dumps(own)}"
        self.slices = slices

    def recipe(self, dtype="float32", out=None):
        entry = lambda m: {"model": self.world.path(m)} | ({"parameters": self.models.get(m)} if self.models.get(m) else {})
        listed = [entry(m) for m in self.models]
        if isinstance(self.base, int): listed.insert(self.base, {"model": self.world.path("base")})
        r = {"merge_method": self.method} | ({"dtype": dtype} if dtype else {}) | ({"out_dtype": out} if out else {})
        if self.base is not None: r["base_model"] = self.world.path("base")
        if self.shared: r["parameters"] = self.shared
        if self.slices: r["slices"] = [{"sources": [{"model": self.world.path(m), "layer_range": l} for m in s["models"]], **({"parameters": s["parameters"]} if "parameters" in s else {})}
                                       for s, l in ((s, s["range"]) for s in self.slices)]
        else: r["models"] = listed
        return r

    def operands(self, suite):
        """values of the base (or None) and of the models"""
        return (suite.model(self.world.path("base")) if self.base is not None else None), [suite.model(self.world.path(m)) for m in self.models]

    def sizes(self, suite):
        base, models = self.operands(suite)
        return {n: np.max([np.abs(m[n]) for m in models + ([base] if base else [])], axis=0) for n in models[0]}

    def weight(self, m, name="weight"):
        return (self.models[m] or {}).get(name, self.shared.get(name))


def formula(suite, c, unclear=None, scale=1.0):
    """Methods without a choice, or with choices that are unclear for some elements."""
    try: got = suite.ours(c.recipe())
    except RuntimeError as e: return suite.say(False, c.method, c.label, str(e))
    sizes = {n: scale * s for n, s in c.sizes(suite).items()}
    # The divergence of two rows that are near is a small difference of float32 numbers in mergekit.
    near = (0.3 if c.world.dir.endswith("near") else 1e-2) if c.method == "arcee_fusion" else 1e-4
    skip32 = unclear(suite, c, near) if unclear else None
    skip64 = unclear(suite, c, 1e-6) if unclear else None
    w32, at32, n, s = compare(got, suite.kit(c.recipe()), sizes, c.world.noise, skip32)
    exact = 2 * ULP if c.method == "ramplus_tl" else EXACT # mergekit's quotient of two counts is a float32
    w64, at64, _, _ = compare(got, suite.kit(c.recipe("float64", "float32")), sizes, exact, skip64)
    ok = w32 <= 1 and w64 <= 1 and s <= n / 5
    text = f"{n} elements, {w32:.2f} ulp from float32, {w64:.3f} from float64" + (f", {s} unclear" if unclear else "")
    if w32 > 1: text += f"; float32: {at32}"
    if w64 > 1: text += f"; float64: {at64}"
    suite.say(ok, c.method, c.label, text, {"elements": n, "f32": w32, "f64": w64, "unclear": s})


# ---- order statistics ------------------------------------------------------

def deltas(base, models, name):
    """as mergekit has them: rounded to float32"""
    return [(m[name].astype(np.float32) - base[name].astype(np.float32)).astype(np.float64) for m in models]


def kept(key, lo, hi):
    """Elements of the ranks lo to hi of key, ascending; of equal ones of which some are kept, those of low index. And those equal ones, of which
    mergekit may keep any."""
    n = key.size
    order = np.argsort(key, kind="stable")
    mask, tie = np.zeros(n, bool), np.zeros(n, bool)
    mask[order[lo:hi]] = True
    for end in (lo, hi):
        if 0 < end < n and key[order[end - 1]] == key[order[end]]:
            same = np.nonzero(key == key[order[end]])[0]
            some = int(mask[same].sum())
            mask[same], tie[same] = False, True
            mask[same[:some]] = True
    return mask, tie


def sparse(method, d, density, gamma):
    """-> what is kept of a delta, and where that is arbitrary"""
    n, key = d.size, np.abs(d).ravel()
    if density >= 1: return np.ones(d.shape, bool), np.zeros(d.shape, bool)
    if method == "ties":
        if density <= 0: return np.zeros(d.shape, bool), np.zeros(d.shape, bool)
        lo, hi = n - max(1, int(density * n)), n
    else:
        target, top = int(density * n), int(gamma * n)
        lo = max(0, n - target - top)
        hi = min(n, lo + target)
    mask, tie = kept(key, lo, hi)
    return mask.reshape(d.shape), tie.reshape(d.shape)


def generalised(suite, c):
    """ties and breadcrumbs in float64, with ties at the threshold in index order; -> values, unclear, votes that are 0 but for a rounding"""
    base, models = c.operands(suite)
    p = c.shared
    signs = c.method in ("ties", "breadcrumbs_ties")
    normalise, rescale, lam = p.get("normalize", c.method == "ties"), p.get("rescale", False), p.get("lambda", 1)
    out, skip, balanced = {}, {}, {}
    for name, b in base.items():
        b = b.astype(np.float32).astype(np.float64)
        total, down, vote, parts, unclear, size = np.zeros(b.shape), np.zeros(b.shape), np.zeros(b.shape), [], np.zeros(b.shape, bool), np.zeros(b.shape)
        for m, d in zip(c.models, deltas(base, models, name)):
            density, gamma = c.weight(m, "density"), c.weight(m, "gamma")
            mask, tie = sparse("ties" if c.method == "ties" else "breadcrumbs", d, 1 if density is None else density, 0.01 if gamma is None else gamma)
            x = np.where(mask, d, 0)
            before, after = np.abs(d).sum(), np.abs(x).sum()
            if rescale and (density is not None and density < 1) and before >= 1e-7 and after >= 1e-7: x = x * (before / after)
            parts.append((x * c.weight(m), c.weight(m)))
            unclear |= tie
            vote, size = vote + parts[-1][0], size + np.abs(parts[-1][0])
        major = np.where(vote >= 0, 1, -1)
        rounds = signs and (rescale or len(parts) != 2 or parts[0][1] != parts[1][1]) # else a vote has its true sign, and 0 is exact
        balanced[name] = (np.abs(vote) <= 1e-15 * size) & (size > 0) & rounds
        unclear |= (np.abs(vote) <= 1e-6 * size) & (size > 0) & rounds
        for x, w in parts:
            keep = np.sign(x) == major if signs else np.ones(b.shape, bool)
            total, down = total + np.where(keep, x, 0), down + np.where(keep, w, 0)
        down = np.where(down == 0 if signs else np.abs(down) < 1e-8, 1, down)
        out[name] = b + lam * (total / down if normalise else total)
        skip[name] = unclear
    return out, skip, balanced


def order(suite, c):
    try: got = suite.ours(c.recipe())
    except RuntimeError as e: return suite.say(False, c.method, c.label, str(e))
    want, skip, balanced = generalised(suite, c)
    sizes = {n: s * max(1, abs(c.shared.get("lambda", 1))) * (4 if c.shared.get("rescale") else 1) for n, s in c.sizes(suite).items()}
    kit = suite.kit(c.recipe())
    w32, at32, n, s = compare(got, kit, sizes, c.world.noise, skip)
    mine, atmine, _, _ = compare(got, want, sizes, 1e-7, balanced)
    ok = w32 <= 1 and mine <= 1
    text = f"{n} elements, {w32:.2f} ulp from mergekit off {s} ties, {mine:.2f} from the reference"
    if w32 > 1: text += f"; mergekit: {at32}"
    if mine > 1: text += f"; reference: {atmine}"
    suite.say(ok, c.method, c.label, text, {"elements": n, "f32": w32, "f64": mine, "unclear": s})


def variance_unclear(suite, c, near):
    """sce: elements whose variance is near the threshold, or whose vote is near 0."""
    base, models = c.operands(suite)
    top, skip = c.shared.get("select_topk", 1.0), {}
    for name, b in base.items():
        d = np.stack([m[name] - b for m in models])
        var = d.var(axis=0)
        unclear = np.zeros(b.shape, bool)
        k = int(np.count_nonzero(var) * top)
        if 0 < top < 1 and 0 < k < var.size:
            t = np.sort(var.ravel())[-k]
            unclear = np.abs(var - t) <= near * t
            d = d * (var >= t)
        skip[name] = unclear | (np.abs(d.sum(axis=0)) <= near * np.abs(d).sum(axis=0)) & (np.abs(d).sum(axis=0) > 0)
    return skip


def energies(suite, c):
    """sce against a reference of this file, every element; against mergekit where none tie at the threshold. Else which of them are kept
    changes the energies, and so all elements: then the sets of elements that move must agree off the ties."""
    try: got = suite.ours(c.recipe())
    except RuntimeError as e: return suite.say(False, c.method, c.label, str(e))
    base, models = c.operands(suite)
    top, want, ties = c.shared.get("select_topk", 1.0), {}, 0
    for name, b in base.items():
        d = np.stack(deltas(base, models, name))
        var = d.var(axis=0).astype(np.float32).astype(np.float64).ravel()
        keep = np.ones(var.size, bool)
        if top < 1:
            k = int(np.count_nonzero(var) * top)
            keep, tie = kept(var, var.size - k, var.size)
            ties += int(tie.sum())
        d = (np.stack([m[name] - b for m in models]) * keep.reshape(b.shape)).reshape(len(models), -1)
        e = (d * d).mean(axis=1)
        w = e / e.sum() if e.sum() >= 1e-6 else np.full(len(models), 1 / len(models))
        signs = np.sign(d) == np.where(d.sum(axis=0) >= 0, 1, -1)
        want[name] = b + ((d * w[:, None] * signs).sum(axis=0) / np.maximum((w[:, None] * signs).sum(axis=0), 1e-6)).reshape(b.shape)
    sizes = c.sizes(suite)
    mine, at, n, _ = compare(got, want, sizes, 1e-7)
    kit, unclear = suite.kit(c.recipe()), variance_unclear(suite, c, 1e-4)
    moved = sum(int((((got[x] != base[x]) != (kit[x] != base[x])) & ~unclear[x]).sum()) for x in got)
    w32 = compare(got, kit, sizes, c.world.noise, unclear)[0] if not ties else 0.0
    text = f"{n} elements, {mine:.2f} ulp from the reference, {w32:.2f} from mergekit, {moved} in one set only, {ties} ties" + (f"; {at}" if mine > 1 else "")
    suite.say(mine <= 1 and w32 <= 1 and not moved, c.method, c.label, text, {"elements": n, "f32": w32, "f64": mine, "unclear": sum(int(u.sum()) for u in unclear.values())})


def importance_unclear(suite, c, near):
    """arcee_fusion: elements whose importance is near the threshold."""
    base, models = c.operands(suite)
    skip = {}
    soft = lambda x: np.exp(x - x.max(axis=-1, keepdims=True)) / np.exp(x - x.max(axis=-1, keepdims=True)).sum(axis=-1, keepdims=True) + 1e-8
    for name, b in base.items():
        x = models[0][name]
        if not b.shape: b, x = b.reshape(1), x.reshape(1)
        p, q = soft(x), soft(b)
        s = np.sort((np.abs(x - b) * (p * np.log(p / q)).sum(axis=-1, keepdims=True)).ravel())
        at = lambda f: s[int(np.float32(f) * (s.size - 1))]
        t = at(0.5) + 1.5 * (at(0.75) - at(0.25))
        i = np.abs(x - b) * (p * np.log(p / q)).sum(axis=-1, keepdims=True)
        skip[name] = (np.abs(i - t) <= near * abs(t) + 1e-12).reshape(base[name].shape)
    return skip


def turned_unclear(suite, c, near):
    """nuslerp along axis 0: of short vectors that are nearly opposite float32 does not know the angle, float64 does."""
    base, models = c.operands(suite)
    skip = {}
    for name, x in models[0].items():
        a, b = (m[name] - (base[name] if base else 0) for m in models)
        skip[name] = np.zeros(x.shape, bool)
        if x.ndim > 1 and near > 1e-5:
            with np.errstate(invalid="ignore"): cos = (a * b).sum(axis=0) / np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
            skip[name] |= (cos < -0.7)
    return skip


def counted_unclear(suite, c, near):
    """ram: differences near epsilon."""
    base, models = c.operands(suite)
    e = c.shared.get("epsilon", 1e-5)
    return {n: np.any([np.abs(np.abs(m[n] - b) - e) <= near * e + ULP * np.abs(b) for m in models], axis=0) for n, b in base.items()}


# ---- random ----------------------------------------------------------------

def digest(folder):
    h = hashlib.sha256()
    for f in sorted(os.listdir(folder)):
        if f.endswith(".safetensors"): h.update(open(os.path.join(folder, f), "rb").read())
    return h.hexdigest()


def random(suite, c):
    """One model of weight 1, so that the output less the base is the delta, masked and rescaled."""
    m = next(iter(c.models))
    density, eps = c.weight(m, "density"), c.weight(m, "epsilon") or 0.15
    rescale = c.shared.get("rescale", True)
    try:
        got = suite.ours(c.recipe(), "--threads", "1")
        one = digest(suite.folder)
        same = {}
        for flags in (["--threads", "2"], ["--threads", "2", "--max-memory", "256MB"], ["--shard-size", "50KB", "--threads", "1"]):
            other = suite.ours(c.recipe(), *flags)
            same[" ".join(flags)] = all(np.array_equal(other[n], got[n]) for n in got)
        again = suite.ours(c.recipe(), "--seed", "7")
    except RuntimeError as e: return suite.say(False, c.method, c.label, str(e))
    kit = suite.kit(c.recipe())
    base, models = c.operands(suite)
    bad, n, k, kitk, changed = [], 0, 0, 0, 0
    if not all(same.values()): bad.append("the mask depends on " + ", ".join(f for f, ok in same.items() if not ok))
    for name, b in base.items():
        d = deltas(base, models, name)[0]
        moved = d != 0
        keep, kitkeep = (got[name] != b) & moved, (kit[name] != b) & moved
        if d.size < 2: continue
        n, k, kitk = n + int(moved.sum()), k + int(keep.sum()), kitk + int(kitkeep.sum())
        changed += int((keep != ((again[name] != b) & moved)).sum())
        after = np.abs(np.where(keep, d, 0)).sum()
        f = np.abs(d).sum() / after if rescale and after >= 1e-7 and np.abs(d).sum() >= 1e-7 else 1.0
        wrong, at = difference(got[name], b + np.where(keep, d * f, 0), np.maximum(np.abs(b), np.abs(d) * f), 1e-7)
        if wrong > 1: bad.append(f"{name}: l1 rule: {wrong:.1f} ulp off, {at}")
        if c.method.startswith("della") and d.ndim == 2 and d.shape[1] >= 64: # the greater half of a row is kept more often
            high = np.abs(d) >= np.median(np.abs(d), axis=1, keepdims=True)
            share = keep[high].mean() - keep[~high].mean()
            if abs(share - eps) > 6 / math.sqrt(d.size): bad.append(f"{name}: the greater half of a row is kept {share:.3f} more often, not {eps}")
    sigma = math.sqrt(density * (1 - density) / n)
    for who, x in (("ours", k), ("mergekit", kitk)):
        if abs(x / n - density) > 5 * sigma: bad.append(f"{who} keeps {x / n:.4f}, density {density}")
    if changed < n * density * (1 - density): bad.append(f"another seed changes {changed} of {n}")
    suite.say(not bad, c.method, c.label, "; ".join(bad) or f"{n} elements: {k / n:.4f} kept, mergekit {kitk / n:.4f}; one mask for any threads and memory", {"elements": n})


def several(suite, c):
    """Random methods at density 1 have no chance: they are formulas."""
    formula(suite, c, lambda s, c, near: generalised_votes(s, c))


def generalised_votes(suite, c):
    base, models = c.operands(suite)
    skip = {}
    for name in base:
        parts = [d * c.weight(m) for m, d in zip(c.models, deltas(base, models, name))]
        vote, size = sum(parts), sum(np.abs(p) for p in parts)
        skip[name] = (np.abs(vote) <= 1e-6 * size) & (size > 0)
    return skip


# ---- what mergekit lacks ---------------------------------------------------

def karcher64(x, a, max_iter, tol):
    """The weighted mean by vectors."""
    a = np.array(a) / sum(a)
    norms = [np.linalg.norm(v) for v in x]
    ok = [i for i, v in enumerate(norms) if v > tol]
    if not ok: return np.zeros_like(x[0])
    u, w = [x[i] / norms[i] for i in ok], a[ok] / a[ok].sum()
    m = sum(wi * v for wi, v in zip(w, u))
    m /= np.linalg.norm(m)
    for _ in range(max_iter):
        z = np.zeros_like(m)
        for wi, v in zip(w, u):
            cos = np.clip(np.sum(m * v), -1, 1)
            th = math.acos(cos)
            if th >= tol: z = z + wi * th / math.sin(th) * (v - cos * m)
        tau = np.linalg.norm(z)
        if tau < tol: break
        m = math.cos(tau) * m + math.sin(tau) / tau * z
        m /= np.linalg.norm(m)
    return float(a @ norms) * m


def weighted_karcher(suite, c):
    try: got = suite.ours(c.recipe())
    except RuntimeError as e: return suite.say(False, c.method, c.label, str(e))
    _, models = c.operands(suite)
    w = [c.weight(m) for m in c.models]
    want = {n: karcher64([m[n] for m in models], w, c.shared.get("max_iter", 10), c.shared.get("tol", 1e-5)) for n in got}
    u, at, n, _ = compare(got, want, c.sizes(suite), EXACT)
    suite.say(u <= 1, c.method, c.label, f"{n} elements, {u:.3f} ulp from a float64 formula" + (f"; {at}" if u > 1 else ""), {"elements": n, "f64": u})


def sixteen(suite, c):
    """bfloat16 models: every element is the exact result, rounded once. mergekit's float64 result is rounded here."""
    try: got = suite.ours(c.recipe(None, "bfloat16"))
    except RuntimeError as e: return suite.say(False, c.method, c.label, str(e))
    want, sizes = suite.kit(c.recipe("float64")), c.sizes(suite)
    n = off = 0
    worst = 0.0
    for name, w in want.items():
        unit = 2.0 ** (np.floor(np.log2(np.maximum(np.abs(w), 2.0 ** -126))) - 7)
        d = np.maximum(0, np.abs(got[name] - w) - 2.0 ** -50 * sizes[name]) / unit
        n, off, worst = n + w.size, off + int((d > 0.5 + 1e-6).sum()), max(worst, float(d.max(initial=0)))
    suite.say(worst <= 0.51 and off == 0, c.method, c.label + ", bfloat16", f"{n} elements, at most {worst:.6f} ulp of bfloat16 from the exact result", {"elements": n})


def far_beyond(suite, c):
    """F64 models times 2^700, whose inner products are beyond float64: the result is that of the models as they are, times 2^700."""
    try: got = suite.ours(c.recipe(None))
    except RuntimeError as e: return suite.say(False, c.method, c.label, str(e))
    small = Case(c.method, c.world.small, c.models, c.base, c.shared)
    want, sizes = suite.kit(small.recipe("float64")), small.sizes(suite)
    worst, n = 0.0, 0
    for name, w in want.items():
        d = np.abs(np.ldexp(got[name], -700) - w) / sizes[name]
        n, worst = n + w.size, max(worst, float(d.max(initial=0)))
    limit = 1e-8 if c.method == "multislerp" else 1e-13 # its eps is a length
    suite.say(worst <= limit, c.method, c.label, f"{n} elements, at most {worst:.1e} of the largest operand from mergekit in float64 of the models times 2^-700", {"elements": n})


def opposite(suite, work):
    """karcher of a and -a is the linear mean; multislerp of three that balance out is the weighted sum. mergekit: the first model, and an error."""
    far = os.path.join(work, "far")
    if not os.path.exists(os.path.join(work, "minus")): save(os.path.join(work, "minus"), {n: -torch.from_numpy(x) for n, x in load(os.path.join(far, "a")).items()}, torch.float32)
    a = load(os.path.join(far, "a"))
    for method, shared, want in (("karcher", {}, 0.0), ("multislerp", {"weight": 0.5}, 0.0)):
        try: got = suite.ours({"merge_method": method, "dtype": "float32", "models": [{"model": os.path.join(far, "a")}, {"model": os.path.join(work, "minus")}],
                               **({"parameters": shared} if shared else {})})
        except RuntimeError as e:
            suite.say(False, method, "a model and its negative", str(e))
            continue
        worst = max(float(np.abs(got[n] - want * a[n]).max()) for n in got)
        suite.say(worst == 0, method, "a model and its negative: the linear mean", f"at most {worst:g} from 0")


# ---- all cases -------------------------------------------------------------

def cases(near, far, mixed, plain, shared, huge):
    ramp = {"weight": [{"filter": "mlp", "value": [0.2, 0.8]}, {"value": 0.4}]}
    w = lambda *v: {m: {"weight": x} for m, x in zip("abcde", v)}
    n = lambda k: {m: None for m in "abcde"[:k]}
    F, M = formula, [near, far, mixed, shared]
    turned = lambda s, c: formula(s, c, turned_unclear)
    for x in M:
        yield F, Case("linear", x, w(0.3, 0.9))
        yield F, Case("task_arithmetic", x, w(0.4, 0.3), "added")
        yield F, Case("nuslerp", x, w(0.3, 0.9))
        yield F, Case("nuslerp", x, w(0.3, 0.9), "added")
        yield F, Case("karcher", x, n(2))
        yield F, Case("model_stock", x, n(2), "added")
        yield F, Case("multislerp", x, w(0.7, 0.2))
        yield F, Case("slerp", x, {"b": None}, 0, {"t": 0.3})
        yield F, Case("nearswap", x, n(1), "added", {"t": 0.01})
    yield F, Case("linear", near, w(1, -0.4, 0.3, 0.2, 0.1))
    yield F, Case("linear", mixed, w(1, 2, 3), None, {"normalize": False})
    yield F, Case("linear", near, n(2), "added", {"weight": 0.5})
    yield F, Case("linear", far, {"a": ramp, "b": {"weight": [0.9, 0.1, 0.5]}, "c": None}, None, {"weight": 1})
    yield F, Case("linear", far, {"a": {"weight": 1}, "b": {"weight": 0}})
    yield F, Case("passthrough", mixed, {"a": {"scale": 0.7}})
    yield F, Case("passthrough", mixed, {"a": {"scale": [{"filter": "q_proj", "value": 0}, {"filter": "mlp", "value": [1, 2]}, {"value": 1}]}})
    yield F, Case("passthrough", shared, n(2), None, label="two slices", slices=[{"models": "a", "range": [0, 2]}, {"models": "b", "range": [1, 4]}])
    yield F, Case("task_arithmetic", near, w(1, -0.4, 0.3, 0.2, 0.1), 2)
    yield F, Case("task_arithmetic", far, w(1, 0.5, 0.7), 0, {"normalize": True, "lambda": 0.7})
    yield F, Case("task_arithmetic", mixed, w(1, -1), 2, {"normalize": True, "density": 0.2, "int8_mask": True, "rescale": True})
    yield F, Case("task_arithmetic", near, {"a": ramp, "b": None}, "added", {"weight": [0.1, 0.9], "lambda": [{"filter": "mlp", "value": 0.5}, {"value": [1, 2]}]})
    yield F, Case("task_arithmetic", far, w(0.5, 0.5), "added")
    for x in (near, far, shared):
        yield F, Case("nuslerp", x, w(0.6, 0.3), None, {"nuslerp_flatten": False})
        yield turned, Case("nuslerp", x, w(0.6, 0.3), None, {"nuslerp_flatten": False, "nuslerp_row_wise": True})
        yield F, Case("nuslerp", x, w(0.6, 0.3), "added", {"nuslerp_flatten": False})
        yield turned, Case("nuslerp", x, w(0.6, 0.3), 1, {"nuslerp_flatten": False, "nuslerp_row_wise": True})
        yield F, Case("model_stock", x, n(2), "added", {"filter_wise": True})
    yield F, Case("nuslerp", far, w(1, -1))
    yield F, Case("nuslerp", far, w(-0.5, 1.5), 0)
    yield F, Case("nuslerp", near, {"a": ramp, "b": {"weight": [0.9, 0.1]}}, 2)
    yield F, Case("multislerp", far, w(0.7, 0.2, 0.4))
    yield F, Case("multislerp", far, w(0.7, 0.2, 0.4, 0.1, 1), "added")
    yield F, Case("multislerp", far, w(0.7, 0.2, -0.1), 1, {"normalize_weights": False})
    yield F, Case("multislerp", far, w(0.7, 0.9), None, {"normalize_weights": False, "eps": 1e-4})
    yield F, Case("multislerp", far, w(0.7), "added")
    yield F, Case("multislerp", far, {"a": ramp, "b": {"weight": [0.9, 0.1]}, "c": {"weight": 1}})
    for k, x in ((3, near), (5, near), (3, far), (5, far), (5, mixed), (4, shared)): yield F, Case("karcher", x, n(k))
    yield F, Case("karcher", far, n(5), None, {"max_iter": 1})
    yield F, Case("karcher", far, n(3), None, {"max_iter": 200, "tol": 1e-9})
    yield F, Case("karcher", mixed, n(3), "added")
    yield F, Case("karcher", far, n(1))
    for k, x, place in ((3, near, 0), (5, near, 2), (3, far, 1), (5, mixed, 5), (4, shared, "added")): yield F, Case("model_stock", x, n(k), place)
    yield F, Case("model_stock", far, n(5), 0, {"filter_wise": True})
    yield weighted_karcher, Case("karcher", far, w(1, 2, 3))
    yield weighted_karcher, Case("karcher", mixed, w(0.2, 0, 0.5, 0.1), None, {"max_iter": 100, "tol": 1e-12})
    yield F, Case("nearswap", near, n(1), 1, {"t": [{"filter": "mlp", "value": 0.001}, {"value": [0.0001, 0.1]}]})
    near_eps = lambda s, c: formula(s, c, counted_unclear)
    for m in ("ram", "ramplus_tl"):
        for x in (near, far, mixed, shared): yield near_eps, Case(m, x, n(3), "added")
        yield near_eps, Case(m, near, n(5), 1, {"epsilon": 0.001} | ({"r": 0.5, "alpha": 0.3} if m == "ramplus_tl" else {}))
    for m in ("ties", "breadcrumbs", "breadcrumbs_ties"):
        own = {"gamma": 0.02} if m != "ties" else {}
        for x in M: yield order, Case(m, x, w(0.5, 0.4, 0.3), "added", {"density": 0.3} | own)
        yield order, Case(m, near, {"a": {"weight": 1, "density": 0.7}, "b": {"weight": 0.3, "density": 0.05} | own}, 1, {"lambda": 0.6, "normalize": m != "ties"})
        yield order, Case(m, mixed, w(1, 0.5, -0.2), 0, {"density": 0.4, "rescale": True, "int8_mask": True})
        yield order, Case(m, far, w(1, 1), "added")
        yield order, Case(m, shared, w(1, 1), "added", {"density": 0.5})
        yield order, Case(m, far, w(1, 1), "added", {"density": 0.0001})
    for x in M:
        yield energies, Case("sce", x, n(3), "added", {"select_topk": 0.2})
        yield (lambda s, c: formula(s, c, importance_unclear)), Case("arcee_fusion", x, n(1), "added")
    yield energies, Case("sce", far, n(5), 1)
    yield energies, Case("sce", near, n(2), 0, {"select_topk": 0.7, "int8_mask": True})
    for m in ("dare_linear", "dare_ties", "della_linear", "della"):
        for x in (plain, shared): yield random, Case(m, x, w(1), "added", {"density": 0.4} | ({"epsilon": 0.2} if m.startswith("della") else {}))
        yield random, Case(m, plain, {"a": {"weight": 1, "density": 0.7}}, "added", {"rescale": False} | ({"epsilon": 0.1} if m.startswith("della") else {}))
        yield several, Case(m, far, w(0.5, 0.4, 0.3), 1, {"lambda": 0.8})


    for m, models, base in (("linear", w(0.3, 0.9, 0.2), None), ("task_arithmetic", w(0.3, 0.9, 0.2), 1), ("nuslerp", w(0.3, 0.9), None), ("nuslerp", w(0.3, 0.9), 1), ("multislerp", w(0.7, 0.2, 0.3), None),
                            ("multislerp", w(0.7, 0.2, 0.3), 1), ("karcher", n(3), None), ("model_stock", n(3), 1)):
        yield far_beyond, Case(m, huge, models, base)
        yield sixteen, Case(m, shared, {k: v for k, v in models.items() if k != "c"}, base)


def main():
    if len(sys.argv) < 3: sys.exit(__doc__)
    binary, shared, only = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3:]
    began = time.time()
    record.peer("mergekit", importlib.metadata.version("mergekit"))
    print(f"mergekit {importlib.metadata.version('mergekit')}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory(prefix="methods-") as work:
        suite = Suite(binary, work)
        worlds = (World(work, "near", 0.02, torch.float32, True), World(work, "far", 1.0, torch.float32, False), World(work, "mixed", 0.3, None, True),
                  World(work, "plain", 0.3, torch.float32, False, scalars=False), Shared(shared)) # mergekit's della fails on scalars
        for check, c in cases(*worlds, Huge(work, worlds[1])):
            if only and c.method not in only: continue
            try: check(suite, c)
            except Exception as e: suite.say(False, c.method, c.label, f"{type(e).__name__}: {e}"[:300])
        if not only or {"karcher", "multislerp"} & set(only): opposite(suite, work)
    print(f"\n{'METHOD':17} {'CASES':>5} {'FAILED':>6} {'ELEMENTS':>9} {'ULP FROM FLOAT32':>17} {'FROM FLOAT64':>13} {'UNCLEAR':>8}")
    for m, r in suite.rows.items():
        print(f"{m:17} {r['cases']:5} {r['failed']:6} {r['elements']:9} {r['f32']:17.2f} {r['f64']:13.3f} {r['unclear']:8}")
    print(f"methods: {sum(r['cases'] for r in suite.rows.values())} cases, {suite.failed} failed, {time.time() - began:.0f} s")
    return 1 if suite.failed else 0


if __name__ == "__main__":
    sys.exit(main())
