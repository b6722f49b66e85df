package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/x448/float16"

	"slerpmerge/internal/tensor"
	"slerpmerge/writer"
)

// mkmodel PATH [-format bin] [-shard SIZE] [-config JSON] [-seed N] TENSOR...:
// makes a model folder, or a bare file where PATH ends in .safetensors. A TENSOR is
// NAME:DTYPE:SHAPE:VALUES. NAME takes Go's escapes, \N{5000} is 5,000
// letters, and {0..39} makes a tensor of each number. SHAPE is 4x8, 0x8 or scalar. VALUES is a number, a list of numbers,
// ramp, rand (times: rand*0.1), hole (never written, so zeros), or in a .bin
// =OTHER, the storage of an earlier tensor.
func cmdMkmodel(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 0, "mkmodel path [-format bin] [-shard size] [-config json] [-seed n] tensor...")
	path, args := ts.MkAbs(args[0]), args[1:]
	shard, config, seed, format := int64(math.MaxInt64/4), "", uint64(1), writer.Safetensors
	for len(args) > 1 && strings.HasPrefix(args[0], "-") {
		var err error
		switch args[0] {
		case "-format":
			format = map[string]writer.Format{"safetensors": writer.Safetensors, "bin": writer.Bin}[args[1]]
		case "-shard":
			shard, err = strconv.ParseInt(args[1], 10, 64)
		case "-config":
			config = args[1]
		case "-seed":
			seed, err = strconv.ParseUint(args[1], 10, 64)
		default:
			ts.Fatalf("mkmodel: no option %s", args[0])
		}
		ts.Check(err)
		args = args[2:]
	}
	var infos []tensor.Info
	var values []string
	for _, spec := range expand(ts, args) {
		info, v, err := parseTensor(spec)
		if err != nil {
			ts.Fatalf("mkmodel: %q: %v", spec, err)
		}
		infos, values = append(infos, info), append(values, v)
	}
	var storage []int
	if format == writer.Bin {
		for i, v := range values {
			storage = append(storage, i)
			if name, ok := strings.CutPrefix(v, "="); ok {
				storage[i] = slices.IndexFunc(infos, func(t tensor.Info) bool { return t.Name == name })
			}
		}
	}
	layout, err := writer.Lay(infos, storage, shard, format)
	ts.Check(err)
	dir := path
	if strings.HasSuffix(path, ".safetensors") {
		dir = filepath.Dir(path)
		layout.Files[0].Name = filepath.Base(path)
	} else if config == "" {
		config = `{"model_type": "llama"}`
	}
	ts.Check(os.MkdirAll(dir, 0o777))
	for _, f := range layout.Files {
		out, err := os.Create(filepath.Join(dir, f.Name))
		ts.Check(err)
		ts.Check(out.Truncate(f.Size))
		for _, s := range f.Fixed {
			_, err := out.WriteAt(s.Data, s.Off)
			ts.Check(err)
		}
		for _, x := range f.Extents {
			if values[x.Tensor] == "hole" {
				continue
			}
			data, err := encodeValues(infos[x.Tensor], values[x.Tensor], seed)
			ts.Check(err)
			_, err = out.WriteAt(data, x.Off)
			ts.Check(err)
		}
		ts.Check(out.Close())
	}
	if layout.IndexName != "" {
		ts.Check(os.WriteFile(filepath.Join(dir, layout.IndexName), layout.Index(), 0o666))
	}
	if config != "" {
		ts.Check(os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o666))
	}
}

// expand makes the tensors that a name with {0..39} in it stands for.
func expand(ts *testscript.TestScript, specs []string) []string {
	var all []string
	for _, spec := range specs {
		at := numbers.FindStringSubmatchIndex(spec)
		if at == nil {
			all = append(all, spec)
			continue
		}
		from, err := strconv.Atoi(spec[at[2]:at[3]])
		ts.Check(err)
		to, err := strconv.Atoi(spec[at[4]:at[5]])
		ts.Check(err)
		for n := from; n <= to; n++ {
			all = append(all, spec[:at[0]]+strconv.Itoa(n)+spec[at[1]:])
		}
	}
	return all
}

var numbers = regexp.MustCompile(`\{([0-9]+)\.\.([0-9]+)\}`)

var longName = regexp.MustCompile(`\\N\{([0-9]+)\}`)

