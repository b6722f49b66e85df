"""headers.py BINARY [TYPE...]: the names and shapes of the classes of transformers

A model of default size is made on the meta device for each model type (all, or
those named), and written as a sparse file: headers count, values don't. Two
equal ones, brought to FP8 whole or but for their vectors, must be planned:
neither called quantised nor renamed. Only those of I-BERT and Inkling, which
have a scale of one number beside a weight, may be refused in FP8. A bare class
and one with a head must be paired by their prefixes.
"""
import json, logging, os, shutil, struct, subprocess, sys, tempfile, warnings

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForMaskedLM, AutoModelForSeq2SeqLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

binary = os.path.abspath(sys.argv[1])
tmp = tempfile.mkdtemp()
SIZE = {"BF16": 2, "F8_E4M3": 1, "F32": 4, "I64": 8, "BOOL": 1, "I32": 4, "U8": 1, "I8": 1, "I16": 2, "C64": 8}
FIXED = {torch.int64: "I64", torch.bool: "BOOL", torch.int32: "I32", torch.uint8: "U8", torch.complex64: "C64", torch.int8: "I8", torch.int16: "I16"}
SCALED = {"ibert", "inkling_mm_model", "inkling_text"}
MAX = 20000  # tensors of one model


def write(name, table, config, how):
    path = os.path.join(tmp, name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    head, at = {"__metadata__": {"format": "pt"}}, 0
    for key, (dtype, shape) in table.items():
        if dtype is None:
            dtype = "BF16" if how == "bf16" else "F8_E4M3" if how == "fp8" or len(shape) > 1 else "F32"
        size = SIZE[dtype]
        for d in shape:
            size *= d
        head[key] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(path, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        f.truncate(8 + len(text) + at)
    with open(os.path.join(path, "config.json"), "w") as f:
        f.write(config)
    return path


def plan(a, b):
    r = subprocess.run([binary, "plan", a, b, "--json", "--max-memory", "2G"], capture_output=True, text=True)
    return (json.loads(r.stdout) if r.returncode == 0 else None), r.stderr


def table(model):
    seen, out = set(), {}
    for key, value in model.state_dict(keep_vars=True).items():
        if id(value) not in seen:
            seen.add(id(value))
            out[key] = (FIXED.get(value.dtype), list(value.shape))
    return out


def classes(kind):
    """The tables and configs of the first class, a bare one as a rule, and of the last."""
    try:
        config = CONFIG_MAPPING[kind]()
    except Exception:  # parts that have no default
        return []
    made = []
    for auto in (AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoModelForImageTextToText):
        try:
            with torch.device("meta"):
                model = auto.from_config(config, dtype=torch.bfloat16)
        except Exception:  # no class of that sort, or a package that is not here
            continue
        names = table(model)
        if not 0 < len(names) <= MAX:
            continue
        text = json.loads(config.to_json_string(use_diff=False))
        text["architectures"] = [type(model).__name__]
        text.pop("quantization_config", None)
        made.append((type(model).__name__, names, json.dumps(text)))
    return made[:1] + made[-1:] if len(made) > 1 else made


failed = same = prefixed = scaled = 0
try:
    for kind in sys.argv[2:] or sorted(CONFIG_MAPPING):
        made = classes(kind)
        for name, names, config in made[-1:]:
            for how in ("fp8", "matrices in fp8"):
                same += 1
                got, err = plan(write("a", names, config, how), write("b", names, config, how))
                if got is None and kind in SCALED and "scaled FP8" in err:
                    scaled += 1
                elif got is None or any("other names" in w or "wrapped" in w for w in got["warnings"]):
                    failed += 1
                    print("FAIL", kind, name, how, err.strip()[:300] or got["warnings"])
        if len(made) < 2 or made[0][1].keys() <= made[1][1].keys() or made[1][1].keys() <= made[0][1].keys():
            continue
        prefixed += 1
        (x, bare, _), (y, full, _) = made
        got, err = plan(write("a", *made[0][1:], "bf16"), write("b", *made[1][1:], "bf16"))
        paired = got and sum(t["action"] != "copy" for t in got["tensors"])
        if got is None or not any("other names" in w for w in got["warnings"]) or paired < min(len(bare), len(full)) - 12:
            failed += 1
            print("FAIL", kind, x, y, err.strip()[:300] or f"{paired} of {len(bare)} and {len(full)} paired")
finally:
    shutil.rmtree(tmp)
print(f"headers: {same} equal pairs, {prefixed} with a prefix, {scaled} refused for scales of their own, {failed} failed")
sys.exit(failed > 0)
