package cli

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slerpmerge/writer"
)

// offered gives the options to the arrow keys, as a shell gives its history.
type offered struct{ s *session }

func (o offered) Len() int        { return len(o.s.options) }
func (o offered) At(i int) string { return o.s.options[i] }
func (o offered) Add(string)      {}

// maxListed keeps the answer to Tab on one screen.
const maxListed = 60

// tab completes what was typed as far as it is certain, and then lists what it
// can become.
func (s *session) tab(line string, pos int, key rune) (string, int, bool) {
	if key != '\t' || s.matches == nil || pos != len(line) {
		return "", 0, false
	}
	head, names := s.matches(line)
	if len(names) == 0 {
		return "", 0, false
	}
	full := head + commonPrefix(names)
	if full == line && len(names) > 1 {
		text := strings.Join(names[:min(len(names), maxListed)], "  ")
		if more := len(names) - maxListed; more > 0 {
			text += fmt.Sprintf("  and %d more", more)
		}
		fmt.Fprintln(s.editor, text)
	}
	return full, len(full), true
}

func commonPrefix(names []string) string {
	prefix := names[0]
	for _, n := range names[1:] {
		for !strings.HasPrefix(n, prefix) {
			r := []rune(prefix)
			prefix = string(r[:len(r)-1])
		}
	}
	return prefix
}

func (s *session) optionMatches(line string) (head string, names []string) {
	for _, o := range s.options {
		if strings.HasPrefix(o, line) {
			names = append(names, o)
		}
	}
	return "", names
}

// pathMatcher completes folders, and weight files if they are wanted too.
func pathMatcher(files bool) matcher {
	return func(line string) (head string, names []string) {
		var quote string
		typed := strings.ReplaceAll(line, `\ `, " ") // completed without: a blank needs no escape here
		if line != "" && strings.Contains(`'"`, line[:1]) {
			quote, typed = line[:1], line[1:]
		}
		dir, base := filepath.Split(typed)
		folder := cmp.Or(dir, ".")
		if quote == "" {
			folder = expandHome(folder)
		}
		entries, _ := os.ReadDir(folder)
		for _, e := range entries {
			name := e.Name()
			if !strings.HasPrefix(name, base) || base == "" && name[0] == '.' || clean(name) != name {
				continue
			}
			st, err := os.Stat(filepath.Join(folder, name)) // through links
			switch {
			case err != nil:
			case st.IsDir():
				names = append(names, name+"/")
			case files && writer.IsWeightFile(name):
				names = append(names, name)
			}
		}
		return quote + dir, names
	}
}

// modelsIn finds the model folders in a folder.
func modelsIn(dir string) []string {
	var models []string
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.Type().IsRegular() || e.Name()[0] == '.' || clean(path) != path {
			continue
		}
		inside, _ := os.ReadDir(path)
		if slices.ContainsFunc(inside, func(f os.DirEntry) bool { return writer.IsWeightFile(f.Name()) }) {
			models = append(models, path)
		}
	}
	return models
}
