// Package recipe has the requests of users. A [Recipe] says what to make: flags
// and recipe files end in the same one. A [Run] says how to make it. Both are
// checked for sense on their own, before any model is opened; what a recipe
// means for real models is the plan's business.
package recipe

import (
	"fmt"
	"strconv"
	"strings"

	"slerpmerge/internal/tensor"
)

// A Format is a format of weight files.
type Format string

const (
	Safetensors Format = "safetensors"
	Bin         Format = "bin" // PyTorch's
)

// A DType is the value of --dtype: Auto keeps the primary's type for every
// tensor.
type DType struct {
	Auto bool
	To   tensor.DType
}

// String returns the name as --dtype takes it.
func (d DType) String() string {
	if d.Auto {
		return "auto"
	}
	return LongName(d.To)
}

// LongName returns the name that PyTorch and config.json have for a type, such as
// "bfloat16".
func LongName(d tensor.DType) string {
	switch d {
	case tensor.F64:
		return "float64"
	case tensor.F32:
		return "float32"
	case tensor.F16:
		return "float16"
	case tensor.BF16:
		return "bfloat16"
	case tensor.F8E4M3:
		return "float8_e4m3fn"
	case tensor.F8E5M2:
		return "float8_e5m2"
	}
	return strings.ToLower(d.String())
}

// ParseDType reads the value of --dtype.
func ParseDType(s string) (DType, error) {
	switch strings.ToLower(s) {
	case "auto":
		return DType{Auto: true}, nil
	case "float32", "fp32", "f32":
		return DType{To: tensor.F32}, nil
	case "float16", "fp16", "f16", "half":
		return DType{To: tensor.F16}, nil
	case "bfloat16", "bf16":
		return DType{To: tensor.BF16}, nil
	}
	return DType{}, fmt.Errorf("%q is not an element type: auto, float32, float16 or bfloat16", s)
}

// Missing says what becomes of a tensor that only one parent has.
type Missing string

const (
	MissingError Missing = "error" // refuse
	MissingCopy  Missing = "copy"  // take it as it is
	MissingZero  Missing = "zero"  // merge it with zeros, as LLM-SLERP-Merge does
)

// Vocab says what becomes of the rows of a vocabulary that only one parent
// has.
type Vocab string

const (
	VocabError    Vocab = "error"    // refuse
	VocabBase     Vocab = "base"     // the primary's number of rows; those the secondary lacks stay as they are
	VocabExtend   Vocab = "extend"   // all rows; those of one parent stay as they are
	VocabTruncate Vocab = "truncate" // the rows that both have
	VocabZero     Vocab = "zero"     // all rows; zeros stand in for what a parent lacks, and are blended
	VocabMean     Vocab = "mean"     // the mean of its rows stands in
	VocabGradient Vocab = "gradient" // what stands in goes over from its last row to the other's rows
)

// NonFinite says what a NaN or Inf in a parent does.
type NonFinite string

const (
	NonFiniteError NonFinite = "error"
	NonFiniteWarn  NonFinite = "warn"
)

// Tokenizer names the model whose tokenizer files are copied.
type Tokenizer string

const (
	TokenizerPrimary   Tokenizer = "primary"
	TokenizerSecondary Tokenizer = "secondary"
	TokenizerNone      Tokenizer = "none" // no tokenizer's
	TokenizerSeed      Tokenizer = "seed" // LLM-SLERP-Merge's rule: the secondary's unless only the primary has special_tokens_map.json
)

// String writes the rules as -t takes them, with a space between.
func (s Setting) String() string {
	var rules []string
	for _, r := range s {
		var values []string
		for _, v := range r.Values {
			values = append(values, strconv.FormatFloat(v, 'g', -1, 64))
		}
		text := strings.Join(values, ",")
		if r.Filter != "" {
			text = r.Filter + "=" + text
		}
		rules = append(rules, text)
	}
	return strings.Join(rules, " ")
}
