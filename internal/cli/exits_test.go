package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
)

// Each documented exit status by a real case. Status 4 belongs to the device
// policy, which images never meet; package intake tests its mapping.
func TestExitStatuses(t *testing.T) {
	o := office(t)
	fresh, err := o.NewStation("fresh", "ems", "")
	if err != nil {
		t.Fatal(err)
	}
	luks := write(t, filepath.Join(t.TempDir(), "luks.img"), append([]byte("LUKS\xba\xbe\x00\x02"), make([]byte, 1<<20)...))
	cut := unknown(t)
	testmedia.CutInside(t, cut, "notes.txt")
	for _, tc := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"accepted", []string{"intake", definition(t, o)}, 0, "ACCEPTED"},
		{"held", []string{"intake", unknown(t)}, 3, "no-manifest"},
		{"held as damaged", []string{"intake", cut}, 3, "truncated"},
		{"could not be checked: file system", []string{"inspect", luks}, 5, "filesystem-unsupported"},
		{"failed: no trust bundle", []string{"trust", "install", o.Small("definition.json")}, 1, "trust bundle"},
		{"usage: unknown command", []string{"open"}, 2, "--help"},
		{"usage: missing argument", []string{"intake"}, 2, "sallyport intake --help"},
		{"usage: unknown item", []string{"quarantine", "show", "zz"}, 2, "quarantine list"},
		{"usage: unknown election", []string{"ems", "tally", "nowhere"}, 2, "nowhere"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := at(t, o.EMS, tc.args...)
			if r.status != tc.status || !strings.Contains(r.out+r.err, tc.says) {
				t.Errorf("exit status %d, want %d and %q:\n%s%s", r.status, tc.status, tc.says, r.out, r.err)
			}
		})
	}
	for _, args := range [][]string{{"status"}, {"intake", luks}, {"ems", "tally"}} {
		if r := at(t, fresh, args...); r.status != 5 || !strings.Contains(r.err, "sallyport init") {
			t.Errorf("%v at a station that is not initialised: exit status %d\n%s", args, r.status, r.err)
		}
	}
}

