package report

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// anglesHead returns the first line of the CSV of a comparison of several models. They
// have the numbers 1, 2 and so on.
func (s *Angles) anglesHead() []string {
	head := []string{"tensor", "kind", "stack", "layer"}
	each := func(what string) {
		for i := range s.Models {
			head = append(head, fmt.Sprintf("%s_%d", what, i+1))
		}
	}
	each("dtype")
	if s.Base != nil {
		head = append(head, "dtype_base")
	}
	head = append(head, "shape", "equal")
	for i := range s.Models {
		for j := i + 1; j < len(s.Models); j++ {
			head = append(head, fmt.Sprintf("angle_degrees_%d_%d", i+1, j+1))
		}
	}
	each("norm")
	if s.Base != nil {
		head = append(head, "norm_base")
	}
	return append(head, "note")
}

// AnglesCSV writes a comparison of several models with a line for each tensor, those that
// were not compared too. Numbers have all their digits.
func AnglesCSV(w io.Writer, s *Angles) error {
	b := bufio.NewWriterSize(w, 64<<10)
	b.WriteString(strings.Join(s.anglesHead(), ",") + "\n")
	for i := range s.Plan.Tensors {
		b.WriteString(strings.Join(s.anglesLine(i), ",") + "\n")
	}
	return b.Flush()
}

func (s *Angles) anglesLine(i int) []string {
	f := s.figures(i)
	layer, equal := "", ""
	if f.Layer != nil {
		layer = strconv.Itoa(*f.Layer)
	}
	if compared(&s.Plan.Tensors[i]) {
		equal = strconv.FormatBool(f.Equal)
	}
	if f.NonFin {
		f.Note = joined(f.Note, nonFiniteNote)
	}
	cells := []string{csvText(f.Name), string(f.Kind), csvText(f.Stack), layer}
	for _, d := range f.DTypes {
		cell := ""
		if d != nil {
			cell = *d
		}
		cells = append(cells, cell)
	}
	if s.Base != nil {
		cells = append(cells, f.Base)
	}
	cells = append(cells, shapeText(f.Shape), equal)
	all := func(list []*float64, n int) {
		for k := range n {
			cell := ""
			if list != nil {
				cell = digits(list[k])
			}
			cells = append(cells, cell)
		}
	}
	all(f.Angles, len(s.All.Degrees))
	all(f.Norms, len(s.Models))
	if s.Base != nil {
		cells = append(cells, digits(f.Whole))
	}
	return append(cells, csvText(f.Note))
}
