package model

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"slerpmerge/internal/text"
)

// complete makes sure that all weight files are there before any is opened:
// whoever broke off a download wants to hear of everything that is missing.
func (m *Model) complete(s *weightFolder, w *weights) error {
	var missing []string
	more := 0
	for _, name := range w.files {
		file := filepath.Join(s.dir, filepath.FromSlash(name))
		_, err := m.files.stat(file)
		switch {
		case err == nil:
			continue
		case !errors.Is(err, fs.ErrNotExist):
			return fileError(file, err)
		case len(missing) == maxListed:
			more++
			continue
		}
		msg := text.Quote(path.Join(s.folder, name))
		if there, _ := present(file); there {
			msg += " (a link to nothing)"
		}
		missing = append(missing, msg)
	}
	n := len(missing) + more
	if n == 0 {
		return nil
	}
	e := &FormatError{Path: m.Path, Hint: m.downloadHint(),
		Msg: fmt.Sprintf("is incomplete: %d of %s %s not there: %s%s", n, text.Count(len(w.files), "weight file"), text.Verb(n, "is", "are"), text.Some(missing, n), m.unfinished())}
	if w.index == nil {
		return e
	}
	var others []string
	single := ""
	for _, name := range s.left(w) {
		of, _ := parseWeightName(w.name)
		switch n, _ := parseWeightName(name); {
		case n.shard && n.ext == of.ext:
			others = append(others, name)
		case name == strings.TrimSuffix(w.name, ".index.json"):
			single = name
		}
	}
	switch {
	case len(others) > 0:
		e.Msg += fmt.Sprintf("; shards of another set are: %s", nameList(others))
		e.Hint = fmt.Sprintf("%s is the index of other shards than these: get the index that belongs to them", path.Join(s.folder, w.name))
	case single != "":
		e.Hint += fmt.Sprintf("; or name %s to merge that file alone", filepath.Join(s.dir, single))
	}
	return e
}

// maxListed is the largest number of missing files that a message names.
const maxListed = 4

// unfinished says how many downloads were broken off beside the model, to go
// on a sentence; "" if none was.
func (m *Model) unfinished() string { return unfinishedIn(downloads(m.Dir)) }

// downloads returns the folders in which the Hub's tools keep what is not yet
// complete, for a model folder: in the cache, or below a folder of one's own.
func downloads(dir string) []string {
	return []string{
		filepath.Join(dir, "..", "..", "blobs"),
		filepath.Join(dir, ".cache", "huggingface", "download"),
	}
}

func unfinishedIn(folders []string) string {
	n, bytes := 0, int64(0)
	for _, folder := range folders {
		names, _ := filepath.Glob(filepath.Join(escapeGlob(folder), "*.incomplete"))
		for _, name := range names {
			if st, err := os.Stat(name); err == nil && st.Mode().IsRegular() {
				n++
				bytes += st.Size()
			}
		}
	}
	switch n {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("; a download is unfinished, at %d bytes", bytes)
	}
	return fmt.Sprintf("; %d downloads are unfinished, at %d bytes", n, bytes)
}

// downloadHint says how to get what is missing.
func (m *Model) downloadHint() string {
	if m.repo != "" {
		return download(m.repo, m.revision)
	}
	if abs, err := filepath.Abs(m.Dir); err == nil {
		home := filepath.Dir(filepath.Dir(abs))
		repo, cached := strings.CutPrefix(filepath.Base(home), "models--")
		if cached && filepath.Base(filepath.Dir(abs)) == "snapshots" {
			return download(strings.ReplaceAll(repo, "--", "/"), filepath.Base(abs))
		}
	}
	if st, err := os.Stat(filepath.Join(m.Dir, ".cache", "huggingface")); err == nil && st.IsDir() {
		return "finish the download: hf download ORG/NAME --local-dir " + m.Dir
	}
	return "the folder is incomplete: download it again"
}

// download returns the command that gets a model, or the rest of it.
func download(repo, revision string) string {
	if revision != "" && revision != "main" {
		return fmt.Sprintf("hf download %s --revision %s", repo, revision)
	}
	return "hf download " + repo
}
