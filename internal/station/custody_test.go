package station_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/config"
	"sallyport/internal/custody"
	"sallyport/internal/durable"
	"sallyport/internal/intake"
	"sallyport/internal/manifest"
	"sallyport/internal/station"
	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
	"sallyport/internal/translog"
	"sallyport/internal/verdict"
)

// fat16ID is the id of the file system of a FAT16 image, as 'inspect' shows it.
func fat16ID(t testing.TB, image string) string {
	id := binary.LittleEndian.Uint32(testmedia.Bytes(t, image, 39, 4))
	return fmt.Sprintf("%04X-%04X", id>>16, id&0xffff)
}

// noteMedium is a medium with a sealed package.
func (o *office) noteMedium(t testing.TB, text string) string {
	t.Helper()
	files, contents := testmedia.Files{}, map[string][]byte{"note.txt": []byte(text)}
	o.source.with(func(s *station.Station) {
		a := request(t, manifest.MediaSet, contents)
		a.Stream = "note-" + a.PackageID // each one is the first of its own
		onMedium(files, asked[station.Sealed](t, s, station.OpSeal, a), contents)
	})
	return testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 12}, files)
}

func registerMedium(t testing.TB, s *station.Station, d custody.Description) custody.Medium {
	t.Helper()
	if d.Direction == "" {
		d.Direction = custody.In
	}
	return asked[custody.Medium](t, s, station.OpMediaRegister, d)
}

func changing(id string, c custody.Change) station.MediaChangeArgs {
	return station.MediaChangeArgs{MediumArgs: station.MediumArgs{Medium: id}, Change: c}
}

func changeMedium(t testing.TB, s *station.Station, id string, c custody.Change) custody.Medium {
	t.Helper()
	return asked[custody.Medium](t, s, station.OpMediaChange, changing(id, c))
}

var receiveMedium = custody.Change{Act: custody.Receive, From: []string{"Ann Bell"}, To: []string{"Bob Cole"}}

func shownMedium(t testing.TB, s *station.Station, id string) custody.Medium {
	t.Helper()
	return asked[custody.Medium](t, s, station.OpMediaShow, station.MediumArgs{Medium: id})
}

// mediumReasons lists the reasons of a report, each once.
func mediumReasons(rep *intake.Report) (out []verdict.Reason) {
	for _, p := range rep.Packages {
		for _, f := range p.Findings {
			if !slices.Contains(out, f.Reason) {
				out = append(out, f.Reason)
			}
		}
	}
	return out
}

func TestOnlyReceivedMediaAreRead(t *testing.T) {
	o := newOffice(t)
	o.ems.cfg.Media = config.Media{Register: "required", SingleUse: true}
	image := o.noteMedium(t, "first")
	var id string
	o.ems.with(func(s *station.Station) {
		want := func(v verdict.Verdict, why ...verdict.Reason) *intake.Report {
			t.Helper()
			rep, err := insert(s, image)
			o.ems.must(err)
			if rep.Verdict != v || !slices.Equal(mediumReasons(rep), why) || rep.Medium.Registered != id {
				t.Errorf("%s for %v as medium %q, want %s for %v as %q", rep.Verdict, mediumReasons(rep), rep.Medium.Registered, v, why, id)
			}
			return rep
		}
		want(verdict.Held, verdict.MediumUnknown)
		id = registerMedium(t, s, custody.Description{Label: "P-1", FSID: fat16ID(t, image)}).ID
		want(verdict.Held, verdict.CustodyBroken) // it is only known
		changeMedium(t, s, id, custody.Change{Act: custody.Seal, Seal: "4711"})
		changeMedium(t, s, id, custody.Change{Act: custody.HandOver, From: []string{"Ann Bell"}, To: []string{"Bob Cole"}, Seal: "4711"})
		want(verdict.Held, verdict.CustodyBroken) // it is on its way, under seal
		changeMedium(t, s, id, custody.Change{Act: custody.Receive, To: []string{"Ida Jones"}, Seal: "4711"})
		rep := want(verdict.Accepted)
		m := shownMedium(t, s, id[:6])
		if m.State != custody.Consumed || m.Readings != 1 || m.Last.Medium != rep.Medium.ID || m.Last.Entry != rep.Entry || m.Last.Verdict != verdict.Accepted {
			t.Errorf("after the reading: %+v", m)
		}
		want(verdict.Held, verdict.MediumReused, verdict.Replayed)
		list := asked[station.Media](t, s, station.OpMediaList, station.MediaArgs{State: "consumed", Find: "ida"})
		if list.Count != 1 || len(list.Media) != 1 || list.Media[0].ID != id {
			t.Errorf("the list is %+v", list)
		}
		var log []string
		for _, e := range entries(t, s, "media") {
			if e.Subject.Medium == id || e.Event == audit.MediaCheck {
				log = append(log, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Event, e.Outcome, e.Fields["reason"])))
			}
		}
		if got, want := strings.Join(log, "\n"), strings.Join([]string{
			"media.check refused medium-unknown", "media.register", "media.register success",
			"media.check refused custody-broken", "media.seal", "media.seal success", "media.handover", "media.handover success",
			"media.check refused custody-broken", "media.receive", "media.receive success",
			"media.check success", "media.consume", "media.consume success", "media.check refused medium-reused",
		}, "\n"); got != want {
			t.Errorf("the log has\n%s\nwant\n%s", got, want)
		}
	})
	// And so it stays.
	o.ems.with(func(s *station.Station) {
		if m := shownMedium(t, s, "p-1"); m.ID != id || m.State != custody.Consumed {
			t.Errorf("after a restart: %+v", m)
		}
	})
}

