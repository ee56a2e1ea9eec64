package ext_test

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"sallyport/internal/limit"
	"sallyport/internal/volume/ext"
	"sallyport/internal/volume/layout"
)

func TestTry(t *testing.T) {
	for _, img := range os.Args[len(os.Args)-1:] {
		f, _ := os.Open(img)
		st, _ := f.Stat()
		for range 4 {
			b := layout.NewBudget(limit.Default())
			d := layout.NewDevice(f, st.Size(), 4<<30)
			v := &layout.Volume{Size: st.Size()}
			var s0, s1 runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&s0)
			t0 := time.Now()
			err := ext.Walk(layout.NewWalker(d, v, b))
			el := time.Since(t0)
			runtime.ReadMemStats(&s1)
			runtime.GC()
			var s2 runtime.MemStats
			runtime.ReadMemStats(&s2)
			x := 0
			for _, e := range v.Entries {
				x += len(e.Extents)
			}
			fmt.Println(img, len(v.Entries), x, err, el, int(float64(len(v.Entries))/el.Seconds()), "/s; alloc MiB", (s1.TotalAlloc-s0.TotalAlloc)>>20, "live", (s2.HeapAlloc-s0.HeapAlloc)>>20, v.Problems)
		}
	}
}
