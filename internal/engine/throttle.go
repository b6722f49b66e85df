package engine

import (
	"context"

	"golang.org/x/time/rate"
)

// newThrottle limits what is read and written together to so many bytes a
// second; 0 is no limit. Reads from the page cache count too.
func newThrottle(bytesPerSecond int64) *throttle {
	if bytesPerSecond <= 0 {
		return nil
	}
	burst := max(bytesPerSecond/10, 64<<10)
	return &throttle{rate.NewLimiter(rate.Limit(bytesPerSecond), int(min(burst, 16<<20)))}
}

type throttle struct{ limit *rate.Limiter }

// wait waits until n more bytes may be moved, or ctx ends.
func (t *throttle) wait(ctx context.Context, n int) error {
	if t == nil {
		return nil
	}
	for most := t.limit.Burst(); n > 0; n -= most {
		if err := t.limit.WaitN(ctx, min(n, most)); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			// Its deadline is too near for so many: it will have come by then.
			<-ctx.Done()
			return context.Cause(ctx)
		}
	}
	return nil
}
