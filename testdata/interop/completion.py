#!/usr/bin/env python3
"""Press Tab in bash, zsh and fish with slerpmerge's completion loaded, in a pseudo-terminal.

usage: completion.py BINARY

One line per check; exit status 1 when one fails. A shell that is not installed is a failure.
"""
import os, pty, re, select, shutil, subprocess, sys, tempfile, time

BINARY = os.path.abspath(sys.argv[1])
# What is typed before Tab, and what must then stand on the line.
CASES = [
    ("a command", "slerpmerge insp", "slerpmerge inspect "),
    ("a flag", "slerpmerge merge --overw", "slerpmerge merge --overwrite "),
    ("a value", "slerpmerge merge --format saf", "slerpmerge merge --format safetensors "),
    ("a value behind =", "slerpmerge merge --format=saf", "slerpmerge merge --format=safetensors"),
    ("a folder", "slerpmerge plan plai", "slerpmerge plan plain-folder/"),
    ("a folder with a blank", "slerpmerge plan wit", "slerpmerge plan with\\ blank/"),
    ("a weight file", "slerpmerge inspect weigh", "slerpmerge inspect weights.safetensors "),
    ("a cached model", "slerpmerge inspect acme/al", "slerpmerge inspect acme/alpha "),
    ("its revision", "slerpmerge inspect acme/alpha@v", "slerpmerge inspect acme/alpha@v1.5 "),
    ("the second model", "slerpmerge merge acme/alpha@v1.5 acme/be", "slerpmerge merge acme/alpha@v1.5 acme/beta "),
    ("the output, folders only", "slerpmerge merge a b -o weigh", "slerpmerge merge a b -o weigh"),
    ("a recipe", "slerpmerge merge -r reci", "slerpmerge merge -r recipe.yml "),
]
failed = 0


def say(ok, what, check, text):
    global failed
    failed += not ok
    print(f"{'ok  ' if ok else 'FAIL'} {what:12} {check:28} {text}", flush=True)


class Shell:
    """A shell on a pseudo-terminal. mark is printed by a command that runs when Enter is pressed, so that what stands on the line can be read."""

    def __init__(self, argv, setup, work):
        env = {"HOME": work, "PATH": os.path.dirname(BINARY) + ":" + os.environ["PATH"], "TERM": "dumb", "LANG": "C.UTF-8", "HF_HUB_CACHE": work + "/hub"}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(work)
            os.execvpe(argv[0], argv, env)
        for line in setup: self.send(line + "\r")
        self.send("echo rea''dy\r")
        self.until("ready", 20)

    def send(self, text): os.write(self.fd, text.encode())

    def until(self, word, seconds):
        got, end = "", time.monotonic() + seconds
        while word not in got:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]: return got
            try: got += os.read(self.fd, 65536).decode(errors="replace")
            except OSError: return got
        return got

    def quiet(self, seconds=0.4):
        got = ""
        while select.select([self.fd], [], [], seconds)[0]:
            try: got += os.read(self.fd, 65536).decode(errors="replace")
            except OSError: break
        return got

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def screen(text):
    """The last line that a terminal would show."""
    text = re.sub(r"\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\x1b[\[(][0-9;?]*[A-Za-z]|\x1b[=>]", "", text)
    line, at = [], 0
    for c in text:
        if c == "\n": line, at = [], 0
        elif c == "\r": at = 0
        elif c == "\b": at = max(0, at - 1)
        elif c >= " ":
            line[at:at + 1] = [c]
            at += 1
    return "".join(line[:max(at, 0)])


def interactive(name, argv, setup, work):
    shell = Shell(argv, setup, work)
    for check, typed, want in CASES:
        shell.send("\x15")
        shell.quiet(0.2)
        shell.send(typed)
        before = shell.until(typed[-3:], 5)
        shell.send("\t")
        got = screen(before + shell.until(want[len(typed):] or "\0", 1.5 if len(want) > len(typed) else 0.7) + shell.quiet(0.2))
        at = got.find(typed)
        say(at >= 0 and got[at:].rstrip() == want.rstrip() and (not want.endswith(" ") or got.endswith(" ")), name, check, repr(got[max(at, 0):]))
    shell.close()


def fish(work):
    """fish is asked itself, without a terminal."""
    code = "source (slerpmerge completion fish | psub); complete -C $argv[1]"
    env = {**os.environ, "HOME": work, "PATH": os.path.dirname(BINARY) + ":" + os.environ["PATH"], "HF_HUB_CACHE": work + "/hub"}
    for check, typed, want in CASES:
        r = subprocess.run(["fish", "--no-config", "-c", code, typed], cwd=work, env=env, capture_output=True, text=True, timeout=60)
        words = [l.split("\t")[0] for l in r.stdout.splitlines()]
        last = want.split(" ", want.rstrip().replace("\\ ", "__").count(" "))[-1].rstrip().replace("\\ ", " ")
        ok = words == [last] if last != typed.split(" ")[-1] else not words
        say(ok and not r.stderr, "fish", check, repr(words) + r.stderr.strip()[:200])


def main():
    with tempfile.TemporaryDirectory(prefix="completion-") as work:
        for d in ("plain-folder", "with blank", "hub/models--acme--alpha/refs", "hub/models--acme--beta/refs"): os.makedirs(os.path.join(work, d))
        for f in ("weights.safetensors", "weighty.txt", "recipe.yml", "hub/models--acme--alpha/refs/v1.5"): open(os.path.join(work, f), "w").close()
        for name, argv, setup in (
            ("bash", ["bash", "--norc", "--noprofile", "-i"], ["PS1='$ '", "bind 'set enable-bracketed-paste off'", "source <(slerpmerge completion bash)"]),
            ("zsh", ["zsh", "-f", "-i"], ["PS1='$ '; unsetopt zle_bracketed_paste prompt_sp; unset zle_bracketed_paste", "autoload -U compinit; compinit -u -d $HOME/dump", "source <(slerpmerge completion zsh)"]),
        ):
            if not shutil.which(argv[0]): say(False, name, "installed", "no")
            else: interactive(name, argv, setup, work)
        if not shutil.which("fish"): say(False, "fish", "installed", "no")
        else: fish(work)
    versions = [subprocess.run([s, "--version"], capture_output=True, text=True).stdout.splitlines()[0] for s in ("bash", "zsh", "fish") if shutil.which(s)]
    print(f"completion: {failed} failed ({', '.join(versions)})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
