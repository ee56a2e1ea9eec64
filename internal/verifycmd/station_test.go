package verifycmd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sallyport/internal/config"
	"sallyport/internal/control"
	"sallyport/internal/floor"
	"sallyport/internal/station"
	"sallyport/internal/testtool"
	"sallyport/internal/tpm/tpmtest"
)

// house is a whole station with a real swtpm: its log is the one that the daemon
// writes, its anchors are what the TPM says.
type house struct {
	t     *testing.T
	swtpm *tpmtest.Process
	cfg   *config.Config
	id    string // file of its TPM identity
}

func newHouse(t *testing.T, id string) *house {
	t.Helper()
	dir := t.TempDir()
	h := &house{t: t, swtpm: tpmtest.New(t), id: filepath.Join(dir, "identity")}
	h.cfg = &config.Config{
		Station:  config.Station{ID: id, Name: "Station " + id, Role: "authority", Jurisdiction: "us/maple-county"},
		StateDir: filepath.Join(dir, "state"), TPM: h.swtpm.Addr, Reader: "/usr/lib/sallyport/sallyport-reader",
		Control: config.Control{Socket: filepath.Join(dir, "control.sock")},
		Limits:  config.Limits{QuarantineMaxBytes: 1 << 30, ReserveBytes: 1 << 20, Stall: 10 * time.Second, Total: time.Hour},
		File:    filepath.Join(dir, "sallyport.toml"),
	}
	_, err := station.Init(t.Context(), h.cfg, station.Options{Log: zerolog.Nop()}, nil)
	h.must(err)
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) open() (*station.Station, error) {
	return station.Open(h.t.Context(), h.cfg, station.Options{Log: zerolog.Nop()})
}

// day opens the station, lets it do something and closes it.
func (h *house) day(do func(s *station.Station)) {
	h.t.Helper()
	s, err := h.open()
	h.must(err)
	if do != nil {
		do(s)
	}
	h.must(s.Close(context.Background()))
}

// document asks the station for one.
func (h *house) document(s *station.Station, op string, args any) []byte {
	h.t.Helper()
	b, err := json.Marshal(args)
	h.must(err)
	answer, err := s.Handle(h.t.Context(), &control.Call{Op: op, Args: b})
	h.must(err)
	return answer.(station.Document).Body
}

func (h *house) log() string { return filepath.Join(h.cfg.StateDir, "log") }

// keep copies the state and that of the software TPM; back puts both back.
func (h *house) keep(to string) {
	h.t.Helper()
	testtool.Run(h.t, "cp", "-a", h.cfg.StateDir, to)
	h.swtpm.Save(to + ".tpm")
}

func (h *house) back(from string) {
	h.t.Helper()
	h.put(from, "")
	h.swtpm.Rewind(from + ".tpm")
}

// put replaces files of the state by those of a copy; what the copy does not have
// is removed.
func (h *house) put(from string, names ...string) {
	h.t.Helper()
	for _, name := range names {
		to := filepath.Join(h.cfg.StateDir, name)
		h.must(os.RemoveAll(to))
		if _, err := os.Stat(filepath.Join(from, name)); err == nil {
			testtool.Run(h.t, "cp", "-a", filepath.Join(from, name), to)
		}
	}
}

// frames are the data of the frames of a file of the log.
func (h *house) frames(name string) [][]byte {
	return (&tape{t: h.t, dir: h.log()}).frames(name)
}

const firstSegment = "00000000000000000000.seg"

// TestAStationThatIsPutBackIsFound puts parts of a station back to an older state,
// and says who finds it: the checker with the folder alone, with a checkpoint that
// was kept elsewhere, with the answer to a live challenge; or the station's start,
// by its floor and by the TPM's counter.
func TestAStationThatIsPutBackIsFound(t *testing.T) {
	h := newHouse(t, "authority")
	files := t.TempDir()
	old, newest := filepath.Join(files, "old"), filepath.Join(files, "newest")
	nonce := strings.Repeat("5a", 32)
	witness, answer := filepath.Join(files, "slip"), filepath.Join(files, "answer")
	h.day(func(s *station.Station) {
		h.must(os.WriteFile(h.id, h.document(s, station.OpTrustIdentity, station.NoArgs{}), 0o600))
	})
	h.keep(old)
	h.day(func(s *station.Station) {
		h.must(os.WriteFile(answer, h.document(s, station.OpLogAttest, station.AttestArgs{Nonce: nonce}), 0o600))
	})
	h.must(os.WriteFile(witness, h.frames("checkpoints")[len(h.frames("checkpoints"))-1], 0o600))
	h.keep(newest)

	entries := []string{"log/" + firstSegment, "log/hashes"}
	for _, c := range []struct {
		name  string
		parts []string // that are put back
		chip  bool     // the state of the software TPM as well
		// What is said of the log alone, with a witness, with the station's answer,
		// and by the start: nothing, or its words.
		log, witness, attest, start string
		locked                      bool // the station opens, and is locked
	}{
		{"nothing", nil, false, fine, fine, fine, "", false},
		{"the entries", entries, false, "its checkpoints seal", "its checkpoints seal", "its checkpoints seal", "its last checkpoint seals", true},
		{"the entries and checkpoints", append([]string{"log/checkpoints"}, entries...), false, "there is no checkpoint", "there is no checkpoint", "there is no checkpoint", "anchors and", true},
		{"the log", []string{"log"}, false, fine, "the witness saw", "the witness saw", "the log has", false},
		{"the log and the floor", []string{"log", "floor.json"}, false, fine, "the witness saw", "the witness saw", "it was restored from an older copy", false},
		{"the whole state", []string{""}, false, fine, "the witness saw", "the witness saw", "it was restored from an older copy", false},
		// A chip of hardware cannot be put back: that is why production wants one.
		{"the whole state and a software TPM", []string{""}, true, fine, "the witness saw", "the witness saw", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := *h
			h.t = t
			h.back(newest)
			h.put(old, c.parts...)
			for _, by := range []struct {
				says string
				args []string
			}{
				{c.log, []string{"log", h.log(), "--identity", h.id}},
				{c.witness, []string{"witness", witness, "--dir", h.log(), "--identity", h.id}},
				{c.attest, []string{"attest", answer, "--nonce", nonce, "--dir", h.log(), "--identity", h.id}},
			} {
				code, stdout, stderr := run(t, by.args...)
				if code != map[bool]int{true: 0, false: 3}[by.says == fine] || !strings.Contains(stdout, by.says) {
					t.Errorf("%s: exit code %d, want %q\n%s%s", by.args[0], code, by.says, stdout, stderr)
				}
			}
			if _, err := second(h.log(), h.id); (err == nil) != (c.log == fine) {
				t.Errorf("the second implementation says %v", err)
			}
			if c.chip {
				h.swtpm.Rewind(old + ".tpm")
			}
			h.starts(c.start, c.locked)
		})
	}
}

