#!/usr/bin/env python3
"""Differential fuzzing of torchbin against torch.load.

    difffuzz.py BINDUMP --python PY [--old PYTHON] [--seconds 60 | --files N] [--seed N] [--one SEED]

Pickles and archives are generated from a grammar over what torchbin accepts,
most of them sound, many slightly wrong. Each is loaded by real torch (PY, and
an older one), with weights_only and without, in worker processes, and by
torchbin through BINDUMP (go build ./testdata/interop/bindump). What torchbin
accepts must be loaded by at least one of these modes, and every mode that loads
it must give the same tensors: names, types, shapes and bytes. The generator
names no global that does harm, and the workers refuse to start processes.

--one SEED repeats one file, keeps it and says what each reader makes of it.
"""
import argparse, collections, json, os, random, struct, subprocess, sys, tempfile, time, zlib

# ---- the worker: what torch gives ------------------------------------------


def worker():
    import hashlib, resource, warnings
    import torch
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)

    def guard(event, args):
        if event.startswith(("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.", "shutil.", "webbrowser.")):
            sys.stderr.write(f"the worker stops: {event} {args}\n")
            os._exit(3)
    sys.addaudithook(guard)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))
    resource.setrlimit(resource.RLIMIT_DATA, (3 << 30, 3 << 30))  # a damaged count asks for as much as there is
    names = {"torch." + k: v for k, v in dict(
        float64="F64", float32="F32", float16="F16", bfloat16="BF16", int64="I64", int32="I32", int16="I16", int8="I8", uint8="U8", bool="BOOL",
        uint16="U16", uint32="U32", uint64="U64", complex64="C64", float8_e4m3fn="F8_E4M3", float8_e5m2="F8_E5M2", float8_e8m0fnu="F8_E8M0",
        float8_e4m3fnuz="F8_E4M3FNUZ", float8_e5m2fnuz="F8_E5M2FNUZ", float4_e2m1fn_x2="F4").items()}

    def digest(t):
        T = torch.Tensor
        t = T.resolve_neg(T.resolve_conj(T.detach(t)))
        kind, shape = names[str(t.dtype)], list(t.shape)
        if kind == "F4" and shape:
            shape[-1] *= 2
        if t.numel() == 0:
            raw = b""
        elif kind == "F4":
            n = t.numel()
            raw = bytes(torch.empty(0, dtype=torch.uint8).set_(T.untyped_storage(t), t.storage_offset(), t.shape, t.stride()).reshape(-1).tolist())
        else:
            raw = bytes(t.clone(memory_format=torch.contiguous_format).reshape(-1).view(torch.uint8).tolist())
        if kind == "BOOL":  # any byte but 0 is true
            raw = bytes(min(b, 1) for b in raw)
        return [kind, shape, hashlib.sha256(raw).hexdigest()[:16]]

    def tree(v, depth=0):
        """Dicts of tensors, as they come out of items()."""
        if isinstance(v, dict) and depth < 12:
            return {"dict": [[k, tree(x, depth + 1)] for k, x in v.items() if isinstance(k, str)]}
        if isinstance(v, torch.Tensor):
            return digest(v)
        return None

    # When all is loaded, torch 2 logs an id. Where its record is damaged, the id is
    # memory that was never filled, and decoding it fails by chance.
    if hasattr(torch._C.PyTorchFileReader, "serialization_id"):
        torch._C.PyTorchFileReader.serialization_id = lambda self: ""

    print(json.dumps(sorted(set(dir(torch.Tensor)) | set(dir(torch.nn.Parameter)))), flush=True)
    for line in sys.stdin:
        out = {}
        for only in (True, False):
            try:
                loaded = torch.load(line.strip(), map_location="cpu", weights_only=only)
            except BaseException as e:
                out["only" if only else "plain"] = {"error": f"{type(e).__name__}: {e}"[:300]}
                continue
            try:
                out["only" if only else "plain"] = {"tree": tree(loaded)}
            except BaseException as e:
                out["only" if only else "plain"] = {"strange": f"{type(e).__name__}: {e}"[:300]}
        print(json.dumps(out), flush=True)


# ---- pickles -----------------------------------------------------------------

CLASSES = {"Float": 4, "Half": 2, "BFloat16": 2, "Double": 8, "Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1, "Bool": 1, "ComplexFloat": 8}
DTYPES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint64": 8, "uint32": 4, "uint16": 2,
          "uint8": 1, "bool": 1, "complex64": 8, "float8_e4m3fn": 1, "float8_e5m2": 1, "float8_e8m0fnu": 1, "float8_e4m3fnuz": 1, "float8_e5m2fnuz": 1,
          "float4_e2m1fn_x2": 1}
