package cli_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode"

	"sallyport/internal/testtool"
)

// evilNames are names that a terminal would obey, that look like others, or
// that would lead elsewhere if they became paths of ours.
var evilNames = []string{
	"red\x1b[31mtext", "bell\a", "line\nbreak", "tab\there", "back\x08space", "c1\u009b31m", "turned\u202egpj.exe",
	"isolate\u2066x\u2069", "zero\u200bwidth", "bom\ufeff", "no\u00a0break", "bad\xff\xfeutf8", "trailing space ", "trailing dot.",
	`back\slash`, "..hidden", "-rf", "$(reboot)", "`id`", "%s%n", "CON", "aux.txt", "name:stream", "quote\"'", "de\u0301compose\u0301", "日本語", "מנשר",
}

// evilMedium is a real ext4 image with those names, and with a link, a FIFO and
// a device among them.
func evilMedium(t *testing.T) string {
	t.Helper()
	testtool.Root(t)
	testtool.Need(t, "mke2fs")
	dir := t.TempDir()
	for _, name := range evilNames {
		write(t, filepath.Join(dir, name), []byte(name))
		if err := os.Mkdir(filepath.Join(dir, "in "+name), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "in "+name, name), []byte(name))
	}
	if err := os.Symlink("/etc/shadow\x1b[0m", filepath.Join(dir, "link\x1b[1m")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo\x1b[1m"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mknod(filepath.Join(dir, "null\x1b[1m"), syscall.S_IFCHR|0o666, 1<<8|3); err != nil {
		t.Fatal(err)
	}
	img := filepath.Join(t.TempDir(), "evil.img")
	testtool.Run(t, "mke2fs", "-q", "-t", "ext4", "-L", "\x1b[7mLABEL", "-d", dir, img, "16M")
	return img
}

// TestNamesAreShownAndNeverObeyed: whatever a medium calls its files, no output
// of any command holds a character that is not visible as what it is, and no
// name becomes a path of ours.
func TestNamesAreShownAndNeverObeyed(t *testing.T) {
	o := office(t)
	img := evilMedium(t)
	inspected := call(t, "inspect", "--hash", img)
	taken := at(t, o.EMS, "intake", img)
	if taken.status != 3 || !strings.Contains(taken.out, "held") {
		t.Fatalf("exit status %d\n%s%s", taken.status, taken.out, taken.err)
	}
	outputs := map[string]result{
		"inspect": inspected, "inspect --json": call(t, "--json", "inspect", img), "intake": taken,
		"intake --json": at(t, o.EMS, "--json", "intake", img), "log": at(t, o.EMS, "log", "show"), "log --json": at(t, o.EMS, "--json", "log", "show"),
		"quarantine list": at(t, o.EMS, "quarantine", "list"), "quarantine list --json": at(t, o.EMS, "--json", "quarantine", "list"),
	}
	list, ok := document(t, outputs["quarantine list --json"].out)["items"].([]any)
	if !ok {
		t.Fatalf("no list of items:\n%s", outputs["quarantine list --json"].out)
	}
	shown := 0
	for _, item := range list {
		id := item.(map[string]any)["item"].(string)
		one, doc := at(t, o.EMS, "quarantine", "show", id), at(t, o.EMS, "--json", "quarantine", "show", id)
		outputs["quarantine show "+id], outputs["quarantine show --json "+id] = one, doc
		if strings.Contains(one.out, `red`) {
			shown++
		}
	}
	if shown < 2 {
		t.Errorf("the items of the medium are not shown: %d", shown)
	}
	for name, r := range outputs {
		for _, c := range r.out + r.err {
			if c != '\n' && c != ' ' && !unicode.IsPrint(c) {
				t.Errorf("%s prints %U:\n%q", name, c, r.out+r.err)
				break
			}
		}
	}
	for _, want := range []string{`turned\u202egpj.exe`, `zero\u200bwidth`, `trailing space\x20`, `no\u00a0break`, "1 symlink", "1 fifo", "1 chardevice"} {
		if !strings.Contains(inspected.out, want) {
			t.Errorf("inspect does not show %s:\n%s", want, inspected.out)
		}
	}
	// Names of media must not be names on the station.
	err := filepath.WalkDir(o.EMS.Dir, func(path string, d fs.DirEntry, err error) error {
		for _, name := range evilNames {
			if filepath.Base(path) == name {
				t.Errorf("a name of the medium became a path: %q", path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.EMS.CheckLog(); err != nil {
		t.Error(err)
	}
}
