package torchbin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nlpodyssey/gopickle/types"
)

// wrappers are the keys below which trainers put the state_dict, the first one
// that holds one counts: PyTorch Lightning and timm, DeepSpeed's engines, fairseq
// and nanoGPT, DeepSpeed.
var wrappers = []string{"state_dict", "model_state_dict", "model_state", "model", "module", "net"}

// asides are keys under which trainers keep other things than a model. Keys
// that begin with "optim" are, too.
var asides = []string{
	"lr_scheduler", "lr_schedulers", "scheduler", "schedulers", "scaler", "grad_scaler", "amp_scaler", "loss_scaler", "amp",
	"rng_state", "rng_states", "cuda_rng_state", "random_states", "callbacks", "loops", "dataloader", "sampler",
}

// moments are the tensors that optimizers keep for each parameter.
var moments = []string{
	"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "momentum_buffer", "square_avg", "grad_avg", "acc_delta", "sum", "step",
	"mu_product", "prev", "step_size", "exp_avg_sq_row", "exp_avg_sq_col", "exp_avg_slow", "exp_avg_diff",
}

// TopLevel is the entry that names the object itself.
const TopLevel = "."

const (
	maxDepth  = 64 // of dicts in dicts that are looked into
	maxListed = 8  // entries that a message or Aside names
)

// An EntryError says that a file holds no state_dict, or several and nothing
// that says which one is the model. Its text is like that of a FormatError.
type EntryError struct {
	Reason  string
	Entries []string // that can be chosen
}

func (e *EntryError) Error() string { return e.Reason }

// tensorsIn returns a number of tensors in words.
func tensorsIn(n int) string {
	if n == 1 {
		return "1 tensor"
	}
	return fmt.Sprintf("%d tensors", n)
}

// choose walks from the top to the state_dict: the dict itself if it holds
// tensors, else the first of wrappers that has a state_dict, else the only entry
// that has one.
func (s *survey) choose(top *node) (*node, []string, error) {
	n, path := top, []string(nil)
	for range maxDepth {
		found := s.candidates(n)
		own := s.isModel(n)
		if own && n.dotted == 0 && slices.ContainsFunc(found, func(k kid) bool { return slices.Contains(wrappers, k.key) && k.modules() }) {
			own = false // such as a history of losses beside the model
		}
		if own && len(found) == 0 {
			return n, path, nil
		}
		if !own {
			i := -1
			for _, w := range wrappers {
				if i = slices.IndexFunc(found, func(k kid) bool { return k.key == w }); i >= 0 {
					break
				}
			}
			if i < 0 && len(found) == 1 {
				i = 0
			}
			if i >= 0 {
				n, path = found[i].node, append(path, found[i].key)
				continue
			}
		}
		if !own && len(found) == 0 {
			break
		}
		return nil, nil, several(n, path, own, found)
	}
	return nil, nil, nil
}

// several says which entries of a dict hold tensors.
func several(n *node, path []string, own bool, found []kid) error {
	e := &EntryError{}
	var list []string
	if own {
		e.Entries = append(e.Entries, joined(path))
		list = append(list, fmt.Sprintf("%s itself (%s)", quoteEntry(path), tensorsIn(n.weights)))
	}
	for i, k := range found {
		if i == maxListed {
			list = append(list, fmt.Sprintf("%d more", len(found)-i))
			break
		}
		at := append(slices.Clone(path), k.key)
		e.Entries = append(e.Entries, joined(at))
		list = append(list, fmt.Sprintf("%s (%s)", quoteEntry(at), tensorsIn(k.count())))
	}
	e.Reason = "several entries hold tensors, so it is not clear which one is the model: " + strings.Join(list, ", ")
	return e
}

// joined writes a path as --entry takes it.
func joined(path []string) string {
	if len(path) == 0 {
		return TopLevel
	}
	return strings.Join(path, "/")
}

func quoteEntry(path []string) string {
	if len(path) == 0 {
		return "the top level"
	}
	return quote(joined(path))
}

// state finds the state_dict of an object: that at entry, or by the rules if
// entry is empty. aside names the state_dicts that are not taken, and dicts that
// lie among the tensors.
func state(top any, entry string) (dict types.Dict, path, aside []string, err error) {
	if _, ok := entries(top); !ok {
		return nil, nil, nil, malformed("the object is %s, not a dict of names to tensors", describe(top))
	}
	s := &survey{nodes: make(map[any]*node)}
	root, err := s.node(top, 0)
	if err != nil {
		return nil, nil, nil, err
	}
	if entry != "" {
		n, path, err := s.at(root, entry)
		if err != nil {
			return nil, nil, nil, err
		}
		return n.dict, path, s.aside(root, n), nil
	}
	for range 2 {
		n, path, err := s.choose(root)
		if err != nil {
			return nil, nil, nil, err
		}
		if n != nil {
			return n.dict, path, s.aside(root, n), nil
		}
		s.loose++
		for _, n := range s.nodes {
			n.done = false
		}
	}
	return nil, nil, nil, nothing(root)
}

