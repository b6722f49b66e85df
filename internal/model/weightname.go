package model

import (
	"regexp"
	"slices"
	"strings"
)

// A weightName has the parts of the name of a weight file, or of an index of such
// files. The zero value is not such a name.
type weightName struct {
	stem    string // model, pytorch_model, ...
	variant string // such as fp16, "" as a rule
	ext     string // .safetensors, .bin, .pt or .pth
	index   bool
	shard   bool // a part of a model, by its number
}

var (
	// transformers puts a variant before the last dot, so the index of
	// model.fp16-00001-of-00002.safetensors is model.safetensors.index.fp16.json.
	indexName = regexp.MustCompile(`^(.+)(\.safetensors|\.bin)\.index(?:\.([\w-]+))?\.json$`)
	// diffusers wrote variants behind the number at first.
	shardName = regexp.MustCompile(`^(.+?)[-_.]([0-9]+)-of-([0-9]+)(?:\.([\w-]+))?(\.safetensors|\.bin|\.pth|\.pt)$`)
	fileName  = regexp.MustCompile(`^(.+)(\.safetensors|\.bin|\.pth|\.pt)$`)
	// variantName splits a stem that the libraries give from its variant.
	variantName = regexp.MustCompile(`^(model|pytorch_model|diffusion_pytorch_model)\.([\w-]+)$`)
	// rankName numbers files by another scheme: one for each device that trained
	// the model or was to run it.
	rankName = regexp.MustCompile(`^(consolidated\.|mp_rank_|model_rank_)[0-9]+(_model_states)?(\.pth|\.pt|\.safetensors)$`)
)

// diffusersStem is the name that diffusers gives its weights.
const diffusersStem = "diffusion_pytorch_model"

// libraryStems are those that transformers and diffusers give.
var libraryStems = []string{"model", "pytorch_model", diffusersStem}

// parseWeightName reads the name of a file, without its folder. ok is false
// for other files, hidden ones among them.
func parseWeightName(name string) (n weightName, ok bool) {
	if strings.HasPrefix(name, ".") {
		return n, false
	}
	if p := indexName.FindStringSubmatch(name); p != nil {
		n = weightName{stem: p[1], ext: p[2], variant: p[3], index: true}
	} else if p := shardName.FindStringSubmatch(name); p != nil {
		// 00001-of-00001 is a whole model.
		n = weightName{stem: p[1], ext: p[5], variant: p[4], shard: strings.TrimLeft(p[3], "0") != "1"}
	} else if p := fileName.FindStringSubmatch(name); p != nil && !trainerState(name) {
		n = weightName{stem: p[1], ext: p[2]}
	} else {
		return n, false
	}
	if p := variantName.FindStringSubmatch(n.stem); p != nil && n.variant == "" {
		n.stem, n.variant = p[1], p[2]
	}
	return n, true
}

// ofLibrary reports whether transformers or diffusers give such names.
func (n weightName) ofLibrary() bool { return slices.Contains(libraryStems, n.stem) }

var trainerFiles = regexp.MustCompile(`^(training_args|optimizer|scheduler|scaler|sampler|rng_state|random_states|custom_checkpoint)([_-]?[0-9]+)*\.(bin|pt|pth|pkl|safetensors)$` +
	`|_optim_states\.pt$|^zero_pp_rank_.*\.pt$`)

// trainerState reports whether a file holds the state of a trainer, from which
// training can be resumed: it has no weights, whatever its ending.
func trainerState(name string) bool { return trainerFiles.MatchString(name) }
