package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/x448/float16"

	"slerpmerge/internal/tensor"
	"slerpmerge/safetensors"
	"slerpmerge/torchbin"
	"slerpmerge/writer"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"slerpmerge": main})
}

// TestScripts runs the command-line sessions of testdata/script. The models
// of testdata/models are at $MODELS there; the commands that scripts have
// beside those of testscript are the methods below.
func TestScripts(t *testing.T) {
	models, err := filepath.Abs("testdata/models")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("MODELS", models)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "user" { // whom file modes keep out
				return os.Geteuid() > 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":     cmdExits,
			"refused":   cmdRefused,
			"stopped":   cmdStopped,
			"example":   cmdExample,
			"mkmodel":   cmdMkmodel,
			"copy":      cmdCopy,
			"truncate":  cmdTruncate,
			"damage":    cmdDamage,
			"hold":      cmdHold,
			"same":      cmdSame,
			"weights":   cmdWeights,
			"values":    cmdValues,
			"files":     cmdFiles,
			"filesize":  cmdFilesize,
			"sha256":    cmdSHA256,
			"json":      cmdJSON,
			"atleast":   cmdAtleast,
			"jsonlines": cmdJSONLines,
			"jsonkeys":  cmdJSONKeys,
			"clean":     cmdClean,
			"agrees":    cmdAgrees,
		},
	})
}

// usage ends a script that calls one of our commands in a wrong way.
func usage(ts *testscript.TestScript, neg, ok bool, form string) {
	if neg || !ok {
		ts.Fatalf("usage: %s", form)
	}
}

// runProgram runs a program to its end and returns its exit code.
func runProgram(ts *testscript.TestScript, args []string) int {
	err := ts.Exec(args[0], args[1:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}

func wantExit(ts *testscript.TestScript, text string) int {
	n, err := strconv.Atoi(text)
	ts.Check(err)
	return n
}

// exits N PROGRAM ARG...: the program ends with exit code N.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 1, "exits code program [arg...]")
	if got, want := runProgram(ts, args[1:]), wantExit(ts, args[0]); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// refused N PROGRAM ARG...: the program ends with exit code N, prints nothing
// on standard output and one error line, with hints at most, on standard
// error; and everything below the current folder is as it was.
func cmdRefused(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 1, "refused code program [arg...]")
	before := snapshot(ts)
	if got, want := runProgram(ts, args[1:]), wantExit(ts, args[0]); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	checkRefusal(ts)
	compareSnapshots(ts, before, snapshot(ts))
}

// recipePlace is a line that shows or names a place in a recipe file, all of
// whose problems are said at once.
var recipePlace = regexp.MustCompile(`^ +[0-9]* \| |^: [^ ]+\.yml:[0-9]+:[0-9]+: `)

func checkRefusal(ts *testscript.TestScript) {
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("standard output is not empty: %q", out)
	}
	lines := cleanLines(ts)
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "slerpmerge: error: ") {
		ts.Fatalf("standard error does not begin with an error line")
	}
	for _, l := range lines[1:] {
		recipe := recipePlace.MatchString(l) || recipePlace.MatchString(lines[0][len("slerpmerge: error"):]) && strings.HasPrefix(l, "slerpmerge: error: ")
		if !strings.HasPrefix(l, "slerpmerge: hint: ") && !recipe {
			ts.Fatalf("neither the error line nor a hint: %q", l)
		}
	}
}

// clean: standard error is made of lines that are safe to show.
func cmdClean(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 0, "clean")
	cleanLines(ts)
}

func cleanLines(ts *testscript.TestScript) []string {
	text := ts.ReadFile("stderr")
	if text == "" {
		return nil
	}
	if !strings.HasSuffix(text, "\n") {
		ts.Fatalf("standard error does not end with a newline")
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for _, l := range lines {
		if len(l) > 4096 { // PIPE_BUF on Linux: a line is written whole
			ts.Fatalf("a line of %d bytes on standard error", len(l))
		}
		for _, r := range l {
			if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\uFFFD' {
				ts.Fatalf("%q on standard error: %q", r, l)
			}
		}
		if strings.Contains(l, "goroutine ") || strings.Contains(l, "internal error") {
			ts.Fatalf("a crash: %q", l)
		}
	}
	return lines
}

