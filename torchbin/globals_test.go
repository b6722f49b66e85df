package torchbin

import (
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
