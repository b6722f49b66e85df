#!/usr/bin/env python3
"""Folders are read as transformers reads them, and its tokenizers' files copied: folders.py BINARY

Folders that transformers itself writes, in shards, as variants, twice over each other, or with
transformers_weights in config.json, are opened by it and converted by slerpmerge: the values must be equal.
Then every file that a tokenizer class names in vocab_files_names must be copied. Prints one line for each
and exits 1 if one is wrong.
"""
import glob, importlib, inspect, json, os, pkgutil, shutil, subprocess, sys, tempfile

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
import torch
import transformers.models
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

logging.disable_progress_bar()


def make(seed):
    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
                                        num_key_value_heads=2, tie_word_embeddings=False))


def single(path):
    make(1).save_pretrained(path)


def shards(path):
    make(1).save_pretrained(path, max_shard_size="6KB")


def shards_then_single(path):
    make(1).save_pretrained(path, max_shard_size="6KB")
    index = os.path.join(path, "model.safetensors.index.json")
    shutil.copy(index, path + ".index")
    for f in glob.glob(path + "/model-*") + [index]:
        os.remove(f)
    make(2).save_pretrained(path)
    shutil.copy(path + ".index", index)


def both_formats(path):
    make(1).save_pretrained(path)
    torch.save(make(2).state_dict(), os.path.join(path, "pytorch_model.bin"))


def only_bin(path):
    m = make(1)
    m.config.save_pretrained(path)
    torch.save(m.state_dict(), os.path.join(path, "pytorch_model.bin"))


def bin_shards(path):
    m = make(1)
    m.config.save_pretrained(path)
    names, index = sorted(m.state_dict()), {}
    for i, part in enumerate((names[:7], names[7:]), 1):
        file = f"pytorch_model-{i:05d}-of-00002.bin"
        torch.save({n: m.state_dict()[n] for n in part}, os.path.join(path, file))
        index.update({n: file for n in part})
    with open(os.path.join(path, "pytorch_model.bin.index.json"), "w") as f:
        json.dump({"metadata": {"total_size": 1}, "weight_map": index}, f)


def variant(path):
    make(1).save_pretrained(path, variant="fp16")


def variant_shards(path):
    make(1).save_pretrained(path, variant="fp16", max_shard_size="6KB")


def weights_of_config(path):
    make(1).save_pretrained(path)
    make(2).save_pretrained(path + "-other")
    os.rename(os.path.join(path + "-other", "model.safetensors"), os.path.join(path, "ema.safetensors"))
    tell(path, "ema.safetensors")


def shards_of_config(path):
    make(1).save_pretrained(path)
    make(2).save_pretrained(path + "-other", variant="ema", max_shard_size="6KB")
    for f in glob.glob(path + "-other/model.*"):
        os.rename(f, os.path.join(path, os.path.basename(f)))
    os.rename(os.path.join(path, "model.safetensors.index.ema.json"), os.path.join(path, "ema.safetensors.index.json"))
    tell(path, "ema.safetensors.index.json")


def tell(path, name):
    file = os.path.join(path, "config.json")
    with open(file) as f:
        config = json.load(f)
    config["transformers_weights"] = name
    with open(file, "w") as f:
        json.dump(config, f)


def tokenizer_files():
    names = set()
    for module in pkgutil.walk_packages(transformers.models.__path__, "transformers.models."):
        if "tokenization" not in module.name:
            continue
        try:
            found = importlib.import_module(module.name)
        except Exception:  # it needs a package that is not there
            continue
        for c in vars(found).values():
            if inspect.isclass(c) and isinstance(getattr(c, "vocab_files_names", None), dict):
                names.update(v for v in c.vocab_files_names.values() if isinstance(v, str))
    return names


def check(what, ok):
    global failed
    failed += not ok
    print(("ok   " if ok else "FAIL ") + what)


binary, failed = os.path.abspath(sys.argv[1]), 0
with tempfile.TemporaryDirectory() as tmp:
    os.chdir(tmp)
    for kind in (single, shards, shards_then_single, both_formats, only_bin, bin_shards, variant, variant_shards, weights_of_config, shards_of_config):
        name = kind.__name__
        os.mkdir(name)
        kind(name)
        options = {"variant": "fp16"} if name.startswith("variant") else {}
        want = LlamaForCausalLM.from_pretrained(name, **options).state_dict()
        subprocess.run([binary, "convert", name, "-o", name + "-out", "-q"], check=True)
        got = LlamaForCausalLM.from_pretrained(name + "-out").state_dict()
        check(f"{name}: the values are those that transformers reads", list(want) == list(got) and all(torch.equal(want[n], got[n]) for n in want))
    names = tokenizer_files()
    for n in names:
        with open(os.path.join("single", n), "w") as f:
            f.write("{}")
    subprocess.run([binary, "convert", "single", "-o", "tokenizers", "-q"], check=True)
    lost = sorted(names - set(os.listdir("tokenizers")))
    check(f"{len(names)} names of tokenizer files are copied {lost or ''}", len(names) >= 25 and not lost)
sys.exit(failed > 0)