// snapshot is what there is below the script's current folder.
func snapshot(ts *testscript.TestScript) map[string]string {
	root := ts.MkAbs(".")
	s := map[string]string{}
	ts.Check(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if rel == ".tmp" { // $TMPDIR
			return fs.SkipDir
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		s[rel] = fi.Mode().String()
		if fi.Mode().IsRegular() {
			s[rel] += fmt.Sprint(" ", fi.Size(), fi.ModTime())
		}
		return nil
	}))
	return s
}

func compareSnapshots(ts *testscript.TestScript, before, after map[string]string) {
	for name := range after {
		if _, ok := before[name]; !ok {
			ts.Fatalf("%s was left behind", name)
		}
	}
	for name, was := range before {
		if now := after[name]; now != was {
			ts.Fatalf("%s was %q and is %q", name, was, now)
		}
	}
}

// stopped EVENT N WAITFOR PROGRAM ARG...: as soon as the file WAITFOR exists
// (or has grown by N bytes, where WAITFOR is FILE+N),
// the program is sent a signal (EVENT is INT or TERM) or loses the last byte of
// a file (EVENT is cut=FILE); it ends as refused wants it, but that .OUT.partial
// may stay.
func cmdStopped(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 3, "stopped event code waitfor program [arg...]")
	cut, isCut := strings.CutPrefix(args[0], "cut=")
	sig, ok := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP}[args[0]]
	usage(ts, neg, ok || isCut, "stopped INT|TERM|HUP|cut=FILE ...")
	if sig == syscall.SIGHUP { // under nohup children would ignore it too
		caught := make(chan os.Signal, 1)
		signal.Notify(caught, sig)
		defer signal.Stop(caught)
	}
	await, grow, _ := strings.Cut(args[2], "+")
	await = ts.MkAbs(await)
	more, _ := strconv.ParseInt(grow, 10, 64)
	from, _ := sizeOf(await)
	before := snapshot(ts)
	bin := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if p := filepath.Join(dir, args[3]); bin == "" {
			if _, err := os.Stat(p); err == nil {
				bin = p
			}
		}
	}
	c := exec.Command(bin, args[4:]...)
	c.Dir = ts.MkAbs(".")
	c.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"))
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	ts.Check(c.Start())
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	for {
		if size, ok := sizeOf(await); ok && (grow == "" || size >= from+more) {
			break
		}
		select {
		case <-ended:
			ts.Fatalf("it ended before %s existed: %s%s", args[2], &stdout, &stderr)
		case <-time.After(time.Millisecond):
		}
	}
	if isCut {
		cmdTruncate(ts, false, []string{cut, "-1"})
	} else {
		ts.Check(c.Process.Signal(sig))
	}
	<-ended
	io.Copy(ts.Stdout(), &stdout)
	ts.Stderr().Write(stderr.Bytes())
	ts.Logf("%s", stderr.Bytes())
	if got, want := c.ProcessState.ExitCode(), wantExit(ts, args[1]); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	if stdout.Len() > 0 || !regexp.MustCompile(`\Aslerpmerge: error: .*\n(slerpmerge: hint: .*\n)*\z`).Match(stderr.Bytes()) {
		ts.Fatalf("not one error line and hints: %s%s", &stdout, &stderr)
	}
	after := snapshot(ts)
	delete(before, cut)
	delete(after, cut)
	for name := range after {
		if kept(name) {
			delete(before, name)
			delete(after, name)
		}
	}
	compareSnapshots(ts, before, after)
}

func sizeOf(path string) (n int64, ok bool) {
	st, err := os.Lstat(path)
	if err != nil {
		return 0, false
	}
	return st.Size(), true
}

// kept reports whether a name is of the work of an unfinished run, which stays
// for the next one.
func kept(name string) bool {
	top, _, _ := strings.Cut(filepath.ToSlash(name), "/")
	return strings.HasPrefix(top, ".") && strings.HasSuffix(top, ".partial")
}