NAMES = ["w", "b", "model.layers.0.weight", "h\u00e9", "lm_head.weight", "x\x00y", "", "data", "weight"]
WRAPPERS = ["state_dict", "model_state_dict", "model_state", "model", "module", "net", "ema", "optimizer", "state"]
SHADOWS = ["items", "keys", "values", "get", "pop", "__class__", "__dict__", "_metadata", "_metadata", "note", "copy", "update"]
SETTERS = ["data", "real", "imag", "grad", "requires_grad", "names", "_backward_hooks", "detach", "shape", "tag", "_is_hf_initialized", "partition_dim", "T",
           "is_param", "__class__", "contiguous", "note", "ds_id", "weight_loader", "_is_param", "retains_grad"]


class Maker:
    def __init__(self, rng, legacy):
        self.r, self.legacy = rng, legacy
        self.memo = {}  # index: kind
        self.storages = {}  # key: [class, count, element size]
        self.views = 0
        self.depth = 0
        self.odd = rng.random() < 0.5  # whether anything strange is made at all

    def some(self, p):
        """True now and then: for what is not as torch writes it."""
        return self.odd and self.r.random() < p

    def pick(self, *options):
        return self.r.choice(options)

    # small pieces

    def glob(self, module, name):
        return self.kept(f"c{module}\n{name}\n".encode(), ("g", module, name))

    def kept(self, op, kind):
        """op, or a memo entry that holds what it pushes."""
        if self.r.random() < 0.4:
            for i, k in self.memo.items():
                if k == kind:
                    return self.get(i)
        if self.r.random() < 0.5:
            return op + self.put(kind)
        return op

    def put(self, kind):
        i = self.r.choice([len(self.memo), self.r.randrange(8), self.r.randrange(300)])
        self.memo[i] = kind
        return b"q%c" % i if i < 256 and not self.some(0.1) else b"r" + struct.pack("<I", i)

    def get(self, i):
        return b"h%c" % i if i < 256 and not self.some(0.1) else b"j" + struct.pack("<I", i)

    def text(self, s):
        raw = s.encode()
        if self.r.random() < 0.2 and len(raw) < 256:
            return b"U%c" % len(raw) + raw
        if self.some(0.02):
            return b"T" + struct.pack("<I", len(raw)) + raw
        return b"X" + struct.pack("<I", len(raw)) + raw

    def int(self, n):
        forms = [b"J" + struct.pack("<i", n)] if -2**31 <= n < 2**31 else []
        if 0 <= n < 256:
            forms += [b"K%c" % n] * 3
        if 0 <= n < 65536:
            forms.append(b"M" + struct.pack("<H", n))
        size = n.bit_length() // 8 + 1
        forms.append(b"\x8a%c" % size + n.to_bytes(size, "little", signed=True))
        if n == 0:
            forms.append(b"\x8a\x00")
        if self.some(0.01):
            return b"\x88" if n == 1 else b"G" + struct.pack(">d", n)
        return self.r.choice(forms)

    def tuple(self, *parts):
        if len(parts) <= 3 and self.r.random() < 0.7:
            return b"".join(parts) + [b")", b"\x85", b"\x86", b"\x87"][len(parts)]
        return b"(" + b"".join(parts) + b"t"

    def call(self, f, *args):
        return f + self.tuple(*args) + b"R"

    def ordered(self):
        od = self.glob("collections", "OrderedDict")
        if self.some(0.05):
            return od + b")\x81"
        if self.some(0.1):
            return od + self.tuple(b"]") + b"R"
        return od + b")R"

    # tensors

    def storage(self, cls=None, need=0):
        fit = [k for k, v in self.storages.items() if (cls is None or v[0] == cls) and v[1] >= need]
        if fit and self.r.random() < 0.5:
            key = self.r.choice(fit)
        else:
            key = str(len(self.storages))
            if self.some(0.1):
                key = self.pick("a", "A", "k\u00e9", "00", "b.c", "B.C", "x" * 30)
            c = cls or self.r.choice(list(CLASSES))
            if key not in self.storages:
                self.storages[key] = [c, need + self.r.choice([0, 0, 1, 7]), CLASSES.get(c, 1)]
        c, count, _ = self.storages[key]
        named, said = c, count
        if self.some(0.02):
            named = self.r.choice(list(CLASSES))
        if c == "Untyped" and self.some(0.1):
            named = "Byte"
        if self.some(0.02):
            said += self.pick(-1, 1, 100)
        global_ = self.glob("torch.storage", "UntypedStorage") if named == "Untyped" else self.glob("torch", named + "Storage")
        where = self.r.choice(["cpu", "cpu", "cpu", "cuda:0", "mps"])
        if self.some(0.02):
            where = self.pick("meta", "", "nowhere")
        args = [self.text("storage"), global_, self.text(key), self.text(where), self.int(said)]
        offset = 0
        if self.legacy and not self.some(0.03):
            if self.r.random() < 0.2:
                self.views += 1
                offset = self.r.randrange(0, count + 1)
                if self.some(0.1):
                    offset += 1
                args.append(self.tuple(self.text("v%d" % self.views if not self.some(0.2) else "0"), self.int(offset), self.int(count - offset)))
                count -= offset
            else:
                args.append(b"N")
        if self.some(0.01):
            args[2] = self.int(0)
        return c, count, self.tuple(*args) + b"Q"

    def shape(self):
        n = self.r.choice([0, 1, 1, 2, 2, 2, 3, 4])
        return [self.r.choice([1, 1, 2, 2, 3, 4, 5] + [0] * (self.r.random() < 0.1)) for _ in range(n)]

    def arguments(self, three):
        shape = self.shape()
        order = list(range(len(shape)))
        if self.r.random() < 0.5:
            self.r.shuffle(order)
        strides, step = [0] * len(shape), 1
        for i in reversed(order):
            strides[i] = step
            if self.r.random() < 0.1:
                strides[i] = self.r.choice([0, step + 1, step * 2, 1])
            if shape[i] == 1 and self.r.random() < 0.3:
                strides[i] = self.r.randrange(100)
            step = max(strides[i] * max(shape[i], 1), 1)
        span = 1 + sum((d - 1) * s for d, s in zip(shape, strides)) if all(shape) else 0
        offset = self.r.choice([0, 0, 0, 1, 3])
        if three:
            dtype = self.r.choice(list(DTYPES))
            size = DTYPES[dtype]
            c, count, storage = self.storage("Untyped" if not self.some(0.05) else None, (span + offset) * size)
            room = count // size
        else:
            dtype, size = None, 1
            c, count, storage = self.storage(None, span + offset)
            room = count
        if self.r.random() < 0.2 and room >= span:
            offset = self.r.randrange(room - span + 1)
        if self.some(0.03):
            offset += self.r.choice([1, 5, 1000])
        if self.some(0.02) and strides:
            strides[self.r.randrange(len(strides))] += self.r.choice([1, 100, -1])
        if self.some(0.01):
            strides = strides + [1]
        grad = self.r.random() < 0.15
        size_, stride_ = self.tuple(*map(self.int, shape)), self.tuple(*map(self.int, strides))
        if self.some(0.03):
            size_ = self.pick(self.call(self.glob("torch", "Size"), size_), b"](" + b"".join(map(self.int, shape)) + b"e")
        hooks = self.ordered() if not self.some(0.1) else self.pick(b"}", b"N", self.ordered() + b"K\x01Ns")
        args = [storage, self.int(offset), size_, stride_, b"\x88" if grad else b"\x89", hooks]
        if three:
            args.append(self.glob("torch", dtype))
        if self.some(0.1):
            args.append(self.pick(b"N", b"}", b"}" + self.text("conj") + self.pick(b"\x89", b"\x88") + b"s", b"}" + self.text("neg") + self.pick(b"\x89", b"\x88") + b"s",
                                  b"}" + self.text("other") + b"\x89s", b"}" + self.text("conj") + b"\x89s"))
        if self.some(0.01):
            args.pop()
        return args

    def tensor(self):
        if self.r.random() < 0.3:
            for i, k in self.memo.items():
                if k == "tensor":
                    return self.get(i)
        three = self.r.random() < 0.3
        name = "_rebuild_tensor_v3" if three else "_rebuild_tensor_v2"
        v = self.call(self.glob("torch._utils", name), *self.arguments(three))
        how = self.r.random()
        if how < 0.1:
            v = self.call(self.glob("torch._utils", "_rebuild_parameter"), v, self.bool(), self.ordered())
        elif how < 0.2:
            v = self.call(self.glob("torch._utils", "_rebuild_parameter_with_state"), v, self.bool(), self.ordered(), self.state(SETTERS))
        elif how < 0.3:
            inner = self.tuple(*self.arguments(three)) if not self.some(0.05) else self.tuple(v, b"\x89", self.ordered())
            name = name if not self.some(0.1) else self.pick("_rebuild_parameter", "_rebuild_tensor_v2")
            type_ = self.pick(("torch", "Tensor"), ("torch.nn.parameter", "Parameter"))
            v = self.call(self.glob("torch._tensor", "_rebuild_from_type_v2"), self.glob("torch._utils", name), self.glob(*type_), inner, self.state(SETTERS))
        elif how < 0.35:
            args = self.pick((v,), (v, self.bool()), (v, b"\x89", b"N"), (b"N",)) if self.odd else (v, self.bool())
            v = self.glob("torch.nn.parameter", "Parameter") + self.tuple(*args) + self.pick(b"R", b"\x81")
        if self.some(0.02):
            v += self.state(SETTERS) + b"b"
        if self.r.random() < 0.3:
            v += self.put("tensor")
        return v

    def bool(self):
        return b"\x89" if self.r.random() < 0.7 else b"\x88"

    def state(self, names):
        self.depth += 1
        items = b""
        for _ in range(self.r.randrange(3)):
            name = self.r.choice(names[:21] if self.r.random() < 0.7 else names) if self.odd else self.r.choice(["note", "tag", "_metadata"])
            items += self.text(name) + self.pick(self.leaf(), self.leaf(), self.tensor() if self.depth < 3 else b"N")
        self.depth -= 1
        d = b"}(" + items + b"u" if not self.some(0.1) else self.ordered() + b"(" + items + b"u"
        if self.some(0.1):
            d = self.pick(self.tuple(b"N", d), self.tuple(d, b"N"), b"N", self.tuple(d, d, d), self.int(0))
        return d

    # other values

    def leaf(self):
        k = self.r.randrange(18)
        if k == 0:
            return self.call(self.glob("torch", "Size"), self.tuple(*[self.int(self.r.randrange(9)) for _ in range(self.r.randrange(4))]) if not self.some(0.2) else self.pick(b"N", self.text("a"), self.tuple(self.text("a"))))
        if k == 1:
            args = [self.text(self.pick("cpu", "cuda", "cuda:1", "mps") if not self.some(0.2) else self.pick("", "cpu:", "cuda:01", "what", "CPU", "cuda:-1", "cuda:200", "xpu"))]
            if self.r.random() < 0.3:
                args.append(self.int(self.pick(0, 3) if not self.some(0.2) else self.pick(-1, 500)))
            return self.call(self.glob("torch", "device"), *args)
        if k == 2:
            text = self.text(self.pick("", "ab", "\u00ff\u0080") if not self.some(0.2) else "\u20ac")
            return self.call(self.glob("_codecs", "encode"), text, self.text("latin1" if not self.some(0.2) else self.pick("utf-8", "nope", "latin-1", "rot13")))
        builtins = self.pick("__builtin__", "builtins")
        if k == 3:
            return self.call(self.glob(builtins, "set"), b"](" + self.int(1) + (self.text("a") if not self.some(0.2) else self.pick(b"]", b"}", b")", self.tuple(b"]"))) + b"e")
        if k == 4:
            return self.call(self.glob(builtins, "complex"), b"G" + struct.pack(">d", 1.5), self.int(2) if not self.some(0.2) else self.text("a"))
        if k == 5:
            if self.r.random() < 0.5:
                return self.call(self.glob(builtins, "bytearray"), self.call(self.glob("_codecs", "encode"), self.text("ab\u00ff"), self.text("latin1")))
            return self.call(self.glob(builtins, "bytearray"), self.text("ab\u00ff"), self.text("latin-1"))
        if k == 6:
            d = b"}(" + self.text("a") + self.int(2) + b"u" if not self.some(0.1) else self.pick(b"N", b"]", self.int(3), self.text("abc"))
            return self.call(self.glob("collections", "Counter"), d)
        if k == 7:
            return self.glob("torch", self.r.choice(list(DTYPES)))
        if k == 8:
            return self.glob("torch", self.r.choice(list(CLASSES)) + "Storage")
        if k == 9 and self.depth < 4:
            self.depth += 1
            v = b"](" + b"".join(self.leaf() for _ in range(self.r.randrange(3))) + b"e"
            self.depth -= 1
            return v
        if k == 10 and self.depth < 4:
            self.depth += 1
            v = b"}(" + b"".join(self.key() + self.leaf() for _ in range(self.r.randrange(3))) + b"u"
            self.depth -= 1
            return v
        if k == 11:
            return b"\x8f"
        if k == 12 and self.some(0.3):
            return self.storage()[2]
        if k == 13:
            return b"G" + struct.pack(">d", self.r.choice([0.0, 1.5, float("nan"), -1e300]))
        return self.pick(b"N", b"\x88", b"\x89", self.int(self.r.randrange(-5, 70000)), self.text(self.r.choice(NAMES)))

    def key(self):
        if self.some(0.05):
            return self.pick(self.tuple(), self.tuple(self.int(1), self.text("a")), b"]", b"}", self.tuple(b"]"), b"N", b"\x88", self.ordered(), b"\x8f")
        return self.pick(self.text(self.r.choice(NAMES)), self.int(self.r.randrange(5)))

    def weights(self, level=0):
        """A state_dict, maybe with other things in it."""
        items = []
        for i in range(self.r.randrange(1, 5)):
            name = self.r.choice(NAMES) if self.some(0.2) else f"layer.{i}.{self.r.choice(NAMES)}"
            items.append((self.text(name), self.tensor()))
        if self.r.random() < 0.2:
            items.append((self.text(f"other{level}"), self.leaf()))
        if self.some(0.05):
            items.append((self.text(self.r.choice(WRAPPERS)), self.pick(self.leaf(), b"}", self.tensor())))
        if self.some(0.1):
            k, v = self.r.choice(items)
            items.append((k, v if self.r.random() < 0.5 else self.pick(self.tensor(), b"N")))
        if self.some(0.03):
            items.append((self.key(), self.leaf()))
        self.r.shuffle(items) if self.some(0.3) else None
        how = self.r.random()
        if how < 0.4:
            d = b"}(" + b"".join(k + v for k, v in items) + b"u"
        elif how < 0.5:
            d = b"}" + b"".join(k + v + b"s" for k, v in items)
        elif how < 0.9:
            d = self.ordered() + b"(" + b"".join(k + v for k, v in items) + b"u"
            if self.r.random() < 0.5:
                meta = b"}" + self.text("_metadata") + self.ordered() + b"s" if not self.some(0.3) else self.state(SHADOWS)
                d += meta + b"b"
        else:
            pairs = b"](" + b"".join(self.pick(self.tuple(k, v), b"](" + k + v + b"e") for k, v in items) + b"e"
            d = self.glob("collections", "OrderedDict") + self.tuple(pairs) + b"R"
        if self.some(0.1):  # put in the memo, then changed where it is met again
            i = len(self.memo) + 400
            d += b"r" + struct.pack("<I", i)
            self.memo[i] = "weights"
        return d

    def top(self):
        how = self.r.random()
        if how < 0.55:
            return self.weights()
        items = [(self.text(self.r.choice(WRAPPERS)), self.weights(1))]
        for _ in range(self.r.randrange(3)):
            items.append((self.text(self.r.choice(["epoch", "args", "loss", "best", *WRAPPERS])), self.pick(self.leaf(), self.leaf(), self.weights(1))))
        if self.r.random() < 0.2:
            items.append((self.text("best_loss"), self.tensor()))
        for i, k in list(self.memo.items()):
            if k == "weights" and self.r.random() < 0.7:
                change = self.text(self.r.choice(NAMES)) + self.pick(self.tensor(), b"N") + b"s"
                items.append((self.text("later"), self.get(i) + change))
        self.r.shuffle(items) if self.r.random() < 0.5 else None
        d = b"}(" + b"".join(k + v for k, v in items) + b"u"
        if self.r.random() < 0.2:
            d = b"}(" + self.text(self.r.choice(WRAPPERS)) + d + b"u"
        return d

    def pickle(self, body, proto=2):
        if self.some(0.05):
            proto = self.pick(0, 1, 3, 4, 5, None)
        return (b"" if proto is None else b"\x80%c" % proto) + body + b"." + (b"x" if self.some(0.01) else b"")


