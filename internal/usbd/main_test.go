package usbd

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is wrong with its arguments or its configuration is said before anything
// is touched.
func TestMainRefusesToStart(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.toml")
	if err := os.WriteFile(bad, []byte("no = [such"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"help":               {[]string{"--help"}, exitDone, "Denies USB devices by default"},
		"an unknown flag":    {[]string{"--allow-all"}, exitUsage, "allow-all"},
		"an argument":        {[]string{"/dev/sda"}, exitUsage, "/dev/sda"},
		"no configuration":   {[]string{"--config", filepath.Join(dir, "none.toml")}, exitUsage, "none.toml"},
		"no valid one":       {[]string{"-c", bad}, exitUsage, "bad.toml"},
		"a flag without one": {[]string{"-c"}, exitUsage, "config"},
	} {
		var out, errOut bytes.Buffer
		if got := Main(t.Context(), c.args, &out, &errOut); got != c.status || !strings.Contains(out.String()+errOut.String(), c.says) {
			t.Errorf("%s: status %d, %q, %q", name, got, out.String(), errOut.String())
		}
	}
}
