package engine_test

import (
	"context"
	"sync/atomic"

	"slerpmerge/internal/operand"
	"slerpmerge/internal/tensor"
)

// A spoiled source does something else first.
type spoiled struct {
	operand.Source
	read     func(context.Context) error
	prefetch func()
}

func (s *spoiled) ReadAt(ctx context.Context, p []byte, off int64) error {
	if s.read != nil {
		if err := s.read(ctx); err != nil {
			return err
		}
	}
	return s.Source.ReadAt(ctx, p, off)
}

func (s *spoiled) Use(ctx context.Context, scratch []byte, off int64, use func([]byte) error) error {
	if s.read != nil {
		if err := s.read(ctx); err != nil {
			return err
		}
	}
	return s.Source.Use(ctx, scratch, off, use)
}

func (s *spoiled) Prefetch(off, n int64) {
	if s.prefetch != nil {
		s.prefetch()
	}
	s.Source.Prefetch(off, n)
}

// A counter counts the bytes that are read.
type counter struct{ bytes atomic.Int64 }

func (c *counter) wrap(_ operand.Operand, src operand.Source) operand.Source {
	return &counted{src, c}
}

type counted struct {
	operand.Source
	c *counter
}

func (s *counted) ReadAt(ctx context.Context, p []byte, off int64) error {
	s.c.bytes.Add(int64(len(p)))
	return s.Source.ReadAt(ctx, p, off)
}

func (s *counted) Use(ctx context.Context, scratch []byte, off int64, use func([]byte) error) error {
	s.c.bytes.Add(int64(len(scratch)))
	return s.Source.Use(ctx, scratch, off, use)
}

// Copier is nil, so that everything is read.
func (*counted) Copier() tensor.Copier { return nil }