def damage(r, b):
    """b with a few bytes changed, taken out or put in."""
    b = bytearray(b)
    for _ in range(r.choice([1, 1, 2, 4])):
        if not b:
            break
        i = r.randrange(len(b))
        k = r.randrange(4)
        if k == 0:
            b[i] = r.randrange(256)
        elif k == 1:
            del b[i:i + r.choice([1, 2, 5])]
        elif k == 2:
            b[i:i] = r.choice([b"q\x00", b"h\x00", b"N", b"(", b")", b"R", b"s", b"b", b"t", b"u", b"}", b"]", b"\x85", b"K\x01", b"\x80\x02"])
        else:
            j = r.randrange(len(b))
            n = r.randrange(1, 12)
            b[i:i + n] = b[j:j + n]
    return bytes(b)


# ---- files ---------------------------------------------------------------------


def archive(r, odd, records, prefix):
    """A ZIP archive, sound or with one or another oddity."""
    some = lambda p: odd and r.random() < p
    out, directory, count = bytearray(), bytearray(), 0
    wide = r.random() < 0.1
    for name, body in records:
        full = f"{prefix}/{name}".encode()
        if some(0.01):
            full = name.encode()
        method, packed = 0, body
        if name in ("data.pkl", "version", "byteorder") and r.random() < 0.1 or some(0.01):
            z = zlib.compressobj(6, zlib.DEFLATED, -15)
            method, packed = 8, z.compress(body) + z.flush()
        if some(0.005):
            method = r.choice([12, 0x7b, 8, 0])
        crc = zlib.crc32(body)
        if some(0.05):
            crc = r.choice([0, 1])
        flags = 0x800 if r.random() < 0.5 else 0
        descriptor = r.random() < 0.4
        flags |= 8 if descriptor else 0
        if some(0.01):
            flags |= r.choice([1, 0x20, 0x40, 2, 4, 0x2000])
        size, psize = len(body), len(packed)
        if some(0.01):
            size = max(0, size + r.choice([-1, 1, 4]))
        if some(0.01):
            psize = max(0, psize + r.choice([-1, 1]))
        if some(0.01):
            out += b"\0" * r.randrange(1, 20)
        header = len(out)
        if some(0.005) and header:
            header = r.randrange(header)
        extra = b""
        if wide:
            extra += struct.pack("<HHQQ", 1, 16, size, psize)
        pad = -(len(out) + 30 + len(full) + len(extra) + 4) % r.choice([1, 64])
        extra += b"FB" + struct.pack("<H", pad) + b"Z" * pad
        ls, lp = (0xffffffff, 0xffffffff) if wide else (size, psize)
        if descriptor:
            ls = lp = 0xffffffff if wide else 0
        local = full
        if some(0.01):
            local = full[:-1] + bytes([full[-1] ^ r.choice([1, 32])])
        out += struct.pack("<IHHHHHIIIHH", 0x04034b50, r.choice([0, 20, 45]), flags, method, 0, 0, 0 if descriptor else crc, lp, ls, len(local), len(extra)) + local + extra + packed
        if descriptor:
            out += struct.pack("<IIQQ" if wide else "<IIII", 0x08074b50, crc, psize, size)
        cextra = struct.pack("<HHQQQ", 1, 24, size, psize, header) if wide else b""
        if some(0.01):
            cextra += r.choice([b"\1\0\0\0", b"ab\4\0abcd", b"\1\0\x10\0" + b"\1" * 16, b"\1"])
        cs, cp, ch = (0xffffffff,) * 3 if wide else (size, psize, header)
        directory += struct.pack("<IHHHHHHIIIHHHHHII", 0x02014b50, 20, 20, flags, method, 0, 0, crc, cp, cs, len(full), len(cextra), 0, 0, 0, 0, ch) + full + cextra
        count += 1
    start, n = len(out), len(directory)
    if some(0.01):
        start += r.choice([-1, 1])
    if some(0.01):
        n += r.choice([-1, 1])
    if some(0.01):
        count += r.choice([-1, 1])
    out += directory
    if wide or r.random() < 0.3:
        at = len(out)
        out += struct.pack("<IQHHIIQQQQ", 0x06064b50, 44, 45, 45, 0, 0, count, count, n, start) + struct.pack("<IIQI", 0x07064b50, 0, at, 1)
        if r.random() < 0.5:
            count, n, start = 0xffff, 0xffffffff, 0xffffffff
    comment = b"" if not some(0.05) else r.choice([b"hello", b"PK\5\6" + bytes(18)])
    out += struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, count, count, n, start, len(comment)) + comment
    if some(0.02):
        out += r.choice([b"x", bytes(100)])
    if some(0.01):
        out = bytearray(b"PK\3\4") + out
    return bytes(out)


