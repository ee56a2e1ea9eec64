package station

import (
	"path/filepath"
	"testing"
	"time"

	"sallyport/internal/custody"
	"sallyport/internal/durable"
	"sallyport/internal/intake"
	"sallyport/internal/verdict"
)

// What the intake knows of an inserted device finds its medium, and a copy of its
// file system on another device does not.
func TestAnInsertedDeviceIsLookedFor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "media")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(custody.Create(dir, durable.FS{}))
	r, err := custody.Open(dir, durable.FS{})
	must(err)
	id := custody.NewID()
	_, err = r.Add(id, custody.Description{Label: "P-12", Vendor: "0781", Product: "5581", Serial: "4C53 1001", FSID: "1A2B-3C4D", Direction: custody.In}, custody.By{At: time.Now()})
	must(err)
	facts := func(serial string) intake.Facts {
		return intake.Facts{Device: &intake.Device{Vendor: "0781", Product: "5581", Serial: serial}, Volumes: []intake.VolumeFact{{}, {FS: "fat32", ID: "1A2B-3C4D"}}}
	}
	known := custody.Policy{Mode: custody.Known}
	if got := r.Look(seenOf(facts("4C53 1001")), known); got.ID != id || len(got.Against) > 0 {
		t.Errorf("%+v", got)
	}
	for _, serial := range []string{"4C53 1002", ""} {
		if got := r.Look(seenOf(facts(serial)), known); len(got.Against) != 1 || got.Against[0].Reason != verdict.CustodyBroken {
			t.Errorf("with the serial number %q: %+v", serial, got)
		}
	}
	image := facts("")
	image.Device = nil
	if got := r.Look(seenOf(image), known); got.ID != id {
		t.Errorf("an image: %+v", got)
	}
}
