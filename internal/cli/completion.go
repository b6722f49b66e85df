package cli

import (
	"bufio"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"slerpmerge/internal/model"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help returns the text below the flags.
func (completionCmd) Help() string {
	return "Example: slerpmerge completion bash\n\nTo use it, put this into the shell's start-up file:\n\n" +
		"    source <(slerpmerge completion bash)       in ~/.bashrc\n" +
		"    source <(slerpmerge completion zsh)        in ~/.zshrc, after compinit\n" +
		"    slerpmerge completion fish | source        in ~/.config/fish/config.fish"
}

var (
	//go:embed completions/slerpmerge.bash
	bashCompletion string
	//go:embed completions/slerpmerge.zsh
	zshCompletion string
	//go:embed completions/slerpmerge.fish
	fishCompletion string
)

// Run prints the shell's code. It calls the program for every completion, so
// it fits any later version.
func (c *completionCmd) Run(a *app) error {
	script := map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Shell]
	_, err := io.WriteString(a.stdout, script)
	return err
}

// completeWord is the first argument with which the shells' code calls the
// program. Behind -- follow the words of the line up to the cursor. The answer
// is a line that says what else fits (nothing, or folders, models, files: the
// shell knows best how to complete paths), and a line for each word that does,
// with a tab and what it means.
const completeWord = "__complete"

// A wish tells which words may stand at the cursor.
type wish struct {
	paths string // "none", "folders", "models" or "files"
	words [][2]string
}

func (a *app) complete(k *kong.Kong, words []string) error {
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	if len(words) == 0 {
		words = []string{""}
	}
	wish, prefix := wanted(k.Model.Node, words)
	w := bufio.NewWriter(a.stdout)
	fmt.Fprintln(w, wish.paths)
	for _, x := range wish.words {
		if !strings.HasPrefix(x[0], prefix) || clean(x[0]) != x[0] {
			continue
		}
		w.WriteString(x[0])
		if x[1] != "" {
			w.WriteString("\t" + clean(x[1]))
		}
		w.WriteByte('\n')
	}
	return w.Flush()
}

// wanted finds out what the last word can be, and what is typed of it.
func wanted(node *kong.Node, words []string) (w wish, prefix string) {
	flags := slices.Clone(node.Flags)
	find := func(word string) *kong.Flag {
		i := slices.IndexFunc(flags, func(f *kong.Flag) bool {
			return word == "--"+f.Name || f.Short != 0 && word == "-"+string(f.Short)
		})
		if i < 0 {
			return nil
		}
		return flags[i]
	}
	positional := 0
	var pending *kong.Flag // waits for its value
	for _, word := range words[:len(words)-1] {
		switch {
		case pending != nil:
			pending = nil
		case strings.HasPrefix(word, "-") && word != "-":
			if f := find(word); f != nil && !f.IsBool() {
				pending = f
			}
		case len(node.Children) > 0:
			i := slices.IndexFunc(node.Children, func(c *kong.Node) bool { return c.Name == word })
			if i < 0 { // no command: nothing can be said
				return wish{paths: "none"}, ""
			}
			node = node.Children[i]
			flags = append(flags, node.Flags...)
		default:
			positional++
		}
	}
	last := words[len(words)-1]
	name, value, assigned := strings.Cut(last, "=")
	switch {
	case pending != nil:
		return wishFor(pending.Value, pending.PlaceHolder, last), last
	case assigned && find(name) != nil:
		f := find(name)
		return wishFor(f.Value, f.PlaceHolder, value), value
	case strings.HasPrefix(last, "-"):
		w.paths = "none"
		if isMergekit(node.Name) {
			for _, f := range kitFlags {
				if !f.multi || node.Name == mergekitMulti {
					w.words = append(w.words, [2]string{"--" + f.name, f.means})
				}
			}
		}
		for _, f := range flags {
			name := "--" + f.Name
			if len(f.Name) == 1 {
				name = "-" + f.Name
			}
			if !f.Hidden {
				w.words = append(w.words, [2]string{name, firstSentence(f.Help)})
			}
		}
		return w, last
	case len(node.Children) > 0:
		w.paths = "none"
		for _, c := range node.Children {
			if !c.Hidden {
				w.words = append(w.words, [2]string{c.Name, c.Help})
			}
		}
		return w, last
	case positional < len(node.Positional):
		return wishFor(node.Positional[positional], "", last), last
	case positional > 0 && node.Positional[len(node.Positional)-1].IsCumulative():
		return wishFor(node.Positional[len(node.Positional)-1], "", last), last
	}
	return wish{paths: "none"}, ""
}

// wishFor says what a value can be: one of a list, or by the placeholder of
// its flag a folder, a file or a model. An argument is a model unless it is called a
// file.
func wishFor(v *kong.Value, placeholder, typed string) wish {
	var w wish
	switch {
	case v.Enum != "":
		w.paths = "none"
		for _, word := range v.EnumSlice() {
			if word != "" {
				w.words = append(w.words, [2]string{word, ""})
			}
		}
	case v.Name == "dtype":
		w.paths = "none"
		w.words = [][2]string{{"auto", ""}, {"bfloat16", ""}, {"float16", ""}, {"float32", ""}}
	case placeholder == "DIR":
		w.paths = "folders"
	case placeholder == "FILE", v.Flag == nil && (v.Name == "file" || v.Name == "jobs"):
		w.paths = "files"
	case v.Flag != nil && placeholder != "MODEL":
		w.paths = "none"
	default:
		w.paths = "models"
		repo, _, at := strings.Cut(typed, "@")
		for _, name := range model.Cached() {
			switch {
			case !at:
				w.words = append(w.words, [2]string{name, "in the Hugging Face cache"})
			case name == repo:
				for _, revision := range model.CachedRevisions(repo) {
					w.words = append(w.words, [2]string{repo + "@" + revision, ""})
				}
			}
		}
	}
	return w
}

func firstSentence(help string) string {
	sentence, _, _ := strings.Cut(help, ". ")
	sentence, _, _ = strings.Cut(sentence, " (default")
	return strings.TrimSuffix(sentence, ".")
}
