package text

import (
	"cmp"
	"strconv"
	"strings"
)

// CompareNames orders dotted names for people, part by part: parts that are
// numbers by their values and before all others, so that layer 2 comes before
// layer 10 and the names under one number stay together; other parts with the
// numbers in them as numbers.
func CompareNames(a, b string) int {
	for x, y := a, b; x != "" && y != ""; {
		var p, q string
		p, x, _ = strings.Cut(x, ".")
		q, y, _ = strings.Cut(y, ".")
		if p == q {
			continue
		}
		m, okP := PartNumber(p)
		n, okQ := PartNumber(q)
		switch {
		case okP && okQ:
			return cmp.Compare(m, n)
		case okP:
			return -1
		case okQ:
			return 1
		}
		return compareParts(p, q)
	}
	return strings.Compare(a, b)
}

// PartNumber reads a part of a name that is a number in its usual form.
func PartNumber(part string) (int, bool) {
	if part == "" || len(part) > 7 || part[0] == '0' && len(part) > 1 || part[0] < '0' || part[0] > '9' {
		return 0, false
	}
	n, err := strconv.Atoi(part)
	return n, err == nil
}

func compareParts(a, b string) int {
	for x, y := a, b; ; {
		p, q := leadingDigits(x), leadingDigits(y)
		switch {
		case x == "" || y == "":
			return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(a, b))
		case p == "" || q == "":
			if x[0] != y[0] {
				return cmp.Compare(x[0], y[0])
			}
			x, y = x[1:], y[1:]
		default:
			m, n := strings.TrimLeft(p, "0"), strings.TrimLeft(q, "0")
			if c := cmp.Or(cmp.Compare(len(m), len(n)), strings.Compare(m, n)); c != 0 {
				return c
			}
			x, y = x[len(p):], y[len(q):]
		}
	}
}

// leadingDigits returns the number that a text begins with, "" for none.
func leadingDigits(s string) string {
	return s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
}
