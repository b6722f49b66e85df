// Package report renders what a finished merge has to say for itself: the
// model card (README.md) and the record from which it can be checked
// (slerpmerge.json); and what a comparison found, as JSON, as CSV and, for
// merges too, as a page. Nothing here depends on the clock or the machine.
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
	"os"
	"slices"
	"strings"

	"slerpmerge/internal/merge"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
)

// ProvenanceName is the file that records a merge.
const ProvenanceName = "slerpmerge.json"

// role says what Plan.Models[i] is to the merge.
func role(p *plan.Plan, i int) string {
	switch {
	case p.Recipe.Document == nil:
		return []string{"primary", "secondary"}[i]
	case i == 0 && p.Recipe.Document.Base != nil:
		return "base"
	}
	return "model"
}

// provenance is the content of slerpmerge.json. Schema counts up when a
// reader of the old form would misunderstand the new one.
type provenance struct {
	Schema  int            `json:"schema"`
	Tool    string         `json:"tool"`
	Version string         `json:"version"`
	Recipe  provRecipe     `json:"recipe"`
	Parents []provParent   `json:"parents"`
	Output  provOutput     `json:"output"`
	Counts  map[string]int `json:"branches"`
	Warn    []string       `json:"warnings"`
}

type provRecipe struct {
	Method    string     `json:"merge_method"` // "slerp" or "convert"
	T         []provRule `json:"t,omitempty"`
	DType     string     `json:"dtype"`
	ShardSize int64      `json:"shard_size"`
	Vocab     string     `json:"vocab,omitempty"`
	Missing   string     `json:"missing,omitempty"`
	NonFinite string     `json:"nonfinite,omitempty"`
	Tokenizer string     `json:"tokenizer,omitempty"`
	Document  string     `json:"document,omitempty"` // the recipe file
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
	Files  []provFile `json:"files"`
}

type provFile struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	Header string `json:"header_sha256,omitempty"`
}

type provOutput struct {
	Format string       `json:"format"`
	Files  []outputFile `json:"files"`
}

type outputFile struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

type provTensor struct {
	Name      string    `json:"name"`
	Branch    string    `json:"branch"`
	From      string    `json:"from,omitempty"`
	Shares    string    `json:"shares_with,omitempty"`
	Weights   []float64 `json:"weights,omitempty"` // of the models in from
	Divisor   float64   `json:"divisor,omitempty"`
	T         *float64  `json:"t,omitempty"`
	Cos       *float64  `json:"cos,omitempty"`
	Angle     *float64  `json:"angle_degrees,omitempty"`
	NormA     *float64  `json:"norm_primary,omitempty"`
	NormB     *float64  `json:"norm_secondary,omitempty"`
	Overflow  int64     `json:"overflow,omitempty"`
	Underflow int64     `json:"underflow,omitempty"`
	NonFinite bool      `json:"nonfinite,omitempty"`
	Differs   bool      `json:"differs,omitempty"`
	Why       string    `json:"why,omitempty"`
}

// Provenance writes slerpmerge.json: a line for each tensor, so that two of them
// can be compared with diff.
func Provenance(w io.Writer, r *merge.Result, version string) error {
	p := r.Plan
	v := provenance{Schema: 1, Tool: "slerpmerge", Version: version, Recipe: provRecipeOf(p.Recipe),
		Output: provOutput{Format: string(p.Recipe.Format)}, Counts: map[string]int{}, Warn: append([]string{}, r.Warnings...)}
	for i, m := range p.Models {
		parent := provParent{Role: role(p, i), Path: m.Path, Format: m.Format}
		for _, f := range m.Files {
			sum, err := headerHash(f)
			if err != nil {
				return err
			}
			parent.Files = append(parent.Files, provFile{f.Name, f.Bytes, sum})
		}
		v.Parents = append(v.Parents, parent)
	}
	for _, f := range p.Layout.Files {
		v.Output.Files = append(v.Output.Files, outputFile{f.Name, f.Size})
	}
	for b, n := range r.Branches() {
		v.Counts[string(b)] = n
	}
	head, err := json.MarshalIndent(&v, "", "  ")
	if err != nil {
		return err
	}
	b := bufio.NewWriter(w)
	b.Write(bytes.TrimSuffix(head, []byte("\n}")))
	b.WriteString(",\n  \"tensors\": [")
	for i := range p.Tensors {
		line, err := json.Marshal(provLine(p, i, &r.Tensors[i]))
		if err != nil {
			return err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n    ")
		b.Write(line)
	}
	b.WriteString("\n  ]\n}\n")
	return b.Flush() // with the first error of all
}

func provRecipeOf(r recipe.Recipe) provRecipe {
	v := provRecipe{Method: string(r.Method), DType: r.DType.String(), ShardSize: r.ShardSize}
	switch {
	case r.Document != nil:
		v.Document = string(r.Document.Source)
		v.Vocab, v.Missing, v.NonFinite, v.Tokenizer = string(r.Vocab), string(r.Missing), string(r.NonFinite), string(r.Tokenizer)
	case r.Method != recipe.Convert:
		for _, rule := range r.T {
			v.T = append(v.T, provRule{rule.Filter, rule.Values})
		}
		v.Vocab, v.Missing, v.NonFinite, v.Tokenizer = string(r.Vocab), string(r.Missing), string(r.NonFinite), string(r.Tokenizer)
	}
	return v
}

func provLine(p *plan.Plan, i int, r *merge.TensorResult) provTensor {
	t := &p.Tensors[i]
	line := provTensor{Name: t.Name, Branch: string(r.Branch), Why: t.Why,
		Overflow: r.Overflow, Underflow: r.Underflow, NonFinite: r.NonFinite, Differs: r.Differs}
	if t.Mixed {
		line.T = number(t.T)
	}
	if r.Measured {
		line.Cos, line.Angle = number(r.Cos), number(r.Theta*180/math.Pi)
		line.NormA, line.NormB = number(r.NormA), number(r.NormB)
	}
	if p.Storage != nil && p.Storage[i] != i {
		line.Shares = p.Tensors[p.Storage[i]].Name
	}
	if t.Action != plan.Slerp {
		line.From = from(p, t)
	}
	for _, term := range t.Terms {
		line.Weights, line.Divisor = append(line.Weights, term.Weight), t.Divisor
	}
	return line
}

// from names the parents that a tensor is copied or summed of.
func from(p *plan.Plan, t *plan.Tensor) string {
	var names []string
	for i, m := range p.Models {
		uses := t.A.Model == m || t.B.Model == m && t.A.None() || slices.ContainsFunc(t.Terms, func(x plan.Term) bool { return x.Model == m })
		if !uses {
			continue
		}
		if len(p.Models) <= 2 && p.Recipe.Document == nil {
			names = append(names, role(p, i))
		} else {
			names = append(names, m.Name())
		}
	}
	return strings.Join(names, ", ")
}

// number is a value for JSON, which has no NaN and no infinity.
func number(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

// headerHash is the SHA-256 of what stands before the tensors' values: names,
// types, shapes and offsets of a weight file.
func headerHash(f model.File) (string, error) {
	if f.HeaderLen == 0 { // a PyTorch checkpoint has its table in no one place
		return "", nil
	}
	file, err := os.Open(f.Path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	h := sha256.New()
	if n, err := io.Copy(h, io.LimitReader(file, f.HeaderLen)); err != nil || n != f.HeaderLen {
		return "", fmt.Errorf("reading the header of %s: %w", f.Path, errShort(err))
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func errShort(err error) error {
	if err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}
