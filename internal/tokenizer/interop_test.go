package tokenizer

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// job is what testdata/interop/check.py asks for.
type job struct {
	Parents []struct {
		Dir  string
		Rows int
	}
	Source string // base, union or a folder
	Tokens []Override
	PadTo  int
	Out    string
}

// TestInterop does the jobs of testdata/interop/check.py, which compares the
// results with those of mergekit and transformers.
func TestInterop(t *testing.T) {
	path := os.Getenv("SLERPMERGE_TOKENIZER_JOBS")
	if path == "" {
		t.Skip("for testdata/interop/check.py")
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var jobs []job
	if err := json.Unmarshal(raw, &jobs); err != nil {
		t.Fatal(err)
	}
	for _, j := range jobs {
		if err := j.run(); err != nil {
			report(t, j.Out, map[string]any{"Error": err.Error()})
		}
	}
}

func (j job) run() error {
	c := Config{Tokens: j.Tokens, PadTo: j.PadTo}
	from := j.Parents[0].Dir
	var vocabularies []map[string]int
	for _, p := range j.Parents {
		v, err := Read(folder(p.Dir))
		if err != nil {
			return err
		}
		vocabularies = append(vocabularies, table(v))
		c.Parents = append(c.Parents, Parent{Name: p.Dir, Vocabulary: v, Rows: p.Rows})
	}
	switch j.Source {
	case "base":
	case "union":
		c.Source = Union
	default:
		c.Source, from = Named, j.Source
		var err error
		if c.Named, err = Read(folder(from)); err != nil {
			return err
		}
	}
	o, err := Build(c)
	if err != nil {
		return err
	}
	if err := o.write(from, j.Out); err != nil {
		return err
	}
	raw, err := json.Marshal(map[string]any{"Parents": vocabularies, "Vocabulary": table(o.Vocabulary), "Size": o.Size(),
		"Rows": o.Rows, "Notes": o.Notes, "Added": o.Added})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(j.Out, "plan.json"), raw, 0o666)
}

func report(t *testing.T, dir string, v any) {
	raw, err := json.Marshal(v)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "plan.json"), raw, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// write copies the folder's files, edited where they must be.
func (o *Output) write(from, to string) error {
	files, err := o.Files(folder(from))
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), raw, 0o666)
		}
		if err != nil {
			return err
		}
	}
	for _, f := range files {
		r, err := f.Open(folder(from))
		if err != nil {
			return err
		}
		raw, err := io.ReadAll(r)
		r.Close()
		if err == nil {
			err = os.WriteFile(filepath.Join(to, f.Name), raw, 0o666)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func folder(dir string) Opener {
	return func(name string) (io.ReadCloser, error) { return os.Open(filepath.Join(dir, name)) }
}

func table(v *Vocabulary) map[string]int {
	t := map[string]int{}
	for id := range v.Size() {
		if token, ok := v.Token(id); ok {
			t[token] = id
		}
	}
	return t
}
