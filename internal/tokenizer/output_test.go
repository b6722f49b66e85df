package tokenizer

import (
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

// checkWritten reads the changed folder again: it must have the output's ids.
func checkWritten(t *testing.T, o *Output, open Opener, changed []File) {
	t.Helper()
	v, err := Read(over(t, open, changed))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := show(v), show(o.Vocabulary); got != want {
		t.Errorf("the written folder has\n%s, planned\n%s", got, want)
	}
}

// over is the folder with changed files over the others.
func over(t *testing.T, open Opener, changed []File) Opener {
	return func(name string) (io.ReadCloser, error) {
		i := slices.IndexFunc(changed, func(f File) bool { return f.Name == name })
		if i < 0 {
			return open(name)
		}
		text := content(t, &changed[i], open)
		return io.NopCloser(strings.NewReader(text)), nil
	}
}

func content(t *testing.T, f *File, open Opener) string {
	t.Helper()
	r, err := f.Open(open)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	raw, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(raw)) != f.Size {
		t.Errorf("%s has %d bytes, planned %d", f.Name, len(raw), f.Size)
	}
	return string(raw)
}

func parent(t *testing.T, name string, rows int, pairs ...string) Parent {
	t.Helper()
	v, err := Read(files(pairs...))
	if err != nil {
		t.Fatal(err)
	}
	return Parent{Name: name, Vocabulary: v, Rows: rows}
}

// rows shows the rows of a parent: 5, 0 (zeros) as z, b2 as parent 1's row 2,
// means of rows with +, the mean of all as m.
func rows(r Rows) string {
	var all []string
	for _, k := range r.Index {
		if k >= 0 {
			all = append(all, fmt.Sprint(k))
			continue
		}
		f := r.Fills[^k]
		var terms []string
		for _, t := range f.Terms {
			terms = append(terms, fmt.Sprintf("%c%d", 'a'+t.Parent, t.Row))
		}
		switch {
		case f.Mean:
			terms = []string{"m"}
		case len(terms) == 0:
			terms = []string{"z"}
		}
		all = append(all, strings.Join(terms, "+"))
	}
	return strings.Join(all, " ")
}

