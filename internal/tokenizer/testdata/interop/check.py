"""Compares this package with mergekit 0.1.5 and transformers on made-up tokenizers.

    python internal/tokenizer/testdata/interop/check.py [SEED] [JOBS]     (from the module's root)

For every job: Read's table is that of AutoTokenizer; the output vocabulary is
mergekit's (plain entries that a union adds stand in a random order there: only
their range is compared); every row is what PermutedVocabulary makes of it; and
AutoTokenizer gives the written folder the planned ids. Refused only here: a base model whose own entries go beyond its rows
(mergekit cuts them out of a BPE tokenizer's entries and merges).
"""
import json, logging, os, random, shutil, subprocess, sys, tempfile

import torch
from transformers import AutoTokenizer
from mergekit.common import ModelReference
from mergekit.tokenizer.build import build_tokenizer
from mergekit.tokenizer.config import TokenEmbeddingConfig
from mergekit.tokenizer.embed import PermutedVocabulary

logging.disable(logging.ERROR)
rnd = random.Random(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
top = tempfile.mkdtemp(prefix="tokenizer-")  # stays if a job fails
POOL = [a + b for a in "abcdefgh" for b in ["", *"abcd"]] + ["é", '"q', "\\", "日本"]
ADD = ["<s>", "</s>", "<pad>", "<unk>", "<A>", "<B>", "<C d>", "<é>", '<">', "<old>", "ab", "ca"]
FROM = dict(zero=1, parent=2, token=3, id=4)


def flags(special):
    d = dict(special=special, normalized=not special)
    for k in ("single_word", "lstrip", "rstrip"):
        d[k] = rnd.random() < 0.1
    return d


def folder(name):
    d = os.path.join(top, name)
    os.makedirs(d)
    unigram = rnd.random() < 0.2
    head = rnd.sample(ADD, rnd.randrange(3)) if rnd.random() < 0.5 else []
    vocab = head + rnd.sample([p for p in POOL if p not in head], rnd.randrange(5, 20))
    added, nid = [], len(vocab)
    for tok in rnd.sample(ADD, rnd.randrange(6)):
        if tok in vocab:
            tid = vocab.index(tok)
        else:
            tid, nid = nid, nid + 1
        added.append(dict(id=tid, content=tok) | flags(rnd.random() < 0.6))
    added.sort(key=lambda a: a["id"])
    if unigram:
        model = dict(type="Unigram", unk_id=0, vocab=[[t, -float(i)] for i, t in enumerate(vocab)], byte_fallback=False)
    else:
        model = dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None,
                     fuse_unk=False, byte_fallback=False, ignore_merges=False, vocab={t: i for i, t in enumerate(vocab)}, merges=[])
    tj = dict(version="1.0", truncation=None, padding=None, added_tokens=added, normalizer=None, pre_tokenizer=None,
              post_processor=None, decoder=None, model=model)
    write(d, "tokenizer.json", tj, indent=rnd.choice([None, 1, 2]), ensure_ascii=rnd.random() < 0.5)
    cfg = dict(tokenizer_class="PreTrainedTokenizerFast", model_max_length=100)
    if rnd.random() < 0.5:
        cfg["added_tokens_decoder"] = {str(a["id"]): {k: v for k, v in a.items() if k != "id"} for a in added}
    elif rnd.random() < 0.5:
        write(d, "added_tokens.json", {a["content"]: a["id"] for a in added}, indent=2)
    for k in ("bos_token", "pad_token", "unk_token"):
        if rnd.random() < 0.2:
            cfg[k] = rnd.choice(ADD)
    if rnd.random() < 0.2:
        write(d, "special_tokens_map.json", {"eos_token": rnd.choice(ADD)})
    if rnd.random() < 0.15:
        cfg["additional_special_tokens"] = rnd.sample(ADD, 2)
    write(d, "tokenizer_config.json", cfg, indent=rnd.choice([None, 2]))
    return d


def write(d, name, obj, **kw):
    with open(os.path.join(d, name), "w", encoding="utf-8") as f:
        json.dump(obj, f, **kw)


def model(name):
    d = folder(name)
    n = len(AutoTokenizer.from_pretrained(d))
    rows = n + rnd.choice([0, 0, 0, 0, 3, -1])
    write(d, "config.json", dict(model_type="llama", architectures=["LlamaForCausalLM"], vocab_size=rows))
    return dict(Dir=d, Rows=rows)


jobs = []
for i in range(int(sys.argv[2]) if len(sys.argv) > 2 else 60):
    parents = [model(f"{i}-{k}") for k in range(rnd.choice([2, 2, 2, 3]))]
    tokens = []
    for tok in rnd.sample(ADD + POOL[:6] + ["new"], rnd.choice([0, 0, 1, 2])):
        p = rnd.randrange(len(parents))
        t = dict(Token=tok, From=0, Parent=p, Force=rnd.random() < 0.4)
        kind = rnd.choice(list(FROM))
        t["From"] = FROM[kind]
        if kind == "token":
            t["Other"] = rnd.choice(POOL)
        if kind == "id":
            t["ID"] = rnd.randrange(8)
        tokens.append(t)
    out = os.path.join(top, f"{i}-out")
    os.makedirs(out)
    jobs.append(dict(Parents=parents, Source=rnd.choice(["union", "union", "base", parents[-1]["Dir"]]), Tokens=tokens,
                     PadTo=rnd.choice([0, 0, 8]), Out=out))