// TestWithoutTPM stops the TPM under a running daemon: nothing is read, and the
// answer says that it is not the medium's fault.
func TestWithoutTPM(t *testing.T) {
	o := office(t)
	s, err := o.Join("no-tpm", "ems", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.StartDaemon(); err != nil {
		t.Fatal(err)
	}
	s.KillTPM()
	img := unknown(t)
	for _, args := range [][]string{{"intake", img}, {"status"}} {
		if r := at(t, s, args...); r.status != 5 || !strings.Contains(r.out, "tpm-unavailable") {
			t.Errorf("%v: exit status %d\n%s%s", args, r.status, r.out, r.err)
		}
	}
	_ = s.StopDaemon() // it cannot seal its last entry without a TPM and says so
	if r := at(t, s, "status"); r.status != 5 || !strings.Contains(r.err, "tpm-unavailable") || !strings.Contains(r.err, "administrator") {
		t.Errorf("no daemon, no TPM: exit status %d\n%s", r.status, r.err)
	}
}

// Errors say what, where and what to do.
func TestHelpfulErrors(t *testing.T) {
	o := office(t)
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	testtool.Run(t, "mkfifo", fifo)
	strange := filepath.Join(dir, "name\x1b[31m")
	taken := write(t, filepath.Join(dir, "taken"), []byte("mine"))
	open := write(t, filepath.Join(dir, "open.toml"), []byte("state_dir = 1\n"))
	if err := os.Chmod(open, 0o666); err != nil {
		t.Fatal(err)
	}
	bad := write(t, filepath.Join(dir, "bad.toml"), []byte("colour = 1\n"))
	for _, tc := range []struct {
		name   string
		args   []string
		status int
		says   []string
	}{
		{"no configuration", []string{"-c", dir + "/none.toml", "status"}, 2, []string{"none.toml", "--config", "SALLYPORT_CONFIG"}},
		{"no configuration, inspect", []string{"-c", dir + "/none.toml", "inspect", taken}, 2, []string{"none.toml"}},
		{"configuration is a folder", []string{"-c", dir, "status"}, 2, []string{"not a plain file"}},
		{"configuration is wrong", []string{"-c", bad, "status"}, 2, []string{"bad.toml:1", "colour"}},
		{"configuration is open to all", []string{"-c", open, "status"}, 2, []string{"chmod o-w"}},
		{"no image", []string{"intake", dir + "/none.img"}, 2, []string{"none.img", "no such file"}},
		{"a folder", []string{"intake", dir}, 2, []string{"is a folder", "block device"}},
		{"a pipe", []string{"intake", fifo}, 2, []string{"neither an image file nor a block device"}},
		{"a pipe, inspect", []string{"inspect", fifo}, 2, []string{"neither an image file nor a block device"}},
		{"a character device", []string{"inspect", "/dev/zero"}, 2, []string{"neither an image file nor a block device"}},
		{"a pipe as bundle", []string{"trust", "install", fifo}, 2, []string{"trust document", "not a plain file"}},
		{"an endless bundle", []string{"trust", "install", "/dev/zero"}, 2, []string{"not a plain file"}},
		{"no bundle", []string{"trust", "install", dir + "/none"}, 2, []string{"trust document", "no such file"}},
		{"a file that stands", []string{"trust", "key", "--out", taken}, 2, []string{"exists already"}},
		{"a folder that does not", []string{"trust", "key", "--out", dir + "/no/key"}, 2, []string{"no folder"}},
		{"not an authority", []string{"authority", "reissue", "--out", dir + "/b"}, 2, []string{"only an authority"}},
		{"no kinds", []string{"authority", "admit", "--out", dir + "/b", o.Source.File("answer.json")}, 2, []string{"ANSWER=KIND"}},
		{"initialised already", []string{"init", "--root", o.Dir + "/root.json"}, 1, []string{"holds a station already"}},
		{"no root", []string{"init"}, 2, []string{"--root"}},
		{"unknown event", []string{"log", "show", "--event", "medium.eaten"}, 2, []string{"medium.eaten", "medium.verdict"}},
		{"unknown outcome", []string{"log", "show", "--outcome", "fine"}, 2, []string{"fine", "accepted"}},
		{"foreign characters", []string{"intake", strange}, 2, []string{`name\x1b[31m`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := at(t, o.EMS, tc.args...)
			if r.status != tc.status || r.out != "" || !strings.HasPrefix(r.err, "sallyport: ") {
				t.Errorf("exit status %d, want %d\n%q\n%q", r.status, tc.status, r.out, r.err)
			}
			for _, words := range tc.says {
				if !strings.Contains(r.err, words) {
					t.Errorf("%q is not in %q", words, r.err)
				}
			}
			if strings.ContainsAny(r.err, "\x1b\x00") || strings.Contains(r.err, "panic") {
				t.Errorf("raw text: %q", r.err)
			}
		})
	}
	if got, err := os.ReadFile(taken); err != nil || string(got) != "mine" {
		t.Errorf("the file that stood is now %q, %v", got, err)
	}
}

// An item may be named by a beginning that only it has.
func TestItemsByTheirBeginning(t *testing.T) {
	o := office(t)
	s, err := o.Join("reviewer", "ems", "")
	if err != nil {
		t.Fatal(err)
	}
	var items []string
	for range 17 { // ids begin with a random hexadecimal digit: two will share one
		doc := document(t, at(t, s, "--json", "intake", unknown(t)).out)
		items = append(items, doc["packages"].([]any)[0].(map[string]any)["item"].(string))
		if len(items) == 1 {
			for _, start := range []string{items[0], items[0][:1], items[0][:6]} {
				if out := must(t, s, "quarantine", "show", start); !strings.Contains(out, items[0]) || !strings.Contains(out, "no-manifest") {
					t.Errorf("%s: %s", start, out)
				}
			}
			if out := must(t, s, "quarantine", "show", "--verify", items[0]); !strings.Contains(out, "stored bytes intact: yes") {
				t.Error(out)
			}
		}
		first := map[byte]int{}
		for _, id := range items {
			if first[id[0]]++; first[id[0]] == 2 {
				r := at(t, s, "quarantine", "show", id[:1])
				if r.status != 2 || !strings.Contains(r.err, "2 held items") || !strings.Contains(r.err, "give more of the id") {
					t.Errorf("exit status %d: %s", r.status, r.err)
				}
				damageStore(t, s.File("state/vault"), items[0])
				r = at(t, s, "quarantine", "show", "--verify", items[0])
				if r.status != 1 || strings.Contains(r.out, "intact: yes") {
					t.Errorf("damaged store: exit status %d: %s%s", r.status, r.out, r.err)
				}
				return
			}
		}
	}
	t.Fatal("17 ids without two of one beginning")
}

// damageStore flips one bit of the content of a stored item.
func damageStore(t *testing.T, vault, item string) {
	t.Helper()
	packs, err := filepath.Glob(filepath.Join(vault, "held", item, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packs {
		if b, err := os.ReadFile(p); err == nil {
			if at := strings.Index(string(b), "hello\n"); at >= 0 {
				if err := os.Chmod(p, 0o600); err != nil {
					t.Fatal(err)
				}
				testmedia.Poke(t, p, int64(at), 'j')
				return
			}
		}
	}
	t.Fatalf("no stored content among %q", packs)
}