// The parents and what became of them were run through mergekit 0.1.5 itself
// (build_tokenizer), see also testdata/interop/check.py.
func TestBuild(t *testing.T) {
	a := []string{"tokenizer.json", bpe("sabcdo", `{"id": 0, "content": "s", "special": true}, {"id": 6, "content": "<A>", "normalized": true}`)}
	b := []string{"tokenizer.json", bpe("sacxyzqrb", `{"id": 8, "content": "b"}, {"id": 9, "content": "<B>", "special": true}, {"id": 10, "content": "<A>"}, {"id": 11, "content": "o"}`)}
	b[1] = strings.Replace(b[1], `"o"}`, `"o", "special": true}`, 1)
	c := []string{"tokenizer.json", bpe("sxpa", `{"id": 1, "content": "x"}, {"id": 4, "content": "<C>"}`)}
	pa, pb, pc := parent(t, "a", 7, a...), parent(t, "b", 12, b...), parent(t, "c", 5, c...)
	padded, short, mute := pa, pb, pb
	padded.Rows, short.Rows, mute.Vocabulary = 9, 10, nil
	quiet := pa
	quiet.TokenizerOnly = true
	for _, k := range []struct {
		name   string
		config Config
		tokens string
		rows   []string
	}{
		{"union", Config{Parents: []Parent{pa, pb}, Source: Union},
			"s* a b* c d o* <A>* x* y* z* q* r* <B>*",
			[]string{"0 1 2 3 4 5 6 b3 b4 b5 b6 b7 b9", "0 1 8 2 a4 11 10 3 4 5 6 7 9"}},
		{"union, base second", Config{Parents: []Parent{pb, pa}, Base: 1, Source: Union},
			"s* a b* c d o* <A>* x* y* z* q* r* <B>*",
			[]string{"0 1 8 2 b4 11 10 3 4 5 6 7 9", "0 1 2 3 4 5 6 a3 a4 a5 a6 a7 a9"}},
		{"union of three", Config{Parents: []Parent{pa, pb, pc}, Source: Union},
			"s* a b* c d o* <A>* y* z* q* r* p* <B>* x* <C>*",
			[]string{"0 1 2 3 4 5 6 b4 b5 b6 b7 c2 b9 b3+c1 c4", "0 1 8 2 a4 11 10 4 5 6 7 c2 9 3 c4",
				"0 3 a2 a3 a4 a5 a6 b4 b5 b6 b7 2 b9 1 4"}},
		{"base", Config{Parents: []Parent{pa, pb}}, "s* a b c d o <A>*", []string{"0 1 2 3 4 5 6", "0 1 8 2 a4 11 10"}},
		{"base, padded", Config{Parents: []Parent{pa, pb}, PadTo: 4}, "s* a b c d o <A>*", []string{"0 1 2 3 4 5 6 m", "0 1 8 2 a4 11 10 m"}},
		{"named", Config{Parents: []Parent{pa, pb}, Source: Named, Named: pb.Vocabulary},
			"s a c x y z q r b* <B>* <A>* o*", []string{"0 1 3 b3 b4 b5 b6 b7 2 b9 6 5", "0 1 2 3 4 5 6 7 8 9 10 11"}},
		{"named, no parent", Config{Parents: []Parent{pa}, Source: Named, Named: pc.Vocabulary}, "s x* p a <C>*", []string{"0 z z 1 z"}},
		{"a tokenizer that can't be read", Config{Parents: []Parent{pa, mute}}, "s* a b c d o <A>*", []string{"0 1 2 3 4 5 6", "0 1 2 3 4 5 6"}},
		{"base only lends its tokenizer", Config{Parents: []Parent{quiet, pb, pc}}, "s* a b c d o <A>*", []string{"", "0 1 8 2 z 11 10", "0 3 b8 b2 z b11 b10"}},
		{"rows end before the tokens", Config{Parents: []Parent{pa, short}, Source: Union},
			"s* a b* c d o <A>* x* y* z* q* r* <B>*", []string{"0 1 2 3 4 5 6 b3 b4 b5 b6 b7 b9", "0 1 8 2 a4 a5 a6 3 4 5 6 7 9"}},
		{"new token in the base's spare row", Config{Parents: []Parent{padded, pb}, Tokens: []Override{{Token: "n", From: FromZero}}},
			"s* a b c d o <A>* n*", []string{"0 1 2 3 4 5 6 7", "0 1 8 2 a4 11 10 z"}},
		{"overrides", Config{Parents: []Parent{pa, pb}, Source: Union, Tokens: []Override{
			{Token: "a", From: FromParent, Parent: 1, Force: true},
			{Token: "b", From: FromZero}, // both have it
			{Token: "c", From: FromOther, Parent: 0, Other: "d", Force: true},
			{Token: "d", From: FromOtherByID, Parent: 1, ID: 7},
			{Token: "x", From: FromZero, Force: true},
			{Token: "n", From: FromZero},
			{Token: "s"},
		}},
			"s* a b* c d o* <A>* x* y* z* q* r* <B>* n*",
			[]string{"0 b1 2 a4 4 5 6 z b4 b5 b6 b7 b9 z", "0 b1 8 a4 b7 11 10 z 4 5 6 7 9 z"}},
	} {
		o, err := Build(k.config)
		if err != nil {
			t.Errorf("%s: %v", k.name, err)
			continue
		}
		if got := show(o.Vocabulary); got != k.tokens {
			t.Errorf("%s: tokens\n got %s\nwant %s", k.name, got, k.tokens)
		}
		for i, want := range k.rows {
			if got := rows(o.Rows[i]); got != want {
				t.Errorf("%s: rows of %s\n got %s\nwant %s", k.name, k.config.Parents[i].Name, got, want)
			}
			if n := o.Rows[i].Len(); n != o.Size() && want != "" {
				t.Errorf("%s: %d rows, size %d", k.name, n, o.Size())
			}
		}
		open := files(a...)
		switch {
		case k.config.Named == pb.Vocabulary:
			open = files(b...)
		case k.config.Named == pc.Vocabulary:
			open = files(c...)
		}
		changed, err := o.Files(open)
		if err != nil {
			t.Errorf("%s: %v", k.name, err)
			continue
		}
		if len(o.Added) == 0 && len(changed) > 0 {
			t.Errorf("%s: %d files change", k.name, len(changed))
		}
		checkWritten(t, o, open, changed)
	}
}

