package report

import (
	"encoding/json"
	"errors"
	"io"
)

// A Record is what slerpmerge.json says of the output as a whole.
type Record struct {
	Version     string
	Fingerprint string // of what the bytes depend on; "" in records of early versions
	Files       []RecordFile
}

// A RecordFile is a weight file of the output.
type RecordFile struct {
	Name  string
	Bytes int64
}

// maxHead bounds what stands before the lines of the tensors.
const maxHead = 16 << 20

// ReadRecord reads the part of slerpmerge.json before the lines of the tensors,
// which may be many.
func ReadRecord(r io.Reader) (*Record, error) {
	d := json.NewDecoder(io.LimitReader(r, maxHead))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.Join(errors.New("not a record of a merge"), err)
	}
	var rec Record
	var tool string
	var out provOutput
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		var to any = new(json.RawMessage)
		switch key {
		case "tool":
			to = &tool
		case "version":
			to = &rec.Version
		case "fingerprint":
			to = &rec.Fingerprint
		case "output":
			to = &out
		}
		if key == "tensors" {
			break
		}
		if err := d.Decode(to); err != nil {
			return nil, err
		}
	}
	if tool != "slerpmerge" || len(out.Files) == 0 {
		return nil, errors.New("not a record of a merge")
	}
	for _, f := range out.Files {
		rec.Files = append(rec.Files, RecordFile(f))
	}
	return &rec, nil
}
