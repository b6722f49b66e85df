package report

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"slerpmerge/internal/disk"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/text"
)

// A Record has the content of slerpmerge.json: all that is needed to repeat a
// merge or conversion. The lines of the tensors are not held, nor the list of the
// parents' files: there can be thousands.
type Record struct {
	path string
	head provenance
}

// Limits on a record. They bound the memory that a hostile one can take.
const (
	maxHead = 8 << 20 // bytes of all but the tensors
	maxLine = 1 << 20 // bytes of one tensor
)

// OpenRecord reads the record in a folder, which makes sure that all of it, the
// lines of the tensors too, is well formed. Where none is or none that can be
// read, the error is a *model.UnusableError; a defect in it is a
// *model.FormatError.
func OpenRecord(dir string) (*Record, error) {
	rec := &Record{path: filepath.Join(dir, ProvenanceName)}
	switch st, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &model.UnusableError{Path: dir, Err: bare(err)}
	case err != nil:
		return nil, err
	case !st.IsDir():
		return nil, &model.UnusableError{Path: dir, Msg: "is not a folder"}
	}
	file, err := disk.OpenRegular(rec.path)
	if err != nil && !noRecord(err) {
		return nil, err
	}
	if err != nil {
		return nil, &model.UnusableError{Path: dir, Msg: fmt.Sprintf("has no %s that can be read, the record of how it was made: %v", ProvenanceName, bare(err)),
			Hint: "verify is for folders that merge and convert have made"}
	}
	defer file.Close()
	if rec.head, err = readRecord(file, nil, json.WithUnmarshalers(json.UnmarshalFromFunc(skipFiles))); err != nil {
		return nil, rec.refuse(err)
	}
	return rec, nil
}

// refuse makes the error of reading the record one of the file.
func (rec *Record) refuse(err error) error {
	var schema *schemaError
	var system *os.PathError
	switch {
	case errors.As(err, &schema):
		return &model.UnusableError{Path: rec.path, Msg: schema.Error(), Hint: "a newer slerpmerge can verify this folder"}
	case errors.As(err, &system):
		return err
	}
	return &model.FormatError{Path: rec.path, Err: err}
}

// noRecord reports whether an error of opening a record says that there is none,
// and not that it can't be read.
func noRecord(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.As(err, new(*disk.KindError)) || errors.As(err, new(*disk.DanglingError))
}

func bare(err error) error {
	var kind *disk.KindError
	if errors.As(err, &kind) {
		return errors.New("it is " + kind.Kind)
	}
	return disk.Bare(err)
}

// A schemaError says that a record is of another form than this program's.
type schemaError struct{ schema int }

func (e *schemaError) Error() string {
	return fmt.Sprintf("has schema %d, and only %d to %d can be read", e.schema, schema, flagSchema)
}

// An allowance reads no more bytes than it is allowed to.
type allowance struct {
	r    io.Reader
	left int
}

var errAllowance = errors.New("a part of it is too long")

func (a *allowance) Read(p []byte) (int, error) {
	if a.left == 0 {
		return 0, errAllowance
	}
	n, err := a.r.Read(p[:min(len(p), a.left)])
	a.left -= n
	return n, err
}

// readRecord reads a whole record: one JSON object, no name twice, "schema"
// first. Unknown members are skipped, except those of "recipe", which might
// decide bytes. line, if not nil, is given the tensors one by one. Options are
// those of reading "parents".
func readRecord(r io.Reader, line func(i int, t *provTensor) error, parents ...json.Options) (provenance, error) {
	in := &allowance{r, maxHead}
	d := jsontext.NewDecoder(in)
	var v provenance
	seen := map[string]bool{}
	if t, err := d.ReadToken(); err != nil {
		return v, err
	} else if t.Kind() != '{' {
		return v, errors.New("not a JSON object")
	}
	for d.PeekKind() == '"' {
		t, err := d.ReadToken()
		if err != nil {
			return v, err
		}
		name := t.String()
		if len(seen) == 0 && name != "schema" {
			return v, errors.New(`"schema" must come first`)
		}
		seen[name] = true
		if name == "tensors" {
			err = readLines(d, in, line)
		} else {
			err = v.member(d, name, parents...)
		}
		if err != nil {
			return v, fmt.Errorf("%s: %w", text.Quote(name), err)
		}
	}
	if _, err := d.ReadToken(); err != nil { // the closing brace
		return v, err
	}
	if _, err := d.ReadToken(); err == nil {
		return v, errors.New("something follows the JSON object")
	} else if err != io.EOF {
		return v, err
	}
	for _, name := range []string{"schema", "tool", "version", "recipe", "parents", "output", "tensors"} {
		if !seen[name] {
			return v, fmt.Errorf("%q is missing", name)
		}
	}
	return v, nil
}

