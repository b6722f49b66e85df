package model

import (
	"path/filepath"
	"regexp"
)

// cacheName finds ORG, NAME and the commit in a path of the Hugging Face cache (docs/formats.md 4.2).
var cacheName = regexp.MustCompile(`(?:^|/)models--([\w.-]+?)--([\w.-]+)/snapshots/([\w.-]+)$`)

// Name returns the name of the model in messages: its Label, its name on the Hub
// where it lies in the Hugging Face cache, else the last part of its path.
func (m *Model) Name() string {
	if m.Label != "" {
		return m.Label
	}
	if repo, _ := m.Repo(); repo != "" {
		return repo
	}
	if abs, err := filepath.Abs(m.Path); err == nil {
		return filepath.Base(abs)
	}
	return filepath.Base(m.Path)
}

// Repo returns the model's name on the Hub, such as org/name, and the revision that
// was asked for, "" for main; both are "" where the model does not lie in the
// Hugging Face cache.
func (m *Model) Repo() (name, revision string) {
	if m.repo != "" {
		return m.repo, m.revision
	}
	if abs, err := filepath.Abs(m.Path); err == nil {
		if p := cacheName.FindStringSubmatch(filepath.ToSlash(abs)); p != nil {
			return p[1] + "/" + p[2], p[3]
		}
	}
	return "", ""
}
