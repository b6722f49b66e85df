"""Makes the files that the tests compare with, by the reference libraries.

	single/   save_file of the safetensors library, tensors of several types, one of them empty
	sharded/  save_torch_state_dict of huggingface_hub, an index in its own form
	llama/    save_pretrained of transformers: a tiny model in shards with its index

Values are counted up, not drawn, so that the tests can make them too:
byte i of a tensor is (i * 7 + the length of its name) mod 61.
The state dicts' orders are in order.txt, one name per line.
"""

import os
import sys

import torch
from huggingface_hub import save_torch_state_dict
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

here = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))


def counted(name, dtype, shape):
    t = torch.empty(shape, dtype=dtype)
    raw = torch.tensor([(i * 7 + len(name)) % 61 for i in range(t.numel() * t.element_size())], dtype=torch.uint8)
    return raw.view(dtype).reshape(shape) if t.numel() else t


def folder(name, state):
    path = os.path.join(here, name)
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, "order.txt"), "w") as f:
        f.writelines(f"{k} {str(v.dtype).removeprefix('torch.')} {','.join(map(str, v.shape))}\n" for k, v in state.items())
    return path


specs = [
    ("z.weight", torch.bfloat16, (3, 5)),
    ("a.weight", torch.float32, (2, 2)),
    ("b", torch.int64, ()),
    ("empty", torch.float16, (0, 4)),
    ("naïve.\"q\"", torch.bfloat16, (7,)),
    ("mask", torch.bool, (3,)),
]
state = {n: (torch.tensor(5) if n == "b" else torch.tensor([True, False, True]) if n == "mask" else counted(n, d, s)) for n, d, s in specs}
save_file(state, os.path.join(folder("single", state), "model.safetensors"), metadata={"format": "pt"})

# In units of 4 bytes against a limit of 10: 4 | 12 is too large | 6 fills the shard up | 1 | 11 too large | 9 | 0 | 1
units = [("s.0", 4), ("s.1", 12), ("s.2", 6), ("s.3", 1), ("s.4", 11), ("s.5", 9), ("s.6", 0), ("s.é", 1)]
state = {n: counted(n, torch.float32, (u,)) for n, u in units}
save_torch_state_dict(state, folder("sharded", state), max_shard_size=40)

config = LlamaConfig(
    vocab_size=7, hidden_size=4, intermediate_size=6, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=1, tie_word_embeddings=False, max_position_embeddings=8,
)
model = LlamaForCausalLM(config).to(torch.bfloat16)
with torch.no_grad():
    for name, p in model.named_parameters():
        p.copy_(counted(name, p.dtype, p.shape))
path = folder("llama", model.state_dict())
model.save_pretrained(path, max_shard_size=100)
for extra in ("config.json", "generation_config.json"):
    if os.path.exists(os.path.join(path, extra)):
        os.remove(os.path.join(path, extra))
