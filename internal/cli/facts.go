package cli

import (
	"os"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/cpu"

	"slerpmerge/internal/disk"
	"slerpmerge/internal/model"
	"slerpmerge/slerp"
)

// versionJSON are the facts that decide how fast and how well the program works
// on a machine.
type versionJSON struct {
	Version     string   `json:"version"`
	Revision    string   `json:"revision,omitempty"` // of the source
	Go          string   `json:"go"`
	OS          string   `json:"os"`
	Arch        string   `json:"arch"`
	CPUs        int      `json:"cpus"`         // that it may use
	Features    []string `json:"cpu_features"` // that matter here
	Kernels     string   `json:"kernels"`      // that do the arithmetic
	PageSize    int      `json:"page_size"`
	MemoryLimit *int64   `json:"memory_limit"` // bytes that the system lets the process have, null for no limit
	Folder      string   `json:"folder"`       // the current one
	DiskFree    *int64   `json:"disk_free"`    // bytes there, null if unknown
	Cache       string   `json:"cache"`        // of the Hugging Face Hub
	CacheFound  bool     `json:"cache_found"`
	Models      int      `json:"cached_models"`
}

func (a *app) facts() versionJSON {
	v := versionJSON{Version: a.version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.GOMAXPROCS(0),
		Features: cpuFeatures(), Kernels: slerp.Kernels(), PageSize: os.Getpagesize(), Cache: model.CacheFolder(), Models: len(model.Cached())}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Revision = s.Value
			}
		}
	}
	if n := memoryLimit(); n > 0 {
		v.MemoryLimit = &n
	}
	v.Folder, _ = os.Getwd()
	if n, err := disk.FreeSpace("."); err == nil {
		v.DiskFree = &n
	}
	if st, err := os.Stat(v.Cache); err == nil && st.IsDir() {
		v.CacheFound = true
	}
	return v
}

// cpuFeatures returns the features of the processor that kernels here use or could use.
func cpuFeatures() []string {
	features := []string{}
	for _, f := range []struct {
		name string
		has  bool
	}{
		{"avx2", cpu.X86.HasAVX2}, {"fma", cpu.X86.HasFMA}, {"f16c", cpu.X86.HasF16C}, {"avx512f", cpu.X86.HasAVX512F},
		{"avx512bf16", cpu.X86.HasAVX512BF16}, {"asimd", cpu.ARM64.HasASIMD}, {"fphp", cpu.ARM64.HasFPHP}, {"asimdhp", cpu.ARM64.HasASIMDHP},
	} {
		if f.has {
			features = append(features, f.name)
		}
	}
	return features
}
