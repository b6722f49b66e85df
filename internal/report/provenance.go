// Package report renders the results of a finished merge: the model card
// (README.md) and the record from which it can be checked (slerpmerge.json);
// and what a comparison found, as JSON, as CSV and, for merges too, as a page.
// Nothing here depends on the clock or the machine, except the fingerprint: it
// knows the parents by what the file system says of them.
package report

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/merge"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
)

// ProvenanceName is the file that records a merge.
const ProvenanceName = "slerpmerge.json"

// schema counts up when a reader of the old form would misunderstand the new
// one: always when a new member of "recipe" decides bytes.
const schema = 1

// flagSchema is that of a merge by flags of another method than SLERP, or with a seed.
const flagSchema = 2

// provenance is the content of slerpmerge.json, except for the members
// "tensors" and "sha256", which are the last ones.
type provenance struct {
	Schema  int            `json:"schema"`
	Tool    string         `json:"tool"`
	Version string         `json:"version"`
	Finger  string         `json:"fingerprint,omitempty"`
	Recipe  provRecipe     `json:"recipe"`
	Parents []provParent   `json:"parents"`
	Output  provOutput     `json:"output"`
	Counts  map[string]int `json:"branches"`
	Warn    []string       `json:"warnings"`
}

type provRecipe struct {
	Method    string     `json:"merge_method"` // "convert", or that of flags or of the document
	T         []provRule `json:"t,omitempty"`  // of two models
	DType     string     `json:"dtype"`
	ShardSize int64      `json:"shard_size"`
	Vocab     string     `json:"vocab,omitempty"`
	Missing   string     `json:"missing,omitempty"`
	NonFinite string     `json:"nonfinite,omitempty"`
	Tokenizer string     `json:"tokenizer,omitempty"`
	// Extrapolate allowed T outside 0 to 1.
	Extrapolate bool   `json:"extrapolate,omitempty"`
	Document    string `json:"document,omitempty"`      // the recipe file
	Name        string `json:"document_name,omitempty"` // without its folder

	// Of another method than SLERP by flags, and of a seed: flagSchema.
	Base       *int            `json:"base,omitempty"` // the base's place among the models that were listed, from 1; 0 if it was not listed
	Parameters []provParameter `json:"parameters,omitempty"`
	Seed       uint64          `json:"seed,omitempty"`
	// In place of what the document says: flagSchema.
	Overrides []provParameter `json:"overrides,omitempty"`
}

// provParameter is the value of a parameter, of one model or of all.
type provParameter struct {
	Name  string     `json:"name"`
	Model int        `json:"model,omitempty"` // its place among those that were listed, from 1
	Rules []provRule `json:"rules"`
}

// provRule is one rule of t: the values for tensors whose names contain the
// filter, spread over the layers.
type provRule struct {
	Filter string    `json:"filter,omitempty"`
	Values []float64 `json:"values"`
}

type provParent struct {
	Role   string     `json:"role"`
	Path   string     `json:"path"`
	Format string     `json:"format"`
	Entry  string     `json:"entry,omitempty"`         // of a PyTorch checkpoint, that was asked for
	Config string     `json:"config_sha256,omitempty"` // of config.json
	Files  []provFile `json:"files"`
}

// provFile is a weight file of a parent. Header is the SHA-256 of the table in
// it (model.File.Table).
type provFile struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	Header string `json:"header_sha256,omitempty"`
}

// provOutput names the weight files and the files copied beside them.
type provOutput struct {
	Format     string       `json:"format"`
	Files      []outputFile `json:"files"`
	Companions []string     `json:"companions"`
	// Others are all files but the weights: config.json, the index, companions.
	Others []outputFile `json:"others,omitempty"`
	// About are the names of those about the merge, which can't be recorded here.
	About []string `json:"about,omitempty"`
	// Sums is the SHA-256 of SHA256SUMS without the line of this record.
	Sums string `json:"sums_sha256,omitempty"`
}

// outputFile is a file of the output. SHA256 is "" for a large one.
type outputFile struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256,omitempty"`
}

