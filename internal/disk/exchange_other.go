//go:build !linux

package disk

import "errors"

// Exchange swaps two folders in one step. An error that is
// errors.ErrUnsupported or EINVAL means that nothing was done.
func (d *Folder) Exchange(a, b string) error { return errors.ErrUnsupported }
