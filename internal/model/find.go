package model

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"slerpmerge/internal/disk"
)

// Locate finds a model's folder, by Open's rules, without looking at its
// weights: for the files that lie beside them. An *UnusableError says that
// there is none.
func Locate(path string) (*Model, error) {
	m := &Model{Path: path, place: path}
	st, err := m.find()
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		return nil, &UnusableError{Path: path, Msg: "is not a folder"}
	}
	m.Dir = m.place
	s, err := m.newWeightFolder(nil, m.Dir, "")
	if err != nil {
		return nil, fileError(m.Dir, err)
	}
	return m, m.list(s.names, nil)
}

// find looks for the model, on the disk and in the cache.
func (m *Model) find() (fs.FileInfo, error) {
	st, err := m.files.stat(m.Path)
	if home := inHome(m.Path); home != "" && errors.Is(err, fs.ErrNotExist) {
		var own fs.FileInfo
		if own, err = m.files.stat(home); err == nil {
			m.place, st = home, own
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		dir, repo, found, cerr := m.files.findCached(m.Path)
		if cerr != nil {
			return nil, cerr
		}
		if !found {
			return nil, notFound(m.Path, repo)
		}
		m.Label, m.repo, m.place = repo, repo, dir
		m.revision = hubName.FindStringSubmatch(m.Path)[2]
		st, err = os.Stat(dir)
	} else if home, repo, ok := cacheHome(m.place); err == nil && ok && st.IsDir() {
		dir, err := m.files.snapshot(home, repo, "")
		if err != nil {
			return nil, err
		}
		m.Label, m.repo, m.place = repo, repo, dir
		return os.Stat(dir)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENAMETOOLONG) || errors.Is(err, syscall.EINVAL) { // no such path, or none that could be
		return nil, &UnusableError{Path: m.Path, Err: disk.Bare(err)}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Path, disk.Bare(err))
	}
	return st, nil
}

// inHome returns the path in the user's home directory that one with "~/" means. No
// shell has expanded it in a recipe, a manifest or a quoted argument. It is ""
// for other paths.
func inHome(path string) string {
	rest, ok := strings.CutPrefix(filepath.ToSlash(path), "~/")
	if !ok {
		return ""
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, rest)
}

// Place returns the folder or file of the model: its Path, or where the cache has it.
func (m *Model) Place() string { return m.place }

// notFound says that nothing is there. repo is the path as a name on the Hub,
// "" if it can't be one.
func notFound(path, repo string) error {
	e := &UnusableError{Path: path, Err: errors.New("no such file or folder")}
	if there, _ := present(filepath.Join(filepath.Dir(path), "config.json")); there {
		return e // a mistyped file of a model that is here
	}
	if folder, revision, ok := strings.Cut(path, "@"); ok {
		if st, err := os.Stat(folder); err == nil && st.IsDir() {
			e.Hint = folder + " is a folder, and folders have no revisions: omit @" + revision + ", or name the folder of that revision"
			return e
		}
	}
	if name, ok := strings.CutPrefix(path, "https://huggingface.co/"); ok {
		e.Err = errors.New("a page of the Hugging Face Hub is not a model, and nothing is fetched")
		if parts := strings.Split(name, "/"); len(parts) > 1 {
			name = parts[0] + "/" + parts[1]
			e.Hint = "download it, then use its name, " + name + ": " + download(name, "")
		}
		return e
	}
	if strings.Count(repo, "/") == 1 {
		e.Err = errors.New("no such file or folder, and no such model in the Hugging Face cache")
		e.Hint = "if this is a name on the Hugging Face Hub, download it first: " + download(repo, "")
	}
	return e
}