type provTensor struct {
	Name    string    `json:"name"`
	Branch  string    `json:"branch"`
	From    string    `json:"from,omitempty"`
	Shares  string    `json:"shares_with,omitempty"`
	Weights []float64 `json:"weights,omitempty"` // of the models in from
	Divisor float64   `json:"divisor,omitempty"`
	T       *float64  `json:"t,omitempty"`
	Cos     *float64  `json:"cos,omitempty"`
	Angle   *float64  `json:"angle_degrees,omitempty"`
	NormA   *float64  `json:"norm_primary,omitempty"`
	NormB   *float64  `json:"norm_secondary,omitempty"`
	// Of methods other than a slerp of two models: of each operand, base included
	// (the norms are then those of the differences from it); of each pair without
	// the base; of each operand; and what the method came to.
	Norms        []*float64   `json:"norms,omitempty"`
	Cosines      []*float64   `json:"cosines,omitempty"`
	Coefficients []*float64   `json:"coefficients,omitempty"`
	Figures      []provFigure `json:"figures,omitempty"`
	Overflow     int64        `json:"overflow,omitempty"`
	Underflow    int64        `json:"underflow,omitempty"`
	NonFinite    bool         `json:"nonfinite,omitempty"`
	Differs      bool         `json:"differs,omitempty"`
	Why          string       `json:"why,omitempty"`
}

// provFigure is a slerp.Figure.
type provFigure struct {
	Name  string   `json:"name"`
	Model string   `json:"model,omitempty"` // that it belongs to
	Value *float64 `json:"value"`
}

