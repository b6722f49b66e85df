package model

// A FormatError says that a file of a model is corrupt, unsafe, or no weight
// file at all. Hint, when set, is what the user can do.
type FormatError struct {
	Path string
	Msg  string
	Hint string
	Err  error
}

func (e *FormatError) Error() string { return e.Path + ": " + join(e.Msg, e.Err) }
func (e *FormatError) Unwrap() error { return e.Err }

// An UnusableError says that a path holds no model that can be merged, though
// nothing in it is corrupt: no such folder, an adapter, quantised weights.
type UnusableError struct {
	Path string
	Msg  string
	Hint string
}

func (e *UnusableError) Error() string { return e.Path + ": " + e.Msg }

func join(msg string, err error) string {
	switch {
	case err == nil:
		return msg
	case msg == "":
		return err.Error()
	}
	return msg + ": " + err.Error()
}
