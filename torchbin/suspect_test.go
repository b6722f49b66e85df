package torchbin

import (
	"errors"
	"strings"
	"testing"
)

// A refusal names the code that a pickle would run, whatever else is wrong with it.
func TestSuspect(t *testing.T) {
	short := func(s string) string { return "\x8c" + string(rune(len(s))) + s }
	const proto4 = "\x80\x04"
	stack := proto4 + short("posix") + "\x94" + short("system") + "\x94\x93\x94" + short("id") + "\x94\x85\x94R\x94."
	for _, c := range []struct {
		name, pickle, word string
		code               bool
	}{
		{"stack global", stack, `at byte 19 it names "posix.system"`, true},
		{"framed", proto4 + "\x95\x30\x00\x00\x00\x00\x00\x00\x00" + stack[2:], `at byte 28 it names "posix.system"`, true},
		{"through the memo", proto4 + short("posix") + "\x94" + short("system") + "\x94" + "NN00h\x00h\x01\x93.", `"posix.system"`, true},
		{"put together", proto4 + short("posix") + short("system") + "N0\x93.", "puts together", true},
		{"protocol 4 with GLOBAL", proto4 + "cos\nsystem\n.", `"os.system"`, true},
		{"after another refusal", "\x80\x02N0cos\nsystem\n.", `"os.system"`, true},
		{"in texts of protocol 0", "I1\ncos\nsystem\n(S'id'\ntR.", `"os.system"`, true},
		{"INST behind a refusal", "\x80\x02N0(ios\nsystem\n.", `"os.system"`, true},
		{"none", proto4 + short("collections") + "\x94" + short("OrderedDict") + "\x94\x93)R.", "protocol 4", false},
		{"no more than a text", proto4 + short("posix") + short("system") + "\x86.", "protocol 4", false},
		{"endless text", proto4 + "\x8d\xff\xff\xff\xff\xff\xff\xff\x7f", "protocol 4", false},
		{"cut", stack[:12], "protocol 4", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string][]byte{"zip": zipFile(ending{}, records(c.pickle)...)}
			if c.pickle[0] == 0x80 {
				files["bare"] = []byte(c.pickle)
			}
			for kind, file := range files {
				_, _, err := open(t, file)
				var e *FormatError
				if !errors.As(err, &e) || e.Code != c.code || !strings.Contains(e.Reason, c.word) && c.code {
					t.Errorf("%s: got %v", kind, err)
				}
			}
		})
	}
	// In a legacy stream of protocol 4 it is the fourth pickle.
	_, _, err := open(t, []byte(proto4+"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."+proto4+"M\xe9\x03."+proto4+"}."+stack))
	if err == nil || !strings.Contains(err.Error(), `it names "posix.system"`) {
		t.Errorf("legacy: got %v", err)
	}
}
