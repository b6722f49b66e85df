"""What people do today: python convert.py pytorch_model.bin FOLDER"""
import os, sys
import torch
from safetensors.torch import save_file

state = torch.load(sys.argv[1], map_location="cpu", weights_only=True)
os.makedirs(sys.argv[2])
save_file(state, os.path.join(sys.argv[2], "model.safetensors"), metadata={"format": "pt"})
fd = os.open(os.path.join(sys.argv[2], "model.safetensors"), os.O_RDONLY)
os.fsync(fd)