func parseTensor(spec string) (tensor.Info, string, error) {
	parts := strings.Split(spec, ":")
	if len(parts) < 4 {
		return tensor.Info{}, "", errors.New("want name:dtype:shape:values")
	}
	n := len(parts)
	name := longName.ReplaceAllStringFunc(strings.Join(parts[:n-3], ":"), func(s string) string {
		n, _ := strconv.Atoi(longName.FindStringSubmatch(s)[1])
		return strings.Repeat("n", n)
	})
	name, err := strconv.Unquote(`"` + name + `"`)
	if err != nil {
		return tensor.Info{}, "", fmt.Errorf("name: %w", err)
	}
	info := tensor.Info{Name: name}
	ok := false
	if info.DType, ok = tensor.ParseDType(parts[n-3]); !ok {
		return info, "", fmt.Errorf("no dtype %s", parts[n-3])
	}
	if parts[n-2] != "scalar" {
		for s := range strings.SplitSeq(parts[n-2], "x") {
			d, err := strconv.ParseUint(s, 10, 64)
			if err != nil {
				return info, "", err
			}
			info.Shape = append(info.Shape, d)
		}
	}
	return info, parts[n-1], nil
}

// encodeValues makes a tensor's bytes. Types without arithmetic get the whole
// part of each value, repeated into every byte that an element has.
func encodeValues(t tensor.Info, form string, seed uint64) ([]byte, error) {
	h := fnv.New64a()
	io.WriteString(h, t.Name)
	rnd := rand.New(rand.NewPCG(seed, h.Sum64()))
	n := t.Elems()
	var at func(i int64) float64
	scale := 1.0
	if kind, by, ok := strings.Cut(form, "*"); ok {
		var err error
		if scale, err = strconv.ParseFloat(by, 64); err != nil {
			return nil, err
		}
		form = kind
	}
	switch form {
	case "ramp":
		at = func(i int64) float64 { return scale * float64(i) }
	case "rand":
		at = func(int64) float64 { return scale * rnd.NormFloat64() }
	default:
		var list []float64
		for s := range strings.SplitSeq(form, ",") {
			v, err := strconv.ParseFloat(s, 64)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		at = func(i int64) float64 { return list[i%int64(len(list))] }
	}
	if !t.DType.Blends() {
		b := make([]byte, t.Bytes())
		for i := range b {
			b[i] = byte(int(at(int64(i))))
			if t.DType == tensor.BOOL {
				b[i] &= 1
			}
		}
		return b, nil
	}
	var b []byte
	for i := range n {
		b = appendFloat(b, t.DType, at(i))
	}
	return b, nil
}

func appendFloat(b []byte, d tensor.DType, v float64) []byte {
	switch d {
	case tensor.F64:
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	case tensor.F32:
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v)))
	case tensor.F16:
		return binary.LittleEndian.AppendUint16(b, float16.Fromfloat32(float32(v)).Bits())
	case tensor.BF16:
		bits := math.Float32bits(float32(v))
		if v == v {
			bits += 0x7fff + bits>>16&1
		}
		return binary.LittleEndian.AppendUint16(b, uint16(bits>>16))
	}
	// The 8-bit types: the code whose value is nearest.
	best := byte(0)
	for c := range 256 {
		if w := float8(d, byte(c)); w == w && math.Abs(w-v) < math.Abs(float8(d, best)-v) {
			best = byte(c)
		}
	}
	return append(b, best)
}

// float8 is the value of an 8-bit code, by the OCP specification.
func float8(d tensor.DType, c byte) float64 {
	mant, bias := 3, 7
	if d == tensor.F8E5M2 {
		mant, bias = 2, 15
	}
	exp, frac := int(c&0x7f)>>mant, int(c)&(1<<mant-1)
	sign := 1.0
	if c&0x80 != 0 {
		sign = -1
	}
	switch {
	case d == tensor.F8E4M3 && c&0x7f == 0x7f:
		return math.NaN()
	case d == tensor.F8E5M2 && exp == 31 && frac == 0:
		return math.Inf(int(sign))
	case d == tensor.F8E5M2 && exp == 31:
		return math.NaN()
	case exp == 0:
		return sign * math.Ldexp(float64(frac), 1-bias-mant)
	}
	return sign * math.Ldexp(float64(frac|1<<mant), exp-bias-mant)
}
