package vault_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/vault"
	"sallyport/internal/verdict"
)

// damagedVault holds one item "d" of three files; the index's entries begin at
// byte 304, and the first has the fields size 8, flags 1, SHA-256 32, length 2.
func damagedVault(t *testing.T) (v *vault.Vault, dir string) {
	t.Helper()
	v = open(t, vault.Options{})
	st := stage(t, v, "d", content{"first", random(1, 5000)}, content{"second", random(2, 3<<20)}, content{"third", nil})
	it, err := v.Hold(st, []verdict.Finding{{Reason: verdict.FileAltered, Where: "first"}}, []byte("outcome"))
	if err != nil {
		t.Fatal(err)
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return v, filepath.Join(v.Dir(), "held", "d")
}

// recheck gets the item and verifies it.
func recheck(v *vault.Vault) error {
	it, err := v.Get("d")
	if err != nil {
		return err
	}
	defer it.Close()
	return it.Verify()
}

func TestDamageIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		off  int64
		want vault.Damage // Problem: a part of it
	}{
		"head of the pack":      {"pack", 5, vault.Damage{File: "pack", Off: 0, Problem: "head"}},
		"padding of the head":   {"pack", 2000, vault.Damage{File: "pack", Off: 0, Problem: "head"}},
		"first byte of a file":  {"pack", 4096, vault.Damage{File: "pack", Off: 4096, Entry: "first", Problem: "file 0"}},
		"middle of the second":  {"pack", 2 << 20, vault.Damage{File: "pack", Off: 4096 + 5000, Entry: "second", Problem: "file 1"}},
		"last byte":             {"pack", 4096 + 5000 + 3<<20 - 1, vault.Damage{File: "pack", Off: 4096 + 5000, Entry: "second", Problem: "file 1"}},
		"magic of the index":    {"index", 0, vault.Damage{File: "index", Off: 0, Problem: "not an index"}},
		"count of the index":    {"index", 32, vault.Damage{File: "index", Off: 272, Problem: "SHA-256"}},
		"size in an entry":      {"index", 304, vault.Damage{File: "index", Off: 449, Problem: "the entries cover"}},
		"high byte of the size": {"index", 311, vault.Damage{File: "index", Off: 304, Problem: "ends after the pack"}},
		"SHA-256 in an entry":   {"index", 320, vault.Damage{File: "index", Off: 304, Problem: "SHA-256"}},
		"facts":                 {"facts.json", 3, vault.Damage{File: "facts.json", Problem: "SHA-256"}},
		"record":                {"record.json", 3, vault.Damage{File: "record.json", Problem: "SHA-256"}},
		"outcome":               {"outcome.json", 3, vault.Damage{File: "outcome.json", Problem: "SHA-256"}},
		"decision":              {"decision.json", 3, vault.Damage{File: "decision.json", Problem: ""}},
	} {
		t.Run(name, func(t *testing.T) {
			v, dir := damagedVault(t)
			if err := recheck(v); err != nil {
				t.Fatalf("before the damage: %v", err)
			}
			flip(t, filepath.Join(dir, c.file), c.off)
			wantDamage(t, recheck(v), c.want)
		})
	}
}

func wantDamage(t *testing.T, err error, want vault.Damage) {
	t.Helper()
	var d *vault.Damage
	if !errors.As(err, &d) {
		t.Fatalf("%v, want a *Damage", err)
	}
	if d.ID != "d" || d.File != want.File || d.Off != want.Off || d.Entry != want.Entry || !strings.Contains(d.Problem, want.Problem) {
		t.Errorf("%+v, want %+v", *d, want)
	}
}

// A decision whose text is changed in a way that JSON does not notice.
func TestChangedReasonIsNoticed(t *testing.T) {
	v, dir := damagedVault(t)
	path := filepath.Join(dir, "decision.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(b, []byte(`"where":"first"`), []byte(`"where":"other"`), 1)
	if bytes.Equal(b, changed) {
		t.Fatalf("nothing to change in %s", b)
	}
	if err := os.WriteFile(path, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	wantDamage(t, recheck(v), vault.Damage{File: "decision.json", Problem: "check"})
}

func TestMissingAndTruncatedFilesAreDamage(t *testing.T) {
	for _, file := range []string{"pack", "index", "decision.json", "facts.json", "record.json", "outcome.json"} {
		v, dir := damagedVault(t)
		path := filepath.Join(dir, file)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, info.Size()-1); err != nil {
			t.Fatal(err)
		}
		var d *vault.Damage
		if err := recheck(v); !errors.As(err, &d) || d.File != file {
			t.Errorf("%s cut short: %v", file, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := recheck(v); !errors.As(err, &d) || d.File != file || !strings.Contains(d.Problem, "missing") {
			t.Errorf("%s missing: %v", file, err)
		}
	}
}

// An item's files put under another id, or a held one moved to admitted, do
// not pass for what they are not.
func TestItemsCannotBeExchanged(t *testing.T) {
	v, dir := damagedVault(t)
	admitted := filepath.Join(v.Dir(), "admitted")
	if err := os.Rename(dir, filepath.Join(admitted, "e")); err != nil {
		t.Fatal(err)
	}
	var d *vault.Damage
	if _, err := v.Get("e"); !errors.As(err, &d) || d.File != "index" {
		t.Errorf("under another id: %v", err)
	}
	if err := os.Rename(filepath.Join(admitted, "e"), filepath.Join(admitted, "d")); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Get("d"); !errors.As(err, &d) || d.File != "decision.json" {
		t.Errorf("held item moved to admitted: %v", err)
	}
}
