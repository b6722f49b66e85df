"""A night in small: a manifest of six jobs, run again and again through a kill,
a time budget that is used up, a full disk and a parent that changes, until
there is nothing left to do. Then every output is verified.

    night.py SLERPMERGE BENCH MODELS FOLDER

BENCH makes the pair of 1B shape; MODELS has the tiny models; FOLDER is where to
work: 14 GB on a disk, as root, since a small file system is mounted there.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

binary, bench, models, folder = (os.path.abspath(a) for a in sys.argv[1:])
failed = []


def check(ok, what):
    print("ok  " if ok else "FAIL", what, flush=True)
    if not ok:
        failed.append(what)


def run(*args, **more):
    return subprocess.run(args, check=True, **more)


class Disk:
    """A small file system, in a file."""

    def __init__(self, where, megabytes):
        self.where, self.image, self.filler = where, where + ".image", os.path.join(where, "filler")
        os.mkdir(where)
        with open(self.image, "wb") as f:
            f.truncate(megabytes << 20)
        run("mkfs.ext4", "-q", "-F", self.image)
        run("mount", "-o", "loop", self.image, where)

    def fill(self):
        with open(self.filler, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(bytes(1 << 16))
            except OSError:
                pass

    def free(self):
        os.remove(self.filler)

    def unmount(self):
        subprocess.run(["umount", self.where], check=False)


class Night:
    def __init__(self):
        self.manifest = os.path.join(folder, "night.yaml")
        self.status = os.path.join(folder, "status.json")
        with open(self.manifest, "w") as f:
            f.write(MANIFEST)

    def start(self, *args):
        return subprocess.Popen([binary, "batch", self.manifest, "--status", self.status, "--no-progress", *args],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, *args):
        p = self.start(*args)
        self.said = p.communicate(timeout=600)[0]
        return p.returncode

    def states(self):
        with open(self.status) as f:
            return {job["name"]: job["state"] for job in json.load(f)["jobs"]}

    def wait(self, job, state, partial=None):
        """Waits until a job is in a state, and its journal has some lines."""
        for _ in range(60000):
            try:
                if self.states()[job] == state and (partial is None or open(partial).read().count("\n") > 3):
                    return
            except (FileNotFoundError, KeyError):
                pass
            time.sleep(0.005)
        raise SystemExit(f"{job} never was {state}")


MANIFEST = """
defaults: {checksums: true}
jobs:
  - {name: tiny, primary: alpha, secondary: beta, t: 0.3, output: out/tiny}
  - {name: large, primary: 1b-a, secondary: 1b-b, shard-size: 1GB, output: out/large}
  - {name: old, model: out/large, format: bin, dtype: float16, output: out/old}
  - {name: far, primary: deep-a, secondary: deep-b, output: small/far, after: large}
  - {name: layers, recipe: layers.yaml, output: out/layers}
  - {name: child, primary: out/tiny, secondary: beta, t: 1, format: bin, output: out/child}
"""

LAYERS = """
merge_method: passthrough
slices:
  - sources: [{model: ./deep-a, layer_range: [0, 8]}]
  - sources: [{model: ./deep-b, layer_range: [4, 12]}]
"""


def main():
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for name in ("alpha", "beta", "deep-a", "deep-b"):
        shutil.copytree(os.path.join(models, name), os.path.join(folder, name))
    run(bench, "-pair-only", "-dir", folder, stdout=subprocess.DEVNULL)
    with open(os.path.join(folder, "layers.yaml"), "w") as f:
        f.write(LAYERS)
    disk = Disk(os.path.join(folder, "small"), 16)
    night = Night()
    journal = os.path.join(folder, "out", ".large.partial", ".slerpmerge.journal")
    try:
        p = night.start()
        night.wait("large", "running", journal)
        p.send_signal(signal.SIGKILL)
        p.communicate()
        check(not os.path.exists(os.path.join(folder, "out", "large")), "killed in the middle of the large job")

        code = night.run("--time-budget", "1s")
        check(code == 75 and "resuming an unfinished run" in night.said, f"time budget: exit code {code}")
        check(night.states()["tiny"] == "skipped", "what was done is not done again")

        p = night.start()
        night.wait("large", "running")
        disk.fill()
        said = p.communicate(timeout=600)[0]
        states = night.states()
        check(p.returncode == 1 and states["far"] == "failed" and states["old"] == "done" and states["child"] == "done",
              f"full disk: exit code {p.returncode}, {states}")
        check("small/far" in said and "space" in said, "the closing table says why: " + said.strip().splitlines()[-1])
        disk.free()

        path = os.path.join(folder, "alpha", "model.safetensors")
        with open(path, "r+b") as f:
            f.seek(-2, os.SEEK_END)
            value = f.read(2)
            f.seek(-2, os.SEEK_END)
            f.write(bytes([value[0] ^ 1, value[1]]))
        code = night.run()
        states = night.states()
        want = {"tiny": "done", "large": "skipped", "old": "skipped", "far": "done", "layers": "skipped", "child": "done"}
        check(code == 0 and states == want, f"a changed parent: exit code {code}, {states}")

        code = night.run("-q")
        check(code == 0 and night.said == "" and set(night.states().values()) == {"skipped"}, f"nothing left to do: exit code {code}, {night.said!r}")

        for out in ("out/tiny", "out/large", "out/old", "small/far", "out/layers", "out/child"):
            v = subprocess.run([binary, "verify", out], cwd=folder, capture_output=True, text=True)
            check(v.returncode == 0, f"verify {out}: {v.stderr.strip()}")
            s = subprocess.run(["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"], cwd=os.path.join(folder, out), capture_output=True, text=True)
            check(s.returncode == 0, f"sha256sum -c in {out} {s.stderr.strip()}")
    finally:
        disk.unmount()
    shutil.rmtree(folder)
    print(f"night: {len(failed)} failed")
    sys.exit(bool(failed))


main()
