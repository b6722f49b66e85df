#!/usr/bin/env python3
"""Merges of sentence-transformers models load in that library and encode: sentence.py BINARY

Two small models of a transformer, pooling, a dense layer and a normalisation
are saved by the library, with the transformer at the top and in a folder of its own, merged in both
formats, loaded again and compared with a merge worked out in torch. Prints one line for each and exits 1 if one is wrong.
"""
import json, os, shutil, subprocess, sys, tempfile

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="false")
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
from transformers import BertConfig, BertModel, BertTokenizer
from transformers.utils import logging

logging.disable_progress_bar()
WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] the quick brown fox jumps over a lazy dog".split()
TEXTS = ["the quick fox", "a lazy brown dog jumps over the fox"]
PREFIX = "0_Transformer/"


def make(path, seed):
    torch.manual_seed(seed)
    bert = path + "-bert"
    os.makedirs(bert)
    with open(os.path.join(bert, "vocab.txt"), "w") as f:
        f.write("\n".join(WORDS) + "\n")
    BertModel(BertConfig(vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
                         max_position_embeddings=32)).save_pretrained(bert)
    BertTokenizer(os.path.join(bert, "vocab.txt")).save_pretrained(bert)
    parts = [Transformer(bert), Pooling(16, pooling_mode="cls"), Dense(16, 8), Normalize()]
    SentenceTransformer(modules=parts, prompts={"query": "the "}).save(path)


def nested(path):
    """The layout of old models: the transformer in a folder as the other modules are."""
    sub = os.path.join(path, PREFIX)
    os.makedirs(sub)
    for name in os.listdir(path):
        if name not in ("modules.json", "README.md", "config_sentence_transformers.json") and os.path.isfile(os.path.join(path, name)):
            os.rename(os.path.join(path, name), os.path.join(sub, name))
    listed = os.path.join(path, "modules.json")
    with open(listed) as f:
        modules = json.load(f)
    modules[0]["path"] = PREFIX[:-1]
    with open(listed, "w") as f:
        json.dump(modules, f)


def slerp(a, b, t=0.5):
    x, y = a.double().flatten(), b.double().flatten()
    if torch.equal(a, b):
        return a
    cos = (x / max(x.norm(), 1e-8)) @ (y / max(y.norm(), 1e-8))
    if abs(cos) > 0.9995:
        return ((1 - t) * a.double() + t * b.double()).float()
    w = torch.arccos(cos)
    return ((torch.sin((1 - t) * w) * x + torch.sin(t * w) * y) / torch.sin(w)).reshape(a.shape).float()


def run(*args):
    subprocess.run([binary, *args, "-q"], check=True)


def check(what, ok):
    global failed
    failed += not ok
    print(("ok   " if ok else "FAIL ") + what)


binary, failed = os.path.abspath(sys.argv[1]), 0
with tempfile.TemporaryDirectory() as tmp:
    os.chdir(tmp)
    make("a", 1)
    make("b", 2)
    want = {}  # by file
    for file in ("model.safetensors", "2_Dense/model.safetensors"):
        a, b = load_file("a/" + file), load_file("b/" + file)
        want[file] = {n: slerp(a[n], b[n]) for n in a}
    plain = shutil.copytree("a", "expected")  # put together by hand
    model = SentenceTransformer(plain)
    model[0].model.load_state_dict(want["model.safetensors"])
    model[2].load_state_dict(want["2_Dense/model.safetensors"])
    expected = model.encode(TEXTS)
    for layout in ("top", "folder"):
        if layout == "folder":
            for name in "ab":
                nested(shutil.copytree(name, name + "-nested"))
        a, b = ("a", "b") if layout == "top" else ("a-nested", "b-nested")
        for form in ("safetensors", "bin"):
            out = f"{layout}-{form}"
            run("merge", a, b, "-o", out, "--format", form)
            merged = SentenceTransformer(out)
            got = merged.encode(TEXTS)
            check(f"{out}: encodes as the merge worked out in torch ({abs(got - expected).max():.1e} off)", abs(got - expected).max() < 1e-5)
            check(f"{out}: pooling, normalisation and prompts are the primary's",
                  merged[1].pooling_mode == model[1].pooling_mode and len(merged) == 4 and merged.prompts == model.prompts)
            run("verify", out)
            back = out + "-back"
            run("convert", out, "-o", back)
            check(f"{out}: converts to a model that encodes alike", (SentenceTransformer(back).encode(TEXTS) == got).all())
    # One parent with the transformer at the top, the other with it in a folder.
    run("merge", "a", "b-nested", "-o", "mixed")
    check("mixed layouts: the same weights", open("mixed/model.safetensors", "rb").read() == open("top-safetensors/model.safetensors", "rb").read()
          and open("mixed/2_Dense/model.safetensors", "rb").read() == open("top-safetensors/2_Dense/model.safetensors", "rb").read())
sys.exit(failed > 0)
