package model

import (
	"bytes"
	"io"
)

// SameFile compares a companion file of both models; an error when one has none.
func SameFile(a, b *Model, name string) (bool, error) {
	fa, err := a.OpenCompanion(name)
	if err != nil {
		return false, err
	}
	defer fa.Close()
	fb, err := b.OpenCompanion(name)
	if err != nil {
		return false, err
	}
	defer fb.Close()
	bufA, bufB := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, errA := io.ReadFull(fa, bufA)
		m, errB := io.ReadFull(fb, bufB)
		if !bytes.Equal(bufA[:n], bufB[:m]) {
			return false, nil
		}
		if errA != nil || errB != nil {
			return errA == errB, nil
		}
	}
}
