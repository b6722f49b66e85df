package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"

	"slerpmerge/internal/model"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/text"
	"slerpmerge/internal/tokenizer"
)

// inspectText describes a model to people: the folder, the files, the tensors
// with repeats folded, the types.
func inspectText(out io.Writer, m *model.Model, chosen []int) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "model\t%s\n", clean(m.Path))
	for _, line := range describe(m) {
		fmt.Fprintf(w, "\t%s\n", clean(line))
	}
	for i, f := range m.Files {
		fmt.Fprintf(w, "file\t%s (%s)\n", text.Quote(f.Name), size(f.Bytes))
		if i == maxFiles-1 && len(m.Files) > maxFiles {
			fmt.Fprintf(w, "\t%d more files\n", len(m.Files)-maxFiles)
			break
		}
	}
	for i, k := range slices.Sorted(maps.Keys(m.Metadata)) {
		fmt.Fprintf(w, "metadata\t%s: %s\n", text.Quote(k), text.Quote(m.Metadata[k]))
		if i == maxFiles-1 && len(m.Metadata) > maxFiles {
			fmt.Fprintf(w, "\t%d more, see --json\n", len(m.Metadata)-maxFiles)
			break
		}
	}
	fmt.Fprintln(w)
	if err := w.Flush(); err != nil {
		return err
	}
	if err := printTree(out, m, chosen); err != nil {
		return err
	}
	fmt.Fprintln(w)
	printTypes(w, m, chosen)
	if err := w.Flush(); err != nil {
		return err
	}
	return inspectTotal(out, m, chosen)
}

// printTypes adds up tensors, parameters and bytes by type, the largest first,
// and what shares the bytes of another tensor.
func printTypes(w io.Writer, m *model.Model, chosen []int) {
	type total struct {
		d            tensor.DType
		tensors      int
		elems, bytes int64
	}
	byType := map[tensor.DType]*total{}
	var shared total
	for _, i := range chosen {
		t := &m.Tensors[i]
		of := byType[t.DType]
		if of == nil {
			of = &total{d: t.DType}
			byType[t.DType] = of
		}
		of.tensors, of.elems, of.bytes = of.tensors+1, of.elems+t.Elems(), of.bytes+t.Bytes()
		if m.SharesWith(i) != "" {
			shared.tensors, shared.elems, shared.bytes = shared.tensors+1, shared.elems+t.Elems(), shared.bytes+t.Bytes()
		}
	}
	list := slices.SortedFunc(maps.Values(byType), func(x, y *total) int { return cmp.Or(cmp.Compare(y.bytes, x.bytes), cmp.Compare(x.d, y.d)) })
	line := func(what string, t *total) {
		fmt.Fprintf(w, "%s\t%s\t%s parameters\t%s\n", what, text.Count(t.tensors, "tensor"), humanize.Comma(t.elems), size(t.bytes))
	}
	for _, t := range list {
		line(t.d.String(), t)
	}
	if shared.tensors > 0 {
		line("of these shared", &shared)
	}
}

// describe says what a folder or file is, as far as the files beside the
// weights say.
func describe(m *model.Model) []string {
	if m.Dir == "" {
		return []string{"a single weight file"}
	}
	var lines []string
	if m.Place() != m.Path {
		lines = append(lines, "in the Hugging Face cache: "+m.Place())
	}
	if m.Config == nil {
		lines = append(lines, "a folder without config.json: transformers can't open it")
	} else {
		lines = append(lines, architecture(m))
	}
	if err := m.Mergeable(); err != nil {
		line := err.Error()
		var unusable *model.UnusableError
		if errors.As(err, &unusable) && unusable.Msg != "" {
			line = unusable.Msg
		}
		lines = append(lines, line)
	}
	if names := m.Companions(true); len(names) == 0 {
		lines = append(lines, "no tokenizer")
	} else {
		line := "tokenizer: " + strings.Join(names, ", ")
		if o, err := tokenizer.ReadOutline(m.OpenCompanion); err == nil && o.Template != "" {
			line += "; with a chat template"
		}
		lines = append(lines, line)
	}
	if names := append(m.Companions(false), m.Licences()...); len(names) > 0 {
		lines = append(lines, "also "+strings.Join(names, ", "))
	}
	if _, err := m.CompanionSize("slerpmerge.json"); err == nil {
		lines = append(lines, "made by slerpmerge: slerpmerge.json says how")
	}
	return lines
}

// architecture returns the model in a line, by its config.json.
func architecture(m *model.Model) string {
	classes := m.Config.Strings("architectures")
	if len(classes) == 0 {
		classes = []string{"no architecture named"}
	}
	line := strings.Join(classes, ", ")
	if t := m.Config.String("model_type"); t != "" {
		line += " (" + t + ")"
	}
	for _, s := range []struct {
		what  string
		names []string
	}{
		{"layers", []string{"num_hidden_layers", "n_layer", "num_layers"}},
		{"hidden size", []string{"hidden_size", "n_embd", "d_model"}},
		{"heads", []string{"num_attention_heads", "n_head"}},
		{"experts", []string{"num_local_experts", "num_experts"}},
		{"vocabulary", []string{"vocab_size"}},
	} {
		if n, ok := m.Config.Int(s.names...); ok {
			line += fmt.Sprintf(", %s %d", s.what, n)
		}
	}
	if n, ok := m.Config.LanguagePart().Int("max_position_embeddings", "n_positions", "max_seq_len"); ok {
		line += fmt.Sprintf(", context %d", n)
	}
	if m.OneEnd() {
		line += ", the embedding is the head too"
	}
	return line
}
