#!/usr/bin/env python3
"""Run two builds of slerpmerge over the golden recipes, pairs by flags and conversions, and compare all that they write.

usage: same.py OLD NEW SHARED [CASE ...]

SHARED is the folder that holds golden/ and models/. Each case is run in both formats, with 1 and 4 threads, and with the
default memory and little more than the least (4 MiB more than the greater of those that the builds' refusals name). The exit codes must be equal and, of every
file, the SHA-256: all but the model card, the record (which have the build's version and its words) and the sums of
those. What plan --json and compare --json print must be equal too, budgets and warnings aside.
Exit status 1 when anything differs.
"""
import hashlib, json, os, re, shutil, subprocess, sys, tempfile

OWN = {"README.md", "slerpmerge.json", "SHA256SUMS"}
# Pairs by flags: the policies that recipes do not have.
PAIRS = [("alpha", "beta", []), ("alpha", "beta", ["--compat", "seed"]), ("deep-a", "deep-b", ["-t", "0,1"]),
         ("deep-a", "deep-b", ["-t", "mlp=0", "-t", "attn=1", "--dtype", "float16"]), ("edge-a", "edge-b", ["--nonfinite", "warn"]),
         *(("beta", "beta-vocab", ["--vocab", v]) for v in ("base", "extend", "truncate", "zero", "mean", "gradient"))]


def run(binary, args, cwd):
    p = subprocess.run([binary, *args], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    return p.returncode, p.stdout, p.stderr


def sums(folder):
    found = {}
    for root, _, names in os.walk(folder):
        for n in names:
            path = os.path.join(root, n)
            if n not in OWN: found[os.path.relpath(path, folder)] = hashlib.sha256(open(path, "rb").read()).hexdigest()
    return found


def told(binary, args, cwd):
    """What a command prints as JSON, without what depends on the build."""
    code, out, _ = run(binary, args, cwd)
    try: v = json.loads(out)
    except ValueError: return code, None
    for k in ("warnings", "memory", "budget", "disk_free", "output_bytes", "max_memory", "threads", "peak_memory", "blockers"): v.pop(k, None)
    return code, v


def main():
    old, new, shared = (os.path.abspath(a) for a in sys.argv[1:4])
    golden, only = os.path.join(shared, "golden"), sys.argv[4:]
    jobs = []
    for name in sorted(os.listdir(golden)):
        conf = os.path.join(golden, name, "config.yml")
        if os.path.exists(conf) and (not only or name in only): jobs.append((name, ["merge", "-r", conf, "--nonfinite", "warn"], ["plan", "-r", conf, "--json"]))
    models = os.path.join(shared, "models")
    for a, b, flags in PAIRS:
        pair = [os.path.join(models, a), os.path.join(models, b)]
        if all(map(os.path.isdir, pair)) and (not only or "pairs" in only):
            jobs.append((f"{a} {b} {' '.join(flags)}", ["merge", *pair, *flags], ["plan", *pair, *flags, "--json"]))
            jobs.append((f"compare {a} {b}", None, ["compare", *pair, "--json"]))
    if not only or "conversions" in only:
        for m in sorted(os.listdir(models)):
            if os.path.isdir(os.path.join(models, m)):
                for flags in ([], ["--dtype", "float16"]): jobs.append((f"convert {m} {' '.join(flags)}", ["convert", os.path.join(models, m), *flags], None))
    runs = bad = made = 0
    cwd = shared  # recipes name their models from there
    with tempfile.TemporaryDirectory(prefix="same.") as tmp:
        for name, args, shown in jobs:
            wrong = []
            if shown:
                a, b = (told(x, shown, cwd) for x in (old, new))
                runs += 1
                if a != b: wrong.append(f"{shown[0]} --json differs (exit {a[0]} and {b[0]})")
            for fmt in ("safetensors", "bin") if args else ():
                for threads in ("1", "4"):
                    for least in (False, True):
                        got = []
                        memory = []
                        if least:
                            probe = [*args, "-q", "-o", os.path.join(tmp, "none"), "--format", fmt, "--threads", threads, "--max-memory", "1MiB"]
                            named = [re.search(r"the least that works is ([\d.]+) MiB", run(b, probe, cwd)[2]) for b in (old, new)]
                            if all(named): memory = ["--max-memory", f"{4 + max(float(m[1]) for m in named):g}MiB"]
                        for which, binary in enumerate((old, new)):
                            out = os.path.join(tmp, f"out{which}")
                            shutil.rmtree(out, ignore_errors=True)
                            cmd = [*args, "-q", "-o", out, "--format", fmt, "--threads", threads, *memory]
                            code = run(binary, cmd, cwd)[0]
                            got.append((code, sums(out) if os.path.isdir(out) else {}))
                        runs += 1
                        made += got[1][0] == 0 and bool(got[1][1])
                        if got[0] != got[1]:
                            files = sorted(k for k in got[0][1].keys() | got[1][1].keys() if got[0][1].get(k) != got[1][1].get(k))
                            wrong.append(f"{fmt}, {threads} threads, {'least' if least else 'default'} memory: exit {got[0][0]} and {got[1][0]}; {' '.join(files)}")
            if wrong:
                bad += 1
                print(f"FAIL {name}: " + "; ".join(wrong), flush=True)
            else: print(f"ok   {name}", flush=True)
    print(f"{len(jobs)} cases, {runs} pairs of runs, {made} of them made models, {bad} cases differ")
    return 1 if bad or 2 * made < runs else 0


if __name__ == "__main__":
    sys.exit(main())
