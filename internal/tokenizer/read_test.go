package tokenizer

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"testing/iotest"
)

// files makes a folder of name, content pairs.
func files(pairs ...string) Opener {
	dir := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		dir[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return func(name string) (io.ReadCloser, error) { return dir.Open(name) }
}

// bpe is a tokenizer.json with entries of one letter each.
func bpe(letters, added string) string {
	var vocab []string
	for i, c := range letters {
		vocab = append(vocab, fmt.Sprintf("%q: %d", c, i))
	}
	return strings.ReplaceAll(fmt.Sprintf(`{"added_tokens": [%s], "model": {"type": "BPE", "vocab": {%s}, "merges": []}}`,
		added, strings.Join(vocab, ", ")), "'", `"`)
}

// show lists the tokens by id, added ones with a star.
func show(v *Vocabulary) string {
	var all []string
	for id := range v.Size() {
		token, ok := v.Token(id)
		if !ok {
			token = "-"
		}
		if ok && v.isAdded(id) {
			token += "*"
		}
		all = append(all, token)
	}
	return strings.Join(all, " ")
}

// The ids are what AutoTokenizer of transformers 5.23 gives, see
// testdata/interop/check.py.
func TestRead(t *testing.T) {
	const x9, y5 = `{"id": 9, "content": "<x>"}`, `{"id": 5, "content": "<y>", "special": true}`
	pieces := piece("<unk>", pieceUnknown) + piece("<s>", pieceControl) + "\x12\x03abc" + piece("▁a", 1) + piece("<u>", pieceUserDefined)
	for _, c := range []struct {
		name string
		open Opener
		want string
		note string
	}{
		{"map", files("tokenizer.json", bpe("cab", "")), "c a b", ""},
		{"hole", files("tokenizer.json", `{"model":{"vocab":{"a":0,"b":3}}}`), "a - - b", ""},
		{"unigram", files("tokenizer.json", `{"model":{"type":"Unigram","vocab":[["<unk>",0],["▁a",-1.5],["b",-2]]}}`), "<unk> ▁a b", ""},
		{"escapes", files("tokenizer.json", `{"model":{"vocab":{"\u0120a":0,"\ud83d\ude00":1}}}`), "Ġa 😀", ""},
		{"model before added tokens", files("tokenizer.json", `{"model":{"vocab":{"a":0}},"added_tokens":[{"id":1,"content":"<x>"}]}`), "a <x>*", ""},
		{"added entry", files("tokenizer.json", bpe("abc", `{"id": 1, "content": "b"}`)), "a b* c", ""},
		{"stated ids do not count", files("tokenizer.json", bpe("ab", x9+","+y5)), "a b <x>* <y>*",
			`2 added tokens do not have the ids that the tokenizer's files state: "<x>" is 9 there and 2 in use`},
		{"decoder", files("tokenizer.json", bpe("ab", ""), "tokenizer_config.json", `{"added_tokens_decoder":{"3":{"content":"<y>"},"2":{"content":"<x>"}}}`), "a b <x>* <y>*", ""},
		{"decoder over added_tokens.json", files("tokenizer.json", bpe("ab", ""), "added_tokens.json", `{"<z>":2}`, "tokenizer_config.json", `{"added_tokens_decoder":{}}`), "a b", ""},
		{"added_tokens.json", files("vocab.json", `{"a":0,"b":1}`, "added_tokens.json", `{"<y>":3,"<x>":2}`), "a b <x>* <y>*", ""},
		{"named special tokens", files("tokenizer.json", bpe("ab", ""), "tokenizer_config.json",
			`{"image_token":"<i>","additional_special_tokens":["<e>",{"content":"<f>"}],"pad_token":{"__type":"AddedToken","content":"<p>"},"eos_token":"b","add_bos_token":true,"bos_token":null}`),
			"a b* <p>* <i>* <e>* <f>*", ""},
		{"special_tokens_map.json", files("tokenizer.json", bpe("ab", ""), "special_tokens_map.json", `{"pad_token":{"content":"<p>"}}`), "a b <p>*", ""},
		{"vocab.txt", files("vocab.txt", "[PAD]\r\na\n##b"), "[PAD] a ##b", ""},
		{"a line twice", files("vocab.txt", "a\nb\na\n"), "- b a", ""},
		{"sentencepiece", files("tokenizer.model", pieces), "<unk>* <s>* ▁a <u>*", ""},
	} {
		v, err := Read(c.open)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := show(v); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if got := strings.Join(v.Notes(), "; "); got != c.note {
			t.Errorf("%s: note %q, want %q", c.name, got, c.note)
		}
		for id := range v.Size() {
			if token, ok := v.Token(id); ok {
				if back, ok := v.ID(token); !ok || back != id {
					t.Errorf("%s: %q is %d, then %d", c.name, token, id, back)
				}
			}
		}
	}
}

func piece(text string, kind int) string {
	m := fmt.Sprintf("\x0a%c%s\x15\x00\x00\x80\xbf", len(text), text)
	if kind != 1 {
		m += "\x18" + string(rune(kind))
	}
	return fmt.Sprintf("\x0a%c%s", len(m), m)
}

func TestReadRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		open Opener
		want string
	}{
		{"nothing", files("config.json", "{}"), "no tokenizer files"},
		{"cut short", files("tokenizer.json", `{"model":{"vocab":{"a":0,`), "tokenizer.json is cut short: it ends at byte 25"},
		{"empty", files("tokenizer.json", ``), "tokenizer.json is cut short"},
		{"corrupt", files("tokenizer.json", `{"model":{"vocab":{"a":0 "b":1}}}`), `tokenizer.json is corrupt JSON at byte 25: invalid character '"' after object value (expecting ',' or '}')`},
		{"not UTF-8", files("tokenizer.json", "{\"model\":{\"vocab\":{\"\xff\":0}}}"), `tokenizer.json is corrupt JSON at byte 20: invalid UTF-8`},
		{"an array", files("tokenizer.json", `[]`), "tokenizer.json is not as expected: it is not an object, at byte 0"},
		{"no vocabulary", files("tokenizer.json", `{"version":"1.0"}`), "tokenizer.json has no vocabulary: model.vocab is missing"},
		{"vocabulary twice", files("tokenizer.json", `{"model":{"vocab":{},"vocab":{}}}`), `tokenizer.json has "vocab" twice`},
		{"model twice", files("tokenizer.json", `{"model":{"vocab":{}},"model":{}}`), `tokenizer.json has "model" twice`},
		{"more data", files("tokenizer.json", `{"model":{"vocab":{}}} {}`), "tokenizer.json has data after its JSON object, at byte 24"},
		{"one id twice", files("tokenizer.json", `{"model":{"vocab":{"a":0,"b":0}}}`), `tokenizer.json gives the id 0 to two tokens, "a" and "b"`},
		{"one token twice", files("tokenizer.json", `{"model":{"vocab":{"a":0,"b":1,"a":2}}}`), `tokenizer.json gives the token "a" two ids, 0 and 2`},
		{"an added token on an entry's id", files("tokenizer.json", `{"model":{"vocab":{"a":0,"b":2}},"added_tokens":[{"id":3,"content":"<x>"}]}`), `tokenizer.json gives the id 2 to two tokens, "<x>" and "b"`},
		{"negative", files("vocab.json", `{"a":-1}`), `vocab.json gives "a" the id -1; ids from 0 to 4194303 are understood`},
		{"too far", files("vocab.json", `{"a":4194304}`), `vocab.json gives "a" the id 4194304; ids from 0 to 4194303 are understood`},
		{"holes", files("vocab.json", `{"a":4194303}`), "vocab.json has 1 tokens with ids up to 4194303: it leaves out too many"},
		{"no integer", files("vocab.json", `{"a":1.5}`), "vocab.json is not as expected: an id is not an integer, at byte 8"},
		{"a token without content", files("tokenizer.json", bpe("a", `{"id": 1}`)), "tokenizer.json has an added token that can't be read, before byte 27"},
		{"no piece", files("tokenizer.json", `{"model":{"vocab":[[0,"a"]]}}`), "tokenizer.json is not as expected: a piece is not text, at byte 20"},
		{"settings", files("vocab.txt", "a", "tokenizer_config.json", `{"added_tokens_decoder":{"x":{}}}`), `tokenizer_config.json is not as expected: "x" in added_tokens_decoder is not an id, before byte 28`},
		{"tekken", files("tekken.json", "{}"), "tekken.json is a tokenizer of a kind that is not understood"},
		{"no SentencePiece", files("tokenizer.model", "tiktoken 1\n"), "tokenizer.model is not a SentencePiece model"},
		{"SentencePiece cut short", files("tokenizer.model", piece("abc", 1)[:5]), "tokenizer.model is cut short"},
	} {
		v, err := Read(c.open)
		if err == nil {
			t.Errorf("%s: read as %s", c.name, show(v))
		} else if err.Error() != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, err, c.want)
		}
	}
}

