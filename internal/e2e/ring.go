package e2e

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// Ring skips a test, visibly, unless the end-to-end tests were asked for. When
// they were, nothing is skipped any more: a missing tool is a failure.
func Ring(t testing.TB) {
	t.Helper()
	if os.Getenv("SALLYPORT_RING") != "e2e" {
		t.Skip("this test boots a guest: it runs with SALLYPORT_RING=e2e")
	}
	if os.Geteuid() != 0 {
		t.Fatal("the end-to-end tests need root")
	}
}

// BuildImage makes the base and an image on it, or takes both from the cache.
func BuildImage(t testing.TB, o ImageOptions) *Image {
	t.Helper()
	base, err := NewBase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	image, err := NewImage(t.Context(), base, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { image.Close() })
	return image
}

// Boot starts a guest that ends with the test. When the test has failed, the
// guest's console and, if it is on, its journal are printed before.
func Boot(t testing.TB, o Options) *Guest {
	t.Helper()
	g, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() && g.held != nil {
			t.Logf("console of the guest:\n%s", indent(g.Console()))
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			journal, err := g.Journal(ctx, 200)
			if err == nil {
				t.Logf("journal of the guest:\n%s", indent(journal))
			}
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func indent(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }
