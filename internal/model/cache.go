package model

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"slerpmerge/internal/text"
)

// hubName is a name on the Hugging Face Hub, with a revision or without.
// Models of the first days have no organisation.
var hubName = regexp.MustCompile(`^((?:[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?$`)

// findCached finds the folder of a name in the Hugging Face cache (docs/formats.md
// 4.2): the snapshot that refs/REVISION names, main if none is given, or whose
// commit is the revision. Nothing is ever fetched. repo is the name without
// its revision; found is false if name is none, or one that the cache does not
// have at all.
func (f files) findCached(name string) (dir, repo string, found bool, err error) {
	m := hubName.FindStringSubmatch(name)
	if m == nil || strings.Contains(name, "..") {
		return "", "", false, nil
	}
	repo, revision := m[1], m[2]
	home := filepath.Join(cacheFolder(), "models--"+strings.ReplaceAll(repo, "/", "--"))
	switch st, err := f.stat(home); {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || err == nil && !st.IsDir():
		return "", repo, false, nil
	case err != nil:
		return "", repo, false, fmt.Errorf("looking for %s in the Hugging Face cache: %w", text.Quote(repo), err)
	}
	dir, err = f.snapshot(home, repo, revision)
	return dir, repo, true, err
}

// snapshot returns the folder of a revision of the model whose cache is home.
func (f files) snapshot(home, repo, revision string) (dir string, err error) {
	if revision == "" {
		revision = "main"
	}
	commit := revision
	name := filepath.Join(home, "refs", filepath.FromSlash(revision))
	ref, err := readSmall(name, 256)
	switch {
	case err == nil:
		commit = strings.TrimSpace(string(ref))
	case !errors.Is(err, fs.ErrNotExist):
		return "", fileError(name, err)
	}
	if commit == "" || strings.ContainsAny(commit, `/\`) {
		return "", missingRevision(home, repo, revision)
	}
	dir = filepath.Join(home, "snapshots", commit)
	switch st, err := f.stat(dir); {
	case errors.Is(err, fs.ErrNotExist) || err == nil && !st.IsDir():
		return "", missingRevision(home, repo, revision)
	case err != nil:
		return "", err
	}
	return dir, nil
}

// cachedRepo returns the name of a model by that of its folder in the cache.
func cachedRepo(folder string) (repo string, ok bool) {
	name, ok := strings.CutPrefix(folder, "models--")
	return strings.Replace(name, "--", "/", 1), ok && name != ""
}

// cacheHome returns the folder of a model in a cache of the Hub if path is that
// folder itself, or one of those in it that hold no model.
func cacheHome(path string) (home, repo string, ok bool) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", "", false
	}
	home = abs
	switch filepath.Base(abs) {
	case "snapshots", "refs", "blobs":
		home = filepath.Dir(abs)
	}
	repo, ok = cachedRepo(filepath.Base(home))
	if ok {
		st, err := os.Stat(filepath.Join(home, "snapshots"))
		ok = err == nil && st.IsDir()
	}
	return home, repo, ok
}

// missingRevision says what the cache has instead.
func missingRevision(home, repo, revision string) error {
	msg := fmt.Sprintf("revision %s is not in the Hugging Face cache", text.Quote(revision))
	entries, _ := os.ReadDir(filepath.Join(home, "snapshots"))
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if slices.Sort(names); len(names) > 0 {
		msg += ", only " + strings.Join(names[:min(3, len(names))], ", ")
	}
	msg += unfinishedIn([]string{filepath.Join(home, "blobs")})
	return &UnusableError{Path: repo, Err: errors.New(msg), Hint: download(repo, revision)}
}

// cacheFolder returns the folder into which the Hub's tools download
// (docs/formats.md 4.2).
func cacheFolder() string {
	for _, name := range []string{"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"} {
		if dir := os.Getenv(name); dir != "" {
			return expand(dir)
		}
	}
	if dir := os.Getenv("HF_HOME"); dir != "" {
		return filepath.Join(expand(dir), "hub")
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(expand(dir), "huggingface", "hub")
	}
	return expand(filepath.Join("~", ".cache", "huggingface", "hub"))
}

// expand reads ~ and $NAME as huggingface_hub does.
func expand(path string) string {
	path = os.ExpandEnv(path)
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || os.IsPathSeparator(rest[0])) {
		if home, err := os.UserHomeDir(); err == nil {
			return home + rest
		}
	}
	return path
}

// CacheFolder returns the folder into which the Hub's tools download, and in which
// names of models are looked for.
func CacheFolder() string { return cacheFolder() }

// Cached lists the models that the Hugging Face cache has, by name.
func Cached() []string {
	entries, _ := os.ReadDir(cacheFolder())
	var names []string
	for _, e := range entries {
		name, ok := cachedRepo(e.Name())
		if ok && e.IsDir() && hubName.MatchString(name) {
			names = append(names, name)
		}
	}
	return names
}

// CachedRevisions lists the branches, tags and pull requests that the cache
// knows of a model.
func CachedRevisions(name string) []string {
	refs := os.DirFS(filepath.Join(cacheFolder(), "models--"+strings.ReplaceAll(name, "/", "--"), "refs"))
	var revisions []string
	_ = fs.WalkDir(refs, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			revisions = append(revisions, path)
		}
		return nil
	})
	return revisions
}
