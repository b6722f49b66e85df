// Package text has the words of messages and pages: counted nouns, lists of
// names, shapes, ranges, quoting, and the order of names for people.
package text

import (
	"fmt"
	"strconv"
	"strings"
)

// Count is a counted noun: "1 tensor", "2 tensors".
func Count[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Verb is the form of a verb that goes with n: one or many.
func Verb[N int | int64](n N, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// List joins words: "a, b or c" for the conjunction "or".
func List(words []string, conjunction string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " " + conjunction + " " + words[last]
}

// Shape returns a shape as messages have it: "[2, 3]".
func Shape(shape []uint64) string {
	return strings.ReplaceAll(fmt.Sprint(shape), " ", ", ")
}

// maxRanges bounds the runs that Ranges shows.
const maxRanges = 6

// Ranges writes sorted numbers as "0-7, 9, 11-12", a long series cut in the
// middle.
func Ranges(numbers []int) string {
	var runs []string
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		run := strconv.Itoa(numbers[i])
		if j > i {
			run += "-" + strconv.Itoa(numbers[j])
		}
		runs = append(runs, run)
		i = j + 1
	}
	if n := len(runs); n > maxRanges {
		runs = append(runs[:maxRanges-1], "...", runs[n-1])
	}
	return strings.Join(runs, ", ")
}
