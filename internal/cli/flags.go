package cli

import (
	"fmt"
	"math"
	"regexp"
	"runtime"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/dustin/go-humanize"

	"slerpmerge/internal/recipe"
)

// byteSize is a flag such as 5GB (decimal) or 64MiB (binary).
type byteSize int64

var sizeForm = regexp.MustCompile(`^[0-9]+(\.[0-9]+)? ?([kKmMgGtTpP]([iI]?[bB])?|[bB])?$`)

// Decode reads the flag's value for kong.
func (s *byteSize) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("size", &text); err != nil {
		return err
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n > math.MaxInt64 || !sizeForm.MatchString(text) {
		return fmt.Errorf("%q is not a size such as 500MB, 5GB or 64MiB", text)
	}
	*s = byteSize(n)
	return nil
}

// size is a byte count for people, decimal as disks are sold.
func size(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }

// mib is a byte count in the unit of --max-memory.
func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// dtypeFlag is --dtype.
type dtypeFlag struct{ recipe.DType }

// Decode reads the flag's value for kong.
func (d *dtypeFlag) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("dtype", &text); err != nil {
		return err
	}
	var err error
	d.DType, err = recipe.ParseDType(text)
	return err
}

// tFlag is -t.
type tFlag float64

// Decode reads the flag's value for kong.
func (t *tFlag) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("t", &text); err != nil {
		return err
	}
	v, err := recipe.ParseT(strings.TrimPrefix(text, "=")) // -t=0.3 too
	*t = tFlag(v)
	return err
}

// mergeFlags are what merge and plan share.
type mergeFlags struct {
	Primary   string `arg:"" help:"The model that t = 0 gives: config and tokenizer come from it."`
	Secondary string `arg:"" help:"The model that t = 1 gives."`

	T           tFlag     `short:"t" name:"t" placeholder:"VALUE" default:"0.5" help:"How far to go from primary to secondary: 0 is primary, 1 is secondary (default ${default})."`
	Extrapolate bool      `help:"Allow -t outside 0 to 1."`
	DType       dtypeFlag `name:"dtype" placeholder:"TYPE" default:"auto" help:"Type of the floating tensors: float32, float16, bfloat16, or auto, each as in the primary (default ${default})."`
	Format      string    `enum:"safetensors,bin" default:"safetensors" hidden:"" help:"Format of the output: safetensors."`
	ShardSize   byteSize  `placeholder:"SIZE" default:"5GB" help:"Bytes of tensors per file, such as 500MB or 2GiB (default ${default})."`
	Missing     string    `enum:"error,copy,zero" default:"copy" placeholder:"POLICY" help:"A tensor that only one parent has: error, copy or zero (default ${default})."`
	NonFinite   string    `name:"nonfinite" enum:"error,warn" default:"error" placeholder:"POLICY" help:"NaN or Inf in a parent: error or warn (default ${default})."`
	Vocab       string    `enum:"error" default:"error" hidden:"" help:"Rows that only one parent has: error."`
	Tokenizer   string    `enum:"primary,secondary" default:"primary" placeholder:"WHOSE" help:"Whose tokenizer files go along: primary or secondary (default ${default})."`
	MaxMemory   byteSize  `placeholder:"SIZE" default:"64MiB" help:"Resident memory that the run stays below (default ${default})."`
	Threads     int       `placeholder:"N" help:"Worker threads (default all cores)."`
	JSON        bool      `name:"json" help:"Print the result as JSON."`
}

// recipe turns the flags into a checked recipe.
func (f *mergeFlags) recipe(output string) (recipe.Recipe, error) {
	if f.Format == "bin" {
		return recipe.Recipe{}, &requestError{msg: "this version writes safetensors only, not .bin"}
	}
	r := recipe.Recipe{
		Primary: f.Primary, Secondary: f.Secondary, Output: output,
		T: float64(f.T), Extrapolate: f.Extrapolate, DType: f.DType.DType,
		ShardSize: int64(f.ShardSize), MaxMemory: int64(f.MaxMemory), Threads: f.Threads,
		Missing: recipe.Missing(f.Missing), NonFinite: recipe.NonFinite(f.NonFinite), Tokenizer: recipe.Tokenizer(f.Tokenizer),
	}
	if r.Threads == 0 {
		r.Threads = runtime.GOMAXPROCS(0)
	}
	for _, path := range []struct{ what, value string }{{"PRIMARY", f.Primary}, {"SECONDARY", f.Secondary}} {
		if path.value == "" {
			return r, &requestError{msg: path.what + " is empty: name a model folder or weight file"}
		}
	}
	if err := r.Validate(); err != nil {
		return r, &requestError{msg: strings.ReplaceAll(err.Error(), "\n", "; ")}
	}
	return r, nil
}