// starts checks what the station's start says.
func (h *house) starts(want string, locked bool) {
	h.t.Helper()
	s, err := h.open()
	switch {
	case want == "" || locked:
		h.must(err)
		status, err := s.Handle(h.t.Context(), &control.Call{Op: station.OpStatus})
		h.must(err)
		why := strings.Join(status.(station.Status).NotReady, " ")
		if strings.Contains(why, "the station is locked") != locked || !strings.Contains(why, want) {
			h.t.Errorf("the station says %q, want %q", why, want)
		}
		h.must(s.Close(context.Background()))
	case err == nil:
		h.t.Errorf("the station starts, want %q", want)
		h.must(s.Close(context.Background()))
	case !errors.Is(err, floor.ErrWentBack) || !strings.Contains(err.Error(), want):
		h.t.Errorf("the start says %v, want %q", err, want)
	}
}

// TestATamperedLogOfARealStation edits what a station and its TPM wrote.
func TestATamperedLogOfARealStation(t *testing.T) {
	h, stranger := newHouse(t, "authority"), newHouse(t, "authority")
	for range 2 {
		h.day(func(s *station.Station) {
			h.must(os.WriteFile(h.id, h.document(s, station.OpTrustIdentity, station.NoArgs{}), 0o600))
		})
		stranger.day(nil)
	}
	newest := filepath.Join(t.TempDir(), "newest")
	h.keep(newest)
	notes, anchors := h.frames("checkpoints"), h.frames("anchors")
	if len(anchors) != len(notes) || len(notes) < 5 {
		t.Fatalf("%d checkpoints, %d anchors", len(notes), len(anchors))
	}
	last := len(notes) - 1
	for _, c := range []struct {
		name  string
		do    func(p *tape)
		says  string
		start string // what the station's start says; empty: it starts
	}{
		{"nothing", func(*tape) {}, "INTACT", ""},
		{"a bit of an entry", func(p *tape) { p.flip(firstSegment, headerSize+frameHeader+3) }, "DAMAGE          entry 0 (00000000000000000000.seg, byte 64): the checksum", "entry 0 ("},
		{"a bit of an anchor", func(p *tape) { p.flip("anchors", frameAt(anchors, 1)+frameHeader+99) }, "anchor 1: the checksum", "anchors, byte"},
		{"two anchors swapped", func(p *tape) {
			swapped := slices.Clone(anchors)
			swapped[1], swapped[2] = anchors[2], anchors[1]
			p.sealWith("anchors", swapped...)
		}, "anchor 1: the statement was made for something else", ""},
		{"an old anchor for the last one", func(p *tape) { p.sealWith("anchors", replaced(anchors, last, anchors[last-1])...) }, "the statement was made for something else", ""},
		{"another TPM's anchors", func(p *tape) { p.sealWith("anchors", stranger.frames("anchors")[:len(anchors)]...) }, "anchor 0: cannot accept the attestation key's signature", ""},
		{"another TPM's checkpoint", func(p *tape) {
			p.sealWith("checkpoints", replaced(notes, last, stranger.frames("checkpoints")[last])...)
		}, "the checkpoint is signed by key", "the entries do not have the root"},
		{"a checkpoint's root", func(p *tape) {
			b := bytes.Replace(notes[2], []byte(sealedRoot(notes[2])), []byte(sealedRoot(notes[1])), 1)
			p.sealWith("checkpoints", replaced(notes, 2, b)...)
		}, "checkpoint 2: the signature of key", ""},
		{"all anchors cut off", func(p *tape) { p.sealWith("anchors") }, "checkpoints have no anchor", "checkpoints have no anchor"},
		{"another station's log", func(p *tape) {
			h.must(os.RemoveAll(h.log()))
			testtool.Run(t, "cp", "-a", stranger.log(), h.log())
		}, "the checkpoint is signed by key", "went back"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := *h
			h.t = t
			h.back(newest)
			c.do(&tape{t: t, dir: h.log()})
			code, stdout, stderr := run(t, "log", h.log(), "--identity", h.id)
			if want := map[bool]int{true: 0, false: 3}[c.says == "INTACT"]; code != want || !strings.Contains(stdout, c.says) {
				t.Errorf("exit code %d, want %d with %q\n%s%s", code, want, c.says, stdout, stderr)
			}
			if _, err := second(h.log(), h.id); (err == nil) != (code == 0) {
				t.Errorf("the second implementation says %v", err)
			}
			h.starts(c.start, c.start != "" && c.start != "went back")
		})
	}
}