// nothing says what a file without a state_dict holds.
func nothing(root *node) error {
	if root.training {
		return &EntryError{Reason: "the state of an optimizer, not a model"}
	}
	n := root.count()
	if n == 0 {
		return malformed("no tensors: neither the top level nor any entry holds a state_dict")
	}
	e := &EntryError{Reason: fmt.Sprintf("no state_dict, only %s of other kinds, such as the state of an optimizer or a loss", tensorsIn(n))}
	if root.weights > 0 {
		e.Entries = append(e.Entries, TopLevel)
	}
	for _, k := range root.kids {
		if k.weights > 0 && len(e.Entries) < maxListed {
			e.Entries = append(e.Entries, k.key)
		}
	}
	return e
}

// at finds the dict that entry names: keys with slashes or dots between. A key
// that has some itself is found, too; the longest one counts.
func (s *survey) at(root *node, entry string) (*node, []string, error) {
	var longest []string
	budget := 1 << 16 // keys that are prefixes of each other make many ways
	var find func(n *node, rest string, path []string) (*node, []string)
	find = func(n *node, rest string, path []string) (*node, []string) {
		if rest == "" {
			return n, path
		}
		if len(path) > len(longest) {
			longest = slices.Clone(path)
		}
		var fit []kid
		for _, k := range n.kids {
			if after, ok := strings.CutPrefix(rest, k.key); ok && k.key != "" && (after == "" || strings.ContainsRune("/.", rune(after[0]))) {
				fit = append(fit, k)
			}
		}
		slices.SortStableFunc(fit, func(a, b kid) int { return len(b.key) - len(a.key) })
		for _, k := range fit {
			if budget--; budget < 0 || len(path) > maxDepth {
				break
			}
			after := rest[len(k.key):]
			if after != "" {
				if after = after[1:]; after == "" {
					continue
				}
			}
			if n, path := find(k.node, after, append(path, k.key)); n != nil {
				return n, path
			}
		}
		return nil, nil
	}
	n, path := root, []string(nil)
	if entry != TopLevel {
		n, path = find(root, entry, nil)
	}
	switch {
	case n == nil:
		e := &EntryError{Reason: fmt.Sprintf("no entry %s", quote(entry))}
		if len(longest) > 0 {
			e.Reason += " in " + quoteEntry(longest)
		}
		e.Entries = s.choices(root)
		return nil, nil, e
	case n.weights == 0:
		e := &EntryError{Reason: fmt.Sprintf("%s holds no tensors itself", quoteEntry(path))}
		for _, k := range s.candidates(n) {
			if len(e.Entries) < maxListed {
				e.Entries = append(e.Entries, joined(append(slices.Clone(path), k.key)))
			}
		}
		return nil, nil, e
	}
	return n, path, nil
}

// choices returns the entries of a file that hold a state_dict.
func (s *survey) choices(root *node) (list []string) {
	s.each(root, func(n *node, path []string) bool {
		if s.isModel(n) {
			list = append(list, joined(path))
		}
		return len(list) < maxListed
	})
	return list
}

// each visits every dict in which or below which a state_dict may be, until do
// returns false.
func (s *survey) each(root *node, do func(n *node, path []string) bool) {
	seen := make(map[*node]bool)
	var walk func(n *node, path []string) bool
	walk = func(n *node, path []string) bool {
		if seen[n] {
			return true
		}
		seen[n] = true
		if !do(n, path) {
			return false
		}
		for _, k := range s.candidates(n) {
			if !walk(k.node, append(slices.Clone(path), k.key)) {
				return false
			}
		}
		return true
	}
	walk(root, nil)
}

// aside names the other state_dicts, and the dicts among the chosen tensors.
func (s *survey) aside(root, chosen *node) (list []string) {
	s.each(root, func(n *node, path []string) bool {
		if n != chosen && s.isModel(n) {
			list = append(list, fmt.Sprintf("%s (%s)", quoteEntry(path), tensorsIn(n.weights)))
		}
		return len(list) < maxListed
	})
	models := s.candidates(chosen) // which each has met
	for _, k := range chosen.kids {
		if len(list) < maxListed && !slices.Contains(models, k) {
			list = append(list, fmt.Sprintf("%s (a dict among the tensors)", quote(k.key)))
		}
	}
	return list
}
