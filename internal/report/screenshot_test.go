package report_test

import (
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

// The screenshots that README shows are there, small, of the widths that they
// are said to have, and not empty. testdata/interop/page.py makes them.
func TestScreenshots(t *testing.T) {
	for name, width := range map[string]int{"compare-desktop.png": 1280, "compare-phone.png": 375} {
		path := filepath.Join("..", "..", "testdata", "pages", name)
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if st, err := f.Stat(); err != nil || st.Size() > 300_000 {
			t.Errorf("%s: %d bytes, %v", name, st.Size(), err)
		}
		img, err := png.Decode(f)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := img.Bounds().Dx(); got != width {
			t.Errorf("%s is %d pixels wide, want %d", name, got, width)
		}
		if n := colours(img); n < 60 {
			t.Errorf("%s has %d colours", name, n)
		}
	}
}

func colours(img image.Image) int {
	seen := map[[3]uint32]bool{}
	for y := 0; y < img.Bounds().Dy(); y += 3 {
		for x := range img.Bounds().Dx() {
			r, g, b, _ := img.At(x, y).RGBA()
			seen[[3]uint32{r, g, b}] = true
		}
	}
	return len(seen)
}
