package report

import (
	"bufio"
	"encoding/json"
	"io"
)

// An object writes an object of JSON, with a line for each member of its lists.
type object struct {
	b      *bufio.Writer
	begun  bool
	failed error // of the encoding
}

func newObject(w io.Writer) *object { return &object{b: bufio.NewWriterSize(w, 64<<10)} }

func (o *object) key(key string) {
	begin := ",\n\""
	if !o.begun {
		begin = "{\""
	}
	o.begun = true
	o.b.WriteString(begin + key + "\":")
}

func (o *object) put(v any) {
	text, err := json.Marshal(v)
	if err != nil && o.failed == nil {
		o.failed = err
	}
	o.b.Write(text)
}

// member writes one member.
func (o *object) member(key string, v any) {
	o.key(key)
	o.put(v)
}

// list writes a member that is an array, of what add is called with.
func (o *object) list(key string, each func(add func(v any))) {
	o.key(key)
	o.b.WriteString("[")
	sep := "\n"
	each(func(v any) {
		o.b.WriteString(sep)
		o.put(v)
		sep = ",\n"
	})
	o.b.WriteString("]")
}

// end writes the end of the object. The error is the first one of all.
func (o *object) end() error {
	o.b.WriteString("}\n")
	if err := o.b.Flush(); err != nil {
		return err
	}
	return o.failed
}
