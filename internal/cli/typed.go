package cli

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"slerpmerge/internal/text"
)

// readPath takes a path as a shell would, but a name that is there as it was
// typed, blanks and all, is that one.
func readPath(text string) string {
	if _, err := os.Lstat(text); err != nil {
		home := strings.HasPrefix(text, "~") // not where it is quoted
		if text = unquote(text); home {
			text = expandHome(text)
		}
	}
	root := len(filepath.VolumeName(text)) + 1
	for len(text) > root && os.IsPathSeparator(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	if strings.HasPrefix(text, "-") { // on a command line it would be a flag
		text = "./" + text
	}
	return text
}

// expandHome puts the home folder in place of ~.
func expandHome(path string) string {
	if path == "~" || strings.HasPrefix(path, "~/") {
		if home, err := os.UserHomeDir(); err == nil {
			return home + path[1:]
		}
	}
	return path
}

// unquote removes a shell's quotes. A quote that never ends is a part of the
// name, except at the start, where its end was forgotten.
func unquote(text string) string {
	var b strings.Builder
	var quote byte
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case c == '\\' && runtime.GOOS != "windows" && i+1 < len(text) &&
			(quote == 0 || quote == '"' && strings.IndexByte("\\\"$`", text[i+1]) >= 0):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	switch {
	case quote == 0:
		return b.String()
	case text[0] == quote:
		return text[1:]
	}
	return text
}

// commandLine returns a call of merge for a shell to read.
func commandLine(args []string) string {
	line := text.ShellWord(os.Args[0]) + " merge"
	for _, a := range args {
		line += " " + text.ShellWord(a)
	}
	return line
}
