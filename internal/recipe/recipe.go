// Package recipe says what the user asks for: parents, t, types, limits,
// policies. It is checked for sense on its own here, before any file is
// opened; what it means for two real models is the plan's business.
package recipe

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"slerpmerge/internal/tensor"
)

// A Recipe is one merge as asked for.
type Recipe struct {
	Primary   string
	Secondary string
	Output    string // "" when only a plan is wanted

	T           float64 // 0 is primary, 1 is secondary
	Extrapolate bool    // allows T outside 0 to 1
	DType       DType
	ShardSize   int64 // bytes of tensors per file
	MaxMemory   int64 // bytes of resident memory that the run may reach
	Threads     int
	Missing     Missing
	NonFinite   NonFinite
	Tokenizer   Tokenizer
	Overwrite   bool
}

// A DType is what --dtype asks for: Auto keeps the primary's type for every
// tensor.
type DType struct {
	Auto bool
	To   tensor.DType
}

// String is the name as --dtype takes it.
func (d DType) String() string {
	if d.Auto {
		return "auto"
	}
	return LongName(d.To)
}

// LongName is the name that PyTorch and config.json have for a type, such as
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
	return DType{}, fmt.Errorf("%q is no element type here: auto, float32, float16 or bfloat16", s)
}

// Missing says what becomes of a tensor that only one parent has.
type Missing string

const (
	MissingError Missing = "error" // refuse
	MissingCopy  Missing = "copy"  // take it as it is
	MissingZero  Missing = "zero"  // merge it with zeros, as LLM-SLERP-Merge does
)

// NonFinite says what a NaN or Inf in a parent does.
type NonFinite string

const (
	NonFiniteError NonFinite = "error"
	NonFiniteWarn  NonFinite = "warn"
)

// Tokenizer says whose tokenizer files go along.
type Tokenizer string

const (
	TokenizerPrimary   Tokenizer = "primary"
	TokenizerSecondary Tokenizer = "secondary"
)

// ParseT reads the value of -t.
func ParseT(s string) (float64, error) {
	if strings.ContainsAny(s, ",=") {
		return 0, errors.New("gradients over the layers are not in this version: give one number, such as -t 0.5")
	}
	t, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(t) || math.IsInf(t, 0) {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	return t, nil
}

// maxThreads is beyond any machine; more would only overflow a budget.
const maxThreads = 1 << 16

// Validate reports everything in the recipe that can't be right whatever the
// models are.
func (r Recipe) Validate() error {
	var errs []error
	if (r.T < 0 || r.T > 1) && !r.Extrapolate {
		errs = append(errs, fmt.Errorf("-t %v lies outside 0 (primary) to 1 (secondary); --extrapolate allows that", r.T))
	}
	if r.ShardSize < 1 {
		errs = append(errs, errors.New("--shard-size must be at least one byte"))
	}
	if r.Threads < 1 {
		errs = append(errs, errors.New("--threads must be at least 1"))
	}
	if r.Threads > maxThreads {
		errs = append(errs, fmt.Errorf("--threads must be at most %d", maxThreads))
	}
	return errors.Join(errs...)
}
