"""The record of a run, from which table.py makes the table in README.md: a line of JSON per check, and per peer with its version.

It goes to the end of the file that INTEROP_RECORD names; without that nothing is recorded.
"""
import json, os, sys


def check(what, name, ok, text): write({"script": os.path.basename(sys.argv[0]), "what": what, "check": name, "ok": bool(ok), "text": str(text)[:400]})


def peer(name, version): write({"peer": name, "version": version.partition("+")[0]})  # 2.15.0+cpu is 2.15.0


def write(entry):
    if path := os.environ.get("INTEROP_RECORD"):
        with open(path, "a", encoding="utf-8") as f: f.write(json.dumps(entry) + "\n")


def read(path):
    with open(path, encoding="utf-8") as f: return [json.loads(line) for line in f]
