//go:build !unix

package writer

func stranger() {}
