package cli

import (
	"regexp"
	"testing"
)

// A panic is described in one line that names the function that panicked.
func TestCrash(t *testing.T) {
	var none []int
	for name, c := range map[string]struct {
		f    func()
		want string
	}{
		"panic":   {func() { panic("boom") }, `^internal error, please report it: boom \(slerpmerge/internal/cli\.TestCrash\.func1, line \d+\)$`},
		"runtime": {func() { none[len(none)]++ }, `^internal error, please report it: runtime error: index out of range .* \(slerpmerge/internal/cli\.TestCrash\.func2, line \d+\)$`},
	} {
		var got string
		func() {
			defer func() { got = crash(recover()) }()
			c.f()
		}()
		if !regexp.MustCompile(c.want).MatchString(got) {
			t.Errorf("%s: %q does not match %s", name, got, c.want)
		}
	}
}
