package tensor

import (
	"hash/maphash"
	"slices"
)

// Repeated looks for a name that two of n tensors have. It takes no memory
// where the names are sorted, and 8 bytes a name where they are not. Hashes
// are seeded anew each time, so that no file can be made to have many equal
// ones.
func Repeated(n int, name func(i int) string) (string, bool) {
	sorted := true
	for i := 1; i < n && sorted; i++ {
		sorted = name(i-1) < name(i)
	}
	if sorted {
		return "", false
	}
	seed := maphash.MakeSeed()
	hashes := make([]uint64, n)
	for i := range hashes {
		hashes[i] = maphash.String(seed, name(i))
	}
	slices.Sort(hashes)
	suspects := make(map[uint64]bool)
	for i := 1; i < n; i++ {
		if hashes[i] == hashes[i-1] {
			suspects[hashes[i]] = true
		}
	}
	if len(suspects) == 0 {
		return "", false
	}
	seen := make(map[string]bool)
	for i := range n {
		s := name(i)
		if !suspects[maphash.String(seed, s)] {
			continue
		}
		if seen[s] {
			return s, true
		}
		seen[s] = true
	}
	return "", false
}
