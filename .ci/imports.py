"""Apply the depguard and forbidigo rules of .golangci.yml without golangci-lint, which takes minutes to build.

usage: imports.py [REPOSITORY]

Imports are those that `go list` tells for every system and tag that has files of its own; test files are exempt, as in
the rules. A package that no strict rule covers, and an entry of a strict list that its packages do not import, are
broken rules as well. Of depguard it knows what .golangci.yml uses: strict and lax lists, $gostd, $all, !$test, a trailing $, ** in
paths; anything else stops it. Of forbidigo: names of package os in the files of a package, by pattern.
"""
import fnmatch, json, os, re, subprocess, sys
import yaml

BUILDS = [("linux", "amd64", ""), ("linux", "amd64", "noasm"), ("linux", "arm64", ""), ("linux", "386", ""), ("darwin", "arm64", ""),
          ("windows", "amd64", "")]
LITERALS = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|`[^`]*`|\'(?:\\.|[^\'\\\n])+\'', re.S)


def packages(root):
    """-> {folder: (imports, files)} over all builds, {standard packages}"""
    found, std = {}, set()
    for goos, arch, tags in BUILDS:
        env = dict(os.environ, GOOS=goos, GOARCH=arch, CGO_ENABLED="0")
        out = subprocess.run(["go", "list", "-e", "-deps", f"-tags={tags}", "-json=Dir,Standard,ImportPath,Imports,GoFiles,Module,Error", "./..."],
                             cwd=root, env=env, check=True, capture_output=True, text=True).stdout
        at, dec = 0, json.JSONDecoder()
        while at < len(out.rstrip()):
            p, at = dec.raw_decode(out, at)
            while at < len(out) and out[at].isspace(): at += 1
            if p.get("Standard"): std.add(p["ImportPath"])
            if not p.get("Module", {}).get("Main"): continue
            if "Error" in p: sys.exit(f"imports: {p['ImportPath']} for {goos}/{arch}: {p['Error']['Err']}")
            imports, files = found.setdefault(os.path.relpath(p["Dir"], root), (set(), set()))
            imports.update(p.get("Imports", []))
            files.update(p.get("GoFiles", []))
    return found, std


def covers(patterns, folder, files):
    """Whether a rule's `files` take in any of the (non-test) files of a folder."""
    return any(takes_in(patterns, os.path.normpath("/" + folder + "/" + f)) for f in files)


def takes_in(patterns, path):
    yes = False
    for p in patterns:
        if p == "!$test": continue
        plain = p.lstrip("!")
        if plain.startswith("$") and plain != "$all": sys.exit(f"imports: {p} is not understood")
        hit = plain == "$all" or fnmatch.fnmatchcase(path, plain.replace("**", "*"))
        if hit and p.startswith("!"): return False
        yes |= hit
    return yes


def matches(imp, pattern, std):
    if pattern == "$gostd": return imp in std
    if pattern.endswith("$"): return imp == pattern[:-1]
    return imp.startswith(pattern)


def main():
    root = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else ".")
    conf = yaml.safe_load(open(os.path.join(root, ".golangci.yml")))["linters"]
    found, std = packages(root)
    bad, used, strict, arrows = [], set(), set(), 0
    for name, rule in conf["settings"]["depguard"]["rules"].items():
        if rule["list-mode"] not in ("strict", "lax"): sys.exit(f"imports: list-mode {rule['list-mode']} is not understood")
        unused = set(rule.get("allow", [])) - {"$gostd"}
        for folder, (imports, files) in sorted(found.items()):
            if not covers(rule["files"], folder, files): continue
            used.add(name)
            if rule["list-mode"] == "strict": strict.add(folder)
            unused = {a for a in unused if not any(matches(imp, a, std) for imp in imports)}
            for imp in sorted(imports):
                arrows += 1
                deny = [d for d in rule.get("deny", []) if matches(imp, d["pkg"], std)]
                if deny: bad.append(f"{folder}: imports {imp}: {deny[0]['desc']} (rule {name})")
                elif rule["list-mode"] == "strict" and not any(matches(imp, a, std) for a in rule["allow"]):
                    bad.append(f"{folder}: imports {imp}, which is not on the list of rule {name}")
        bad += [f"rule {name} allows {a}, which nothing imports" for a in sorted(unused)]
    bad += [f"{folder}: no strict rule covers it" for folder in sorted(set(found) - strict)]
    missing = set(conf["settings"]["depguard"]["rules"]) - used
    if missing: bad.append(f"rules that no folder falls under: {', '.join(sorted(missing))}")
    skip = [re.compile(r["path"]) for r in conf["exclusions"]["rules"] if "forbidigo" in r["linters"]]
    for folder, (_, files) in sorted(found.items()):
        for f in sorted(files):
            path = os.path.normpath(os.path.join(folder, f))
            if any(s.search(path) for s in skip): continue
            text = LITERALS.sub(lambda m: "\n" * m[0].count("\n"), open(os.path.join(root, path), encoding="utf-8").read())
            for m in re.finditer(r"\b[A-Za-z_]\w*\.[A-Za-z_]\w*", text):
                for rule in conf["settings"]["forbidigo"]["forbid"]:
                    if re.search(rule["pattern"], m[0]): bad.append(f"{path}:{text.count(chr(10), 0, m.start()) + 1}: {m[0]}: {rule['msg']}")
    for line in bad: print(line)
    print(f"{len(found)} packages, {arrows} imports looked at, {len(bad)} broken rules")
    return 1 if bad or not found else 0


if __name__ == "__main__":
    sys.exit(main())