func TestBuildRefuses(t *testing.T) {
	a, b := parent(t, "alpha", 0, "tokenizer.json", bpe("abc", "")), parent(t, "beta", 0, "tokenizer.json", bpe("ab", ""))
	short := a
	short.Rows = 2
	gone := a
	gone.TokenizerOnly = true
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Parents: []Parent{{Name: "alpha"}}}, "the base model has no tokenizer that can be read, and its tokens are needed"},
		{Config{Parents: []Parent{a, b}, Source: Named}, "the tokenizer that the output should have could not be read"},
		{Config{Parents: []Parent{a, b}, Tokens: []Override{{Token: "c"}}}, `token "c": it needs a source, since not every model has it`},
		{Config{Parents: []Parent{a, b}, Tokens: []Override{{Token: "c", From: FromParent, Parent: 1}}}, `token "c": its source beta does not have it`},
		{Config{Parents: []Parent{a, b}, Tokens: []Override{{Token: "c", From: FromParent, Parent: -1}}}, `token "c": its source is a model that is not merged`},
		{Config{Parents: []Parent{gone, b}, Tokens: []Override{{Token: "c", From: FromParent, Parent: 0}}}, `token "c": its source is a model that is not merged`},
		{Config{Parents: []Parent{a, b}, Tokens: []Override{{Token: "c", From: FromOther, Parent: 1, Other: "q"}}}, `token "c": its source beta does not have the token "q"`},
		{Config{Parents: []Parent{a, b}, Tokens: []Override{{Token: "c", From: FromOtherByID, Parent: 1, ID: 2}}}, `token "c": its source is row 2 of beta, which has 2`},
		{Config{Parents: []Parent{short, b}, Tokens: []Override{{Token: "n", From: FromZero}}}, `no token can be added to the tokenizer of alpha: its own entry "c" has the id 2 and its weights have 2 rows`},
	} {
		_, err := Build(c.config)
		if err == nil || err.Error() != c.want {
			t.Errorf("got %v\nwant %s", err, c.want)
		}
	}
}

// TestGolden has the shape of two golden recipes, vocab-union and vocab-base: a base
// of 1024 entries of which the first four are special added tokens, and a model
// with eight more. The ids are those of output-tokens.json.
func TestGolden(t *testing.T) {
	var vocab, special []string
	for i := range 1024 {
		vocab = append(vocab, fmt.Sprintf(`"t%d":%d`, i, i))
	}
	for i := range 4 {
		special = append(special, fmt.Sprintf(`{"id":%d,"content":"t%d","special":true,"normalized":false}`, i, i))
	}
	form := `{"added_tokens":[%s],"model":{"vocab":{` + strings.Join(vocab, ",") + `}}}`
	base := []string{"tokenizer.json", fmt.Sprintf(form, strings.Join(special, ","))}
	more := []string{"<|user|>", "<|assistant|>", "<|system|>", "<|tool|>", "<|think|>", "<|end|>", "<|sep|>", "<|nl|>"}
	for i, token := range more {
		special = append(special, fmt.Sprintf(`{"id":%d,"content":%q,"special":true,"normalized":false}`, 1024+i, token))
	}
	alpha := parent(t, "alpha", 1024, base...)
	beta := parent(t, "beta-vocab", 1032, "tokenizer.json", fmt.Sprintf(form, strings.Join(special, ",")))

	o, err := Build(Config{Parents: []Parent{alpha, beta}, Source: Union})
	if err != nil {
		t.Fatal(err)
	}
	if o.Size() != 1032 || len(o.Added) != 8 || !o.Rows[1].Identity() {
		t.Errorf("size %d, %d added", o.Size(), len(o.Added))
	}
	for i, token := range more {
		if id, _ := o.Vocabulary.ID(token); id != 1024+i {
			t.Errorf("%s is %d", token, id)
		}
	}
	if n, row, fill := o.Rows[0].Run(0); n != 1024 || row != 0 || fill != nil {
		t.Errorf("alpha begins with %d rows from %d", n, row)
	}
	if n, _, fill := o.Rows[0].Run(1024); n != 1 || len(fill.Terms) != 1 || fill.Terms[0] != (Term{Parent: 1, Row: 1024, Weight: 1}) {
		t.Errorf("alpha's row 1024 is %v", fill)
	}
	changed, err := o.Files(files(base...))
	if err != nil {
		t.Fatal(err)
	}
	checkWritten(t, o, files(base...), changed)

	o, err = Build(Config{Parents: []Parent{alpha, beta}})
	if err != nil {
		t.Fatal(err)
	}
	if o.Size() != 1024 || len(o.Added) != 0 || !o.Rows[0].Identity() || !o.Rows[1].Identity() {
		t.Errorf("base: size %d, %d added", o.Size(), len(o.Added))
	}
}

func TestCompare(t *testing.T) {
	a, b := parent(t, "a", 0, "tokenizer.json", bpe("abcdef", "")), parent(t, "b", 0, "tokenizer.json", bpe("abdcxyz", ""))
	d := Compare(a.Vocabulary, b.Vocabulary)
	want := "{4 [{2 c d} {3 d c} {4 e x} {5 f y}] 2 [e f] 3 [x y z]}"
	if got := fmt.Sprint(d); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if d := Compare(a.Vocabulary, a.Vocabulary); d.Moved+d.OnlyA+d.OnlyB != 0 {
		t.Error("a vocabulary differs from itself")
	}
}