def zipped(r, m, body):
    data = {k: random.Random(r.random()).randbytes(v[1] * v[2]) for k, v in m.storages.items()}
    pkl = m.pickle(body, r.choice([2, 2, 2, 3]))
    if m.some(0.2):
        pkl = damage(r, pkl)
    records = [("data.pkl", pkl)]
    if r.random() < 0.5:
        records.append(("byteorder" if not m.some(0.05) else m.pick("BYTEORDER", "byteOrder"), b"little" if not m.some(0.05) else m.pick(b"big", b"little\n", b"", b"LITTLE")))
    for key, raw in data.items():
        if m.some(0.02):
            raw = m.pick(raw + b"\1\2\3\4", raw[:-1], b"")
        if m.some(0.01):
            continue
        if m.some(0.03):
            key = m.pick(key.upper(), key.lower(), key + "/x", "../" + key)
        records.append(("data/" + key, raw))
    records.append(("version" if not m.some(0.02) else m.pick("VERSION", "Version"), b"3\n" if not m.some(0.05) else m.pick(b"3", b"10", b"11", b"1", b"0", b" 3", b"+3", b"3x", b"x", b"", b"03\n", b"2\n\n")))
    if r.random() < 0.3:
        records.append((".data/serialization_id", b"0123456789" * 4))
    if m.some(0.1):
        records.append(m.pick((".format_version", b"1"), (".storage_alignment", b"64"), (".data/version", m.pick(b"3", b"99")), ("constants.pkl", b"N."), ("CONSTANTS.PKL", b"N."), ("extra/note.txt", b"hello"),
                              ("data.PKL", b"}."), ("Data/0", b"\0" * 16), ("data/", b""), ("byteorder", b"big"), ("BYTEORDER", b"big"), ("data/0", b"\0" * 16), ("model.json", b"{}"), ("code/x.py", b""), ("DATA.pkl", pkl)))
    if r.random() < 0.3:
        head = records.pop(0)
        r.shuffle(records)
        records.insert(r.randrange(len(records) + 1), head)
    return archive(r, m.odd, records, r.choice(["archive", "m", "a b", "\u00e9"]) if not m.some(0.02) else m.pick("", "a/b", ".", "..", "A\\b"))