// example [COMMAND]: the command's help ends well and has an example, which
// ends well too.
func cmdExample(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) < 2, "example [command]")
	help := append(append([]string{"slerpmerge"}, args...), "--help")
	if got := runProgram(ts, help); got != 0 {
		ts.Fatalf("exit code %d", got)
	}
	if text := ts.ReadFile("stderr"); text != "" {
		ts.Fatalf("help on standard error: %s", text)
	}
	m := regexp.MustCompile(`(?m)^Example: (slerpmerge .*)$`).FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		ts.Fatalf("no line with an example")
	}
	if got := runProgram(ts, strings.Fields(m[1])); got != 0 {
		ts.Fatalf("%s: exit code %d", m[1], got)
	}
}

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
	if layout.Index != nil {
		ts.Check(os.WriteFile(filepath.Join(dir, layout.IndexName), layout.Index, 0o666))
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

// copy FROM TO: copies a folder.
func cmdCopy(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "copy from to")
	ts.Check(os.CopyFS(ts.MkAbs(args[1]), os.DirFS(ts.MkAbs(args[0]))))
}

// truncate FILE SIZE: gives a file that size; -N is N bytes less than it has.
func cmdTruncate(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "truncate file size")
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_CREATE|os.O_WRONLY, 0o666)
	ts.Check(err)
	fi, err := f.Stat()
	ts.Check(err)
	if n < 0 {
		n += fi.Size()
	}
	ts.Check(f.Truncate(n))
	ts.Check(f.Close())
}

// damage FILE OFFSET TEXT: writes over a part of a file. An offset below 0
// counts from the end; TEXT takes Go's escapes.
func cmdDamage(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 3, "damage file offset text")
	off, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY, 0)
	ts.Check(err)
	if off < 0 {
		fi, err := f.Stat()
		ts.Check(err)
		off += fi.Size()
	}
	text, err := strconv.Unquote(`"` + strings.ReplaceAll(args[2], `"`, `\"`) + `"`)
	ts.Check(err)
	_, err = f.WriteAt([]byte(text), off)
	ts.Check(err)
	ts.Check(f.Close())
}

// hold FILE: holds the lock on a file, as another run would, until the script ends.
func cmdHold(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "hold file")
	l := flock.New(ts.MkAbs(args[0]))
	ok, err := l.TryLock()
	ts.Check(err)
	if !ok {
		ts.Fatalf("%s is locked already", args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), fmt.Appendf(nil, "%d otherhost\n", os.Getpid()), 0o666))
	ts.Defer(func() { l.Unlock() })
}

func read(ts *testscript.TestScript, file string) []byte {
	b, err := os.ReadFile(ts.MkAbs(file))
	ts.Check(err)
	return b
}

// same FILE FILE...: the files have the same bytes (! same: the first two differ).
func cmdSame(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, false, len(args) > 1, "[!] same file file...")
	first := read(ts, args[0])
	for _, name := range args[1:] {
		if bytes.Equal(first, read(ts, name)) == neg {
			ts.Fatalf("%s and %s: equal is %v", args[0], name, !neg)
		}
	}
}

// A stored tensor is an entry of a weight file with its bytes.
type stored struct {
	tensor.Info
	data []byte
}

// load reads the weights of a folder or file, whatever its shards.
func load(ts *testscript.TestScript, path string) map[string]stored {
	path = ts.MkAbs(path)
	names := []string{path}
	if fi, err := os.Stat(path); err == nil && fi.IsDir() {
		names, _ = filepath.Glob(filepath.Join(path, "*.safetensors"))
		bins, _ := filepath.Glob(filepath.Join(path, "*.bin"))
		names = append(names, bins...)
	}
	m := map[string]stored{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		ts.Check(err)
		if filepath.Ext(name) == ".bin" {
			f := inMemory{bytes.NewReader(b)}
			c, err := torchbin.Open(f, f.Size())
			ts.Check(err)
			for i, t := range c.Tensors {
				data := make([]byte, t.Bytes())
				ts.Check(c.Source(f, i).ReadAt(data, 0))
				m[t.Name] = stored{t.Info, data}
			}
			continue
		}
		h, err := safetensors.ReadHeader(bytes.NewReader(b), int64(len(b)))
		ts.Check(err)
		for _, t := range h.Tensors {
			m[t.Name] = stored{t.Info, b[t.Begin:][:t.Bytes()]}
		}
	}
	return m
}

type inMemory struct{ *bytes.Reader }

func (inMemory) Prefetch(off, n int64) {}

