package model

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// SetAll replaces the value of every member of that name that exists, at the
// top and in the objects below it, and reports whether there was one. value is JSON text.
func (c *Config) SetAll(name, value string) bool {
	found := false
	for i := len(c.fields) - 1; i >= 0; i-- { // backwards: offsets before stay true
		if f := c.fields[i]; f.name == name && f.kind != '{' && f.kind != '[' {
			c.raw = splice(c.raw, f.valStart, f.valEnd, value)
			found = true
		}
	}
	c.rescan()
	return found
}

// Set gives a member at the top level a value, adding it at the end when it is
// absent. value is JSON text.
func (c *Config) Set(name, value string) {
	if f := c.find("", name); f != nil {
		c.raw = splice(c.raw, f.valStart, f.valEnd, value)
		c.rescan()
		return
	}
	quoted, err := jsontext.AppendQuote(nil, name)
	if err != nil {
		panic("model: internal error: member name is not text")
	}
	end := bytes.LastIndexByte(c.raw, '}')
	member := string(quoted) + ": " + value
	if last := c.lastTop(); last != nil {
		space := strings.TrimPrefix(string(c.raw[c.leadStart(last):c.nameStart(last)]), ",")
		c.raw = splice(c.raw, last.valEnd, last.valEnd, ","+space+member)
	} else {
		c.raw = splice(c.raw, end, end, member)
	}
	c.rescan()
}

// setIn gives a member of the object sub a value, adding it at the beginning
// when it is absent, and does nothing where there is no such object. value is
// JSON text.
func (c *Config) setIn(sub, name, value string) {
	if f := c.find(sub, name); f != nil {
		c.raw = splice(c.raw, f.valStart, f.valEnd, value)
		c.rescan()
		return
	}
	f := c.find("", sub)
	if f == nil || f.kind != '{' {
		return
	}
	inside := c.raw[f.valStart+1 : f.valEnd-1]
	rest := bytes.TrimLeft(inside, " \t\r\n")
	member := string(inside[:len(inside)-len(rest)]) + strconv.Quote(name) + ": " + value
	if len(rest) > 0 {
		member += ","
	}
	c.raw = splice(c.raw, f.valStart+1, f.valStart+1, member)
	c.rescan()
}

// Remove drops a member of the top level together with one comma.
func (c *Config) Remove(name string) bool {
	f := c.find("", name)
	if f == nil {
		return false
	}
	start, end := c.leadStart(f), f.valEnd
	if c.raw[start] != ',' { // the first member: take the comma behind it
		rest := c.raw[end:]
		n := bytes.IndexFunc(rest, func(r rune) bool { return r != ' ' && r != '\t' && r != '\r' && r != '\n' })
		if n >= 0 && rest[n] == ',' {
			end += n + 1
		}
	}
	c.raw = splice(c.raw, start, end, "")
	c.rescan()
	return true
}

// rescan follows an edit. Edits add no name twice, and the set of names of a large
// object takes more memory than its text.
func (c *Config) rescan() {
	if err := c.scan(jsontext.AllowDuplicateNames(true)); err != nil {
		panic("model: internal error: an edit broke config.json: " + err.Error())
	}
}

func (c *Config) lastTop() *field {
	for i := len(c.fields) - 1; i >= 0; i-- {
		if c.fields[i].sub == "" {
			return &c.fields[i]
		}
	}
	return nil
}

// nameStart returns the offset of the quote that opens the member's name.
func (c *Config) nameStart(f *field) int {
	return f.start + bytes.IndexByte(c.raw[f.start:], '"')
}

// leadStart returns the offset of the comma and white space before a member.
func (c *Config) leadStart(f *field) int {
	i := f.start
	if c.raw[i] == ',' {
		return i
	}
	if n := bytes.IndexByte(c.raw[i:c.nameStart(f)], ','); n >= 0 {
		return i + n
	}
	return i
}

func splice(b []byte, from, to int, s string) []byte {
	out := make([]byte, 0, len(b)-(to-from)+len(s))
	out = append(out, b[:from]...)
	out = append(out, s...)
	return append(out, b[to:]...)
}