MAGIC = bytes.fromhex("6cfc9c46f9206aa85019")


def legacy(r, m, body):
    data = {k: random.Random(r.random()).randbytes(v[1] * v[2]) for k, v in m.storages.items()}
    proto = r.choice([2, 2, 3])
    pkl = m.pickle(body, proto)
    if m.some(0.2):
        pkl = damage(r, pkl)
    head = b"\x80%c" % proto + b"\x8a\x0a" + MAGIC + b"."
    if m.some(0.03):
        head = m.pick(b"\x8a\x0a" + MAGIC + b".", b"\x80\x02\x8a\x0b" + MAGIC + b"\0.", b"\x80\x04\x8a\x0a" + MAGIC + b".", b"\x80\x01\x8a\x0a" + MAGIC + b".")
    info = m.pickle(b"}(" + m.text("protocol_version") + b"M\xe9\x03" + m.text("little_endian") + (b"\x88" if not m.some(0.02) else b"\x89") + b"u", proto)
    keys = sorted(data)
    if m.some(0.1):
        keys = m.pick(keys[::-1], keys + keys[:1], keys[:-1], keys + ["zz"], keys + ["v1"])
    out = head + m.pickle(b"M\xe9\x03" if not m.some(0.02) else b"M\xe8\x03", proto) + info + pkl + m.pickle(b"](" + b"".join(map(m.text, keys)) + b"e", proto)
    for k in keys:
        v = m.storages.get(k, ["", 0, 1])
        n = v[1] if not m.some(0.01) else v[1] + 1
        out += struct.pack("<q", n) + data.get(k, b"")
    if m.some(0.05):
        out += m.pick(b"x", bytes(600), b"PK\5\6" + bytes(18))
    if m.some(0.03) and len(out) > 512:  # a tar header by its checksum, where a text or values can hold it
        out = bytearray(out)
        total = 256 + sum(out[:148]) + sum(out[156:512])
        out[148:156] = b"%06o\0 " % total
        out = bytes(out)
    if m.some(0.02):
        out = out[:len(out) - r.randrange(1, 9)]
    return out


