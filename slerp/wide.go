package slerp

import "math"

// A Wide is a float64 whose exponent has no end. Its operations round as those
// of float64 do, and neither overflow nor underflow: where float64 would not
// either, they have the same bits. The zero Wide is 0, and == compares.
type Wide struct {
	// The value is frac * 2^exp. exp is 0 if the value is 0, not finite or
	// within 2^±plainExp, else frac is from 1/2 to 1.
	frac float64
	exp  int32
}

// plainExp is the greatest binary exponent of a Wide that is held as a float64.
// The square of such a value, too, is far from the ends of float64, and so is
// a sum of as many squares as a block has elements.
const plainExp = 480

// NewWide returns x as a Wide.
func NewWide(x float64) Wide { return wide(x, 0) }

// Product returns x*y.
func Product(x, y float64) Wide { return NewWide(x).Times(NewWide(y)) }

func wide(frac float64, exp int) Wide {
	if frac == 0 || !finite(frac) {
		return Wide{frac: frac}
	}
	f, e := math.Frexp(frac)
	if e += exp; e < -plainExp || e > plainExp {
		return Wide{f, int32(e)}
	}
	return Wide{frac: math.Ldexp(f, e)}
}

// split returns the value as f * 2^e, f from 1/2 to 1 if it is finite and not 0.
func (w Wide) split() (f float64, e int) {
	f, e = math.Frexp(w.frac)
	return f, e + int(w.exp)
}

// Plus returns w + v.
func (w Wide) Plus(v Wide) Wide {
	if w.frac == 0 || v.frac == 0 || !w.Finite() || !v.Finite() {
		switch {
		case v.frac == 0 && w.frac != 0:
			return w
		case w.frac == 0 && v.frac != 0:
			return v
		}
		return Wide{frac: w.frac + v.frac}
	}
	f, e := w.split()
	g, d := v.split()
	if e < d {
		f, e, g, d = g, d, f, e
	}
	// Beyond 60 places v is less than a quarter of the last place of w.
	return wide(f+math.Ldexp(g, max(d-e, -60)), e)
}

// Times returns w * v.
func (w Wide) Times(v Wide) Wide {
	f, e := w.split()
	g, d := v.split()
	return wide(f*g, e+d)
}

// Over returns w / v, as a float64.
func (w Wide) Over(v Wide) float64 {
	f, e := w.split()
	g, d := v.split()
	return math.Ldexp(f/g, e-d)
}

// Sqrt returns the square root of w.
func (w Wide) Sqrt() Wide {
	f, e := w.split()
	if e%2 != 0 {
		f, e = 2*f, e-1
	}
	return wide(math.Sqrt(f), e/2)
}

// Neg returns -w.
func (w Wide) Neg() Wide { return Wide{-w.frac, w.exp} }

// Less reports whether w < v.
func (w Wide) Less(v Wide) bool { return w.Plus(v.Neg()).frac < 0 }

// Finite reports whether w is neither infinite nor NaN.
func (w Wide) Finite() bool { return finite(w.frac) }

// Float64 returns w as a float64, an infinity or 0 if it is too large or too small.
func (w Wide) Float64() float64 { return math.Ldexp(w.frac, int(w.exp)) }
