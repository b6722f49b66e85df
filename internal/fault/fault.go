// Package fault has the data of errors beside their text: the class of the
// error, on which an exit code depends, hints for the user, and the flag that
// the error is about.
package fault

import (
	"errors"
	"strings"

	"slerpmerge/internal/text"
)

// A Class is the meaning of an error for the caller of a command.
type Class int

// The classes. The zero value is that of errors without a class of their own.
const (
	Failed  Class = iota
	Request       // the request can't be carried out, or can't be understood
	Space         // there is too little disk space or memory
	Corrupt       // an input is corrupt
	Changed       // an input has changed, or a result is not what it should be
	Exists        // the output exists, or another process works on it
	Stopped       // by a signal or a time budget
	Interrupted
)

// ClassOf returns the class of the outermost error of a chain that has one.
func ClassOf(err error) (Class, bool) {
	var c interface{ Class() Class }
	if !errors.As(err, &c) {
		return Failed, false
	}
	return c.Class(), true
}

// A Hint proposes something to do about an error.
type Hint struct {
	Text  string // with a %s for each of the flags
	Flags []Flag
}

// A Flag is a flag that a hint is about. Value is "" for one that takes none.
type Flag struct{ Name, Value string }

// String returns the flag as a command line takes it.
func (f Flag) String() string {
	if f.Value == "" {
		return "--" + f.Name
	}
	return "--" + f.Name + " " + text.ShellWord(f.Value)
}

// Suggest returns a hint about flags.
func Suggest(hint string, flags ...Flag) []Hint { return []Hint{{hint, flags}} }

// Advise returns a hint without flags; none for an empty text.
func Advise(hint string) []Hint {
	if hint == "" {
		return nil
	}
	return []Hint{{Text: hint}}
}

// String returns the hint with its flags as a command line takes them.
func (h Hint) String() string { return h.Format(Flag.String) }

// Format returns the text of the hint with its flags in another form.
func (h Hint) Format(form func(Flag) string) string {
	rest := h.Text
	var b strings.Builder
	for _, f := range h.Flags {
		before, after, _ := strings.Cut(rest, "%s")
		b.WriteString(before + form(f))
		rest = after
	}
	return b.String() + rest
}

// HintsOf returns the hints of the outermost error of a chain that has any.
func HintsOf(err error) []Hint {
	var h interface{ Hints() []Hint }
	if !errors.As(err, &h) {
		return nil
	}
	return h.Hints()
}

// A FlagError is an error about the value of a flag.
type FlagError struct {
	Name string // of the flag, in full
	Err  error
}

func (e *FlagError) Error() string { return e.Err.Error() }
func (e *FlagError) Unwrap() error { return e.Err }

// Flag returns the name of the flag.
func (e *FlagError) Flag() string { return e.Name }

// FlagOf returns the name of the flag that an error is about, "" for none.
func FlagOf(err error) string {
	var f interface{ Flag() string }
	if !errors.As(err, &f) {
		return ""
	}
	return f.Flag()
}
