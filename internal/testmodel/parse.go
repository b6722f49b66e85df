package testmodel

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"slerpmerge/internal/tensor"
)

// Parse reads tensors in the form NAME:DTYPE:SHAPE:VALUES.
//
// NAME takes the escapes of Go, \N{5000} is 5,000 letters, and {0..39} stands
// for a tensor of each number. SHAPE is 4x8, 0x8 or scalar. VALUES is a number, a list
// of numbers with commas between, ramp, rand (times: rand*0.1), noise, which is
// faster, hole, or, in a .bin, =OTHER for the storage of an earlier tensor. Seed is
// of rand and noise.
func Parse(seed uint64, specs ...string) ([]Tensor, error) {
	var list []Tensor
	for _, spec := range specs {
		all, err := expand(spec)
		if err != nil {
			return nil, err
		}
		for _, one := range all {
			t, err := parse(seed, one)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", one, err)
			}
			list = append(list, t)
		}
	}
	return list, nil
}

var (
	numbers  = regexp.MustCompile(`\{([0-9]+)\.\.([0-9]+)\}`)
	longName = regexp.MustCompile(`\\N\{([0-9]+)\}`)
)

// expand gives the tensors that a name with {0..39} in it stands for.
func expand(spec string) ([]string, error) {
	at := numbers.FindStringSubmatchIndex(spec)
	if at == nil {
		return []string{spec}, nil
	}
	from, err := strconv.Atoi(spec[at[2]:at[3]])
	if err != nil {
		return nil, err
	}
	to, err := strconv.Atoi(spec[at[4]:at[5]])
	if err != nil {
		return nil, err
	}
	var all []string
	for n := from; n <= to; n++ {
		all = append(all, spec[:at[0]]+strconv.Itoa(n)+spec[at[1]:])
	}
	return all, nil
}

func parse(seed uint64, spec string) (t Tensor, err error) {
	parts := strings.Split(spec, ":")
	if len(parts) < 4 {
		return t, errors.New("want name:dtype:shape:values")
	}
	n := len(parts)
	name := longName.ReplaceAllStringFunc(strings.Join(parts[:n-3], ":"), func(s string) string {
		n, _ := strconv.Atoi(longName.FindStringSubmatch(s)[1])
		return strings.Repeat("n", n)
	})
	if t.Name, err = strconv.Unquote(`"` + name + `"`); err != nil {
		return t, fmt.Errorf("name: %w", err)
	}
	ok := false
	if t.DType, ok = tensor.ParseDType(parts[n-3]); !ok {
		return t, fmt.Errorf("no dtype %s", parts[n-3])
	}
	if parts[n-2] != "scalar" {
		for s := range strings.SplitSeq(parts[n-2], "x") {
			d, err := strconv.ParseUint(s, 10, 64)
			if err != nil {
				return t, err
			}
			t.Shape = append(t.Shape, d)
		}
	}
	if tied, ok := strings.CutPrefix(parts[n-1], "="); ok {
		t.Tied = tied
		return t, nil
	}
	t.Values, err = parseValues(seed, parts[n-1])
	return t, err
}

func parseValues(seed uint64, form string) (Values, error) {
	scale := 1.0
	if kind, by, ok := strings.Cut(form, "*"); ok {
		var err error
		if scale, err = strconv.ParseFloat(by, 64); err != nil {
			return nil, err
		}
		form = kind
	}
	switch form {
	case "hole":
		return nil, nil
	case "ramp":
		return Ramp(scale), nil
	case "rand":
		return Normal(seed, scale), nil
	case "noise":
		return Noise(seed), nil
	}
	var list []float64
	for s := range strings.SplitSeq(form, ",") {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return List(list...), nil
}