// A station whose configuration does not say so goes by no register.
func TestNoRegisterIsAskedByDefault(t *testing.T) {
	o := newOffice(t)
	image := o.noteMedium(t, "free")
	o.ems.with(func(s *station.Station) {
		id := registerMedium(t, s, custody.Description{Label: "P-1", FSID: fat16ID(t, image)}).ID
		changeMedium(t, s, id, custody.Change{Act: custody.Retire, Note: "lost"})
		rep, err := insert(s, image)
		o.ems.must(err)
		if rep.Verdict != verdict.Accepted || rep.Medium.Registered != "" || len(entries(t, s, string(audit.MediaCheck))) > 0 {
			t.Errorf("%+v", rep)
		}
	})
}

// A medium whose reading was no last word comes again; one that is damaged, or not
// trusted, has had its reading.
func TestAMediumThatMayComeAgain(t *testing.T) {
	o := newOffice(t)
	o.ems.cfg.Media = config.Media{Register: "known", SingleUse: true}
	var images []string
	o.source.with(func(s *station.Station) {
		for _, text := range []string{"first", "second"} {
			files, contents := testmedia.Files{}, map[string][]byte{"note.txt": []byte(text)}
			onMedium(files, asked[station.Sealed](t, s, station.OpSeal, request(t, manifest.MediaSet, contents)), contents)
			images = append(images, testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 12}, files))
		}
	})
	images = append(images, testmedia.Copy(t, images[0]))
	o.ems.must(os.Truncate(images[2], 6<<20))
	testmedia.Poke(t, images[2], 39, 1, 2, 3, 4) // a medium of its own
	o.ems.with(func(s *station.Station) {
		var ids []string
		for i, image := range images {
			ids = append(ids, registerMedium(t, s, custody.Description{Label: fmt.Sprintf("P-%d", i+1), FSID: fat16ID(t, image)}).ID)
			changeMedium(t, s, ids[i], receiveMedium)
		}
		for _, c := range []struct {
			medium int
			v      verdict.Verdict
			why    []verdict.Reason
			state  custody.State
		}{
			{1, verdict.Held, []verdict.Reason{verdict.SequenceGap}, custody.Received},
			{2, verdict.Held, []verdict.Reason{verdict.Truncated}, custody.Consumed},
			{0, verdict.Accepted, nil, custody.Consumed},
			{1, verdict.Accepted, nil, custody.Consumed},
		} {
			rep, err := insert(s, images[c.medium])
			o.ems.must(err)
			if m := shownMedium(t, s, ids[c.medium]); rep.Verdict != c.v || m.State != c.state || c.why != nil && !slices.Contains(mediumReasons(rep), c.why[0]) {
				t.Errorf("medium %d: %s for %v, it is %s; want %+v", c.medium, rep.Verdict, mediumReasons(rep), m.State, c)
			}
		}
	})
}

