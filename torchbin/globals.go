package torchbin

import (
	"slices"
	"strings"

	"slerpmerge/internal/tensor"
)

// A global is an allowed (module, name). What it stands for is decided here,
// nothing is ever looked up.
type global struct {
	name    string // module and name, for messages
	index   uint8  // in globalList
	made    kind   // the result of a call
	dtype   DType
	isDType bool // torch.float32 and the like
	storage bool // a storage class whose elements are of dtype
	untyped bool // the storage class that has no name for its elements, which are bytes
	missing bool // a dtype without a safetensors name
	call    func(d *decoder, args []any) (any, error)
}

// globals are found by their module and name with a line feed between, which
// neither can hold. globalList has them by their index.
var globals, globalList = func() (m map[string]*global, list []*global) {
	m = make(map[string]*global)
	add := func(module, name string, g global) {
		g.name = module + "." + name
		g.index = uint8(len(list))
		if g.made == kindMissing {
			g.made = kindObject
		}
		list = append(list, &g)
		m[module+"\n"+name] = &g
	}
	add("collections", "OrderedDict", global{call: makeOrderedDict, made: kindOrdered})
	add("torch._utils", "_rebuild_tensor_v2", global{call: rebuildTensor, made: kindTensor})
	add("torch._utils", "_rebuild_tensor_v3", global{call: rebuildTensorOf, made: kindTensor})
	add("torch._utils", "_rebuild_parameter", global{call: rebuildParameter(3, 3), made: kindTensor})
	add("torch._utils", "_rebuild_parameter_with_state", global{call: rebuildParameter(4, 4), made: kindTensor})
	add("torch._tensor", "_rebuild_from_type_v2", global{call: rebuildFromType, made: kindTensor})
	add("torch.nn.parameter", "Parameter", global{call: rebuildParameter(1, 2), made: kindTensor})
	add("torch", "Tensor", global{})
	add("torch", "Size", global{call: makeSize})
	add("torch", "device", global{call: makeDevice})
	add("collections", "Counter", global{call: makeCounter})
	add("_codecs", "encode", global{call: encodeText})
	for _, module := range []string{"__builtin__", "builtins"} { // as Python 2 and 3 call it
		add(module, "set", global{call: makeSet})
		add(module, "complex", global{call: makeComplex})
		add(module, "bytearray", global{call: makeBytearray})
	}
	add("torch.storage", "UntypedStorage", global{storage: true, untyped: true, dtype: tensor.U8})
	for name, d := range map[string]DType{
		"Double": tensor.F64, "Float": tensor.F32, "Half": tensor.F16, "BFloat16": tensor.BF16,
		"Long": tensor.I64, "Int": tensor.I32, "Short": tensor.I16, "Char": tensor.I8,
		"Byte": tensor.U8, "Bool": tensor.BOOL, "ComplexFloat": tensor.C64,
	} {
		add("torch", name+"Storage", global{storage: true, dtype: d})
	}
	for name, d := range map[string]DType{
		"float64": tensor.F64, "float32": tensor.F32, "float16": tensor.F16, "bfloat16": tensor.BF16,
		"int64": tensor.I64, "int32": tensor.I32, "int16": tensor.I16, "int8": tensor.I8,
		"uint64": tensor.U64, "uint32": tensor.U32, "uint16": tensor.U16, "uint8": tensor.U8,
		"bool": tensor.BOOL, "complex64": tensor.C64,
		"float8_e4m3fn": tensor.F8E4M3, "float8_e5m2": tensor.F8E5M2, "float8_e8m0fnu": tensor.F8E8M0,
		"float8_e4m3fnuz": tensor.F8E4M3FNUZ, "float8_e5m2fnuz": tensor.F8E5M2FNUZ,
		"float4_e2m1fn_x2": tensor.F4,
	} {
		add("torch", name, global{isDType: true, dtype: d})
	}
	for _, name := range []string{"complex128", "complex32"} {
		add("torch", name, global{isDType: true, missing: true})
	}
	return m, list
}()

// refusals say more about globals that honest files hold.
var refusals = map[string]string{
	"torch._utils\n_rebuild_sparse_tensor":          "sparse tensors can't be merged",
	"torch._utils\n_rebuild_sparse_csr_tensor":      "sparse tensors can't be merged",
	"torch.serialization\n_get_layout":              "sparse tensors can't be merged",
	"torch._utils\n_rebuild_qtensor":                quantisedTensors,
	"torch._utils\n_rebuild_meta_tensor_no_storage": "a meta tensor has no values",
	"torch\nComplexDoubleStorage":                   "complex128 has no place in safetensors",
	"torch\nQInt8Storage":                           quantisedTensors,
	"torch\nQInt32Storage":                          quantisedTensors,
	"torch\nQUInt8Storage":                          quantisedTensors,
	"torch\nQUInt4x2Storage":                        quantisedTensors,
	"torch\nQUInt2x4Storage":                        quantisedTensors,
	"torch.jit._pickle\nbuild_intlist":              "TorchScript is a program, not a checkpoint",
	"torch.distributed.tensor\nDTensor":             "a distributed tensor holds only a part of its values",
	"torch.nn.modules.container\nModuleList":        "a pickled module is code, not a state_dict",
	"torch.nn.modules.container\nSequential":        "a pickled module is code, not a state_dict",
	"torch.nn.modules.linear\nLinear":               "a pickled module is code, not a state_dict",
}

// quantisedTensors is the refusal of quantised tensors.
const quantisedTensors = "quantised tensors can't be merged"

// quantisers are modules whose tensors are quantised ones.
var quantisers = []string{"torch.ao.nn.quantized.", "torch.nn.quantized.", "torchao.", "optimum.quanto.", "quanto.", "bitsandbytes.", "hqq."}

// quantSchemes are the constants of torch that a quantised tensor has beside its
// type.
var quantSchemes = []string{"per_tensor_affine", "per_channel_affine", "per_tensor_symmetric", "per_channel_symmetric", "per_channel_affine_float_qparams"}

// refusal says more about a global that is not on the list; "" if there is
// nothing to say.
func refusal(key string) string {
	if text := refusals[key]; text != "" {
		return text
	}
	module, name, _ := strings.Cut(key, "\n")
	quantised := module == "torch" && (strings.HasPrefix(name, "qint") || strings.HasPrefix(name, "quint") || slices.Contains(quantSchemes, name))
	for _, q := range quantisers {
		quantised = quantised || strings.HasPrefix(module+".", q)
	}
	if quantised {
		return quantisedTensors
	}
	return ""
}

// checkGlobal looks up the name of the current GLOBAL.
func (s *scanner) checkGlobal() error {
	key := s.qualified()
	if s.global = globals[key]; s.global != nil {
		if s.protocol > 2 && strings.HasPrefix(key, "__builtin__\n") { // Python 2's name, which it does not have then
			return s.refuse("the global %s in pickle protocol %d", dotted(key), s.protocol)
		}
		return nil
	}
	if text := refusal(key); text != "" {
		err := s.refuse("the global %s is refused: %s", dotted(key), text)
		err.(*FormatError).Quantised = text == quantisedTensors
		return err
	}
	return s.code("the global %s is not on the list of what a state_dict may name", dotted(key))
}

// dotted writes a module and a name for a message.
func dotted(key string) string { return quote(strings.Replace(key, "\n", ".", 1)) }
