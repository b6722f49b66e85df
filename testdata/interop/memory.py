"""memory.py PROGRAM [--long] [--only REGEX] [--load N]: the memory contract, measured from outside.

Every command is run on models of many tensors, of many shards and of odd
headers. A run that succeeds stays within --max-memory. One that is refused
exits with 3, stays within it too, and names a least with which the same command
succeeds and that is at most 15 % above the peak that is measured then. The peak
is VmHWM, mapped pages included. The program is the static one, as it is
released: CGO_ENABLED=0 go build -trimpath -ldflags '-s -w'.

A least is tried up to six times, three at least with --long, and the highest
peak counts: peaks of one command differ by a tenth. Without --long 25 % are
allowed, for a row a little above 15 % would fail one run in three. Of three runs
one may exceed its limit: on a busy machine the collector is late at times. The
row says so. Less than 17 MiB is not asked of a refusal, for the program takes
that in any case.

plan is the dry run of a merge: it refuses what the merge would refuse, and
names the merge's least. It must be the same number. The 15 % hold for the
merge's peak alone; plan itself takes less.

Eight models of the shape of a Llama of 1B are compared in the default memory, with
a base too.

A pair with the names, shapes and shards of DeepSeek-V3 is planned in the
default memory; with every dimension divided by 64 it is compared and merged
there, in both formats. A table goes to standard output.

--only runs the rows whose model and command match. --load keeps the machine
busy with so many processes.
"""
import argparse, json, os, re, shutil, struct, subprocess, sys, tempfile, time

MiB = 1 << 20
DEFAULT = 64 * MiB
REFUSAL = 17 * MiB
NEAR = 1.15  # a least is at most so many times the peak
NEAR_FAST = 1.25
failed = []


def write_shard(path, tensors, metadata=None, pad=0):
    """tensors: (name, dtype, shape, bytes). The values are a hole."""
    off, parts = 0, []
    if metadata is not None:
        parts.append('"__metadata__":' + json.dumps(metadata))
    for name, dtype, shape, n in tensors:
        parts.append('%s:{"dtype":"%s","shape":%s,"data_offsets":[%d,%d]}' % (json.dumps(name), dtype, json.dumps(shape), off, off + n))
        off += n
    head = ("{" + ",".join(parts) + "}").encode()
    head += b" " * (pad + -(len(head) + pad) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(head)) + head)
        f.truncate(8 + len(head) + off)


def write_model(path, tensors, shards, config):
    """A folder of sparse safetensors shards of about equal numbers of bytes."""
    os.makedirs(path)
    total = sum(t[3] for t in tensors)
    cut, size, k, lists = total / shards, 0, 0, [[]]
    for t in tensors:
        lists[-1].append(t)
        size += t[3]
        if len(lists) < shards and size >= cut * len(lists):
            lists.append([])
    if shards == 1:
        write_shard(path + "/model.safetensors", tensors, {"format": "pt"})
    else:
        where = {}
        for i, part in enumerate(lists):
            name = "model-%05d-of-%05d.safetensors" % (i + 1, len(lists))
            write_shard(path + "/" + name, part, {"format": "pt"})
            where.update((t[0], name) for t in part)
        with open(path + "/model.safetensors.index.json", "w") as f:
            json.dump({"metadata": {"total_size": total}, "weight_map": where}, f)
    with open(path + "/config.json", "w") as f:
        f.write(config)