func TestWhatTheRegisterRefuses(t *testing.T) {
	n := newNode(t, "authority", "authority")
	n.cfg.Media.TwoCustodians = true
	n.init(nil)
	n.with(func(s *station.Station) {
		id := registerMedium(t, s, custody.Description{Label: "P-1", Serial: "4C53"}).ID
		for _, c := range []struct {
			op, code, says string
			args           any
		}{
			{station.OpMediaRegister, "usage", "belongs to medium", custody.Description{Label: "P-1", Serial: "4C54", Direction: custody.In}},
			{station.OpMediaShow, "not-found", "media list", station.MediumArgs{Medium: "P-2"}},
			{station.OpMediaList, "usage", "no state", station.MediaArgs{State: "eaten"}},
			{station.OpMediaChange, "usage", "two custodians", changing(id, receiveMedium)},
			{station.OpMediaChange, "usage", "nothing that people do", changing(id, custody.Change{Act: custody.Consume})},
			{station.OpMediaChange, "usage", "nothing that people do", changing(id, custody.Change{Act: "bless"})},
			{station.OpMediaChange, "not-found", "has sealed no package", changing(id, custody.Change{Act: custody.Seal, Seal: "1", Package: strings.Repeat("ab", 16)})},
			{station.OpMediaImport, "usage", "line 2", station.MediaImportArgs{List: []byte("label,serial,fs_id,seal,direction,single_use,note\nA\n")}},
			{station.OpMediaImport, "usage", "line 2: the label", station.MediaImportArgs{List: []byte("label,serial,fs_id,seal,direction,single_use,note\np-1,4C55,,,in,,\n")}},
			{"media.eat", "usage", "no operation", station.NoArgs{}},
		} {
			_, err := ask[map[string]any](s, c.op, c.args, nil)
			if f := failure(t, err); f.Code != c.code || !strings.Contains(f.Message, c.says) {
				t.Errorf("%s %+v: %s: %s; want %s and %q", c.op, c.args, f.Code, f.Message, c.code, c.says)
			}
		}
		refused := 0
		for _, e := range entries(t, s, "media") {
			if e.Outcome == audit.Refused && e.Fields["detail"] != "" {
				refused++
			}
		}
		if refused != 3 { // those that came as far as the register
			t.Errorf("%d refusals are in the log", refused)
		}
		n.cfg.Limits.ReserveBytes = 1 << 60
		_, err := ask[map[string]any](s, station.OpMediaImport, station.MediaImportArgs{List: []byte("label,serial,fs_id,seal,direction,single_use,note\nA,4C55,,,in,,\n")}, nil)
		if f := failure(t, err); f.Code != string(verdict.StoreFull) {
			t.Errorf("without room: %+v", f)
		}
		n.cfg.Limits.ReserveBytes = 1 << 20
		got := asked[station.MediaImported](t, s, station.OpMediaImport, station.MediaImportArgs{List: []byte("label,serial,fs_id,seal,direction,single_use,note\nA,4C55,,,in,,\nB,,1A2B-3C4D,4711,out,yes,\n")})
		if list := asked[station.Media](t, s, station.OpMediaList, station.MediaArgs{}); got.Count != 2 || list.Count != 3 {
			t.Errorf("%+v, then %+v", got, list)
		}
	})
}

// A register of more media than one answer has comes in parts, in order.
func TestALongRegisterComesInParts(t *testing.T) {
	n := newNode(t, "authority", "authority")
	n.init(nil)
	list := []byte("label,serial,fs_id,seal,direction,single_use,note\n")
	for i := range station.MaxMediaAnswer + 1 {
		list = fmt.Appendf(list, "m-%05d,SER%05d,,,in,,\n", i, i)
	}
	n.with(func(s *station.Station) {
		asked[station.MediaImported](t, s, station.OpMediaImport, station.MediaImportArgs{List: list})
		first := asked[station.Media](t, s, station.OpMediaList, station.MediaArgs{})
		if first.Count != station.MaxMediaAnswer+1 || len(first.Media) != station.MaxMediaAnswer || first.Media[0].Label != "m-00000" {
			t.Fatalf("%d of %d media", len(first.Media), first.Count)
		}
		rest := asked[station.Media](t, s, station.OpMediaList, station.MediaArgs{After: first.Media[len(first.Media)-1].Label})
		if len(rest.Media) != 1 || rest.Media[0].Label != "m-10000" {
			t.Errorf("the rest is %+v", rest.Media)
		}
	})
}

