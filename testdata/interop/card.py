#!/usr/bin/env python3
"""Read the model cards that slerpmerge writes as the Hub does: with huggingface_hub's loader, offline.

usage: card.py BINARY MODELS

MODELS is a folder with alpha and beta in it, such as testdata/models. One line per check; exit status 1 when one fails.
"""
import os, shutil, subprocess, sys, tempfile

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")
import huggingface_hub, yaml
import record
from huggingface_hub import ModelCard, ModelCardData
from huggingface_hub.repocard import metadata_load
from huggingface_hub.utils import validate_repo_id

BINARY, MODELS = (os.path.abspath(p) for p in sys.argv[1:3])
APACHE = "---\nlicense: apache-2.0\nlanguage:\n- en\npipeline_tag: text-generation\n---\n# A parent\n"
OTHER = "---\nlicense: other\nlicense_name: llama3\nlicense_link: LICENSE\nlanguage: [no, en]\n---\n"
ALL = {"library_name": "transformers", "tags": ["merge", "slerp", "slerpmerge"]}
HUB = {**ALL, "base_model": ["org/alpha", "org/beta.v1"], "base_model_relation": "merge"}
failed = 0


def say(ok, what, text):
    global failed
    failed += not ok
    record.check(what, "card", ok, text)
    print(f"{'ok  ' if ok else 'FAIL'} card         {what:28} {text}", flush=True)


def cached(hub, name, source, card):
    """Put a model into a cache of the Hub, with a card."""
    home = os.path.join(hub, "models--" + name.replace("/", "--"))
    snapshot = os.path.join(home, "snapshots", "0123abc")
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(os.path.join(MODELS, source), snapshot)
    os.mkdir(os.path.join(home, "refs"))
    for path, text in ((os.path.join(home, "refs", "main"), "0123abc"), (os.path.join(snapshot, "README.md"), card)):
        with open(path, "w", encoding="utf-8") as f: f.write(text)


def check(what, out, want, *args, env):
    r = subprocess.run([BINARY, "merge", "-q", *args, "-o", out], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, env=env)
    if r.returncode: return say(False, what, r.stderr.strip())
    path = os.path.join(out, "README.md")
    try:
        card = ModelCard.load(path)  # refuses front matter that is no mapping or no YAML
        got = {k: v for k, v in card.data.to_dict().items() if v is not None}
        raw = metadata_load(path)
        again = ModelCard(str(card)).data.to_dict()  # as huggingface_hub writes it
        for name in got.get("base_model", []): validate_repo_id(name)
        recipe = yaml.safe_load(card.text.split("```yaml\n")[1].split("```")[0])
    except Exception as e: return say(False, what, f"{type(e).__name__}: {e}")
    bad = [k for k in {*got, *want} if got.get(k) != want.get(k)]
    ok = not bad and raw == want and again == card.data.to_dict() and ModelCardData(**raw).to_dict() == card.data.to_dict() and recipe["merge_method"] == "slerp"
    say(ok, what, f"{len(got)} fields, the text of {len(card.text)} characters with its recipe" if ok else f"{bad}: {got}")


def main():
    with tempfile.TemporaryDirectory(prefix="card-") as work:
        hub = os.path.join(work, "hub")
        env = {**os.environ, "HF_HUB_CACHE": hub}
        a, b = "org/alpha", "org/beta.v1"
        cached(hub, a, "alpha", APACHE), cached(hub, b, "beta", APACHE)
        both = {**HUB, "license": "apache-2.0", "language": ["en"], "pipeline_tag": "text-generation"}
        check("all agree", os.path.join(work, "1"), both, a, b, env=env)
        cached(hub, b, "beta", OTHER)
        check("no licence, no language", os.path.join(work, "2"), HUB, a, b, env=env)
        cached(hub, a, "alpha", OTHER)
        other = {**HUB, "license": "other", "license_name": "llama3", "license_link": "LICENSE", "language": ["en", "no"]}
        check("another licence", os.path.join(work, "3"), other, a, b, "-t", "mlp=1,0.5,0", "-t", "0.3", "--dtype", "float16", env=env)
        check("local folders", os.path.join(work, "4"), ALL, os.path.join(MODELS, "alpha"), os.path.join(MODELS, "beta"), env=env)
        check("a folder and the Hub", os.path.join(work, "5"), {**HUB, "base_model": [a]}, a, os.path.join(MODELS, "beta"), env=env)
    print(f"cards: {failed} failed (huggingface_hub {huggingface_hub.__version__})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
