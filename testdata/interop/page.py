#!/usr/bin/env python3
"""Look at the pages of compare and merge --html in headless Chromium, at the width of a desktop and of a phone, light and dark.

usage: page.py BINARY [--keep FOLDER]

It needs Chromium, and installs Debian's if there is none and it may; nothing else beside Python. For every page: nothing sticks out
to the side, the pictures are drawn, the table sorts and filters, the screenshot is not empty. --keep writes the two screenshots of
testdata/pages to FOLDER. One line per check; exit status 1 when one fails.
"""
import collections, html, json, math, os, random, re, shutil, struct, subprocess, sys, tempfile, zlib

LAYERS, SIZES = 80, {"desktop": (1280, 1530), "phone": (375, 1500)}
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update
--disable-sync --hide-scrollbars""".split()
T = ["-t", "self_attn=0,0.5,0.3,0.7,1", "-t", "mlp.gate=0.3", "-t", "mlp=1,0.5,0.7,0.3,0", "-t", "0.5"]

# What a visitor would see and do, told as JSON. The clicks come last: they change the page.
PROBE = """<script>
(() => {
  const seen = e => { const r = e.getBoundingClientRect(); return r.width > 0 && r.height > 0; };
  const wide = [...document.querySelectorAll("body *")].filter(e => !e.closest(".box") && e.getBoundingClientRect().right > innerWidth + 1);
  const rows = () => [...document.querySelectorAll("#tensors tbody tr")];
  const all = rows().length, at = [...document.querySelectorAll("#tensors thead th")].findIndex(h => /^(angle|highest)/.test(h.textContent));
  const out = {
    inner: innerWidth, scroll: document.documentElement.scrollWidth, wide: wide.map(e => e.tagName + "." + e.className.toString()).slice(0, 5),
    cells: [...document.querySelectorAll(".heat rect")].filter(seen).length, lines: [...document.querySelectorAll(".chart polyline")].filter(e => e.getBoundingClientRect().width > 0).length,
    colours: new Set([...document.querySelectorAll(".heat rect")].map(e => getComputedStyle(e).fill)).size,
    ground: getComputedStyle(document.body).backgroundColor, rows: all,
  };
  const button = document.querySelectorAll("#tensors thead th")[at].querySelector("button");
  button.click();
  out.down = rows().slice(0, 5).map(r => parseFloat(r.cells[at].textContent));
  button.click();
  out.up = rows().slice(0, 5).map(r => parseFloat(r.cells[at].textContent));
  const filter = document.getElementById("filter");
  filter.value = "LM_HEAD";
  filter.dispatchEvent(new Event("input"));
  out.filtered = rows().filter(seen).length;
  parent.postMessage(JSON.stringify(out), "*");
})();
</script>"""

# A window of Chromium is never narrower than 500 pixels, except for a screenshot; a frame can be.
FRAME = """<!doctype html><body><iframe src="probe.html" style="border:0;width:%dpx;height:%dpx"></iframe>
<script>addEventListener("message", e => document.body.setAttribute("data-seen", e.data))</script>"""

bad = 0


def check(name, ok, text):
    global bad
    bad += not ok
    print(("ok   " if ok else "FAIL ") + name + ": " + text)


def find_chromium():
    names = ("chromium", "chromium-browser", "google-chrome")
    if not any(map(shutil.which, names)):
        env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        subprocess.run(["apt-get", "-qq", "update"], env=env, stdout=subprocess.DEVNULL)
        subprocess.run(["apt-get", "-qq", "install", "--no-install-recommends", "-y", "chromium", "fonts-dejavu-core"], env=env, stdout=subprocess.DEVNULL)
    return next(filter(None, map(shutil.which, names)), None) or sys.exit("FAIL page: there is no Chromium, and it can't be installed")


def names():
    yield "model.embed_tokens.weight", [32, 8]
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        for k in ("input", "post_attention"): yield f"{p}{k}_layernorm.weight", [16]
        for k in ("gate", "up", "down"): yield f"{p}mlp.{k}_proj.weight", [8, 16]
        for k in "qkvo":
            for w in ("weight", "bias"): yield f"{p}self_attn.{k}_proj.{w}", [8, 16] if w == "weight" else [16]
    yield "model.norm.weight", [16]
    yield "lm_head.weight", [32, 8]


def write_model(path, second, seed=0):
    """A model of 80 layers; the second one differs from the first, most about layer 55, and has some equal tensors. So have further
    ones, each with a seed of its own."""
    header, data = {}, b""
    for name, shape in names():
        r, n = random.Random(name), math.prod(shape)
        x = [r.gauss("norm" in name, 0.02) for _ in range(n)]
        layer = int(name.split(".")[2]) if ".layers." in name else 40
        if second and not (name.endswith("k_proj.bias") and layer % 7 == 0):
            far = 0.02 * (0.1 + 0.5 * math.exp(-((layer - 55) / 14) ** 2)) * (1.6 if "attn" in name else 1)
            if seed: r.seed(f"{seed} {name}")
            x = [v + r.gauss(0, far * (3 if seed == 4 else 1)) for v in x]
        raw = struct.pack(f"<{n}f", *x)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    head = json.dumps(header).encode()
    os.mkdir(path)
    with open(os.path.join(path, "model.safetensors"), "wb") as f: f.write(struct.pack("<Q", len(head)) + head + data)
    with open(os.path.join(path, "config.json"), "w") as f: json.dump({"model_type": "llama", "num_hidden_layers": LAYERS}, f)
    return len(header)


def browse(chromium, work, page, size, dark, *what):
    cmd = [chromium, *FLAGS, f"--user-data-dir={tempfile.mkdtemp(dir=work)}", f"--window-size={size[0]},{size[1]}"]
    if dark: cmd.append("--blink-settings=preferredColorScheme=0")
    return subprocess.run([*cmd, *what, "file://" + page], capture_output=True, text=True, timeout=120).stdout


def probe(chromium, work, page, size, dark):
    text = open(page, encoding="utf-8").read()
    for name, content in ("probe.html", text.replace("</body>", PROBE + "</body>")), ("frame.html", FRAME % size):
        with open(os.path.join(work, name), "w", encoding="utf-8") as f: f.write(content)
    dom = browse(chromium, work, os.path.join(work, "frame.html"), (1400, 1600), dark, "--virtual-time-budget=10000", "--dump-dom")
    found = re.search(r'data-seen="([^"]*)"', dom)
    return json.loads(html.unescape(found[1])) if found else None


def pixels(path):
    """-> width, height and a counter of colours of a PNG as Chromium writes them: 8 bits, RGB or RGBA, not interlaced."""
    raw, at, data = open(path, "rb").read(), 8, b""
    while at < len(raw):
        n, kind = struct.unpack(">I4s", raw[at:at + 8])
        if kind == b"IHDR": width, height, depth, colour = struct.unpack(">IIBB", raw[at + 8:at + 18])
        if kind == b"IDAT": data += raw[at + 8:at + 8 + n]
        at += n + 12
    step = {2: 3, 6: 4}[colour]
    rows, line = zlib.decompress(data), width * step
    before, count = bytearray(line), collections.Counter()
    for y in range(height):
        how, row = rows[y * (line + 1)], bytearray(rows[y * (line + 1) + 1:(y + 1) * (line + 1)])
        for i in range(line) if how else ():
            a, b, c = (row[i - step], before[i], before[i - step]) if i >= step else (0, before[i], 0)
            if how == 4: p = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            else: p = (0, a, b, (a + b) // 2)[how]
            row[i] = (row[i] + p) & 255
        count.update(row[i:i + 3].hex() for i in range(0, line, 4 * step))  # every fourth will do
        before = row
    return width, height, count


def look(chromium, work, name, page, tensors, pictures, keep=None):
    for at, size in SIZES.items():
        for dark in (False, True) if name in ("compare", "several") else (False,):
            what = f"{name} {at} {'dark' if dark else 'light'}"
            s = probe(chromium, work, page, size, dark)
            if s is None:
                check(what, False, "the page did not run")
                continue
            check(what + " width", s["inner"] == size[0] and s["scroll"] <= size[0] and not s["wide"], f"{s['scroll']} of {s['inner']} {s['wide'] or ''}")
            check(what + " pictures", s["cells"] == pictures and s["lines"] >= 3 and s["colours"] >= 3, f"{s['cells']} cells of {s['colours']} colours, {s['lines']} lines")
            sorts = s["down"] == sorted(s["down"], reverse=True) and s["up"] == sorted(s["up"]) and s["down"][0] > s["up"][0]
            check(what + " table", s["rows"] == tensors and sorts and s["filtered"] == 1, f"{s['rows']} rows, {s['down'][0]} to {s['up'][0]}, {s['filtered']} filtered")
            shot = os.path.join(work, f"{name}-{at}-{dark}.png")
            browse(chromium, work, page, size, dark, f"--screenshot={shot}")
            width, height, colours = pixels(shot)
            share = colours.most_common(1)[0][1] / colours.total()
            ground = "".join(f"{int(c):02x}" for c in re.findall(r"\d+", s["ground"])[:3])
            light = int(ground[:2], 16) > 128
            check(what + " screenshot", (width, height) == size and len(colours) > 60 and share < 0.95 and ground in colours and light != dark,
                  f"{width}x{height}, {len(colours)} colours, {share:.0%} of one, ground {ground}")
            if keep and name == "compare" and not dark: shutil.copy(shot, os.path.join(keep, f"compare-{at}.png"))


def main():
    binary, keep = os.path.abspath(sys.argv[1]), sys.argv[3] if sys.argv[2:3] == ["--keep"] else None
    chromium = find_chromium()
    print(subprocess.run([chromium, "--version"], capture_output=True, text=True).stdout.strip())
    models = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "models")
    with tempfile.TemporaryDirectory(prefix="page-", ignore_cleanup_errors=True) as work:
        n = [write_model(os.path.join(work, m), m == "tall-b") for m in ("tall-a", "tall-b")][0]
        for args in (["compare", "tall-a", "tall-b", *T, "--html", "compare.html"], ["merge", "tall-a", "tall-b", "-o", "merged", *T, "--html", "merge.html"],
                     ["compare", os.path.join(models, "alpha"), os.path.join(models, "beta"), "--html", "small.html"]):
            subprocess.run([binary, *args, "-q"], cwd=work, check=True, stdout=subprocess.DEVNULL, timeout=60)
        several = ["tall-b"] + [write_model(os.path.join(work, m), True, seed) and m for seed, m in enumerate(("code", "chat", "a-model-with-a-long-name-of-many-words", "far-away"), 1)]
        for name, more in (("several", []), ("based", ["--base", "tall-a"])):
            subprocess.run([binary, "compare", *several, *more, "--html", name + ".html", "-q"], cwd=work, check=True, stdout=subprocess.DEVNULL, timeout=60)
        look(chromium, work, "compare", os.path.join(work, "compare.html"), n, 3 * LAYERS, keep)
        look(chromium, work, "merge", os.path.join(work, "merge.html"), n, 3 * LAYERS - 2)
        for name in ("several", "based"):
            look(chromium, work, name, os.path.join(work, name + ".html"), n, 3 * LAYERS)
            if keep: shutil.copy(os.path.join(work, name + ".html"), keep)
        look(chromium, work, "small", os.path.join(work, "small.html"), 39, 3 * 4)
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
