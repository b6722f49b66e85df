package text

import (
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// shellSafe are words that every shell takes as they are.
var shellSafe = regexp.MustCompile(`^[A-Za-z0-9_@:,./+-]+$`)

// ShellWord writes a word as a shell reads it.
func ShellWord(word string) string {
	hidden := func(r rune) bool { return !unicode.IsPrint(r) || unicode.Is(unicode.Cf, r) }
	switch {
	case shellSafe.MatchString(word):
		return word
	case runtime.GOOS == "windows": // where no name has a quote
		return `"` + word + `"`
	case !utf8.ValidString(word) || strings.ContainsFunc(word, hidden): // as bash, zsh and ksh write what a terminal can't show
		quoted := strconv.QuoteToASCII(word)
		return "$'" + strings.ReplaceAll(quoted[1:len(quoted)-1], "'", `\'`) + "'"
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