// member reads one member of the object.
func (v *provenance) member(d *jsontext.Decoder, name string, parents ...json.Options) error {
	switch name {
	case "schema":
		if err := json.UnmarshalDecode(d, &v.Schema); err != nil {
			return err
		}
		if v.Schema < schema || v.Schema > flagSchema {
			return &schemaError{v.Schema}
		}
		return nil
	case "tool":
		return json.UnmarshalDecode(d, &v.Tool)
	case "version":
		return json.UnmarshalDecode(d, &v.Version)
	case "fingerprint":
		return json.UnmarshalDecode(d, &v.Finger)
	case "recipe":
		return json.UnmarshalDecode(d, &v.Recipe, json.RejectUnknownMembers(true))
	case "parents":
		return json.UnmarshalDecode(d, &v.Parents, parents...)
	case "output":
		return json.UnmarshalDecode(d, &v.Output)
	}
	return d.SkipValue()
}

// skipFiles passes over the files of parents.
func skipFiles(d *jsontext.Decoder, _ *[]provFile) error { return d.SkipValue() }

func readLines(d *jsontext.Decoder, in *allowance, line func(i int, t *provTensor) error) error {
	if t, err := d.ReadToken(); err != nil {
		return err
	} else if t.Kind() != '[' {
		return errors.New("not an array")
	}
	head := in.left
	for i := 0; d.PeekKind() != ']'; i++ {
		in.left = maxLine
		var t provTensor
		if err := json.UnmarshalDecode(d, &t); err != nil {
			return fmt.Errorf("tensor %d: %w", i, err)
		}
		if line != nil {
			if err := line(i, &t); err != nil {
				return err
			}
		}
	}
	in.left = head
	_, err := d.ReadToken()
	return err
}

// Version returns the version of the program that wrote the record.
func (rec *Record) Version() string { return rec.head.Version }

// Parents returns the paths of the parents, in the order of plan.New.
func (rec *Record) Parents() []string {
	var paths []string
	for _, p := range rec.head.Parents {
		paths = append(paths, p.Path)
	}
	return paths
}

// Entries returns the entries of PyTorch checkpoints that the parents are, where
// the merge was given.
func (rec *Record) Entries() (entries []recipe.Entry) {
	for i, p := range rec.head.Parents {
		if p.Entry != "" {
			entries = append(entries, recipe.Entry{Model: i + 1, Key: p.Entry})
		}
	}
	return entries
}

// Companions returns the files that were copied with the weights, except
// config.json; nil if the record does not say.
func (rec *Record) Companions() []string { return rec.head.Output.Companions }

// Recipe returns the recipe of the merge. One that is not possible is a
// *model.FormatError.
func (rec *Record) Recipe() (recipe.Recipe, error) {
	r, err := rec.head.recipe()
	if err != nil {
		return r, &model.FormatError{Path: rec.path, Err: fmt.Errorf("recipe: %w", err)}
	}
	return r, nil
}

func (v *provenance) recipe() (r recipe.Recipe, err error) {
	p := &v.Recipe
	t, err := settingOf("t", p.T)
	if err != nil {
		return r, err
	}
	paths := make([]string, max(2, len(v.Parents)))
	for i := range v.Parents {
		paths[i] = v.Parents[i].Path
	}
	byFlags := p.Base != nil || p.Parameters != nil
	switch {
	case v.Schema < flagSchema && (byFlags || p.Overrides != nil || p.Seed != 0):
		return r, fmt.Errorf("schema %d has no seed, and no parameters of methods", v.Schema)
	case recipe.Method(p.Method) == recipe.Convert:
		if p.T != nil || byFlags || p.Seed != 0 || p.Document != "" || p.Missing != "" || p.NonFinite != "" || p.Tokenizer != "" || p.Vocab != "" {
			return r, errors.New("a conversion has no t, no document and no policies")
		}
		r = recipe.Conversion(paths[0])
	case !v.policies():
		return r, errors.New("its policies are not known")
	case p.Document != "":
		file, err := recipe.Parse(p.Name, []byte(p.Document), method.All())
		if err != nil {
			return r, fmt.Errorf("document: %v", err) // which is not the user's to correct
		}
		if recipe.Method(p.Method) != file.Method || p.T != nil || byFlags {
			return r, errors.New("merge_method and parameters belong in the document, not beside it")
		}
		r = *file
		var overrides []recipe.Given
		for _, x := range p.Overrides {
			s, err := settingOf(x.Name, x.Rules)
			if err != nil {
				return r, err
			}
			overrides = append(overrides, recipe.Given{Name: x.Name, Setting: s})
		}
		if err := r.WithOverrides(overrides); err != nil {
			return r, err
		}
	case recipe.Method(p.Method) != method.SlerpMethod{}.Name():
		if r, err = p.line(paths[:len(v.Parents)]); err != nil {
			return r, err
		}
	case len(t) == 0 || byFlags:
		return r, fmt.Errorf("no document, and no t for method %s", text.Quote(p.Method))
	default:
		r = recipe.Pair(method.SlerpMethod{}, paths[0], paths[1], t)
	}
	r.Seed = p.Seed
	if n := len(r.Models()); len(v.Parents) != n {
		return r, fmt.Errorf("it has %d parents, the record %d", n, len(v.Parents))
	}
	r.Format, r.ShardSize, r.Extrapolate = recipe.Format(v.Output.Format), p.ShardSize, p.Extrapolate
	r.Missing, r.NonFinite = recipe.Missing(p.Missing), recipe.NonFinite(p.NonFinite)
	r.Tokenizer, r.Vocab = recipe.Tokenizer(p.Tokenizer), recipe.Vocab(p.Vocab)
	if r.DType, err = dtype(p.DType); err != nil {
		return r, err
	}
	if !slices.Contains([]recipe.Format{recipe.Safetensors, recipe.Bin}, r.Format) {
		return r, fmt.Errorf("no format %s is known", text.Quote(v.Output.Format))
	}
	r.Entries = (&Record{head: *v}).Entries()
	return r, r.Validate()
}

