// Package report renders what a finished merge has to say for itself: the
// model card (README.md) and the record from which it can be checked
// (slerpmerge.json). Nothing here depends on the clock or the machine.
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

	"slerpmerge/internal/merge"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
)

// ProvenanceName is the file that records a merge.
const ProvenanceName = "slerpmerge.json"

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
	Method    string  `json:"merge_method"`
	T         float64 `json:"t"`
	DType     string  `json:"dtype"`
	ShardSize int64   `json:"shard_size"`
	Missing   string  `json:"missing"`
	NonFinite string  `json:"nonfinite"`
	Tokenizer string  `json:"tokenizer"`
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
	Name      string   `json:"name"`
	Branch    string   `json:"branch"`
	From      string   `json:"from,omitempty"`
	T         *float64 `json:"t,omitempty"`
	Cos       *float64 `json:"cos,omitempty"`
	Angle     *float64 `json:"angle_degrees,omitempty"`
	NormA     *float64 `json:"norm_primary,omitempty"`
	NormB     *float64 `json:"norm_secondary,omitempty"`
	Overflow  int64    `json:"overflow,omitempty"`
	Underflow int64    `json:"underflow,omitempty"`
	NonFinite bool     `json:"nonfinite,omitempty"`
	Differs   bool     `json:"differs,omitempty"`
	Why       string   `json:"why,omitempty"`
}

// Provenance writes slerpmerge.json: a line for each tensor, so that two of them
// can be compared with diff.
func Provenance(w io.Writer, r *merge.Result, version string) error {
	p := r.Plan
	v := provenance{Schema: 1, Tool: "slerpmerge", Version: version,
		Recipe: provRecipe{Method: "slerp", T: p.Recipe.T, DType: p.Recipe.DType.String(), ShardSize: p.Recipe.ShardSize,
			Missing: string(p.Recipe.Missing), NonFinite: string(p.Recipe.NonFinite), Tokenizer: string(p.Recipe.Tokenizer)},
		Output: provOutput{Format: "safetensors"}, Counts: map[string]int{}, Warn: append([]string{}, r.Warnings...)}
	for i, m := range []*model.Model{p.Primary, p.Secondary} {
		parent := provParent{Role: []string{"primary", "secondary"}[i], Path: m.Path, Format: m.Format}
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
		line, err := json.Marshal(provLine(&p.Tensors[i], &r.Tensors[i]))
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

func provLine(t *plan.Tensor, r *merge.TensorResult) provTensor {
	line := provTensor{Name: t.Name, Branch: string(r.Branch), Why: t.Why,
		Overflow: r.Overflow, Underflow: r.Underflow, NonFinite: r.NonFinite, Differs: r.Differs}
	if r.Measured {
		line.T = number(t.T)
		line.Cos, line.Angle = number(r.Cos), number(r.Theta*180/math.Pi)
		line.NormA, line.NormB = number(r.NormA), number(r.NormB)
	}
	if t.Action != plan.Slerp {
		line.From = "primary"
		if t.A.None() {
			line.From = "secondary"
		}
	}
	return line
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