// Provenance writes slerpmerge.json: a line for each tensor, so that two of them
// can be compared with diff. At its end is the SHA-256 of all before.
func Provenance(w io.Writer, r *merge.Result, version string) error {
	p := r.Plan
	v := provenance{Tool: "slerpmerge", Version: version, Finger: r.Fingerprint, Recipe: provRecipeOf(p.Recipe),
		Output: provOutput{Format: string(p.Recipe.Format), Companions: []string{}}, Counts: map[string]int{}, Warn: append([]string{}, r.Warnings...)}
	v.Schema = schemaOf(v.Recipe, p.Recipe)
	for i, m := range p.Models {
		parent, err := provParentOf(m)
		if err != nil {
			return err
		}
		parent.Role = p.Recipe.Role(i)
		v.Parents = append(v.Parents, parent)
	}
	for _, f := range p.Layout.Files {
		v.Output.Files = append(v.Output.Files, outputFile{Name: f.Name, Bytes: f.Size})
	}
	for i, m := range r.Weights {
		v.Output.Files[i].SHA256 = hex.EncodeToString(m.SHA256)
	}
	for _, m := range r.Others {
		v.Output.Others = append(v.Output.Others, outputFile{m.Name, m.Bytes, hex.EncodeToString(m.SHA256)})
	}
	for _, name := range r.About {
		if name != ProvenanceName {
			v.Output.About = append(v.Output.About, name)
		}
	}
	if r.Sums != nil {
		v.Output.Sums = hex.EncodeToString(r.Sums)
	}
	for _, c := range p.Companions {
		v.Output.Companions = append(v.Output.Companions, c.Name)
	}
	for b, n := range r.Outcomes() {
		v.Counts[string(b)] = n
	}
	head, err := json.MarshalIndent(&v, "", "  ")
	if err != nil {
		return err
	}
	sum := sha256.New()
	b := bufio.NewWriter(io.MultiWriter(w, sum))
	b.Write(bytes.TrimSuffix(head, []byte("\n}")))
	b.WriteString(",\n  \"tensors\": [")
	var line provTensor
	var text bytes.Buffer // that serves all lines
	enc := json.NewEncoder(&text)
	for i := range p.Tensors {
		line = provLine(p, i, &r.Tensors[i])
		text.Reset()
		if err := enc.Encode(&line); err != nil {
			return err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n    ")
		b.Write(bytes.TrimSuffix(text.Bytes(), []byte("\n")))
	}
	b.WriteString("\n  ]")
	if err := b.Flush(); err != nil { // the first of all
		return err
	}
	_, err = io.WriteString(w, seal(sum.Sum(nil)))
	return err
}

// seal is the end of a record: the SHA-256 of all before it.
func seal(sum []byte) string { return fmt.Sprintf(",\n  \"sha256\": \"%x\"\n}\n", sum) }

// provRecipeOf writes down all that decides the bytes. Record.Recipe reads it.
func provRecipeOf(r *recipe.Recipe) provRecipe {
	v := provRecipe{Method: string(r.Method), DType: r.OutputType().String(), ShardSize: r.ShardSize}
	if r.Method == recipe.Convert {
		return v
	}
	v.Vocab, v.Missing, v.NonFinite, v.Tokenizer = string(r.Vocab), string(r.Missing), string(r.NonFinite), string(r.Tokenizer)
	v.Seed = r.Seed
	if r.FromFile() {
		v.Document, v.Name = string(r.Source), filepath.Base(r.Name)
		for _, g := range r.Overrides {
			v.Overrides = append(v.Overrides, provParameter{Name: g.Name, Rules: provRules(g.Setting)})
		}
		return v
	}
	v.Extrapolate = r.Extrapolate
	if r.IsPair() {
		v.T = provRules(r.Setting("t"))
		return v
	}
	if _, place := r.Listed(); r.Base != nil {
		v.Base = &place
	}
	for _, g := range r.Given() {
		v.Parameters = append(v.Parameters, provParameter{g.Name, g.Place, provRules(g.Setting)})
	}
	return v
}

// provRules records a setting.
func provRules(s recipe.Setting) (rules []provRule) {
	for _, rule := range s {
		// JSON holds no other text than UTF-8, and no tensor has another name.
		if utf8.ValidString(rule.Filter) {
			rules = append(rules, provRule{rule.Filter, rule.Values})
		}
	}
	return rules
}

// schemaOf returns the schema that a recipe needs.
func schemaOf(v provRecipe, r *recipe.Recipe) int {
	if v.Seed != 0 || v.Overrides != nil || !r.FromFile() && !r.IsPair() && r.Method != recipe.Convert {
		return flagSchema
	}
	return schema
}

// provParentOf records the identity of a parent.
func provParentOf(m *model.Model) (provParent, error) {
	v := provParent{Path: m.Path, Format: m.Format, Entry: m.Entry}
	if m.Config != nil {
		sum := sha256.Sum256(m.Config.Bytes())
		v.Config = hex.EncodeToString(sum[:])
	}
	for i := range m.Files {
		f := &m.Files[i]
		sum, err := headerHash(f)
		if err != nil {
			return v, err
		}
		v.Files = append(v.Files, provFile{f.Name, f.Bytes, sum})
	}
	return v, nil
}

func provLine(p *plan.Plan, i int, r *engine.TensorResult) provTensor {
	t := &p.Tensors[i]
	line := provTensor{Name: t.Name, Branch: string(r.Outcome), Why: t.Why,
		Overflow: r.Overflow, Underflow: r.Underflow, NonFinite: r.NonFinite, Differs: r.Differs}
	if t.Mixed {
		line.T = number(t.T)
	}
	if r.Measured {
		line.Cos, line.Angle = number(r.Cos), number(r.Theta*180/math.Pi)
		line.NormA, line.NormB = number(r.NormA), number(r.NormB)
	}
	if d := r.Detail; d != nil {
		line.Norms, line.Cosines, line.Coefficients = numbers(d.Norms), numbers(d.Cosines), numbers(d.Weights)
		for _, f := range d.Figures {
			own := provFigure{Name: f.Name, Value: number(f.Value)}
			if f.Of >= 0 {
				own.Model = t.Operands[f.Of].Model.Name()
			}
			line.Figures = append(line.Figures, own)
		}
		line.From = from(p, t)
	}
	if p.Storage != nil && p.Storage[i] != i {
		line.Shares = p.Tensors[p.Storage[i]].Name
	}
	if !t.Blends() {
		line.From = from(p, t)
	}
	if sum := t.Sum(); sum != nil {
		line.Weights, line.Divisor = sum.Weights, sum.Divisor
	}
	return line
}

// from names the parents that a tensor is copied or summed of.
func from(p *plan.Plan, t *plan.Tensor) string {
	var names []string
	for i, m := range p.Models {
		if !t.Uses(m) || t.Op.Needs() == method.Equality && t.Operands[0].Model != m {
			continue
		}
		if p.Recipe.IsPair() || p.Recipe.Method == recipe.Convert {
			names = append(names, p.Recipe.Role(i))
		} else {
			names = append(names, m.Name())
		}
	}
	return strings.Join(names, ", ")
}

// number returns a value for JSON, which has no NaN and no infinity.
func number(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

// numbers returns values for JSON.
func numbers(list []float64) (out []*float64) {
	for _, x := range list {
		out = append(out, number(x))
	}
	return out
}

// headerHash returns the SHA-256 of a weight file's table, "" where it has none.
func headerHash(f *model.File) (string, error) {
	table := f.ReadTable()
	if table.Size() == 0 {
		return "", nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, table); err != nil {
		return "", fmt.Errorf("reading the header of %s: %w", f.Path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