write(top, "jobs.json", jobs)
subprocess.run(["go", "test", "-count=1", "-run", "TestInterop", "./internal/tokenizer"], check=True,
               env=os.environ | {"SLERPMERGE_TOKENIZER_JOBS": os.path.join(top, "jobs.json")}, stdout=subprocess.DEVNULL)


def config(t, refs):
    ref = refs[t["Parent"]]
    src = {1: dict(kind="zero"), 2: ref, 3: dict(kind="model_token", model=ref, token=t.get("Other")),
           4: dict(kind="model_token", model=ref, token_id=t.get("ID"))}[t["From"]]
    return TokenEmbeddingConfig(source=src, force=t["Force"])


def fail(j, msg):
    raise SystemExit(f"{j['Out']}: {msg}")


def fill(rows, i, mats):
    k = rows["Index"][i]
    f = rows["Fills"][~k]
    if f["Mean"]:
        return None
    return sum((t["Weight"] * mats[t["Parent"]][t["Row"]] for t in f["Terms"] or []), torch.zeros(4, dtype=torch.float64))


seen = dict(ok=0, both_refuse=0, mergekit_crash=0)
for j in jobs:
    plan = json.load(open(os.path.join(j["Out"], "plan.json")))
    refs = [ModelReference.model_validate(p["Dir"]) for p in j["Parents"]]
    for p, got in zip(j["Parents"], plan.get("Parents", [])):
        want = AutoTokenizer.from_pretrained(p["Dir"]).get_vocab()
        if want != got:
            fail(j, f"{p['Dir']} read as {got}, transformers {want}")
    if "Error" not in plan:
        tok = AutoTokenizer.from_pretrained(j["Out"])
        got = tok.get_vocab()
        beyond = {t: i for t, i in got.items() if t not in plan["Vocabulary"]}
        kept = {t: i for t, i in got.items() if t in plan["Vocabulary"]}
        cut = any("beyond" in n for n in plan["Notes"] or [])
        if kept != plan["Vocabulary"] or beyond and not cut:
            fail(j, f"planned {plan['Vocabulary']}, the written folder has {got}")
    try:
        src = j["Source"] if j["Source"] in ("base", "union") else ModelReference.model_validate(j["Source"])
        info = build_tokenizer(refs[0], refs, src, False, [t["Token"] for t in j["Tokens"]])
        mats = [torch.rand(p["Rows"], 4, dtype=torch.float64) for p in j["Parents"]]
        task = PermutedVocabulary.model_construct(tokens={t["Token"]: config(t, refs) for t in j["Tokens"]},
                                                  pad_to_multiple_of=j["PadTo"] or None, base_model=refs[0], vocabulary_axis=0)
        res = task.execute(tokenizer_info=info, tensors=dict(zip(refs, mats)))
    except Exception as e:
        if "Error" in plan:
            seen["both_refuse"] += 1
        else:
            seen["mergekit_crash"] += 1
            kind = type(e).__name__ + (" " + str(e)[:60] if type(e) is not KeyError else "")
            seen[kind] = seen.get(kind, 0) + 1
        continue
    if "its own entry" in plan.get("Error", ""):
        seen["refused only here"] = seen.get("refused only here", 0) + 1
        continue
    if "Error" in plan:
        fail(j, f"refused, mergekit does it: {plan['Error']}")
    want = info.tokenizer.get_vocab()
    got = plan["Vocabulary"]
    added = {t.content for t in info.tokenizer.added_tokens_decoder.values()}
    if set(want) != set(got):
        fail(j, f"tokens {set(got) ^ set(want)}")
    plain = [t for t in want if t in {a["Text"] for a in plan["Added"] or [] if a["Normalized"]}]
    for t in want:
        if want[t] != got[t] and not (t in plain and want[t] in [got[x] for x in plain]):
            fail(j, f"{t}: mergekit {want[t]}, planned {got[t]}")
    for k, r in enumerate(refs):
        rows = plan["Rows"][k]
        if len(rows["Index"]) != len(res[r]):
            fail(j, f"{len(rows['Index'])} rows, mergekit {len(res[r])}")
        mine = [mats[k][x] if x >= 0 else fill(rows, i, mats) for i, x in enumerate(rows["Index"])]
        mean = torch.stack([m for m in mine if m is not None]).mean(0)
        mine = [mean if m is None else m for m in mine]
        for t in want:
            if not torch.allclose(mine[got[t]], res[r][want[t]], rtol=1e-12, atol=1e-15):
                fail(j, f"row of {t} for {r}")
        for i in range(len(want), len(mine)):
            if not torch.allclose(mine[i], res[r][i], rtol=1e-9):
                fail(j, f"padding row {i} for {r}")
    seen["ok"] += 1
shutil.rmtree(top)
print(seen)