// TestReadBounded reads a string that never ends.
func TestReadBounded(t *testing.T) {
	open := func(name string) (io.ReadCloser, error) {
		head := strings.NewReader(`{"normalizer": "`)
		return io.NopCloser(io.MultiReader(head, io.LimitReader(forever{}, 1<<30))), nil
	}
	_, err := Read(open)
	var bad *FormatError
	if !errors.As(err, &bad) || bad.Msg != "holds a value of more than 8 MiB at byte 13" {
		t.Fatal(err)
	}
}

// TestReadFailing meets a disk that fails in the middle of a file.
func TestReadFailing(t *testing.T) {
	open := func(name string) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(`{"model": {"vocab": {"a": 0`), iotest.ErrReader(syscall.EIO))), nil
	}
	_, err := Read(open)
	if !errors.Is(err, syscall.EIO) || err.Error() != "reading tokenizer.json: input/output error" {
		t.Error(err)
	}
}

type forever struct{}

func (forever) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// large is a tokenizer.json as large as Gemma's: 262,144 entries, 514,906 merges.
func large() string {
	var b strings.Builder
	b.WriteString(`{"added_tokens": [], "model": {"vocab": {`)
	for i := range 1 << 18 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "\n      \"▁t%d\": %d", i*7919%(1<<18), i)
	}
	b.WriteString(`}, "merges": [`)
	for i := range 514906 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "\n      [\n        \"t%d\",\n        \"x\"\n      ]", i)
	}
	b.WriteString(`]}}`)
	return b.String()
}