def small(n):
    """n tensors of two elements, named like experts."""
    names = ("gate_proj", "up_proj", "down_proj")
    return [("model.layers.%d.mlp.experts.%d.%s.weight" % (i // 300, i // 3 % 100, names[i % 3]), "BF16", [1, 2], 4) for i in range(n)]


def deepseek(divide):
    hidden, wide, narrow, vocab = 7168, 18432, 2048, 129280
    layers, experts, first = 62, 256, 3
    out = []

    def add(name, *shape):
        shape = [max(1, d // divide) for d in shape]
        n = 2
        for d in shape:
            n *= d
        out.append((name, "BF16", shape, n))

    add("model.embed_tokens.weight", vocab, hidden)
    add("lm_head.weight", vocab, hidden)
    add("model.norm.weight", hidden)
    for i in range(layers):
        p = "model.layers.%d." % i
        add(p + "input_layernorm.weight", hidden)
        add(p + "post_attention_layernorm.weight", hidden)
        for name, rows, columns in (("q_a_proj", 1536, hidden), ("q_b_proj", 24576, 1536), ("kv_a_proj_with_mqa", 576, hidden),
                                    ("kv_b_proj", 32768, 512), ("o_proj", hidden, 16384)):
            add(p + "self_attn." + name + ".weight", rows, columns)
        owners = [p + "mlp."] if i < first else [p + "mlp.experts.%d." % e for e in range(experts)]
        inner = wide if i < first else narrow
        if i >= first:
            add(p + "mlp.gate.weight", experts, hidden)
        for q in owners:
            add(q + "gate_proj.weight", inner, hidden)
            add(q + "up_proj.weight", inner, hidden)
            add(q + "down_proj.weight", hidden, inner)
    config = {"model_type": "deepseek_v3", "architectures": ["DeepseekV3ForCausalLM"], "num_hidden_layers": layers, "hidden_size": max(1, hidden // divide),
              "vocab_size": vocab // divide, "n_routed_experts": experts, "first_k_dense_replace": first}
    return out, json.dumps(config)


def llama(divide):
    """The tensors of a Llama of 1B, with every dimension divided."""
    hidden, wide, narrow, vocab, layers = 2048, 8192, 512, 128256, 16
    out = []

    def add(name, *shape):
        shape = [max(1, d // divide) for d in shape]
        n = 2
        for d in shape:
            n *= d
        out.append((name, "BF16", shape, n))

    add("model.embed_tokens.weight", vocab, hidden)
    add("model.norm.weight", hidden)
    for i in range(layers):
        p = "model.layers.%d." % i
        add(p + "input_layernorm.weight", hidden)
        add(p + "post_attention_layernorm.weight", hidden)
        for name, rows in (("q_proj", hidden), ("k_proj", narrow), ("v_proj", narrow), ("o_proj", hidden)):
            add(p + "self_attn." + name + ".weight", rows, hidden)
        for name, rows, columns in (("gate_proj", wide, hidden), ("up_proj", wide, hidden), ("down_proj", hidden, wide)):
            add(p + "mlp." + name + ".weight", rows, columns)
    config = {"model_type": "llama", "num_hidden_layers": layers, "hidden_size": max(1, hidden // divide), "vocab_size": vocab // divide, "tie_word_embeddings": True}
    return out, json.dumps(config)


# The peak of a child counts that of the process that starts it, which is
# therefore a small one of its own.
LAUNCHER = """
import os, sys
for line in sys.stdin:
    args = line.rstrip("\\n").split("\\t")
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(args[0], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        os.execv(args[1], args[1:])
    _, status, usage = os.wait4(pid, 0)
    print(os.waitstatus_to_exitcode(status), usage.ru_maxrss, flush=True)
"""


class Bench:
    def __init__(self, program, work, long, only):
        self.program, self.work, self.long, self.n = program, work, long, 0
        self.only = re.compile(only) if only else None
        self.leasts = {} # that plan or merge has named, by the row
        self.launcher = subprocess.Popen([sys.executable, "-I", "-S", "-c", LAUNCHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, *args, limit=None):
        args = list(args) + (["--max-memory", "%d" % limit] if limit else [])
        start = time.time()
        line = "\t".join([self.work + "/stderr", self.program] + args + ["--no-progress"])
        self.launcher.stdin.write(line + "\n")
        self.launcher.stdin.flush()
        code, peak = self.launcher.stdout.readline().split()
        with open(self.work + "/stderr") as log:
            return int(code), int(peak) << 10, time.time() - start, log.read()

    def output(self, args):
        """The arguments with a new output folder, where {} stands."""
        self.n += 1
        out = "%s/out%d" % (self.work, self.n)
        return [a.replace("{}", out) for a in args], out

    def runs(self, args, limit, good, least=1, most=3):
        """Runs a command so many times, until it was good. Returns the last exit
        code, all peaks, the seconds, what it said, and the output."""
        peaks, out = [], None
        while len(peaks) < most:
            if out:
                shutil.rmtree(out, ignore_errors=True)
            fresh, out = self.output(args)
            code, peak, seconds, text = self.run(*fresh, limit=limit)
            peaks.append(peak)
            if code not in (0, 3) or len(peaks) >= least and good(max(peaks) if least > 1 else peak):
                break
        return code, peaks, seconds, text, out

    def check(self, what, args, limit=None, must=None, keep=False, least=True):
        """must: None for either outcome, 0 or 3. Returns the output folder if it is kept."""
        if self.only and not self.only.search(what + " " + args[0]) and not keep:
            return None
        allowed = limit or DEFAULT
        most = max(allowed, REFUSAL)
        code, peaks, seconds, text, out = self.runs(args, limit, lambda peak: peak <= most)
        late, problem = "".join("once %.1f; " % (p / MiB) for p in peaks if p > most), ""
        if code not in (0, 3) or must is not None and code != must:
            problem = "exit %d, want %s: %s" % (code, must, text.strip()[-300:])
        elif sum(p > most for p in peaks) > 1:
            problem = "peak over the limit"
        row = [what, args[0], "%.1f" % (allowed / MiB), str(code), "%.1f" % (peaks[-1] / MiB), "%.1f" % seconds, late]
        if not keep:
            shutil.rmtree(out, ignore_errors=True)
        named = re.search(r"the least that works is ([\d.]+) MiB", text)
        if code == 3 and not problem:
            if not named:
                problem = "no least is named: " + text.strip()[-200:]
            else:
                need = int(float(named.group(1)) * MiB)
                if args[0] in ("plan", "merge"):
                    problem = self.agree(what, need)
                if least and not problem:
                    problem, row[6] = self.least(args, need, late)
        if problem:
            row.append("FAILED: " + problem)
            failed.append(what + " " + args[0] + ": " + problem)
        print(" | ".join(row), flush=True)
        return out

    def agree(self, what, need):
        """plan names the least of the merge."""
        if self.leasts.setdefault(what, need) != need:
            return "plan and merge name %.1f and %.1f MiB" % (self.leasts[what] / MiB, need / MiB)
        return ""

    def least(self, args, need, late):
        """Tries the least that was named. Returns what is wrong and a cell of the table."""
        near = lambda peak: need <= (NEAR if self.long else NEAR_FAST) * peak or args[0] == "plan"
        code, peaks, seconds, text, out = self.runs(args, need, lambda peak: peak <= need and near(peak), 3 if self.long else 1, 6)
        shutil.rmtree(out, ignore_errors=True)
        late += "".join("once %.1f; " % (p / MiB) for p in peaks if p > need)
        cell = late + "least %.1f: exit %d, peak %.1f (%+.0f %%), %.1f s" % (need / MiB, code, max(peaks) / MiB, 100 * need / max(peaks) - 100, seconds)
        if code != 0:
            return "the least that is named does not work: " + text.strip()[-300:], cell
        if sum(p > need for p in peaks) > max(1, len(peaks) / 3):
            return "peak over the least", cell
        if not near(max(peaks)):
            return "the least is %.1f %% above the peak" % (100 * need / max(peaks) - 100), cell
        return "", cell

    def every(self, what, a, b, limit=None, formats=("safetensors", "bin"), must=None, more=(), made=True):
        """All commands on a pair, in the formats that are written. Where it is
        made, one folder is, to be verified."""
        self.check(what, ["inspect", a], limit, must)
        for f in formats:
            self.check(what + " > " + f, ["plan", a, b, "--format", f, *more], limit, must)
        self.check(what, ["compare", a, b], limit, must)
        for f in formats:
            if self.only and not any(self.only.search("%s > %s %s" % (what, f, command)) for command in ("merge", "verify")):
                continue
            merge = ["merge", a, b, "-o", "{}", "--format", f, "--no-card", *more]
            out = self.check(what + " > " + f, merge, limit, must, keep=True)
            if not os.path.isdir(out) and made:
                args, out = self.output(merge)
                self.run(*args, limit=4 << 30)
            if os.path.isdir(out):
                self.check(what + " > " + f, ["verify", out], limit, must)
                shutil.rmtree(out)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("program")
    p.add_argument("--long", action="store_true", help="10^5 and 10^6 tensors, 10^4 shards, all commands")
    p.add_argument("--only", metavar="REGEX", help="rows whose model and command match")
    p.add_argument("--load", type=int, default=0, metavar="N", help="processes that keep the machine busy meanwhile")
    o = p.parse_args()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(o.load)]
    try:
        measure(o)
    finally:
        for process in busy:
            process.kill()
    print()
    if failed:
        print("FAILED:\n  " + "\n  ".join(failed))
        sys.exit(1)
    print("all within the contract")


def measure(o):
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(os.path.abspath(o.program), work, o.long, o.only)
        print("model | command | limit MiB | exit | peak MiB | s | with the least")
        config = json.dumps({"model_type": "llama", "num_hidden_layers": 4000})

        def several(name, n, tensors, shards, cfg=config):
            paths = [work + "/" + name + x for x in "abcdefghi"[:n]]
            for path in paths:
                write_model(path, tensors, shards, cfg)
            return paths

        def pair(name, tensors, shards, cfg=config):
            return several(name, 2, tensors, shards, cfg)

        def drop(paths):
            for path in paths:
                shutil.rmtree(path)

        def torch(paths, *more):
            out = []
            for path in paths:
                code, _, _, text = bench.run("convert", path, "-o", path + "-bin", "--format", "bin", *more, limit=4 << 30)
                if code:
                    sys.exit("convert: " + text)
                out.append(path + "-bin")
            return out

        def wanted(what):
            rows = [what + x + c for x in ("", " > safetensors", " > bin") for c in (" inspect", " plan", " compare", " merge", " verify")]
            return not o.only or any(bench.only.search(row) for row in rows)

        # The pair of the contract.
        if wanted("DeepSeek-V3, 163 shards"):
            whole = pair("deepseek", *((lambda t, c: (t, 163, c))(*deepseek(1))))
            bench.check("DeepSeek-V3, 163 shards", ["plan", *whole], must=0)
            bench.check("DeepSeek-V3, 163 shards > bin", ["plan", *whole, "--format", "bin"], must=0)
            drop(whole)
        if wanted("DeepSeek-V3 / 64") or wanted("DeepSeek-V3 / 64 .bin"):
            part = pair("deepseek64", *((lambda t, c: (t, 163, c))(*deepseek(64))))
            bench.every("DeepSeek-V3 / 64", *part, must=0)
            old = torch(part)
            drop(part)
            bench.every("DeepSeek-V3 / 64 .bin", *old, must=0, formats=("safetensors",))
            drop(old)

        # Eight models, each with each; with a base they are nine. The dimensions are
        # divided unless there is time: 20 GB are read.
        divide = 1 if o.long else 4
        what = "Llama 1B / %d, 8 models" % divide
        if wanted(what):
            models = several("llama", 9, *((lambda t, c: (t, 2, c))(*llama(divide))))
            bench.check(what, ["compare", *models[:8]], must=0)
            bench.check(what + ", base", ["compare", *models[:8], "--base", models[8]], must=0)
            drop(models)
        what = "5000 tensors, 8 models"
        if wanted(what):
            models = several("many", 9, small(5000), 1)
            bench.check(what, ["compare", *models[:8]], MiB)
            bench.check(what + ", base", ["compare", *models[:8], "--base", models[8]], MiB)
            bench.check(what, ["compare", *models[:8]])
            drop(models)

        # With 1 MiB everything is refused, and the least tried. 50,000 are within the
        # contract's default memory.
        for n in (100, 1000, 10_000) + ((50_000, 100_000) if o.long else ()):
            what = "%d tensors" % n
            if wanted(what) or wanted(what + " .bin"):
                models = pair("small", small(n), 1)
                bench.every(what, *models, limit=MiB, formats=("safetensors",))
                if n == 50_000:
                    bench.every(what, *models, must=0, formats=("safetensors", "bin"))
                if wanted(what + " .bin"):
                    old = torch(models)
                    bench.every(what + " .bin", *old, limit=MiB, formats=("bin",))
                    if n == 50_000:
                        bench.every(what + " .bin", *old, must=0, formats=("safetensors", "bin"))
                    drop(old)
                drop(models)
        for n, shards in ((20_000, 100),) + (((30_000, 10_000),) if o.long else ()):
            what = "%d tensors, %d shards" % (n, shards)
            if wanted(what):
                models = pair("shards", small(n), shards)
                bench.every(what, *models, limit=MiB, formats=("safetensors",))
                drop(models)
        million = "10^6 tensors, 20 shards", "10^6 tensors .bin, 14 shards"
        if o.long and any(map(wanted, million)):
            models = pair("million", small(1_000_000), 20)
            few = ("--shard-size", "300kB")
            bench.every(million[0], *models, limit=MiB, formats=("safetensors",), more=few)
            if wanted(million[1]):
                old = torch(models, *few)
                drop(models)
                bench.every(million[1], *old, limit=MiB, formats=("bin",), more=few)
                drop(old)

        # Odd headers: refused from their lengths and a count, not from the tables.
        for what, tensors, metadata, pad in (
                ("92 MB of metadata", small(1), {"format": "pt", "x": "y" * 92_000_000}, 0),
                ("a name of 80 MB", [("n" * 80_000_000, "U8", [0], 0)], None, 0),
                ("700,000 short names", [("t%d" % i, "U8", [0], 0) for i in range(700_000)], None, 0)):
            if wanted(what):
                path = work + "/odd.safetensors"
                write_shard(path, tensors, metadata, pad)
                bench.check(what, ["inspect", path], must=3)
                bench.check(what, ["plan", path, path], must=3, least=o.long)
                os.remove(path)
        if wanted("92 MB of spaces"):
            path = work + "/padded.safetensors"
            write_shard(path, small(10), None, 92_000_000)
            bench.check("92 MB of spaces", ["inspect", path], must=0)
            os.remove(path)
        big = json.dumps({"model_type": "llama", "num_hidden_layers": 4, "id2label": {str(i): "LABEL_%d" % i for i in range(350_000)}})
        what = "config.json of %d MB" % (len(big) // 10 ** 6)
        if wanted(what):
            models = pair("config", small(100), 1, big)
            bench.every(what, *models, limit=MiB, formats=("safetensors",))
            drop(models)


main()
