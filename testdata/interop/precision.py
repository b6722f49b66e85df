"""Hold merged elements to the formula, worked out with 60 digits.

    python precision.py BINARY [SECONDS]

Pairs of one tensor are merged: of every type, of any finite size, with elements that cancel, at t near 0, 1/2 and 1. Each
element must be as near the exact s0*a + s1*b as README.md says. The coefficients that the program makes are float64, so an
error of theirs is allowed for, in units of 2^-53 of the terms. Random pairs are tried until the time is up.
"""
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import mpmath as mp

mp.mp.dps = 60
# significand, least exponent of a subnormal number, greatest exponent, bound in ulp
TYPES = {"F64": (53, -1074, 1024, 1.5), "F32": (24, -149, 128, 0.5001), "F16": (11, -24, 16, 0.51), "BF16": (8, -133, 128, 0.51)}
CODE = {"F64": "d", "F32": "f", "F16": "e"}


def encode(dtype, values):
    if dtype == "BF16":
        return b"".join(struct.pack("<f", x)[2:] for x in values)  # cut, which is as good as any value
    return struct.pack("<%d%s" % (len(values), CODE[dtype]), *values)


def decode(dtype, b):
    if dtype == "BF16":
        return [struct.unpack("<f", b"\0\0" + b[i:i + 2])[0] for i in range(0, len(b), 2)]
    return list(struct.unpack("<%d%s" % (len(b) // struct.calcsize(CODE[dtype]), CODE[dtype]), b))


def write(folder, dtype, values):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    data = encode(dtype, values)
    head = json.dumps({"w": {"dtype": dtype, "shape": [len(values)], "data_offsets": [0, len(data)]}}).encode()
    with open(folder + "/model.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(head)) + head + data)
    with open(folder + "/config.json", "w") as f:
        f.write('{"model_type": "llama"}')
    return decode(dtype, data)


def read(folder):
    with open(folder + "/model.safetensors", "rb") as f:
        b = f.read()
    n = struct.unpack("<Q", b[:8])[0]
    info = json.loads(b[8:8 + n])["w"]
    return decode(info["dtype"], b[8 + n:])


def formula(a, b, t):
    """-> coefficients, and how many units of 2^-53 rounding the angle and its parts costs them"""
    a, b, t = [mp.mpf(x) for x in a], [mp.mpf(x) for x in b], mp.mpf(t)
    na, nb = mp.sqrt(mp.fsum(x * x for x in a)), mp.sqrt(mp.fsum(x * x for x in b))
    cos = mp.fsum(x * y for x, y in zip(a, b)) / ((na if na > 1e-8 else 1) * (nb if nb > 1e-8 else 1))
    cos = max(mp.mpf(-1), min(mp.mpf(1), cos))
    if abs(abs(cos) - mp.mpf(0.9995)) < 1e-9:
        return None  # either branch is right
    if abs(cos) > 0.9995:
        return 1 - t, t, 1
    theta = mp.acos(cos)
    sin = mp.sin(theta)
    # The cosine is off by some units of the norms' product, which an angle takes 1/sin times as hard, and a sine of it
    # as hard again.
    return mp.sin((1 - t) * theta) / sin, mp.sin(t * theta) / sin, 40 * (1 + abs(t)) / sin ** 2


def check(binary, root, name, dtype, out, a, b, t):
    a, b = write(root + "/a", dtype, a), write(root + "/b", dtype, b)
    c = formula(a, b, t)
    if c is None:
        return 0
    shutil.rmtree(root + "/out", ignore_errors=True)
    argv = [binary, "merge", root + "/a", root + "/b", "-o", root + "/out", "-t", repr(t), "-q", "--dtype", {"F64": "auto", "F32": "float32",
            "F16": "float16", "BF16": "bfloat16"}[out], "--extrapolate"]
    p = subprocess.run(argv, capture_output=True, text=True)
    if p.returncode:
        print("FAIL %s, %s to %s, t = %r: exit %d, %s" % (name, dtype, out, t, p.returncode, p.stderr.strip()))
        return 1
    bits, low, top, bound = TYPES[out]
    bad = 0
    for x, y, z in zip(a, b, read(root + "/out")):
        p, q = c[0] * x, c[1] * y
        v = p + q
        exp = max(mp.frexp(v)[1] - bits, low) if v else low
        ulp = mp.mpf(2) ** exp
        end = mp.mpf(2) ** top
        slack = (abs(p) + abs(q)) * mp.mpf(2) ** -53 * c[2]
        if z != z:
            far = mp.inf
        else:
            z, v = (max(-end, min(end, x)) for x in (mp.mpf(z), v))
            far = max(0, abs(z - v) - slack) / ulp
        if far > bound:
            bad += 1
            if bad == 1:
                print("FAIL %s, %s to %s, t = %r: %r and %r give %r, exactly %s: %s ulp" % (name, dtype, out, t, x, y, z, mp.nstr(v, 20), mp.nstr(far, 6)))
    return int(bad > 0)


def pairs(r):
    """Endless pairs of finite values: name, type, output, a, b, t."""
    ts = [0.5, 0.3, 1e-300, 1e-40, 1e-17, 1 - 2.0 ** -53, 1 - 2.0 ** -20, 0.999, 1.25]
    gauss = lambda n, scale=1.0: [r.gauss(0, 1) * scale for _ in range(n)]
    fixed = [
        ("one huge value", "F64", [1e160, 1, 2, 3], [1, 1e160, 2, 5]),
        ("the greatest", "F64", [1.7e308] * 8, [1.7e308] * 4 + [-1.7e308] * 4),
        ("the greatest", "F32", [3.4e38] * 8, [-3.4e38] * 3 + [3.4e38] * 5),
        ("the greatest", "F16", [60000.0] * 8, [-60000.0, 60000.0] * 4),
        ("the greatest", "BF16", [3.38e38] * 8, [-3.38e38, 3.38e38] * 4),
        ("the least", "F64", [5e-324 * i for i in range(8)], [5e-324 * (9 - i) for i in range(8)]),
        ("zeros", "F32", [0.0] * 8, gauss(8)), ("zeros", "BF16", gauss(8), [0.0] * 8), ("opposed", "F32", [1.0, 2.0], [-1.0, -2.0]),
        ("one value", "F32", [2.5], [-1.25]), ("orthogonal", "BF16", [1.0, 0.0], [0.0, 1.0]),
    ]
    for name, dtype, a, b in fixed:
        for t in ts:
            yield name, dtype, dtype, a, b, t
    while True:
        dtype = r.choice(list(TYPES))
        out = r.choice([dtype, "F32", "F16", "BF16"])
        n, t = 64, r.choice(ts + [r.random()] * 3)
        top = {"F64": 1000, "F32": 120, "F16": 12, "BF16": 120}[dtype]
        if r.random() < 0.4:
            top = 1
        scale = 2.0 ** r.uniform(-top, top)
        a, b = gauss(n, scale), gauss(n, scale)
        if r.random() < 0.3:
            b = [x + r.gauss(0, 0.1) * scale for x in a]
        c = formula(a, b, t)
        if c is not None and c[1] and r.random() < 0.5:  # make some cancel, which moves the angle little
            for i in range(0, 4):
                b[i] = float(max(-8 * mp.mpf(scale), min(8 * mp.mpf(scale), -a[i] * c[0] / c[1])))
        yield "random", dtype, out, a, b, t


def main():
    binary, seconds = os.path.abspath(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 20
    root = tempfile.mkdtemp()
    r = random.Random(20)
    start, tried, failed = time.time(), 0, 0
    try:
        for pair in pairs(r):
            if tried > 99 and time.time() - start > seconds:
                break
            failed += check(binary, root, *pair)
            tried += 1
        for t, code in (("nan", 2), ("inf", 2), ("1e301", 2)):
            p = subprocess.run([binary, "merge", root + "/a", root + "/b", "-o", root + "/no", "--extrapolate", "-t", t], capture_output=True, text=True)
            if p.returncode != code or "NaN" not in p.stderr:
                print("FAIL t = %s: exit %d, %s" % (t, p.returncode, p.stderr))
                failed += 1
    finally:
        shutil.rmtree(root)
    print("precision: %d pairs, %d failed" % (tried, failed))
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