def make(seed):
    r = random.Random(seed)
    old = r.random() < 0.25
    m = Maker(r, old)
    body = m.top()
    b = legacy(r, m, body) if old else zipped(r, m, body)
    if m.some(0.05):
        b = damage(r, b)
    return b


# ---- comparison -------------------------------------------------------------------


def at(tree, path):
    """What a dict holds as tensors, at a path of keys."""
    for key in path:
        if not isinstance(tree, dict):
            return None
        tree = dict(map(tuple, tree["dict"])).get(key)
    if not isinstance(tree, dict):
        return None
    return {k: v for k, v in tree["dict"] if isinstance(v, list)}


def judge(ours, modes):
    """Why the answers differ, None if they agree."""
    if "died" in ours:
        return ours["died"]
    if "error" in ours:
        return None
    loaded = 0
    for name, a in modes.items():
        if "error" in a:
            continue
        loaded += 1
        if "strange" in a:
            return f"{name} gives something strange: {a['strange']}"
        theirs = at(a["tree"], ours.get("entry") or [])
        mine = ours.get("tensors") or {}
        if theirs != mine:
            return f"{name} gives {theirs} at {ours.get('entry')}, we give {mine}"
    if not loaded:
        return "no mode loads it: " + "; ".join(f"{k}: {a['error']}" for k, a in modes.items())
    return None


