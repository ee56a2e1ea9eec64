package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/testoffice"
)

// mediaStation is a station that reads only media of its register, with two
// custodians.
func mediaStation(t *testing.T, id string) *testoffice.Station {
	t.Helper()
	s, err := office(t).Join(id, "ems", testoffice.ElectionID)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(s.File("sallyport.toml"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString("\n[media]\nregister = \"required\"\nsingle_use = true\ntwo_custodians = true\n")
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fat32ID is the id of the file system of a FAT32 image, from 'sallyport inspect'.
func fat32ID(t *testing.T, image string) string {
	t.Helper()
	return document(t, call(t, "--json", "inspect", image).out)["volumes"].([]any)[0].(map[string]any)["id"].(string)
}

// The way of a medium, once with the station that each command opens itself and
// once with a daemon.
func TestTheRegisterOfMedia(t *testing.T) {
	o := office(t)
	for _, served := range []bool{false, true} {
		t.Run(fmt.Sprintf("daemon %v", served), func(t *testing.T) {
			s := mediaStation(t, "custody")
			if served {
				daemon(t, s)
			}
			p, err := o.Source.Seal("--audience", s.ID, "--kind", "media-set", "--stream", fmt.Sprintf("custody-%v", served), o.Small("definition.json"))
			if err != nil {
				t.Fatal(err)
			}
			image := fatOf(t, p)
			id := fat32ID(t, image)
			step := func(status int, says []string, args ...string) {
				t.Helper()
				r := at(t, s, args...)
				if r.status != status {
					t.Fatalf("%q: exit status %d, want %d\n%s%s", args, r.status, status, r.out, r.err)
				}
				for _, words := range says {
					if !strings.Contains(r.out+r.err, words) {
						t.Errorf("%q does not say %q\n%s%s", args, words, r.out, r.err)
					}
				}
			}
			list := write(t, filepath.Join(t.TempDir(), "seals.csv"), []byte("label,serial,fs_id,seal,direction,single_use,note\nP-12,,"+id+",004711,in,yes,\"=1+1, a note\"\nP-13,4C531001,,004712,in,no,\n"))
			step(3, []string{"medium-unknown", id, "registered and received"}, "intake", image)
			step(0, []string{"entered 2 media"}, "media", "import", list)
			step(2, []string{"line 2", "P-12", "already"}, "media", "import", list)
			step(3, []string{"custody-broken", "is sealed by the register", "media receive"}, "intake", image)
			step(2, []string{"two different people"}, "media", "receive", "P-12", "--from", "Ann Bell", "--to", "Bob Cole", "--seal-number", "004711")
			ann, eve := []string{"--from", "Ann Bell", "--from", "Carl Dunn"}, []string{"--to", "Eve Fox", "--to", "Guy Hill"}
			hand := func(verb string, more ...string) []string { return append([]string{"media", verb, "p-12"}, more...) }
			step(2, []string{"look again"}, append(hand("handover", ann...), append(eve, "--seal-number", "004712")...)...)
			step(0, []string{"IN-TRANSIT", "with Eve Fox and Guy Hill", "seal 004711 is on it", "handed over by Ann Bell and Carl Dunn to Eve Fox and Guy Hill at Town hall; seal 004711 was intact"},
				append(hand("handover", ann...), append(eve, "--seal-number", "004711", "--place", "Town hall")...)...)
			step(0, []string{"RECEIVED", "received by Ida Jones and Kim Lee from Eve Fox and Guy Hill", "intact and taken off", "no seal is on it"},
				hand("receive", "--to", "Ida Jones", "--to", "Kim Lee", "--seal-number", "004711")...)
			step(0, []string{"ACCEPTED"}, "intake", image)
			step(0, []string{`"P-12" is CONSUMED`, "=1+1, a note", "read once only", "read by this station", "read once in all", "accepted as medium", "possible now: 'sallyport media handover'", "log show --about"}, "media", "show", "P-12")
			step(3, []string{"medium-reused", "Use a new medium"}, "intake", image)
			step(0, []string{"P-12", "consumed", "Ida Jones, Kim Lee", "in, once, read 1×", "2 of 2 media"}, "media", "list")
			step(0, []string{"P-13", "004712", "1 of 2 media"}, "media", "list", "--state", "sealed", "--find", "4c53")
			step(0, []string{"SANITISED", "sanitised: overwritten"}, "media", "sanitise", "P-12", "--method", "overwritten")
			step(2, []string{"for one use"}, "media", "prepare", "P-12")
			step(0, []string{"RETIRED", "retired: destroyed"}, "media", "retire", "P-12", "--why", "destroyed")
			step(2, []string{"nothing can be done"}, "media", "prepare", "P-12")
			// The other one comes under a broken seal.
			step(0, []string{"A SEAL OF IT WAS BROKEN", "THE SEAL WAS NOT RIGHT: 4"}, "media", "receive", "P-13", "--from", "Ann Bell", "--from", "Carl Dunn", "--to", "Ida Jones", "--to", "Kim Lee", "--seal-broken", "--seal-number", "4")
			step(0, []string{"seal broken"}, "media", "list")
			step(2, []string{"no medium in the register"}, "media", "show", "P-14")
			step(0, []string{"media.consume", "verdict=\"accepted\"", "media.check"}, "log", "show", "--event", "media")
			if out, err := s.CheckLog(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// Media that go out: prepared, written, sealed with what this station has sealed.
func TestMediaThatGoOut(t *testing.T) {
	o := office(t)
	s := o.Source
	p, err := s.Seal("--kind", "media-set", "--stream", "outgoing", o.Small("definition.json"))
	if err != nil {
		t.Fatal(err)
	}
	doc := document(t, at(t, s, "--json", "media", "register", "--label", "OUT-1", "--serial", "0781:5581:4C53", "--direction", "out", "--election", testoffice.ElectionID, "--note", "n").out)
	id := doc["id"].(string)
	if doc["vendor"] != "0781" || doc["serial"] != "4C53" || doc["state"] != "registered" || doc["single_use"] != false {
		t.Errorf("%v", doc)
	}
	must(t, s, "media", "prepare", id[:6])
	if r := at(t, s, "media", "seal", id, "--seal-number", "1", "--package", strings.Repeat("ab", 16)); r.status != 2 || !strings.Contains(r.err, "has sealed no package") {
		t.Errorf("a package of nobody: exit status %d\n%s", r.status, r.err)
	}
	must(t, s, "media", "seal", id, "--seal-number", "1", "--package", p.PackageID, "--fs-id", "1A2B-3C4D")
	doc = document(t, at(t, s, "--json", "media", "show", "out-1").out)
	if doc["state"] != "sealed" || doc["package"] != p.PackageID || doc["fs_id"] != "1A2B-3C4D" || doc["seal"] != "1" || len(doc["history"].([]any)) != 3 {
		t.Errorf("%v", doc)
	}
	text := must(t, s, "media", "show", id)
	for _, words := range []string{"SEALED", "sealed with 1, package " + p.PackageID, "0781:5581:4C53", "never read here", testoffice.ElectionID, "nobody was named yet"} {
		if !strings.Contains(text, words) {
			t.Errorf("it does not say %q\n%s", words, text)
		}
	}
}

func TestListsThatTheCommandRefuses(t *testing.T) {
	o := office(t)
	dir := t.TempDir()
	for name, c := range map[string]struct{ list, says string }{
		"formulas.txt": {"a;b\n", "line 1 has to name the columns"},
		"bad\x1b.csv":  {"label,serial,fs_id,seal,direction,single_use,note\nA\x1b[31m,4C53,,,in,,\n", "line 2"},
	} {
		r := at(t, o.EMS, "media", "import", write(t, filepath.Join(dir, name), []byte(c.list)))
		if r.status != 2 || !strings.Contains(r.err, c.says) || !strings.Contains(r.err, "nothing was entered") || strings.Contains(r.err, "\x1b") {
			t.Errorf("%q: exit status %d\n%q", name, r.status, r.err)
		}
	}
	if r := at(t, o.EMS, "media", "import", dir+"/none.csv"); r.status != 2 || !strings.Contains(r.err, "list of media") {
		t.Errorf("no list: exit status %d\n%s", r.status, r.err)
	}
	if r := at(t, o.EMS, "media", "list", "--state", "eaten"); r.status != 2 || !strings.Contains(r.err, "in-transit") {
		t.Errorf("no state: exit status %d\n%s", r.status, r.err)
	}
	if out := must(t, o.EMS, "media", "list"); !strings.Contains(out, "0 of 0 media") {
		t.Errorf("the list is\n%s", out)
	}
}
