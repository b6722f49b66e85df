"""Writes the reference files beside this script, with
safetensors 0.8.0, huggingface_hub 2.4.0, transformers 5.23.0, torch 2.15.0 and numpy 2.4.6.

    python3 reference.py
"""
import json, os, shutil, tempfile

import numpy as np
import torch
import safetensors.numpy
import safetensors.torch
from huggingface_hub import save_torch_state_dict
from transformers import LlamaConfig, LlamaForCausalLM

here = os.path.dirname(os.path.abspath(__file__))
at = lambda name: os.path.join(here, name)


def values(n, dtype):
    return torch.arange(n).to(dtype)


safetensors.numpy.save_file({}, at("empty.safetensors"))
safetensors.numpy.save_file({}, at("bad-empty-metadata.safetensors"), metadata={})  # not JSON: huggingface/safetensors pull request 761
safetensors.numpy.save_file({}, at("empty-pt.safetensors"), metadata={"format": "pt"})

# Every type that torch has, each in two shapes, given in an order that is neither that of names nor of types.
types = [torch.bool, torch.uint8, torch.int8, torch.float8_e5m2, torch.float8_e4m3fn, torch.float8_e8m0fnu, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz,
         torch.int16, torch.uint16, torch.float16, torch.bfloat16, torch.int32, torch.uint32, torch.float32, torch.complex64, torch.float64, torch.int64, torch.uint64]
mixed = {}
for i, d in enumerate(types):
    mixed["z%02d.weight" % (i * 7 % 19)] = values(3, torch.float32).to(d)
    mixed["a%02d.bias" % (i * 5 % 19)] = values(4, torch.float32).to(d).reshape(2, 1, 2)
mixed["packed.f4"] = values(6, torch.uint8).reshape(2, 3).view(torch.float4_e2m1fn_x2)
safetensors.torch.save_file(mixed, at("mixed.safetensors"), metadata={"format": "pt"})

names = ["", " ", "\"quoted\"", "back\\slash", "sl/ash", "bell\b feed\f line\nreturn\rtab\t", "".join(map(chr, range(32))), "del\x7f", "é", "e\u0301", "\u65e5\u672c",
         "\U0001f600", "<tag>&amp;", "line\u2028para\u2029", "\ufeffbom", "\uffff", "\ue000", "\U0010ffff", "../../etc/passwd", "a.b", "a-b", "aB", "A.b"]
safetensors.numpy.save_file({n: np.array([i], dtype=np.uint16) for i, n in enumerate(names)}, at("names.safetensors"), metadata={"ké\"\n<": "v\\\u2028\U0001f600\x01"})

safetensors.numpy.save_file({
    "scalar": np.array(1.5, np.float32), "one": np.ones((1,), np.float32), "none": np.zeros((0,), np.float32), "none.2d": np.zeros((3, 0, 2), np.int64),
    "a.none": np.zeros((0, 5), np.uint8), "byte": np.zeros((), np.uint8), "ones": np.ones((1, 1, 1, 1, 1, 1, 1), np.float64)}, at("shapes.safetensors"), metadata={"format": "np"})


# The indexes of sharded folders; .bin shards have an index of the same form.
def index(name, save):
    folder = tempfile.mkdtemp()
    try:
        save(folder)
        found = [f for f in os.listdir(folder) if f.endswith(".index.json")]
        shutil.copyfile(os.path.join(folder, found[0]), at(name))
    finally:
        shutil.rmtree(folder)


odd = {n.replace("\x00", ""): values(8, torch.float32) for n in reversed(names)}
index("hub.index.json", lambda d: save_torch_state_dict(odd, d, max_shard_size=100))
index("hub-bin.index.json", lambda d: save_torch_state_dict({"b": values(8, torch.float32), "a": values(9, torch.float32)}, d, max_shard_size=40, safe_serialization=False))
config = LlamaConfig(vocab_size=16, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1)
torch.manual_seed(0)
index("transformers.index.json", lambda d: LlamaForCausalLM(config).save_pretrained(d, max_shard_size="1KB"))

# The odd names once more, written as save_pretrained of transformers does.
with open(at("hub.index.json")) as i, open(at("names.index.json"), "w", encoding="utf-8") as o:
    o.write(json.dumps(json.load(i), indent=2, sort_keys=True) + "\n")
