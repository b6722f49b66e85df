package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

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

// json FILE PATH VALUE
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

// jsonkeys FILE PATH KEY...
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

// atleast FILE KEY N
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

// jsonlines FILE [N]
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

// agrees COMPARED MERGED
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