// TestReadMemory holds Read to what the package doc promises.
func TestReadMemory(t *testing.T) {
	text := large()
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	v, err := Read(files("tokenizer.json", text))
	if err != nil {
		t.Fatal(err)
	}
	if v.Len() != 1<<18 {
		t.Fatal(v.Len())
	}
	if kept := int64(heap()) - int64(before) - int64(len(text)); kept > 9<<20 {
		t.Errorf("a vocabulary of %d tokens keeps %d bytes", v.Len(), kept)
	}
	runtime.KeepAlive(v)
}

func BenchmarkRead(b *testing.B) {
	open := files("tokenizer.json", large())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(open); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzRead: no content makes Read panic, and what it takes is a table whose two
// directions agree.
func FuzzRead(f *testing.F) {
	f.Add(bpe("abc", `{"id": 3, "content": "<x>", "special": true}`), `{"added_tokens_decoder":{"4":{"content":"<y>"}},"pad_token":"<p>"}`, "")
	f.Add(`{"model":{"vocab":[["a",0],["b",-1]]}}`, `{}`, "")
	f.Add("", `{"additional_special_tokens":["<e>"]}`, piece("a", 1)+piece("<s>", 3))
	f.Fuzz(func(t *testing.T, json, config, model string) {
		named := []string{"tokenizer_config.json", config}
		if json != "" {
			named = append(named, "tokenizer.json", json)
		}
		if model != "" {
			named = append(named, "tokenizer.model", model)
		}
		open := files(named...)
		v, err := Read(open)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n") {
				t.Errorf("more than a line: %q", err)
			}
			return
		}
		n := 0
		for id := range v.Size() {
			token, ok := v.Token(id)
			if !ok {
				continue
			}
			n++
			if back, ok := v.ID(token); !ok || back != id {
				t.Errorf("%q is %d, then %d", token, id, back)
			}
		}
		if n != v.Len() {
			t.Errorf("%d tokens, %d counted", v.Len(), n)
		}
		o, err := Build(Config{Parents: []Parent{{Name: "a", Vocabulary: v}}, Source: Union, Tokens: []Override{{Token: "<new>", From: FromZero}}})
		if err != nil {
			return
		}
		changed, err := o.Files(open)
		if err != nil {
			t.Fatal(err)
		}
		checkWritten(t, o, open, changed)
	})
}
