package evidence_test

import (
	"bytes"
	"strings"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/evidence"
	"sallyport/internal/manifest"
	"sallyport/internal/verdict"
)

func TestAnHonestLogIsIntact(t *testing.T) {
	l := newLiar(t)
	honest(l)
	rep := l.check()
	wants(t, rep, evidence.Intact, "page", "recorded that it accepted medium")
	if len(rep.Packages) != 1 || rep.Packages[0].Sender != "source-1" || rep.Packages[0].Files != 2 {
		t.Errorf("%+v", rep.Packages)
	}
}

// TestALyingStationIsFound: every entry is signed and sealed by the station itself,
// and what it says cannot be.
func TestALyingStationIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		tell func(l *liar, read audit.Intent)
		says string
	}{
		"it accepts what nobody sealed": {func(l *liar, read audit.Intent) {
			p := l.seal(l.stranger, nil)
			l.verify(p)
			l.store(p, nil)
			l.admit(p)
			l.conclude(read, verdict.Accepted)
		}, "signer-unknown"},
		"it accepts what is for another station": {func(l *liar, read audit.Intent) {
			p := l.seal(l.source, func(m *manifest.Payload) { m.Audience = "ems-2" })
			l.verify(p)
			l.store(p, nil)
			l.admit(p)
			l.conclude(read, verdict.Accepted)
		}, "wrong-audience"},
		"it accepts with a file less": {func(l *liar, read audit.Intent) {
			p := l.seal(l.source, nil)
			l.verify(p)
			l.store(p, func(x *evidence.Listing) { x.Files = x.Files[:1] })
			l.admit(p)
			l.conclude(read, verdict.Accepted)
		}, "1 files are missing"},
		"it accepts with another file": {func(l *liar, read audit.Intent) {
			p := l.seal(l.source, nil)
			l.verify(p)
			l.store(p, func(x *evidence.Listing) { x.Files[1].SHA256 = strings.Repeat("0", 64) })
			l.admit(p)
			l.conclude(read, verdict.Accepted)
		}, "is not the one that its manifest lists"},
		"it accepts with a file more": {func(l *liar, read audit.Intent) {
			p := l.seal(l.source, nil)
			l.verify(p)
			l.store(p, func(x *evidence.Listing) {
				x.Files = append(x.Files, evidence.Stored{Name: "run.exe", SHA256: strings.Repeat("0", 64)})
			})
			l.admit(p)
			l.conclude(read, verdict.Accepted)
		}, "is not one of a package"},
		"it accepts with a file that is not whole": {func(l *liar, read audit.Intent) {
			p := l.seal(l.source, nil)
			l.verify(p)
			l.store(p, func(x *evidence.Listing) { x.Files[1].Partial = true })
			l.admit(p)
			l.conclude(read, verdict.Accepted)
		}, "not whole"},
		"it refuses what is good": {func(l *liar, read audit.Intent) {
			p := l.seal(l.source, nil)
			p.subject.Manifest, p.subject.Station = "", ""
			l.verify(p, "signer-unknown")
			l.store(p, nil)
			l.hold(p, verdict.SignerUnknown)
			l.conclude(read, verdict.Held, "signer-unknown")
		}, "its manifest verifies, and the log says that it does not"},
		"it refuses for another reason": {func(l *liar, read audit.Intent) {
			p := l.seal(l.stranger, nil)
			p.subject.Manifest, p.subject.Station = "", ""
			l.verify(p, "signature-invalid")
			l.store(p, nil)
			l.hold(p, verdict.SignatureInvalid)
			l.conclude(read, verdict.Held, "signature-invalid")
		}, "refused for signer-unknown, and the log does not name this reason"},
		"it names another sequence": {func(l *liar, read audit.Intent) {
			p := l.seal(l.source, nil)
			p.payload.Seq = 8
			l.verify(p)
			l.store(p, nil)
			l.admit(p)
			l.conclude(read, verdict.Accepted)
		}, "its manifest is not the one that the log names"},
		"it accepts with evidence of the sender that does not hold": {func(l *liar, read audit.Intent) {
			p := l.seal(l.source, nil)
			l.verify(p)
			l.store(p, func(x *evidence.Listing) {
				x.Files = append(x.Files, evidence.Stored{Name: "evidence.json", Size: 2, SHA256: hashOf("{}")})
			})
			l.items[0].Evidence = []byte("{}")
			l.admit(p)
			l.conclude(read, verdict.Accepted)
		}, "its evidence does not hold"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLiar(t)
			c.tell(l, l.insert())
			wants(t, l.check(), evidence.Damaged, "packages", c.says)
		})
	}
}