// weights MODEL MODEL...: the models have the same tensors to the last bit,
// however they are spread over files.
func cmdWeights(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, false, len(args) > 1, "[!] weights model model...")
	first := load(ts, args[0])
	if len(first) == 0 {
		ts.Fatalf("no tensors in %s", args[0])
	}
	for _, name := range args[1:] {
		equal := maps.EqualFunc(first, load(ts, name), func(a, b stored) bool {
			return a.DType == b.DType && a.SameShape(b.Info) && bytes.Equal(a.data, b.data)
		})
		if equal == neg {
			ts.Fatalf("%s and %s: equal is %v", args[0], name, equal)
		}
	}
}

// values MODEL TENSOR DTYPE VALUE...: the tensor's first values.
func cmdValues(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 2, "values model tensor dtype value...")
	t, ok := load(ts, args[0])[args[1]]
	if !ok {
		ts.Fatalf("no tensor %s", args[1])
	}
	if t.DType.String() != args[2] {
		ts.Fatalf("%s is %v", args[1], t.DType)
	}
	for i, want := range args[3:] {
		if got := fmt.Sprint(float32(decodeFloat(t.DType, t.data[i*t.DType.Size():]))); got != want {
			ts.Fatalf("value %d is %s, want %s", i, got, want)
		}
	}
}

func decodeFloat(d tensor.DType, b []byte) float64 {
	switch d {
	case tensor.F64:
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	case tensor.F32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	case tensor.F16:
		return float64(float16.Frombits(binary.LittleEndian.Uint16(b)).Float32())
	case tensor.BF16:
		return float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16))
	case tensor.F8E4M3, tensor.F8E5M2:
		return float8(d, b[0])
	}
	return float64(b[0])
}

// files FOLDER NAME...: the folder holds these files and no others.
func cmdFiles(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 0, "files folder name...")
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	want := slices.Sorted(slices.Values(args[1:]))
	if !slices.Equal(got, want) {
		ts.Fatalf("%s holds %q, want %q", args[0], got, want)
	}
}

// filesize FILE JSONFILE PATH: the file is as long as the number in the JSON says.
func cmdFilesize(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 3, "filesize file jsonfile path")
	fi, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := look(ts, args[1], args[2]); got != strconv.FormatInt(fi.Size(), 10) {
		ts.Fatalf("%s is %d bytes long, %s says %s", args[0], fi.Size(), args[2], got)
	}
}

// sha256 FILE OFFSET LENGTH HEX: a stretch of a file has this digest. HEX may be JSONFILE:PATH.
func cmdSHA256(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 4, "sha256 file offset length hex")
	off, err := strconv.Atoi(args[1])
	ts.Check(err)
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	b := read(ts, args[0])
	if off < 0 {
		off += len(b)
	}
	want := args[3]
	if file, path, ok := strings.Cut(want, ":"); ok {
		want = look(ts, file, path)
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(b[off:][:n])); got != want {
		ts.Fatalf("digest %s, want %s", got, want)
	}
}

// look finds a value in a JSON file by a path such as files.0.name. len at the
// end counts the members; [name=x] finds the member whose name is x.
func look(ts *testscript.TestScript, file, path string) string {
	var v any
	d := json.NewDecoder(strings.NewReader(ts.ReadFile(file)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		ts.Fatalf("%s is not JSON: %v", file, err)
	}
	if _, err := d.Token(); err != io.EOF {
		ts.Fatalf("%s has something after the JSON", file)
	}
	rest := path
	for rest != "" {
		var key string
		if strings.HasPrefix(rest, "[") {
			key, rest, _ = strings.Cut(rest, "]")
			key += "]"
			rest = strings.TrimPrefix(rest, ".")
		} else {
			key, rest, _ = strings.Cut(rest, ".")
		}
		switch x := v.(type) {
		case map[string]any:
			if key == "len" {
				return strconv.Itoa(len(x))
			}
			m, ok := x[key]
			if !ok {
				ts.Fatalf("%s: no %q in %s", path, key, slices.Sorted(maps.Keys(x)))
			}
			v = m
		case []any:
			if key == "len" {
				return strconv.Itoa(len(x))
			}
			if name, ok := strings.CutPrefix(key, "[name="); ok {
				i := slices.IndexFunc(x, func(m any) bool {
					o, _ := m.(map[string]any)
					return o["name"] == strings.TrimSuffix(name, "]")
				})
				if i < 0 {
					ts.Fatalf("%s: no member %s", path, key)
				}
				v = x[i]
				break
			}
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(x) {
				ts.Fatalf("%s: no member %s of %d", path, key, len(x))
			}
			v = x[i]
		default:
			ts.Fatalf("%s: %q is inside a %T", path, key, v)
		}
	}
	switch x := v.(type) {
	case string:
		return x
	case nil:
		return "null"
	}
	b, err := json.Marshal(v)
	ts.Check(err)
	return string(b)
}

// json FILE PATH VALUE: a value in a JSON file; ~RE matches an expression.
func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 3, "json file path value")
	got := look(ts, args[0], args[1])
	if re, ok := strings.CutPrefix(args[2], "~"); ok {
		if !regexp.MustCompile(re).MatchString(got) {
			ts.Fatalf("%s is %s, want a match of %s", args[1], got, re)
		}
		return
	}
	if limit, ok := strings.CutPrefix(args[2], "<="); ok {
		n, err := strconv.ParseFloat(got, 64)
		ts.Check(err)
		most, err := strconv.ParseFloat(limit, 64)
		ts.Check(err)
		if n <= 0 || n > most {
			ts.Fatalf("%s is %s, want at most %s", args[1], got, limit)
		}
		return
	}
	if got != args[2] {
		ts.Fatalf("%s is %s, want %s", args[1], got, args[2])
	}
}

