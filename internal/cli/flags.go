package cli

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

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
	n, err := parseSize(text)
	if err != nil {
		return fmt.Errorf("%q is not a size such as 500MB, 5GB or 64MiB", text)
	}
	*s = byteSize(n)
	return nil
}

func parseSize(text string) (int64, error) {
	n, err := humanize.ParseBytes(text)
	if err != nil || n > math.MaxInt64 || !sizeForm.MatchString(text) {
		return 0, errors.New("not a size")
	}
	return int64(n), nil
}

// byteRate is a flag such as 100MB/s.
type byteRate int64

// Decode reads the flag's value for kong.
func (r *byteRate) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("rate", &text); err != nil {
		return err
	}
	n, err := parseSize(strings.TrimSuffix(text, "/s"))
	if err != nil || n == 0 {
		return fmt.Errorf("%q is not a rate such as 500KB/s, 100MB/s or 1GiB/s", text)
	}
	*r = byteRate(n)
	return nil
}

// pathsFlag takes all that follows up to the next flag.
type pathsFlag []string

// Decode reads the flag's values for kong.
func (f *pathsFlag) Decode(ctx *kong.DecodeContext) error {
	var path string
	if err := ctx.Scan.PopValueInto("path", &path); err != nil {
		return err
	}
	*f = append(*f, path)
	for {
		next := ctx.Scan.Peek()
		text, ok := next.Value.(string)
		if next.IsEOL() || !ok || strings.HasPrefix(text, "-") {
			return nil
		}
		*f = append(*f, ctx.Scan.Pop().String())
	}
}

// shareFlag is a part of a whole, 1 for all of it.
type shareFlag float64

// Decode reads the flag's value for kong.
func (s *shareFlag) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("percent", &text); err != nil {
		return err
	}
	number, ok := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(v > 0 && v <= 100) {
		return fmt.Errorf("%q is not a percentage above 0%% and up to 100%%, such as 5%%", text)
	}
	*s = shareFlag(v / 100)
	return nil
}

func (s shareFlag) String() string { return strconv.FormatFloat(100*float64(s), 'g', -1, 64) + "%" }

// size returns a byte count for people, decimal as disks are sold.
func size(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }

// mib returns a byte count in the unit of --max-memory.
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

// tFlags are all -t of a command line.
type tFlags struct{ args []string }

// Decode takes one more for kong.
func (t *tFlags) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("t", &text); err != nil {
		return err
	}
	t.args = append(t.args, strings.TrimPrefix(text, "=")) // -t=0.3 too
	return nil
}

// given returns them as values of the parameter t.
func (t tFlags) given() []recipe.Value {
	var all []recipe.Value
	for _, arg := range t.args {
		all = append(all, recipe.Value{Flag: "t", Text: arg})
	}
	return all
}

// entryFlags are all --entry of a command line.
type entryFlags struct{ entries []recipe.Entry }

// Decode takes one more for kong.
func (f *entryFlags) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("entry", &text); err != nil {
		return err
	}
	var args []string
	for _, e := range f.entries {
		args = append(args, e.String())
	}
	var err error
	f.entries, err = recipe.ParseEntries(append(args, text))
	return err
}

// outputFlags are shared by merge, plan and convert: the form of the output,
// and the resources.
type outputFlags struct {
	DType     dtypeFlag  `name:"dtype" placeholder:"TYPE" default:"auto" help:"Type of the floating tensors: float32, float16, bfloat16, or auto, the type each has (in a merge: in the primary) (default ${default})."`
	Format    string     `enum:"safetensors,bin" default:"safetensors" placeholder:"FORMAT" help:"Format of the weight files: safetensors or bin, PyTorch's (default ${default})."`
	ShardSize byteSize   `placeholder:"SIZE" default:"5GB" help:"Bytes of tensors per file, such as 500MB or 2GiB (default ${default})."`
	MaxMemory byteSize   `placeholder:"SIZE" default:"64MiB" help:"Resident memory that the run stays below (default ${default})."`
	Threads   int        `placeholder:"N" help:"Worker threads (default all cores)."`
	Entry     entryFlags `placeholder:"[N:]KEY" help:"Entry of a PyTorch checkpoint that holds the model, such as ema or ema/model, if there are several; . is the top level. N: limits it to the N-th model. Repeatable."`
	JSON      bool       `name:"json" help:"Print the result as JSON."`
}

// runFlags are shared by merge and convert: how the work is done, which does
// not affect the output.
type runFlags struct {
	Checksums  bool          `help:"Add SHA256SUMS, which sha256sum -c and verify check."`
	Restart    bool          `help:"Start over instead of resuming an unfinished run."`
	IOLimit    byteRate      `name:"io-limit" placeholder:"RATE" help:"Limit of the bytes read and written per second, such as 100MB/s."`
	KeepCached bool          `help:"Leave the output in the page cache, for a program that loads it next."`
	Nice       bool          `help:"Run with low CPU and disk priority."`
	TimeBudget time.Duration `placeholder:"TIME" help:"Stop after this time, such as 4h or 90m, and keep the work."`
}

// put fills in the fields of a recipe, and checks all of it.
func (f *outputFlags) put(r *recipe.Request) error {
	r.DType, r.Format = f.DType.DType, recipe.Format(f.Format)
	r.ShardSize, r.MaxMemory, r.Threads = int64(f.ShardSize), int64(f.MaxMemory), f.Threads
	r.Entries = f.Entry.entries
	if r.Threads == 0 {
		r.Threads = runtime.GOMAXPROCS(0)
	}
	if err := r.Validate(); err != nil {
		return refuseFlags(err)
	}
	return nil
}

// refuseFlags returns the error for what Validate has found, in one line.
func refuseFlags(err error) error {
	return &requestError{msg: strings.ReplaceAll(err.Error(), "\n", "; "), err: err}
}