// TestAStoryThatContradictsItselfIsNone: no evidence is made of it, and none is
// believed, since both read it the same way.
func TestAStoryThatContradictsItselfIsNone(t *testing.T) {
	for name, c := range map[string]struct {
		tell func(l *liar, read audit.Intent)
		says string
	}{
		"accepted and held": {func(l *liar, read audit.Intent) {
			p := l.seal(l.source, nil)
			l.verify(p)
			l.store(p, nil)
			l.admit(p)
			l.hold(p, verdict.FileAltered)
			l.conclude(read, verdict.Held, "file-altered")
		}, "do not agree on what became of"},
		"stored and forgotten": {func(l *liar, read audit.Intent) {
			p := l.seal(l.source, nil)
			l.verify(p)
			l.store(p, nil)
			l.conclude(read, verdict.Held, "file-altered")
		}, "do not agree on what became of"},
		"accepted with a held package": {func(l *liar, read audit.Intent) {
			p := l.seal(l.source, nil)
			l.verify(p)
			l.store(p, nil)
			l.hold(p, verdict.FileAltered)
			l.conclude(read, verdict.Accepted)
		}, "the medium was accepted, the item"},
		"accepted with nothing on it": {func(l *liar, read audit.Intent) { l.conclude(read, verdict.Accepted) }, "accepted without a package"},
		"held without a reason":       {func(l *liar, read audit.Intent) { l.conclude(read, verdict.Held) }, "the verdict is held with 0 reasons"},
		"a reason that is none":       {func(l *liar, read audit.Intent) { l.conclude(read, verdict.Held, "bad-luck") }, "is no reason"},
		"held for what the verdict does not name": {func(l *liar, read audit.Intent) {
			p := l.seal(l.source, nil)
			l.verify(p)
			l.store(p, nil)
			l.hold(p, verdict.FileAltered)
			l.conclude(read, verdict.Held, "replayed")
		}, "which the verdict does not name"},
		"two verdicts": {func(l *liar, read audit.Intent) {
			l.event(audit.MediumVerdict, l.subject, audit.Held, "reasons", "unreadable")
			l.conclude(read, verdict.Held, "unreadable")
		}, "had its verdict before"},
		"inserted twice": {func(l *liar, read audit.Intent) {
			l.event(audit.MediumInserted, l.subject, "", "source", "image")
			l.conclude(read, verdict.Held, "unreadable")
		}, "was inserted before"},
		"admitted and never stored": {func(l *liar, read audit.Intent) {
			p := l.seal(l.source, nil)
			l.admit(p)
			l.conclude(read, verdict.Accepted)
		}, "no entry says that the item"},
		"verified by nobody": {func(l *liar, read audit.Intent) {
			p := l.seal(l.source, nil)
			l.store(p, nil)
			l.admit(p)
			l.conclude(read, verdict.Accepted)
		}, "no entry says that its manifest was verified"},
		"stored as another package": {func(l *liar, read audit.Intent) {
			p := l.seal(l.source, nil)
			l.verify(p)
			l.store(p, nil)
			p.subject.Package = strings.Repeat("a", 32)
			l.admit(p)
			l.conclude(read, verdict.Accepted)
		}, "was stored as another package"},
		"another package's judgement": {func(l *liar, read audit.Intent) {
			p := l.seal(l.source, nil)
			l.verify(p)
			p.subject.Package = strings.Repeat("a", 32)
			l.store(p, nil)
			l.admit(p)
			l.conclude(read, verdict.Accepted)
		}, "is that of another package"},
		"no trust bundle named": {func(l *liar, read audit.Intent) {
			l.trust = ""
			l.verify(l.seal(l.source, nil))
			l.conclude(read, verdict.Held, "unreadable")
		}, "does not say which trust bundle was asked"},
		"two trust bundles": {func(l *liar, read audit.Intent) {
			p := l.seal(l.source, nil)
			l.verify(p)
			l.store(p, nil)
			l.admit(p)
			l.trust = "2"
			l.verify(p)
			l.conclude(read, verdict.Accepted)
		}, "for an earlier package of the medium"},
		"an item of another medium": {func(l *liar, read audit.Intent) {
			p := l.seal(l.source, nil)
			p.item = "000000000000-1"
			l.verify(p)
			l.store(p, nil)
			l.admit(p)
			l.conclude(read, verdict.Accepted)
		}, "is no item of this medium"},
		"refused after reading": {func(l *liar, read audit.Intent) {
			p := l.seal(l.source, nil)
			l.verify(p)
			l.store(p, nil)
			l.hold(p, verdict.FileAltered)
			l.conclude(read, verdict.Refused, "file-altered")
		}, "packages were read from a medium that was refused"},
		"no end": {func(*liar, audit.Intent) {}, "no verdict yet"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLiar(t)
			c.tell(l, l.insert())
			if _, err := l.make(); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

// device are the fields of a stick.
func device(more ...string) []string {
	return append([]string{"port", "1-1", "insertion", "1-1#42", "vendor", "0781", "product", "5581", "serial", "4C53"}, more...)
}

// TestADevice: the facts of the device come from what the kernel said of it, and
// what happened to it after the verdict is told as well.
func TestADevice(t *testing.T) {
	l := newLiar(t)
	l.subject.Person = ""
	l.event(audit.DeviceAttached, audit.Subject{}, audit.Success, "port", "1-2", "insertion", "1-2#41", "vendor", "ffff")
	l.event(audit.DeviceAttached, audit.Subject{}, audit.Success, device("manufacturer", "SanDisk", "name", "Ultra", "shape", "storage 08/06/50", "sha256", strings.Repeat("ab", 32))...)
	l.event(audit.ControlDenied, audit.Subject{}, "", "uid", "7")
	l.event(audit.MediumInserted, l.subject, "", device("source", "usb", "path", "sda")...)
	open := l.intent(audit.DeviceAuthorise, l.subject, "port", "1-1", "insertion", "1-1#42")
	l.event(audit.ControlDenied, audit.Subject{}, "", "uid", "8") // none may be left out
	l.outcome(open, audit.Success, "disk", "sda")
	read := l.intent(audit.MediumRead, l.subject)
	p := l.seal(l.source, nil)
	l.verify(p)
	l.store(p, nil)
	l.admit(p)
	l.conclude(read, verdict.Accepted)
	l.event(audit.ControlDenied, audit.Subject{}, "", "uid", "9") // the medium is done with
	l.outcome(l.intent(audit.DeviceRelease, l.subject, "port", "1-1", "insertion", "1-1#42"), audit.Success)
	l.event(audit.DeviceAttached, audit.Subject{}, audit.Success, "port", "1-2", "insertion", "1-2#43", "vendor", "ffff")
	l.event(audit.DeviceRemoved, audit.Subject{}, "", "port", "1-1", "insertion", "1-1#42")
	data, err := l.make()
	must(t, err)
	wants(t, evidence.Check(data, evidence.Options{Root: l.root}), evidence.Intact, "page", "accepted")
	f := evidence.NewForger(t, data)
	d := f.Doc.Medium.Device
	if d == nil || d.Manufacturer != "SanDisk" || d.Serial != "4C53" || d.Port != "1-1" || f.Doc.Medium.Bytes != 100 {
		t.Errorf("the medium is %+v in %+v", f.Doc.Medium, d)
	}
	var told []string
	for _, e := range f.Doc.Entries {
		p, err := audit.Parse(e.Entry)
		must(t, err)
		told = append(told, string(p.Event))
	}
	want := "station.start device.attached medium.inserted device.authorise control.denied device.authorise medium.read package.verify package.stage package.stage package.admit package.admit medium.verdict medium.read device.release device.release device.removed"
	if strings.Join(told, " ") != want {
		t.Errorf("told is\n%v, want\n%v", told, want)
	}
}

// TestARefusedDevice: nothing was read, and the evidence says so.
func TestARefusedDevice(t *testing.T) {
	l := newLiar(t)
	l.event(audit.MediumInserted, l.subject, "", device("source", "usb")...)
	l.event(audit.MediumVerdict, l.subject, audit.Refused, "reasons", "tpm-unavailable")
	rep := l.check()
	wants(t, rep, evidence.Intact, "page", "refused medium")
	if len(rep.Packages) != 0 || len(rep.Reasons) != 1 {
		t.Errorf("%+v", rep)
	}
}

// TestAStopInBetween: the station stopped while it decided; the next start found
// the package and ended the story.
func TestAStopInBetween(t *testing.T) {
	l := newLiar(t)
	l.insert()
	p := l.seal(l.source, nil)
	l.verify(p)
	digest := l.keep(p, func(x *evidence.Listing) { // a pack without an index, as the vault recovers it
		x.Cut, x.Files = true, []evidence.Stored{{Size: 7, SHA256: hashOf("content"), Partial: true}}
	})
	l.items[0].Manifest = nil
	l.intent(audit.PackageStage, p.subject, "item", p.item)
	l.intent(audit.PackageHold, p.subject, "item", p.item, "reasons", "file-altered", "detail", "file-altered")
	must(t, l.rec.Checkpoint(t.Context()))
	old, err := audit.Open(t.Context(), l.log, logKey{l.ems}, audit.Options{})
	must(t, err)
	l.rec = old
	s := p.subject
	s.Person = ""
	l.event(audit.PackageRecovered, s, "", "item", p.item, "digest", digest)
	l.items[0].Findings = []verdict.Finding{{Reason: verdict.Interrupted}}
	l.outcome(l.intent(audit.PackageHold, s, "item", p.item, "reasons", "interrupted"), audit.Held, "item", p.item)
	l.event(audit.MediumVerdict, l.subject, audit.Held, "reasons", "interrupted")
	open, err := l.rec.OpenIntents()
	must(t, err)
	for _, e := range open {
		in, err := l.rec.Resume(e)
		must(t, err)
		o := audit.Interrupted
		if e.Event == audit.PackageHold {
			o = audit.Held
		}
		l.outcome(in, o)
	}
	l.event(audit.StationStart, audit.Subject{}, "", "station_id", "ems-1")
	wants(t, l.check(), evidence.Intact, "page", "held medium")
}

// TestNoRoomInTheStore: a package of which no byte could be kept is told all the same.
func TestNoRoomInTheStore(t *testing.T) {
	l := newLiar(t)
	read := l.insert()
	p := l.seal(l.source, nil)
	l.verify(p)
	l.outcome(l.intent(audit.PackageStage, p.subject, "item", p.item), audit.Failure, "item", p.item, "reason", "store-full")
	l.conclude(read, verdict.Held, "store-full")
	rep := l.check()
	wants(t, rep, evidence.Intact, "page", "held medium")
	if len(rep.Packages) != 1 || rep.Packages[0].Verdict != verdict.Held || len(rep.Packages[0].Reasons) != 1 {
		t.Errorf("%+v", rep.Packages)
	}
}

// TestWhatIsNoManifestIsNotHandedOn: a medium may call anything a manifest, votes
// included.
func TestWhatIsNoManifestIsNotHandedOn(t *testing.T) {
	l := newLiar(t)
	read := l.insert()
	p := l.seal(l.source, nil)
	p.envelope, p.subject.Manifest, p.subject.Station = []byte(`{"contest":"mayor","vote":"MARKER4711"}`), "", ""
	l.verify(p, "manifest-malformed")
	l.store(p, nil)
	l.hold(p, verdict.ManifestMalformed)
	l.conclude(read, verdict.Held, "manifest-malformed")
	data, err := l.make()
	must(t, err)
	wants(t, evidence.Check(data, evidence.Options{Root: l.root}), evidence.Intact, "page", "held medium")
	if bytes.Contains(data, []byte("MARKER")) || !bytes.Contains(data, []byte(hashOf(string(p.envelope)))) {
		t.Error("the content of the file is in the evidence, or its hash is not")
	}
}

// TestWithoutTrust: a station without a trust bundle takes the authority's own
// package alone, and the user has to say whose log it is.
func TestWithoutTrust(t *testing.T) {
	l := newLiar(t)
	l.delivery.Bundle, l.trust = nil, "0"
	read := l.insert()
	p := l.seal(l.authority, func(m *manifest.Payload) {
		m.Kind, m.Signer.StationID, m.Signer.Role = manifest.TrustBundle, "authority", "authority"
	})
	p.subject.Station = "authority"
	l.verify(p)
	l.store(p, nil)
	l.admit(p)
	l.conclude(read, verdict.Accepted)
	wants(t, l.check(), evidence.Unchecked, "page", "give its TPM identity")
	data, err := l.make()
	must(t, err)
	wants(t, evidence.Check(data, evidence.Options{Root: l.root, Identity: &l.ems.Identity}), evidence.Intact, "page", "accepted medium")
}

// TestNewerEvidence: what a later version makes is not called damaged.
func TestNewerEvidence(t *testing.T) {
	l := newLiar(t)
	honest(l)
	data, err := l.make()
	must(t, err)
	f := evidence.NewForger(t, data)
	f.Doc.V = 2
	wants(t, evidence.Check(f.File(), evidence.Options{Root: l.root}), evidence.Unchecked, "file", "use a newer one")
}