// settledMedia checks that every action has its outcome, and returns how the last one of
// an event ended, behind an entry of the log; "" when none began.
func settledMedia(t *testing.T, s *station.Station, event audit.EventID, from int64) audit.Outcome {
	t.Helper()
	open, last := map[int64]audit.EventID{}, audit.Outcome("")
	for _, e := range entries(t, s, "") {
		switch e.Phase {
		case audit.PhaseIntent:
			open[e.Seq] = e.Event
		case audit.PhaseOutcome:
			delete(open, e.Ref)
			if e.Event == event && e.Ref >= from {
				last = e.Outcome
			}
		}
	}
	if len(open) > 0 {
		t.Errorf("intents without outcome: %v", open)
	}
	return last
}

// TestDurableStepsOfTheRegisterFail fails each durable step of a change, log and
// record, before and after its effect. The next start knows how it ended.
func TestDurableStepsOfTheRegisterFail(t *testing.T) {
	n := newNode(t, "authority", "authority")
	n.init(nil)
	count, outcomes := 0, map[audit.Outcome]int{}
	for _, c := range []struct {
		event audit.EventID
		least int
		do    func(s *station.Station, label string) error
		done  func(s *station.Station, label string) bool
	}{
		{audit.MediaReceive, 10, func(s *station.Station, label string) error {
			_, err := ask[custody.Medium](s, station.OpMediaChange, changing(label, receiveMedium), nil)
			return err
		}, func(s *station.Station, label string) bool {
			return shownMedium(t, s, label).State == custody.Received
		}},
		{audit.MediaImport, 15, func(s *station.Station, label string) error {
			list := fmt.Sprintf("label,serial,fs_id,seal,direction,single_use,note\n%[1]s-A,%[1]s-A,,,in,,\n%[1]s-B,%[1]s-B,,,in,,\n", label)
			_, err := ask[station.MediaImported](s, station.OpMediaImport, station.MediaImportArgs{List: []byte(list)}, nil)
			return err
		}, func(s *station.Station, label string) bool {
			list := asked[station.Media](t, s, station.OpMediaList, station.MediaArgs{Find: label + "-"})
			if len(list.Media) == 1 {
				t.Error("half of a list is in the register")
			}
			return len(list.Media) == 2
		}},
	} {
		run := func(sab *saboteur) (label string, from int64, err error) {
			count++
			label = fmt.Sprintf("M%03d", count)
			n.with(func(s *station.Station) {
				registerMedium(t, s, custody.Description{Label: label, Serial: "SER" + label})
			})
			s := n.open(durable.FS{Hook: sab.hook})
			from = asked[station.Status](t, s, station.OpStatus, station.NoArgs{}).LogEntries
			sab.arm(true)
			err = c.do(s, label)
			sab.arm(false)
			_ = s.Close(context.Background()) // it may not be able to log its end
			return label, from, err
		}
		sab := &saboteur{}
		_, _, err := run(sab)
		n.must(err)
		if len(sab.steps) < c.least {
			t.Fatalf("%s has only %d durable steps: %v", c.event, len(sab.steps), sab.steps)
		}
		for i, step := range sab.steps {
			for _, after := range []bool{false, true} {
				label, from, err := run(&saboteur{at: i + 1, after: after, do: func() error { return errDisk }})
				n.with(func(s *station.Station) {
					done, outcome := c.done(s, label), settledMedia(t, s, c.event, from)
					if done != (outcome == audit.Success) || !done && outcome != audit.Interrupted && outcome != "" {
						t.Errorf("%s (after its effect: %v): %v; done %v, the log says %q", step, after, err, done, outcome)
					}
					outcomes[outcome]++
					if err == nil && !done {
						t.Errorf("%s (after its effect: %v): the caller is told that it was done", step, after)
					}
				})
			}
		}
	}
	if outcomes[""] < 2 || outcomes[audit.Interrupted] < 4 || outcomes[audit.Success] < 20 {
		t.Errorf("the failures led to %v", outcomes)
	}
}

