package recipe

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"slerpmerge/internal/document"
)

// WriteYAML writes a SLERP merge as a recipe that means the same to mergekit:
// primary is the base model, out the type of the files, kept when Auto.
func WriteYAML(primary, secondary ModelRef, t Setting, out DType) ([]byte, error) {
	var b strings.Builder
	b.WriteString("merge_method: slerp\n")
	b.WriteString("models:\n")
	for _, m := range []ModelRef{primary, secondary} {
		if !utf8.ValidString(m.Path + m.Revision) {
			return nil, fmt.Errorf("the name %q is not UTF-8, so no recipe can have it", m.Path)
		}
		fmt.Fprintf(&b, "  - model: %s\n", yamlModel(m))
	}
	fmt.Fprintf(&b, "base_model: %s\n", yamlModel(primary))
	b.WriteString("parameters:\n")
	if len(t) == 1 && t[0].Filter == "" {
		fmt.Fprintf(&b, "  t: %s\n", yamlValues(t[0].Values))
	} else {
		b.WriteString("  t:\n")
		for _, r := range t {
			if !utf8.ValidString(r.Filter) {
				return nil, fmt.Errorf("the filter %q is not UTF-8, so no recipe can have it", r.Filter)
			}
			if r.Filter != "" {
				fmt.Fprintf(&b, "    - filter: %s\n      value: %s\n", document.WriteText(r.Filter), yamlValues(r.Values))
			} else {
				fmt.Fprintf(&b, "    - value: %s\n", yamlValues(r.Values))
			}
		}
	}
	if !out.Auto {
		fmt.Fprintf(&b, "out_dtype: %s\n", LongName(out.To))
	}
	return []byte(b.String()), nil
}

// yamlModel writes a model as path@revision where that can't be misread: a +
// starts an adapter, and only one @ may be there.
func yamlModel(m ModelRef) string {
	if !strings.ContainsAny(m.Path, "@+") && !strings.ContainsAny(m.Revision, "@+") {
		return document.WriteText(m.String())
	}
	revision := ""
	if m.Revision != "" {
		revision = ", revision: " + document.WriteText(m.Revision)
	}
	return "{model: {path: " + document.WriteText(m.Path) + revision + "}}"
}

func yamlValues(values []float64) string {
	if len(values) == 1 {
		return yamlNumber(values[0])
	}
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = yamlNumber(v)
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// yamlNumber writes a number so that YAML 1.1 reads one: 1e-07 is text there,
// 1.0e-07 is not.
func yamlNumber(v float64) string {
	s := strconv.FormatFloat(v, 'g', -1, 64)
	mantissa, exponent, has := strings.Cut(s, "e")
	if has && !strings.Contains(mantissa, ".") {
		return mantissa + ".0e" + exponent
	}
	return s
}
