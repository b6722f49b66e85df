package torchbin

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// Trainers' checkpoints: where the model is, and what is beside it.
func TestEntry(t *testing.T) {
	weights := dict(text("a.weight"), four, text("b.weight"), four)
	small := dict(text("c.weight"), four)
	scalar := tens(persistent(float, "0", 4), 0, nil, nil)
	one := tens(persistent(float, "0", 4), 1, []int64{1}, []int64{1})
	random := tens(persistent(glob("torch", "ByteStorage"), "1", 16), 0, []int64{16}, []int64{1})
	adam := dict(text("state"), dict(num(0), dict(text("step"), scalar, text("exp_avg"), four, text("exp_avg_sq"), four)), text("param_groups"), "](}e")
	named := dict(text("a.weight"), dict(text("exp_avg"), four, text("exp_avg_sq"), four)) // as FSDP keeps it
	complexNumber := call(glob("__builtin__", "complex"), "G\x3f\xf0\x00\x00\x00\x00\x00\x00", num(2))
	counter := call(glob("collections", "Counter"), dict(num(5), num(1)))
	nest := func(n int) string {
		v := weights
		for range n {
			v = dict(text("model"), v)
		}
		return v
	}
	for _, c := range []struct {
		name, object, entry string
		want                string // the path, or words of a refusal
		err                 bool
		aside               string
	}{
		{name: "top", object: weights},
		{name: "nanoGPT", object: dict(text("model"), weights, text("optimizer"), adam, text("model_args"), dict(text("n_layer"), num(2)), text("iter_num"), num(2000), text("best_val_loss"), scalar), want: "model"},
		{name: "loss first", object: dict(text("best_val_loss"), scalar, text("model"), weights), want: "model"},
		{name: "loss of one element", object: dict(text("loss"), one, text("model"), weights), want: "model"},
		{name: "random state", object: dict(text("rng_state"), random, text("model"), weights), want: "model"},
		{name: "complex and counter", object: dict(text("c"), complexNumber, text("n"), counter, text("l"), "](NK\x01e", text("s"), text("x"), text("model"), weights), want: "model"},
		{name: "Lightning", object: dict(text("epoch"), num(3), text("global_step"), num(9), text("state_dict"), weights, text("loops"), dict(text("fit_loop"), "}"), text("callbacks"), dict(text("EMA"), small),
			text("optimizer_states"), "]("+adam+"e", text("lr_schedulers"), "]"), want: "state_dict"},
		{name: "fairseq", object: dict(text("args"), "N", text("model"), weights, text("optimizer_history"), "](}e", text("last_optimizer_state"), adam), want: "model"},
		{name: "DeepSpeed", object: dict(text("module"), weights, text("buffer_names"), "]", text("optimizer"), "N", text("param_shapes"), "]("+dict(text("a.weight"), call(glob("torch", "Size"), nums(2, 2)))+"e"), want: "module"},
		{name: "timm", object: dict(text("epoch"), num(3), text("state_dict"), weights, text("state_dict_ema"), small, text("amp_scaler"), "}"), want: "state_dict", aside: `"state_dict_ema" (1 tensor)`},
		{name: "ema beside", object: dict(text("ema"), weights, text("model"), small, text("model_ema"), weights), want: "model", aside: `"ema" (2 tensors)`},
		{name: "net", object: dict(text("net"), weights, text("acc"), num(9)), want: "net"},
		{name: "model_state_dict", object: dict(text("model_state_dict"), weights, text("optimizer_state_dict"), adam, text("loss"), scalar), want: "model_state_dict"},
		{name: "model_state", object: dict(text("model_state"), weights, text("optim_state"), named), want: "model_state"},
		{name: "in this order", object: dict(text("module"), weights, text("model"), small, text("state_dict"), weights), want: "state_dict", aside: `"module" (2 tensors), "model" (1 tensor)`},
		{name: "empty wrapper", object: dict(text("state_dict"), "}", text("model"), weights), want: "model"},
		{name: "deep", object: nest(20), want: strings.Repeat("model/", 19) + "model"},
		{name: "nested", object: dict(text("checkpoint"), dict(text("module"), dict(text("state_dict"), weights), text("optimizer"), adam)), want: "checkpoint/module/state_dict"},
		{name: "another key", object: dict(text("step_idx"), num(9), text("state"), weights, text("metrics"), dict(text("loss/eval"), "G\x3f\xf0\x00\x00\x00\x00\x00\x00")), want: "state"},
		{name: "only ema", object: dict(text("ema"), weights, text("optimizer"), named), want: "ema"},
		{name: "a stray dict", object: dict(text("state_dict"), dict(text("a.weight"), four, text("state_dict"), dict(text("x"), num(1)))), want: "state_dict", aside: `"state_dict" (a dict among the tensors)`},
		{name: "a scalar in the model", object: dict(text("logit_scale"), scalar, text("a.weight"), four)},
		{name: "scalars alone", object: dict(text("logit_scale"), scalar)},
		{name: "extra state", object: dict(text("a.weight"), four, text("b._extra_state"), dict(text("scale"), four)), aside: `"b._extra_state" (a dict among the tensors)`},
		{name: "holds itself", object: dict(text("model"), weights, text("me"), "}"+memoPut(900)+text("me")+memoGet(900)+"s"), want: "model"},
		{name: "an optimizer with the model", object: dict(text("a.weight"), four, text("optimizer"), adam), aside: `"optimizer" (a dict among the tensors)`},

		{name: "two", object: dict(text("generator"), weights, text("discriminator"), small), err: true, want: `several entries hold tensors, so it is not clear which one is the model: "generator" (2 tensors), "discriminator" (1 tensor)`},
		{name: "two below", object: dict(text("model"), dict(text("language_model"), weights, text("vision"), small)), err: true, want: `"model/language_model" (2 tensors), "model/vision" (1 tensor)`},
		{name: "top and below", object: dict(text("head.weight"), four, text("model"), weights), err: true, want: `the top level itself (1 tensor), "model" (2 tensors)`},
		{name: "a history beside", object: dict(text("history"), four, text("model"), weights), want: "model", aside: `the top level (1 tensor)`},
		{name: "a history beside two", object: dict(text("history"), four, text("x"), weights), err: true, want: `the top level itself (1 tensor), "x" (2 tensors)`},
		{name: "optimizer alone", object: adam, err: true, want: "the state of an optimizer"},
		{name: "optimizer by names", object: dict(text("optimizer"), named), err: true, want: "no state_dict, only 2 tensors"},
		{name: "moments under another key", object: dict(text("opt"), named), err: true, want: "no state_dict, only 2 tensors"},
		{name: "only a loss", object: dict(text("loss"), scalar, text("model"), "}"), err: true, want: "no state_dict, only 1 tensor"},

		{name: "chosen", entry: "ema", object: dict(text("ema"), weights, text("model"), small), want: "ema", aside: `"model" (1 tensor)`},
		{name: "chosen by a path", entry: "ema/model", object: dict(text("ema"), dict(text("model"), weights), text("model"), small), want: "ema/model", aside: `"model" (1 tensor)`},
		{name: "chosen by dots", entry: "ema.model", object: dict(text("ema"), dict(text("model"), weights)), want: "ema/model"},
		{name: "a key with a dot", entry: "a.b", object: dict(text("a"), dict(text("b"), small), text("a.b"), weights), want: "a.b", aside: `"a/b" (1 tensor)`},
		{name: "a key with a slash", entry: "x/y/model", object: dict(text("x/y"), dict(text("model"), weights), text("x"), small), want: "x/y/model", aside: `"x" (1 tensor)`},
		{name: "the top chosen", entry: ".", object: dict(text("history"), four, text("model"), weights), aside: `"model" (2 tensors)`},
		{name: "optimizer chosen", entry: "optimizer/a.weight", object: dict(text("optimizer"), named), want: "optimizer/a.weight"},
		{name: "no such", entry: "emma", object: dict(text("ema"), weights, text("model"), small), err: true, want: `no entry "emma"`},
		{name: "no such below", entry: "ema/model", object: dict(text("ema"), weights, text("model"), small), err: true, want: `no entry "ema/model" in "ema"`},
		{name: "no tensors there", entry: "a", object: dict(text("a"), dict(text("b"), weights), text("model"), small), err: true, want: `"a" holds no tensors itself`},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := zipFile(ending{}, records(object(c.object), item{name: "m/data/1", body: floats})...)
			got, err := Open(newMemory(b), int64(len(b)), Options{Entry: c.entry})
			var ee *EntryError
			if c.err {
				if !errors.As(err, &ee) || !strings.Contains(ee.Reason, c.want) {
					t.Fatalf("error is %v, want an *EntryError with %q", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if path := strings.Join(got.Entry, "/"); path != c.want {
				t.Errorf("entry %q, want %q", path, c.want)
			}
			if aside := strings.Join(got.Aside, ", "); !strings.Contains(aside, c.aside) || c.aside == "" && aside != "" {
				t.Errorf("aside %q, want %q", aside, c.aside)
			}
		})
	}
}

// What a refusal offers can be chosen.
func TestEntryOffers(t *testing.T) {
	weights := dict(text("a.weight"), four)
	for _, o := range []string{
		dict(text("head.weight"), four, text("model"), weights),
		dict(text("model"), dict(text("a"), weights, text("b.c"), weights)),
		dict(text("optimizer"), dict(text("a.weight"), dict(text("exp_avg"), four))),
	} {
		b := archiveOf(object(o))
		for _, entry := range []string{"", "nowhere"} {
			_, err := Open(newMemory(b), int64(len(b)), Options{Entry: entry})
			var ee *EntryError
			if !errors.As(err, &ee) {
				t.Fatalf("%v", err)
			}
			for _, e := range ee.Entries {
				c, err := Open(newMemory(b), int64(len(b)), Options{Entry: e})
				if err != nil || joined(c.Entry) != e {
					t.Errorf("entry %q: %v", e, err)
				}
			}
		}
	}
	// A dict that is met in thousands of ways is looked into once.
	deep := weights + memoPut(500)
	for range 60 {
		deep = dict(text("a"), deep+memoPut(501), text("b"), memoGet(501))
	}
	b := archiveOf(object(deep))
	_, err := Open(newMemory(b), int64(len(b)), Options{})
	var ee *EntryError
	if !errors.As(err, &ee) || !slices.Contains(ee.Entries, "a") {
		t.Errorf("%v", err)
	}
}