// TestAStopWhileARegisteredMediumIsRead fails the durable steps of the intake of a
// medium for one use. After the next start it has had its reading if and only if
// the log has a verdict that was one, and no way leads to a second admission.
func TestAStopWhileARegisteredMediumIsRead(t *testing.T) {
	o := newOffice(t)
	o.ems.cfg.Media = config.Media{Register: "required", SingleUse: true}
	image := o.noteMedium(t, "once")
	var keys translog.VerifyOptions
	o.ems.with(func(s *station.Station) {
		registerMedium(t, s, custody.Description{Label: "P-1", FSID: fat16ID(t, image)})
		changeMedium(t, s, "P-1", receiveMedium)
		keys.Keys = publicKeys(t, s, station.KeyForLog)
	})
	before, tpm := filepath.Join(memory(t), "before"), filepath.Join(memory(t), "tpm")
	testtool.Run(t, "cp", "-a", o.ems.cfg.StateDir, before)
	o.ems.swtpm.Save(tpm)
	run := func(sab *saboteur) error {
		o.ems.swtpm.Rewind(tpm)
		o.ems.must(os.RemoveAll(o.ems.cfg.StateDir))
		testtool.Run(t, "cp", "-a", before, o.ems.cfg.StateDir)
		s := o.ems.open(durable.FS{Hook: sab.hook})
		sab.arm(true)
		_, err := insert(s, image)
		sab.arm(false)
		_ = s.Close(context.Background())
		return err
	}
	sab := &saboteur{}
	o.ems.must(run(sab))
	first := slices.Index(sab.steps, "custody.change.write")
	if len(sab.steps) < 30 || first < 0 {
		t.Fatalf("an intake has only %d durable steps: %v", len(sab.steps), sab.steps)
	}
	seen := map[string]int{}
	for i, step := range sab.steps {
		for _, after := range []bool{false, true} {
			if after && !strings.HasPrefix(step, "custody.") { // what "fails in effect" leaves of one is what "fails" leaves of the next
				continue
			}
			err := run(&saboteur{at: i + 1, after: after, do: func() error { return errDisk }})
			o.ems.with(func(s *station.Station) {
				m := shownMedium(t, s, "P-1")
				verdicts := entries(t, s, string(audit.MediumVerdict))
				final := len(verdicts) == 1 && !strings.Contains(verdicts[0].Fields["reasons"], "interrupted")
				outcome := settledMedia(t, s, audit.MediaConsume, 0)
				if (m.Readings == 1) != final || (m.State == custody.Consumed) != final || outcome == audit.Success && !final || outcome == audit.Interrupted && final {
					t.Errorf("%s (after its effect: %v): %v; the medium is %s, read %d times, the log says %s of the reading; the verdicts are %+v", step, after, err, m.State, m.Readings, outcome, verdicts)
				}
				rep, ierr := insert(s, image)
				o.ems.must(ierr)
				switch why := mediumReasons(rep); {
				case final && slices.Equal(why, []verdict.Reason{verdict.MediumReused, verdict.Replayed}):
					seen["read"]++
				case !final && rep.Verdict == verdict.Accepted:
					seen["again"]++
				case !final && slices.Equal(why, []verdict.Reason{verdict.Replayed}): // it was admitted before the stop
					seen["replayed"]++
				default:
					t.Errorf("%s (after its effect: %v): inserted again it is %s for %v, final before: %v", step, after, rep.Verdict, why, final)
				}
				if m := shownMedium(t, s, "P-1"); m.Readings != 1 || m.State != custody.Consumed {
					t.Errorf("in the end the medium is %s, read %d times", m.State, m.Readings)
				}
			})
			o.ems.checkLog(keys)
		}
	}
	if seen["read"] < 5 || seen["again"] < 5 {
		t.Errorf("the stops led to %v", seen)
	}
	t.Logf("%d durable steps, after which the medium was %v", len(sab.steps), seen)
}

// The register has no say in what the log keeps: a record that was put back is
// well formed, and what happened since is in the log.
func TestADamagedRecordStopsTheStation(t *testing.T) {
	n := newNode(t, "authority", "authority")
	n.init(nil)
	var id string
	n.with(func(s *station.Station) {
		id = registerMedium(t, s, custody.Description{Label: "P-1", Serial: "4C53"}).ID
	})
	path := filepath.Join(n.cfg.StateDir, "media", id+".json")
	data, err := os.ReadFile(path)
	n.must(err)
	n.must(os.WriteFile(path, bytes.Replace(data, []byte(`"P-1"`), []byte(`"P-1",`), 1), 0o600))
	_, err = station.Open(t.Context(), n.cfg, options(durable.FS{}))
	wantError(t, err, nil, "register of media", id, "put a good copy in its place")
	n.must(os.WriteFile(path, data, 0o600))
	n.with(func(*station.Station) {})
}
