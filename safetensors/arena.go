package safetensors

import "strings"

// An arena keeps many short texts in few pieces of memory.
type arena struct{ now strings.Builder }

func (a *arena) keep(text []byte) string {
	if len(text) > windowSize/16 {
		return string(text)
	}
	if a.now.Cap()-a.now.Len() < len(text) {
		a.now = strings.Builder{}
		a.now.Grow(windowSize)
	}
	start := a.now.Len()
	a.now.Write(text)
	return a.now.String()[start:]
}
