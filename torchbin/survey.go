package torchbin

import (
	"slices"
	"strings"

	"github.com/nlpodyssey/gopickle/types"

	"slerpmerge/internal/tensor"
)

// A node is a dict and its contents. A dict that can be reached in several ways
// is one.
type node struct {
	dict     types.Dict
	kids     []kid // the dicts in it, by the last value of each key
	weights  int   // tensors directly in it
	many     int   // of these, those that are not lone: see lone
	dotted   int   // of these, those whose names have a dot, as those of parameters in modules
	others   int   // values that are no tensors
	training bool  // the state of an optimizer

	done  bool
	holds [2]bool // a state_dict in it or below, see survey.strict
}

type kid struct {
	key string
	*node
}

// A survey finds the state_dicts of an object.
type survey struct {
	nodes map[any]*node
	loose int // 0 while lone tensors make no state_dict, 1 later
}

// lone reports whether a tensor may stand beside a model rather than in it: a
// single number, such as a loss, or the state of a random number generator.
func (v *value) lone() bool {
	n := int64(1)
	for _, d := range v.shape {
		n *= d
	}
	return n == 1 || v.dtype == tensor.U8 && len(v.shape) == 1
}

// node makes the node of a dict.
func (s *survey) node(v any, depth int) (*node, error) {
	if n := s.nodes[v]; n != nil {
		return n, nil
	}
	dict, _ := entries(v)
	n := &node{dict: dict}
	s.nodes[v] = n
	place := make(map[string]int) // of kids
	foreign := 0
	for _, e := range dict {
		key, ok := e.Key.(string)
		if !ok {
			n.others++
			continue
		}
		at, twice := place[key]
		switch x := e.Value.(type) {
		case *value:
			n.weights++
			if !x.lone() {
				n.many++
			}
			if strings.Contains(key, ".") {
				n.dotted++
			}
			if !slices.Contains(moments, key) {
				foreign++
			}
		case *types.Dict, *orderedDict:
			n.others++
			if twice && any(n.kids[at].node) == any(s.nodes[x]) {
				continue
			}
			if twice {
				break
			}
			if depth < maxDepth {
				child, err := s.node(x, depth+1)
				if err != nil {
					return nil, err
				}
				place[key] = len(n.kids)
				n.kids = append(n.kids, kid{key, child})
				continue
			}
		default:
			n.others++
			if key == "param_groups" {
				n.training = true
			}
		}
		if twice {
			return nil, malformed("the name %s occurs twice with different values", quote(key))
		}
	}
	n.training = n.training || n.weights > 0 && foreign == 0
	return n, nil
}

// isModel reports whether the tensors directly in the dict are a state_dict.
func (s *survey) isModel(n *node) bool {
	if n.training {
		return false
	}
	return n.many > 0 || s.loose == 1 && n.weights > 0 && n.others == 0
}

// has reports whether a state_dict is in the dict or below it.
func (s *survey) has(n *node) bool {
	if n.done {
		return n.holds[s.loose]
	}
	n.done = true // a dict that holds itself ends here
	n.holds[s.loose] = s.isModel(n) || len(s.candidates(n)) > 0
	return n.holds[s.loose]
}

// candidates returns the entries of a dict in which there is a state_dict.
func (s *survey) candidates(n *node) (found []kid) {
	if n.training {
		return nil
	}
	for _, k := range n.kids {
		name := strings.ToLower(k.key)
		if slices.Contains(asides, name) || strings.HasPrefix(name, "optim") || strings.HasSuffix(name, "_extra_state") {
			continue
		}
		if s.has(k.node) {
			found = append(found, k)
		}
	}
	return found
}

// modules reports whether a dict or one below holds a tensor of a module.
func (n *node) modules() bool {
	seen := make(map[*node]bool)
	var any func(n *node) bool
	any = func(n *node) bool {
		if seen[n] {
			return false
		}
		seen[n] = true
		return n.dotted > 0 || slices.ContainsFunc(n.kids, func(k kid) bool { return any(k.node) })
	}
	return any(n)
}

// count returns the number of tensors in a dict and below.
func (n *node) count() int {
	seen := make(map[*node]bool)
	var add func(n *node) int
	add = func(n *node) int {
		if seen[n] {
			return 0
		}
		seen[n] = true
		sum := n.weights
		for _, k := range n.kids {
			sum += add(k.node)
		}
		return sum
	}
	return add(n)
}
