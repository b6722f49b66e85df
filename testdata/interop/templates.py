#!/usr/bin/env python3
"""Compare the chat templates that recipes can name with mergekit's own.

usage: templates.py BINARY SHARED

Every conversation of up to four messages by five roles must be rendered alike: ours as the merge writes it, with
and without transformers' settings for white space, mergekit's with them.
"""
import importlib.resources, itertools, os, subprocess, sys, tempfile

from jinja2.sandbox import ImmutableSandboxedEnvironment
from mergekit._data import chat_templates
import record

ROLES = ["system", "user", "assistant", "user_context", "tool"]


class Refused(Exception):
    pass


def refuse(message):
    raise Refused(message)


def renderer(text, trim):
    env = ImmutableSandboxedEnvironment(trim_blocks=trim, lstrip_blocks=trim)
    env.globals["raise_exception"] = refuse
    template = env.from_string(text)

    def render(messages, prompt):
        try:
            return template.render(messages=messages, add_generation_prompt=prompt, bos_token="<s>", eos_token="</s>")
        except Refused:
            return None

    return render


def ours(binary, shared, name):
    with tempfile.TemporaryDirectory() as d:
        os.symlink(os.path.join(os.path.abspath(shared), "models"), os.path.join(d, "models"))
        with open(os.path.join(d, "r.yml"), "w") as f:
            f.write("merge_method: passthrough\nmodels: [{model: ./models/deep-a}]\nchat_template: " + name + "\n")
        subprocess.run([os.path.abspath(binary), "merge", "-q", "-r", "r.yml", "-o", "out"], cwd=d, check=True)
        with open(os.path.join(d, "out", "chat_template.jinja")) as f:
            return f.read()


def main():
    binary, shared = sys.argv[1:]
    folder = importlib.resources.files(chat_templates)
    names = sorted(f.name.removesuffix(".jinja") for f in folder.iterdir() if f.name.endswith(".jinja"))
    failed = not names
    for name in names:
        theirs = renderer(folder.joinpath(name + ".jinja").read_text(), True)
        text = ours(binary, shared, name)
        renderers = [renderer(text, True), renderer(text, False)]
        count = unlike = 0
        for n in range(1, 5):
            for roles in itertools.product(ROLES, repeat=n):
                messages = [{"role": r, "content": f"  line {i}\n of \"it\" "} for i, r in enumerate(roles)]
                for prompt in (False, True):
                    want = theirs(messages, prompt)
                    for render in renderers:
                        count += 1
                        unlike += render(messages, prompt) != want
        text = f"{count} conversations, {unlike} rendered in another way"
        record.check(name, "chat template", not unlike, text)
        print(f"{name}: {text}")
        failed = failed or unlike > 0
    sys.exit(failed)


if __name__ == "__main__":
    main()
