package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
)

func TestSealRefuses(t *testing.T) {
	o := office(t)
	dir := t.TempDir()
	good := write(t, filepath.Join(dir, "good.txt"), []byte("good\n"))
	spaced := write(t, filepath.Join(dir, "two words.txt"), nil)
	device := write(t, filepath.Join(dir, "CON.txt"), nil)
	upper := write(t, filepath.Join(dir, "GOOD.TXT"), nil)
	fifo, link, linked := filepath.Join(dir, "fifo"), filepath.Join(dir, "link"), filepath.Join(dir, "folder")
	testtool.Run(t, "mkfifo", fifo)
	empty := t.TempDir()
	for _, err := range []error{os.Symlink(good, link), os.Mkdir(linked, 0o755), os.Symlink(good, filepath.Join(linked, "inside"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	again := filepath.Join(t.TempDir(), "good.txt")
	write(t, again, []byte("other\n"))
	media, cvr := []string{"--kind", "media-set", "--audience", "ems-1"}, []string{"--kind", "cvr-export", "--audience", "ems-1"}
	for _, tc := range []struct {
		name   string
		args   []string
		status int
		says   []string
	}{
		{"space in a name", append(media, spaced), 2, []string{"two words.txt", "0x20", "letters", "rename"}},
		{"DOS device", append(media, device), 2, []string{"CON", "DOS device"}},
		{"pipe", append(media, fifo), 2, []string{"fifo", "neither a file nor a folder"}},
		{"link", append(media, link), 2, []string{"link", "name the file itself"}},
		{"link in a folder", append(media, linked), 2, []string{"inside", "it is a link"}},
		{"same name twice", append(media, good, again), 2, []string{"both would be good.txt"}},
		{"same but for case", append(media, good, upper), 2, []string{"both would be"}},
		{"no such file", append(media, dir+"/none"), 2, []string{"none", "no such file"}},
		{"empty folder", append(media, empty), 2, []string{"there is no file"}},
		{"unknown kind", []string{"--kind", "votes", "--audience", "ems-1", good}, 2, []string{"votes", "cvr-export"}},
		{"no election", append(cvr, good), 2, []string{"--election"}},
		{"no definition", append(cvr, "--election", "x", good), 2, []string{"--definition"}},
		{"definition is a pipe", append(cvr, "--election", "maple-county-general-2026-11-03", "--definition", fifo, good), 2, []string{"not a plain file"}},
		{"bad audience", []string{"--kind", "media-set", "--audience", "ems 1", good}, 2, []string{"ems 1"}},
		{"role", []string{"--kind", "results-report", "--audience", "ems-1", "--election", "x", "--definition", good, good}, 1, []string{"trust bundle 1", "results-report"}},
		{"other election", append(cvr, "--election", "elsewhere", "--definition", good, good), 1, []string{"for the election elsewhere", "authority"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			r := at(t, o.Source, append([]string{"seal", "--out", out}, tc.args...)...)
			if r.status != tc.status {
				t.Errorf("exit status %d, want %d: %s", r.status, tc.status, r.err)
			}
			for _, words := range tc.says {
				if !strings.Contains(r.err, words) {
					t.Errorf("%q is not in %q", words, r.err)
				}
			}
			nothingLeft(t, out)
		})
	}
}

func nothingLeft(t *testing.T, out string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(out, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// A station that nobody enrolled, or that has no bundle, hears of it before it seals.
func TestSealNeedsTrust(t *testing.T) {
	o := office(t)
	good := write(t, filepath.Join(t.TempDir(), "good.txt"), []byte("good\n"))
	unknown, err := o.Join("unknown", "source", "")
	if err != nil {
		t.Fatal(err)
	}
	bare, err := o.NewStation("bare", "source", "")
	if err != nil {
		t.Fatal(err)
	}
	must(t, bare, "init", "--root", o.Dir+"/root.json")
	out := filepath.Join(t.TempDir(), "out")
	seal := []string{"seal", "--kind", "media-set", "--audience", "*", "--out", out, good}
	if r := at(t, unknown, seal...); r.status != 1 || !strings.Contains(r.err, "not enrolled in trust bundle 1") || !strings.Contains(r.err, "trust install") {
		t.Errorf("not enrolled: exit status %d: %s", r.status, r.err)
	}
	if r := at(t, bare, seal...); r.status != 5 || !strings.Contains(r.err, "trust-missing") {
		t.Errorf("no bundle: exit status %d: %s", r.status, r.err)
	}
	nothingLeft(t, out)
	seal[4] = "ems-99"
	seal[6] = t.TempDir()
	if r := at(t, o.Source, seal...); r.status != 0 || !strings.Contains(r.out, "WARNING") || !strings.Contains(r.out, "ems-99") {
		t.Errorf("unknown receiver: exit status %d: %s%s", r.status, r.out, r.err)
	}
}

// Ctrl-C in the middle of copying leaves nothing behind.
func TestSealInterrupted(t *testing.T) {
	o := office(t)
	big := write(t, filepath.Join(t.TempDir(), "big.bin"), nil)
	if err := os.Truncate(big, 8<<30); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	cmd := command("--config", o.Source.File("sallyport.toml"), "seal", "--kind", "media-set", "--audience", "*", "--out", out, big)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "the copying", func() bool {
		started, _ := filepath.Glob(filepath.Join(out, "SALLYPORT", "*", "data", "big.bin"))
		return len(started) == 1
	})
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if status := wait(t, cmd); status != 5 {
		t.Errorf("exit status %d: %s", status, said.String())
	}
	nothingLeft(t, out)
}

// A mounted exFAT medium is sealed onto directly, and holds the package and
// nothing else.
func TestSealOntoAMountedMedium(t *testing.T) {
	o := office(t)
	img := testmedia.EmptyExFAT(t, testmedia.Options{})
	testmedia.MountedExFAT(t, img, func(mnt string) {
		must(t, o.Source, "seal", "--kind", "media-set", "--audience", "ems-1", "--stream", "mounted", "--out", mnt, o.Small("definition.json"))
		must(t, o.Source, "trust", "key", "--out", filepath.Join(t.TempDir(), "key.pem"))
	})
	if out := must(t, o.EMS, "intake", img); !strings.Contains(out, "ACCEPTED") || !strings.Contains(out, "media-set from polling-place-7") {
		t.Error(out)
	}
}

// The steps of FORMAT.md verify what seal wrote, with openssl and the shell alone.
func TestSealedPackageVerifiesWithOpenSSL(t *testing.T) {
	testtool.Need(t, "openssl")
	o := office(t)
	folder := t.TempDir()
	write(t, filepath.Join(folder, "a.json"), []byte("{}"))
	if err := os.Mkdir(filepath.Join(folder, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "sub", "b.txt"), noise(1, 9000))
	p, err := o.Source.Seal("--kind", "media-set", "--stream", "openssl", folder)
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "key.pem")
	must(t, o.Source, "trust", "key", "--for", "packages", "--out", key)
	format, err := os.ReadFile(filepath.Join(o.Checkout, "internal", "manifest", "FORMAT.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(format), "## Checking a package by hand")
	_, after, _ = strings.Cut(after, "```sh\n")
	steps, _, ok := strings.Cut(after, "```")
	if !ok {
		t.Fatal("FORMAT.md has no steps")
	}
	at := filepath.Join(p.Dir, "SALLYPORT", p.PackageID)
	verify := func() result {
		cmd := command()
		cmd.Path, cmd.Args, cmd.Dir = testtool.Need(t, "sh"), []string{"sh", "-e"}, at
		cmd.Env = append(cmd.Env, "KEY="+key)
		cmd.Stdin = strings.NewReader(steps)
		return finish(t, cmd)
	}
	if r := verify(); r.status != 0 || !strings.Contains(r.out, "Verified OK") {
		t.Errorf("exit status %d\n%s%s", r.status, r.out, r.err)
	}
	write(t, filepath.Join(at, "data", "a.json"), []byte("[]"))
	if r := verify(); r.status == 0 {
		t.Errorf("an altered file passed:\n%s", r.out)
	}
}

func TestDryRunSealsNothing(t *testing.T) {
	o := office(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "b.json"), []byte("{}\n"))
	write(t, filepath.Join(dir, "a.txt"), []byte("hello\n"))
	entries := must(t, o.Source, "log", "show", "--event", "package.seal")
	out := must(t, o.Source, "seal", "--kind", "media-set", "--audience", "nobody", "--dry-run", dir)
	for _, words := range []string{"would seal a package of the kind media-set for nobody: 2 files", "from station polling-place-7, role source, jurisdiction us/maple-county, trust bundle 1",
		"stream media-set.nobody; package id, sequence and time are decided when it is signed", "6 ", "a.txt", "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03", "WARNING", "Nothing was signed or written."} {
		if !strings.Contains(out, words) {
			t.Errorf("%q is missing in\n%s", words, out)
		}
	}
	if now := must(t, o.Source, "log", "show", "--event", "package.seal"); now != entries {
		t.Errorf("the log has new seals:\n%s", now)
	}
	r := at(t, o.Source, "seal", "--kind", "results-report", "--audience", "ems-1", "--election", "x", "--definition", filepath.Join(dir, "a.txt"), "--dry-run", dir)
	if r.status != 1 || !strings.Contains(r.err, "results-report") {
		t.Errorf("a package that may not be sealed: %d %s%s", r.status, r.out, r.err)
	}
	if r := at(t, o.Source, "seal", "--kind", "media-set", "--audience", "ems-1", dir); r.status != 2 || !strings.Contains(r.err, "--dry-run") {
		t.Errorf("neither a folder nor a trial: %d %s", r.status, r.err)
	}
}