// jsonkeys FILE PATH KEY...: the keys of an object, in this order and no others.
func cmdJSONKeys(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 1, "jsonkeys file path key...")
	var raw json.RawMessage = []byte(ts.ReadFile(args[0]))
	if args[1] != "." {
		raw = []byte(look(ts, args[0], args[1]))
		args = append(args[:2:2], slices.Sorted(slices.Values(args[2:]))...) // look sorts
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	var keys []string
	_, err := d.Token()
	ts.Check(err)
	for d.More() {
		tok, err := d.Token()
		ts.Check(err)
		keys = append(keys, fmt.Sprint(tok))
		var skip json.RawMessage
		ts.Check(d.Decode(&skip))
	}
	if !slices.Equal(keys, args[2:]) {
		ts.Fatalf("%s has %q, want %q", args[1], keys, args[2:])
	}
}

// atleast FILE PATH N: the number at a place in a JSON file is N at least.
func cmdAtleast(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 3, "atleast file path number")
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &v))
	got, ok := v.(map[string]any)[args[1]].(float64)
	want, err := strconv.ParseFloat(args[2], 64)
	ts.Check(err)
	if !ok || got < want {
		ts.Fatalf("%s is %v, want %v at least", args[1], got, want)
	}
}

// jsonlines FILE [N]: every line is a JSON object with time, level and msg.
func cmdJSONLines(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 0, "jsonlines file [n]")
	lines := strings.Split(strings.TrimSuffix(ts.ReadFile(args[0]), "\n"), "\n")
	for _, l := range lines {
		var v struct{ Time, Level, Msg string }
		if err := json.Unmarshal([]byte(l), &v); err != nil || cmp.Or(v.Time, v.Level, v.Msg) == "" {
			ts.Fatalf("not a log line in JSON: %s", l)
		}
	}
	if len(args) > 1 && strconv.Itoa(len(lines)) != args[1] {
		ts.Fatalf("%d lines, want %s", len(lines), args[1])
	}
}

// agrees COMPARED MERGED: what compare --json found about the tensors is what
// the merge recorded, digit by digit.
func cmdAgrees(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "agrees compared merged")
	var doc [2]struct{ Tensors []map[string]any }
	for i := range doc {
		d := json.NewDecoder(bytes.NewReader(read(ts, args[i])))
		d.UseNumber()
		ts.Check(d.Decode(&doc[i]))
	}
	compared := map[any]map[string]any{}
	for _, t := range doc[0].Tensors {
		compared[t["name"]] = t
	}
	n := 0
	for _, want := range doc[1].Tensors {
		if want["norm_primary"] == nil { // not measured
			continue
		}
		n++
		for _, key := range []string{"branch", "t", "cos", "angle_degrees", "norm_primary", "norm_secondary"} {
			if got := compared[want["name"]][key]; got != want[key] {
				ts.Fatalf("%v: %s is %v in %s and %v in %s", want["name"], key, got, args[0], want[key], args[1])
			}
		}
	}
	if n == 0 {
		ts.Fatalf("%s measured nothing", args[1])
	}
}