// settingOf reads the rules of a parameter.
func settingOf(name string, rules []provRule) (s recipe.Setting, err error) {
	for _, rule := range rules {
		if len(rule.Values) == 0 {
			return nil, fmt.Errorf("a rule of %s without values", text.Quote(name))
		}
		s = append(s, recipe.Rule{Filter: rule.Filter, Values: rule.Values})
	}
	return s, nil
}

// line makes the recipe of flags of a method. parents are the models, the base first.
func (p *provRecipe) line(parents []string) (r recipe.Recipe, err error) {
	l := recipe.Line{Methods: method.All(), Models: parents, Seed: p.Seed}
	for _, m := range l.Methods {
		if string(m.Name()) == p.Method {
			l.Rules = m
		}
	}
	switch {
	case l.Rules == nil:
		return r, fmt.Errorf("no method %s is known", text.Quote(p.Method))
	case p.T != nil:
		return r, fmt.Errorf("t belongs among the parameters of method %s", p.Method)
	case p.Base != nil && (len(parents) == 0 || *p.Base < 0 || *p.Base > len(parents)):
		return r, errors.New("no parent can be the base")
	case p.Base != nil:
		l.Base, l.Models = parents[0], slices.Clone(parents[1:])
		if *p.Base > 0 {
			l.Models = slices.Insert(l.Models, *p.Base-1, l.Base)
		}
	}
	var given []recipe.Given
	for _, x := range p.Parameters {
		s, err := settingOf(x.Name, x.Rules)
		if err != nil {
			return r, err
		}
		if len(s) > 0 { // else all of its filters were no text
			given = append(given, recipe.Given{Name: x.Name, Place: x.Model, Setting: s})
		}
	}
	return l.With(given)
}

// policies reports whether those of a merge are all known.
func (v *provenance) policies() bool {
	p := &v.Recipe
	return slices.Contains([]recipe.Missing{recipe.MissingError, recipe.MissingCopy, recipe.MissingZero}, recipe.Missing(p.Missing)) &&
		slices.Contains([]recipe.NonFinite{recipe.NonFiniteError, recipe.NonFiniteWarn}, recipe.NonFinite(p.NonFinite)) &&
		slices.Contains([]recipe.Tokenizer{recipe.TokenizerPrimary, recipe.TokenizerSecondary, recipe.TokenizerNone, recipe.TokenizerSeed}, recipe.Tokenizer(p.Tokenizer)) &&
		slices.Contains([]recipe.Vocab{recipe.VocabError, recipe.VocabBase, recipe.VocabExtend, recipe.VocabTruncate, recipe.VocabZero, recipe.VocabMean,
			recipe.VocabGradient}, recipe.Vocab(p.Vocab))
}

// dtype reads what recipe.DType.String wrote.
func dtype(name string) (recipe.DType, error) {
	for _, d := range []recipe.DType{{Auto: true}, {To: tensor.F32}, {To: tensor.F16}, {To: tensor.BF16}, {To: tensor.F64}} {
		if d.String() == name {
			return d, nil
		}
	}
	return recipe.DType{}, fmt.Errorf("no element type %s is known", text.Quote(name))
}