class Reader:
    """A process that reads file after file. If one kills it, it is started again behind that file."""

    def __init__(self, *command):
        self.command, self.deaths = command, 0
        self.start()

    def start(self):
        self.p = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ, OMP_NUM_THREADS="1"))
        if "--worker" in self.command:
            self.attributes = json.loads(self.p.stdout.readline())

    def ask(self, paths):
        self.asked = list(paths)
        self.p.stdin.write("".join(p + "\n" for p in paths))
        self.p.stdin.flush()

    def answers(self):
        out, paths = [], self.asked
        while len(out) < len(paths):
            line = self.p.stdout.readline()
            if line:
                out.append(json.loads(line))
                continue
            why = {"error": f"the reader died: {self.p.wait()}"}
            self.deaths += 1
            out.append({"only": why, "plain": why} if "--worker" in self.command else {"died": why["error"]})
            self.start()
            self.ask(paths[len(out):])
        return out

    def close(self):
        self.p.stdin.close()
        self.p.wait()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("bindump")
    p.add_argument("--python", default=sys.executable)
    p.add_argument("--old")
    p.add_argument("--seconds", type=float, default=60)
    p.add_argument("--files", type=int, default=0, help="stop after so many, whatever the time")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--one", type=int)
    p.add_argument("--stop", type=int, default=20, help="how many differences are enough")
    a = p.parse_args()
    me = os.path.abspath(__file__)
    readers = {"ours": Reader(a.bindump), "new": Reader(a.python, me, "--worker")}
    if a.old:
        readers["old"] = Reader(a.old, me, "--worker")
    # What a file may want to set is every attribute that a tensor has.
    SETTERS.extend(n for n in sorted({n for r in readers.values() for n in getattr(r, "attributes", ())}) if n not in SETTERS)
    start = last = time.time()
    done = both = 0
    bad, over = [], collections.Counter()
    seed, size = a.seed, 100
    if a.one is not None:
        seed, size, a.seconds, a.files = a.one, 1, 0, 0
    with tempfile.TemporaryDirectory(prefix="difffuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as tmp:
        paths = [os.path.join(tmp, f"{i}.bin") for i in range(size)]
        while True:
            for i, path in enumerate(paths):
                with open(path, "wb") as f:
                    f.write(make(seed + i))
            for r in readers.values():
                r.ask(paths)
            got = {k: r.answers() for k, r in readers.items()}
            for i in range(size):
                ours = got["ours"][i]
                modes = {f"{k} {m}": v[i][m] for k, v in got.items() if k != "ours" for m in v[i]}
                why = judge(ours, modes)
                done += 1
                if "error" not in ours and why is None:
                    both += 1
                elif "error" in ours and not any("error" in v for v in modes.values()):
                    over["".join(c for c in ours["error"] if not c.isdigit())[-70:]] += 1
                if a.one is not None:
                    kept = os.path.abspath(f"difffuzz-{seed}.bin")
                    with open(paths[0], "rb") as f, open(kept, "wb") as g:
                        g.write(f.read())
                    print(kept, "ours:", ours, *(f"{k}: {v}" for k, v in modes.items()), sep="\n")
                if why:
                    bad.append(seed + i)
                    print(f"DIFFERENCE seed {seed + i}: {why[:900]}", flush=True)
            seed += size
            now = time.time()
            if now - last > 60:
                last = now
                print(f"{now - start:.0f} s: {done} files, {both} accepted by us and equal, {len(bad)} differences", flush=True)
            if (done >= a.files if a.files else now - start >= a.seconds) or len(bad) >= a.stop:
                break
    for r in readers.values():
        r.close()
    print("refused by us, loaded by every mode:", *(f"\n  {n:6d} ...{k}" for k, n in over.most_common(12)))
    print(f"{done} files in {time.time() - start:.0f} s from seed {a.seed}, {both} accepted by us and equal, {len(bad)} differences; {sum(r.deaths for r in readers.values())} deaths of readers", flush=True)
    if a.one is None and done >= 1000 and both < done // 10:
        sys.exit("too few files are accepted: the comparison says little")
    sys.exit(bool(bad))


if __name__ == "__main__":
    worker() if sys.argv[1:] == ["--worker"] else main()