// TestFiles pins every byte of the edits.
func TestFiles(t *testing.T) {
	const vocab = `"model":{"vocab":{"a":0,"b":1}}}`
	beta := parent(t, "beta", 0, "tokenizer.json", bpe("ab", `{"id": 2, "content": "<\"é>", "special": true}`))
	const fields = `"single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}`
	spaced := strings.NewReplacer(":", ": ", ",", ", ").Replace(fields)
	lines := strings.NewReplacer(":", ": ", ",", ",\n   ", "}", "\n  }").Replace(fields)
	for _, c := range []struct {
		name string
		rows int
		in   []string
		want []string
	}{
		{"no list", 0, []string{"tokenizer.json", `{` + vocab}, []string{"tokenizer.json", `{"added_tokens":[{"id":2,"content":"<\"é>",` + fields + `],` + vocab}},
		{"empty list", 0, []string{"tokenizer.json", `{"added_tokens" : [ ],` + vocab}, []string{"tokenizer.json", `{"added_tokens" : [{"id":2,"content":"<\"é>",` + fields + ` ],` + vocab}},
		{"one line", 0, []string{"tokenizer.json", `{"added_tokens": [{"id": 0, "content": "a"}],` + vocab},
			[]string{"tokenizer.json", `{"added_tokens": [{"id": 0, "content": "a"}, {"id": 2, "content": "<\"é>", ` + spaced + `],` + vocab}},
		{"lines", 0, []string{"tokenizer.json", "{\"added_tokens\": [\n  {\n   \"id\": 0,\n   \"content\": \"a\"\n  }\n ],\n" + vocab},
			[]string{"tokenizer.json", "{\"added_tokens\": [\n  {\n   \"id\": 0,\n   \"content\": \"a\"\n  },\n  {\n   \"id\": 2,\n   \"content\": \"<\\\"é>\",\n   " + lines + "\n ],\n" + vocab}},
		{"settings", 0, []string{"vocab.json", `{"a":0,"b":1}`, "tokenizer_config.json", `{"added_tokens_decoder":{"0":{"content":"a"}},"x":1}`},
			[]string{"tokenizer_config.json", `{"added_tokens_decoder":{"0":{"content":"a"},"2":{"content":"<\"é>","lstrip":false,"normalized":false,"rstrip":false,"single_word":false,"special":true}},"x":1}`}},
		{"no place", 0, []string{"vocab.txt", "a\nb\n"}, []string{"added_tokens.json", "{\n  \"<\\\"é>\": 2\n}\n"}},
		{"first beyond the rows", 2, []string{"tokenizer.json", `{"added_tokens":[{"id":2,"content":"<p>"} , {"id":1,"content":"b"}],` + vocab, "added_tokens.json", `{ "<p>": 2 }`},
			[]string{"tokenizer.json", `{"added_tokens":[ {"id":1,"content":"b"},{"id":2,"content":"<\"é>",` + fields + `],` + vocab, "added_tokens.json", `{ "<\"é>": 2 }`}},
		{"last beyond the rows", 2, []string{"tokenizer.json", `{"added_tokens":[{"id":1,"content":"b"} , {"id":2,"content":"<p>"},{"id":3,"content":"<q>"} ],` + vocab},
			[]string{"tokenizer.json", `{"added_tokens":[{"id":1,"content":"b"},{"id":2,"content":"<\"é>",` + fields + ` ],` + vocab}},
	} {
		open := files(c.in...)
		o, err := Build(Config{Parents: []Parent{parent(t, "alpha", c.rows, c.in...), beta}, Source: Union})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		changed, err := o.Files(open)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []string
		for i := range changed {
			got = append(got, changed[i].Name, content(t, &changed[i], open))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
		checkWritten(t, o, open, changed)
	}
}

// TestOpenChanged opens a file that has become shorter since it was planned.
func TestOpenChanged(t *testing.T) {
	whole := bpe("ab", `{"id": 0, "content": "a"}`)
	o, err := Build(Config{Parents: []Parent{parent(t, "alpha", 0, "tokenizer.json", whole)}, Tokens: []Override{{Token: "n", From: FromZero}}})
	if err != nil {
		t.Fatal(err)
	}
	changed, err := o.Files(files("tokenizer.json", whole))
	if err != nil {
		t.Fatal(err)
	}
	r, err := changed[0].Open(files("tokenizer.json", whole[:20]))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = io.ReadAll(r); err == nil || err.Error() != "tokenizer.json was cut short since it was read first" {
		t.Error(err)
	}
	if _, err := changed[0].Open(func(string) (io.ReadCloser, error) { return nil, fs.ErrPermission }); err == nil {
		t.Error("no error")
	}
}
