package torchbin

import (
	"errors"
	"strings"
	"testing"
)

func TestRefusal(t *testing.T) {
	for key, want := range map[string]string{
		"torch.qint8":                            "quantised",
		"torch.quint4x2":                         "quantised",
		"torch.QInt8Storage":                     "quantised",
		"torch._utils._rebuild_qtensor":          "quantised",
		"torch.ao.nn.quantized.modules.Packed":   "quantised",
		"torchao.dtypes.AffineQuantizedTensor":   "quantised",
		"torchao.AffineQuantizedTensor":          "quantised",
		"optimum.quanto.tensor.WeightQBitTensor": "quantised",
		"bitsandbytes.nn.modules.Params4bit":     "quantised",
		"torch._utils._rebuild_sparse_tensor":    "sparse",
		"torch.per_tensor_affine":                "quantised",
		"torch.quantile":                         "",
		"torchaoo.Tensor":                        "",
		"os.system":                              "",
	} {
		dot := strings.LastIndexByte(key, '.')
		if got := refusal(key[:dot] + "\n" + key[dot+1:]); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}

// A sound file of quantised tensors is told from one that names code.
func TestQuantisedError(t *testing.T) {
	for global, want := range map[string]bool{"torch\nqint8": true, "torch._utils\n_rebuild_qtensor": true, "torch._utils\n_rebuild_sparse_tensor": false, "os\nsystem": false} {
		rest := "."
		if want { // as torch goes on
			rest = "(ctorch\nper_tensor_affine\nK\x00ctorch\nper_channel_affine_float_qparams\nt."
		}
		b := archiveOf("\x80\x02c" + global + "\n" + rest)
		_, err := Open(newMemory(b), int64(len(b)), Options{})
		var fe *FormatError
		if !errors.As(err, &fe) || fe.Quantised != want || want && fe.Code {
			t.Errorf("%q: %v", global, err)
		}
	}
}
