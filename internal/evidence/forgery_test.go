package evidence_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/evidence"
	"sallyport/internal/strictjson"
	"sallyport/internal/verdict"
)

// forgery is what somebody without a key of the station can do to evidence. Unless
// it is about them, the page and the list of members are made anew, so that they
// give nothing away.
type forgery struct {
	of    string // file of the office; accepted.zip when empty
	root  string // that the user has; root.json when empty
	do    func(f *evidence.Forger, o map[string][]byte)
	raw   func(t *testing.T, data []byte) []byte // instead, to the whole file
	step  string                                 // that finds it
	says  string
	after func(f *evidence.Forger) // with page and list kept
}

// entryAbout returns the place of the first entry of an event and phase.
func entryAbout(f *evidence.Forger, event audit.EventID, phase audit.Phase) int {
	for i, e := range f.Doc.Entries {
		if p, err := audit.Parse(e.Entry); err == nil && p.Event == event && p.Phase == phase {
			return i
		}
	}
	f.T.Fatalf("the evidence has no %s (%s)", event, phase)
	return -1
}

// edit changes an entry, whose proof then does not fit.
func edit(f *evidence.Forger, i int, change func(*audit.Entry)) {
	e, err := audit.Parse(f.Doc.Entries[i].Entry)
	must(f.T, err)
	change(e)
	f.Doc.Entries[i].Entry, err = e.Encode()
	must(f.T, err)
}

// listing changes a files.json.
func listing(f *evidence.Forger, change func(*evidence.Listing)) {
	name := evidence.InItem(f.Doc.Packages[0].Item, "files.json")
	var l evidence.Listing
	must(f.T, strictjson.Decode(f.Members[name], &l, 1<<20))
	change(&l)
	var err error
	f.Members[name], err = strictjson.Encode(&l)
	must(f.T, err)
}

func item(f *evidence.Forger, file string) string {
	return evidence.InItem(f.Doc.Packages[0].Item, file)
}

func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

// of is another file of the office, taken apart.
func of(f *evidence.Forger, o map[string][]byte, name string) *evidence.Forger {
	return evidence.NewForger(f.T, o[name])
}

func drop(event audit.EventID, phase audit.Phase) func(*evidence.Forger, map[string][]byte) {
	return func(f *evidence.Forger, _ map[string][]byte) {
		i := entryAbout(f, event, phase)
		f.Doc.Entries = slices.Delete(f.Doc.Entries, i, i+1)
	}
}

func forgeries() map[string]forgery {
	all := map[string]forgery{}
	for _, part := range []map[string]forgery{fileForgeries(), documentForgeries(), entryForgeries(), trustForgeries(), packageForgeries()} {
		for name, f := range part {
			all[name] = f
		}
	}
	return all
}

// zipped is a ZIP as anybody's program makes it.
func zipped(t *testing.T, data []byte, method uint16) []byte {
	t.Helper()
	names, contents, err := evidence.ReadZIP(data)
	must(t, err)
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i, name := range names {
		m, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		must(t, err)
		_, err = m.Write(contents[i])
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

// bomb is a ZIP of a few kilobytes that unfolds to gigabytes.
func bomb(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) { return flate.NewWriter(out, flate.BestCompression) })
	m, err := w.Create(evidence.PageName)
	must(t, err)
	zeros := make([]byte, 1<<20)
	for range 64 {
		_, err := m.Write(zeros)
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

// end is the offset of the ZIP's directory.
func end(data []byte) int { return int(binary.LittleEndian.Uint32(data[len(data)-6:])) }

func fileForgeries() map[string]forgery {
	in := func(do func(t *testing.T, data []byte) []byte, says string) forgery {
		return forgery{raw: do, step: "file", says: says}
	}
	return map[string]forgery{
		"an empty file":      in(func(*testing.T, []byte) []byte { return nil }, "no ZIP"),
		"another file":       in(func(*testing.T, []byte) []byte { return []byte("%PDF-1.7") }, "no ZIP"),
		"a file cut short":   in(func(_ *testing.T, d []byte) []byte { return d[:len(d)/2] }, "ends within"),
		"the last byte gone": in(func(_ *testing.T, d []byte) []byte { return d[:len(d)-1] }, "directory"),
		"bytes behind it":    in(func(_ *testing.T, d []byte) []byte { return append(bytes.Clone(d), "votes"...) }, "directory"),
		"bytes before it":    in(func(_ *testing.T, d []byte) []byte { return append([]byte("MZ"), d...) }, "no ZIP"),
		"bytes between members and directory": in(func(_ *testing.T, d []byte) []byte {
			return slices.Insert(bytes.Clone(d), end(d), []byte("hidden")...)
		}, "directory"),
		"a comment": in(func(_ *testing.T, d []byte) []byte {
			d = append(bytes.Clone(d), "hello"...)
			d[len(d)-7] = 5
			return d
		}, "directory"),
		"a byte of the page changed": in(func(_ *testing.T, d []byte) []byte { return flipped(d, 500) }, "checksum"),
		"packed anew":                in(func(t *testing.T, d []byte) []byte { return zipped(t, d, zip.Store) }, "packed anew"),
		"packed anew and compressed": in(func(t *testing.T, d []byte) []byte { return zipped(t, d, zip.Deflate) }, ""),
		"a ZIP that unfolds":         in(func(t *testing.T, _ []byte) []byte { return bomb(t) }, ""),
		"a member that claims gigabytes": in(func(_ *testing.T, d []byte) []byte {
			d = bytes.Clone(d)
			binary.LittleEndian.PutUint32(d[22:], 1<<31)
			binary.LittleEndian.PutUint32(d[18:], 1<<31)
			return d
		}, "at most"),
		"a name twice": in(func(t *testing.T, d []byte) []byte {
			n, c, err := evidence.ReadZIP(d)
			must(t, err)
			return evidence.WriteZIP(append(n, evidence.RootName), append(c, []byte("{}")))
		}, "there it is twice"),
		"a name that leads out": in(func(t *testing.T, d []byte) []byte {
			n, c, err := evidence.ReadZIP(d)
			must(t, err)
			return evidence.WriteZIP(append(n, "../../etc/passwd"), append(c, nil))
		}, "no file of evidence has a member"),
		"a folder": in(func(t *testing.T, d []byte) []byte {
			n, c, err := evidence.ReadZIP(d)
			must(t, err)
			return evidence.WriteZIP(append(n, "packages/"), append(c, nil))
		}, "no file of evidence has a member"),
		"votes as a member": in(func(t *testing.T, d []byte) []byte {
			n, c, err := evidence.ReadZIP(d)
			must(t, err)
			return evidence.WriteZIP(append(n, "packages/000000000000-1/data/cvr.json"), append(c, nil))
		}, "no file of evidence has a member"),
		"the order changed": in(func(t *testing.T, d []byte) []byte {
			n, c, err := evidence.ReadZIP(d)
			must(t, err)
			first, second := evidence.WriteZIP(n[:1], c[:1]), evidence.WriteZIP(n[1:2], c[1:2])
			return slices.Concat(second[:end(second)], first[:end(first)], d[end(first)+end(second):])
		}, "out of order"),
		"no bundle.json": in(func(t *testing.T, d []byte) []byte {
			n, c, err := evidence.ReadZIP(d)
			must(t, err)
			return evidence.WriteZIP(slices.Delete(n, 1, 2), slices.Delete(c, 1, 2))
		}, "bundle.json is missing"),
		"a member of bundle.json that nobody knows": in(func(t *testing.T, d []byte) []byte {
			n, c, err := evidence.ReadZIP(d)
			must(t, err)
			c[1] = bytes.Replace(c[1], []byte(`{"v":1,`), []byte(`{"v":1,"x":1,`), 1)
			return evidence.WriteZIP(n, c)
		}, "unknown member"),
		"white space in bundle.json": in(func(t *testing.T, d []byte) []byte {
			n, c, err := evidence.ReadZIP(d)
			must(t, err)
			c[1] = append(bytes.Clone(c[1]), '\n')
			return evidence.WriteZIP(n, c)
		}, "canonical"),
	}
}

func documentForgeries() map[string]forgery {
	return map[string]forgery{
		"the page changed": {after: func(f *evidence.Forger) {
			f.Members[evidence.PageName] = bytes.ReplaceAll(f.Members[evidence.PageName], []byte("ACCEPTED"), []byte("REFUSED "))
		}, step: "members", says: "README.html is not the one"},
		"the page changed and listed": {do: func(f *evidence.Forger, _ map[string][]byte) {
			f.KeepPage = true
			f.Members[evidence.PageName] = bytes.ReplaceAll(f.Members[evidence.PageName], []byte("ACCEPTED"), []byte("REFUSED"))
		}, step: "page", says: "do not believe it"},
		"the page with a script": {do: func(f *evidence.Forger, _ map[string][]byte) {
			f.KeepPage = true
			f.Members[evidence.PageName] = bytes.Replace(f.Members[evidence.PageName], []byte("</body>"), []byte("<script>1</script></body>"), 1)
		}, step: "page", says: "do not believe it"},
		"a member gone": {after: func(f *evidence.Forger) { delete(f.Members, item(f, "manifest.dsse.json")) },
			step: "members", says: "manifest.dsse.json, which bundle.json lists, is missing"},
		"a member more": {after: func(f *evidence.Forger) { f.Members["packages/000000000000-1/facts.json"] = []byte("{}") },
			step: "members", says: "lists no member packages/000000000000-1/facts.json"},
		"the last member gone": {after: func(f *evidence.Forger) { delete(f.Members, "trust/bundle.dsse.json") },
			step: "members", says: "trust/bundle.dsse.json, which bundle.json lists, is missing"},
		"a member more, and listed": {do: func(f *evidence.Forger, _ map[string][]byte) {
			f.Members["packages/000000000000-1/facts.json"] = []byte("{}")
		}, step: "packages", says: "belongs to nothing that the log knows"},
		"the verdict changed": {of: unknown, do: func(f *evidence.Forger, _ map[string][]byte) {
			f.Doc.Verdict.Verdict, f.Doc.Verdict.Reasons = verdict.Accepted, []verdict.Reason{}
		}, step: "story", says: "the verdict is not what the log says"},
		"a reason changed": {of: unknown, do: func(f *evidence.Forger, _ map[string][]byte) {
			f.Doc.Verdict.Reasons[0] = verdict.Unreadable
		}, step: "story", says: "the verdict is not what the log says"},
		"a package accepted": {of: unknown, do: func(f *evidence.Forger, _ map[string][]byte) {
			f.Doc.Packages[0].Verdict, f.Doc.Packages[0].Reasons = verdict.Accepted, []verdict.Reason{}
		}, step: "story", says: "the packages is not what the log says"},
		"a sender named": {of: unknown, do: func(f *evidence.Forger, _ map[string][]byte) {
			f.Doc.Packages[0].Sender = "polling-place-7"
		}, step: "story", says: "the packages is not what the log says"},
		"the medium called otherwise": {do: func(f *evidence.Forger, _ map[string][]byte) { f.Doc.Medium.Name = "stick-2.img" },
			step: "story", says: "the medium is not what the log says"},
		"a device claimed": {do: func(f *evidence.Forger, _ map[string][]byte) {
			f.Doc.Medium.Device = &evidence.Device{Port: "1-1", Vendor: "0781", Product: "5581"}
		}, step: "story", says: "the medium is not what the log says"},
		"another medium's id": {do: func(f *evidence.Forger, _ map[string][]byte) { f.Doc.Medium.ID = "000000000000" },
			step: "story", says: ""},
		"a package left out": {of: two, do: func(f *evidence.Forger, _ map[string][]byte) {
			p := f.Doc.Packages[1].Item
			f.Doc.Packages = f.Doc.Packages[:1]
			for name := range f.Members {
				if strings.Contains(name, p) {
					delete(f.Members, name)
				}
			}
		}, step: "story", says: "the packages is not what the log says"},
		"a finding left out": {of: altered, do: func(f *evidence.Forger, _ map[string][]byte) { f.Doc.Packages[0].Findings = []verdict.Finding{} },
			step: "packages", says: "not those of the reasons in the log"},
		"a finding in other words": {of: altered, do: func(f *evidence.Forger, _ map[string][]byte) {
			f.Doc.Packages[0].Findings[0].Detail = "nothing is wrong"
		}, step: "packages", says: "the first finding"},
		"another version of the format": {do: func(f *evidence.Forger, _ map[string][]byte) { f.Doc.V = 0 }, step: "file", says: "version 0"},
		"no entries":                    {do: func(f *evidence.Forger, _ map[string][]byte) { f.Doc.Entries = []evidence.Entry{} }, step: "file", says: "0 entries"},
	}
}

func entryForgeries() map[string]forgery {
	held := func(do func(f *evidence.Forger, o map[string][]byte), step, says string) forgery {
		return forgery{of: unknown, do: do, step: step, says: says}
	}
	return map[string]forgery{
		"the entry of the verdict changed": held(func(f *evidence.Forger, _ map[string][]byte) {
			edit(f, entryAbout(f, audit.MediumVerdict, audit.PhaseEvent), func(e *audit.Entry) { e.Outcome, e.Fields = audit.Accepted, nil })
			f.Doc.Verdict.Verdict, f.Doc.Verdict.Reasons = verdict.Accepted, []verdict.Reason{}
		}, "entries", "its proof does not lead to the checkpoint"),
		"a time changed": held(func(f *evidence.Forger, _ map[string][]byte) {
			edit(f, 1, func(e *audit.Entry) { e.Wall = "2026-01-01T00:00:00.000000Z" })
			f.Doc.Medium.Inserted = "2026-01-01T00:00:00.000000Z"
		}, "entries", "its proof does not lead to the checkpoint"),
		"an entry called by another number": held(func(f *evidence.Forger, _ map[string][]byte) { f.Doc.Entries[1].Index++ }, "entries", "calls itself entry"),
		"a proof changed":                   held(func(f *evidence.Forger, _ map[string][]byte) { f.Doc.Entries[1].Proof[3] ^= 1 }, "entries", "its proof does not lead"),
		"a proof cut short":                 held(func(f *evidence.Forger, _ map[string][]byte) { f.Doc.Entries[1].Proof = f.Doc.Entries[1].Proof[32:] }, "entries", "its proof does not lead"),
		"a proof cut within a hash":         held(func(f *evidence.Forger, _ map[string][]byte) { f.Doc.Entries[1].Proof = f.Doc.Entries[1].Proof[1:] }, "entries", "want hashes of 32"),
		"a proof without an end":            held(func(f *evidence.Forger, _ map[string][]byte) { f.Doc.Entries[1].Proof = make([]byte, 65*32) }, "entries", "want hashes of 32"),
		"the proof of its neighbour": held(func(f *evidence.Forger, _ map[string][]byte) {
			f.Doc.Entries[1].Proof, f.Doc.Entries[2].Proof = f.Doc.Entries[2].Proof, f.Doc.Entries[1].Proof
		}, "entries", "its proof does not lead"),
		"an entry that is none": held(func(f *evidence.Forger, _ map[string][]byte) { f.Doc.Entries[1].Entry = []byte(`{"seq":77}`) }, "entries", "entry"),
		"an entry swapped with another medium's": held(func(f *evidence.Forger, o map[string][]byte) {
			other := of(f, o, accepted)
			f.Doc.Entries[entryAbout(f, audit.MediumVerdict, audit.PhaseEvent)] = other.Doc.Entries[entryAbout(other, audit.MediumVerdict, audit.PhaseEvent)]
		}, "entries", "its proof does not lead"),
		"an entry of another station": held(func(f *evidence.Forger, o map[string][]byte) { f.Doc.Entries[1] = of(f, o, visitor).Doc.Entries[1] }, "entries", ""),
		"entries out of order": held(func(f *evidence.Forger, _ map[string][]byte) {
			f.Doc.Entries[3], f.Doc.Entries[2] = f.Doc.Entries[2], f.Doc.Entries[3]
		}, "story", "missing"),
		"an entry twice": held(func(f *evidence.Forger, _ map[string][]byte) {
			f.Doc.Entries = slices.Insert(f.Doc.Entries, 2, f.Doc.Entries[2])
		}, "story", "stands behind entry"),
		"the judgement of the manifest left out": held(drop(audit.PackageVerify, audit.PhaseEvent), "story", "is missing: nothing may be left out"),
		"the hold left out":                      held(drop(audit.PackageHold, audit.PhaseOutcome), "story", "is missing: nothing may be left out"),
		"the verdict left out":                   held(drop(audit.MediumVerdict, audit.PhaseEvent), "story", "is missing: nothing may be left out"),
		"the insertion left out":                 held(drop(audit.MediumInserted, audit.PhaseEvent), "story", "does not belong before the insertion"),
		"the end left out":                       held(drop(audit.MediumRead, audit.PhaseOutcome), "story", "end before the medium was done with"),
		"the start of the station left out":      held(drop(audit.StationStart, audit.PhaseEvent), "story", "station.start"),
		"an entry of another medium more": {of: accepted, do: func(f *evidence.Forger, o map[string][]byte) {
			f.Doc.Entries = of(f, o, later).Doc.Entries
			f.Doc.Checkpoint, f.Doc.Anchor = of(f, o, torn).Doc.Checkpoint, of(f, o, torn).Doc.Anchor
		}, step: "entries", says: "its proof does not lead"},
		"another checkpoint of the same log": {of: accepted, do: func(f *evidence.Forger, o map[string][]byte) {
			f.Doc.Checkpoint, f.Doc.Anchor = of(f, o, later).Doc.Checkpoint, of(f, o, later).Doc.Anchor
		}, step: "entries", says: "its proof does not lead"},
		"an earlier checkpoint": {of: unknown, do: func(f *evidence.Forger, o map[string][]byte) {
			f.Doc.Checkpoint, f.Doc.Anchor = of(f, o, accepted).Doc.Checkpoint, of(f, o, accepted).Doc.Anchor
		}, step: "entries", says: "the checkpoint seals"},
		"the anchor of another checkpoint": {of: accepted, do: func(f *evidence.Forger, o map[string][]byte) { f.Doc.Anchor = of(f, o, later).Doc.Anchor },
			step: "checkpoint", says: "the anchor does not belong to the checkpoint"},
		"no anchor": {do: func(f *evidence.Forger, _ map[string][]byte) { f.Doc.Anchor = []byte{} }, step: "checkpoint", says: "anchor"},
		"the checkpoint of another station": {do: func(f *evidence.Forger, o map[string][]byte) {
			f.Doc.Checkpoint, f.Doc.Anchor = of(f, o, visitor).Doc.Checkpoint, of(f, o, visitor).Doc.Anchor
		}, step: "checkpoint", says: ""},
		"the checkpoint's size changed": {do: func(f *evidence.Forger, _ map[string][]byte) {
			lines := strings.SplitN(f.Doc.Checkpoint, "\n", 3)
			f.Doc.Checkpoint = lines[0] + "\n" + lines[1] + "0\n" + lines[2]
		}, step: "checkpoint", says: "signature"},
		"no checkpoint": {do: func(f *evidence.Forger, _ map[string][]byte) { f.Doc.Checkpoint = "" }, step: "checkpoint", says: "signed note"},
	}
}

func trustForgeries() map[string]forgery {
	return map[string]forgery{
		"another root": {root: elseRoot, do: func(*evidence.Forger, map[string][]byte) {}, step: "root", says: "you gave"},
		"the root put in that the user has": {root: elseRoot, do: func(f *evidence.Forger, o map[string][]byte) { f.Members[evidence.RootName] = o[elseRoot] },
			step: "trust", says: "none of the authority's keys"},
		"a root that is none": {do: func(f *evidence.Forger, _ map[string][]byte) { f.Members[evidence.RootName] = []byte("{}") }, step: "root", says: "trust root"},
		"the trust bundle changed": {do: func(f *evidence.Forger, _ map[string][]byte) {
			b := f.Members["trust/bundle.dsse.json"]
			f.Members["trust/bundle.dsse.json"] = flipped(b, bytes.Index(b, []byte(`"payload":"`))+200)
		}, step: "trust", says: ""},
		"no trust bundle": {do: func(f *evidence.Forger, _ map[string][]byte) {
			delete(f.Members, "trust/bundle.dsse.json")
		}, step: "trust", says: "bundle.json says 1"},
		"no trust bundle, and said so": {do: func(f *evidence.Forger, _ map[string][]byte) {
			delete(f.Members, "trust/bundle.dsse.json")
			f.Doc.Trust = 0
		}, step: "", says: "has not enrolled the station"},
		"a later trust bundle": {do: func(f *evidence.Forger, o map[string][]byte) {
			other := of(f, o, revoked)
			for _, name := range []string{"trust/bundle.dsse.json", "trust/root-2.dsse.json"} {
				f.Members[name] = other.Members[name]
			}
			f.Doc.Trust = 3
		}, step: "", says: "the station judged it by trust bundle 1"},
		"a rotation left out": {of: rotated, do: func(f *evidence.Forger, _ map[string][]byte) { delete(f.Members, "trust/root-2.dsse.json") },
			step: "trust", says: "root_version"},
		"a rotation changed": {of: rotated, do: func(f *evidence.Forger, _ map[string][]byte) {
			b := f.Members["trust/root-2.dsse.json"]
			f.Members["trust/root-2.dsse.json"] = flipped(b, bytes.Index(b, []byte(`"payload":"`))+300)
		}, step: "root", says: ""},
		"a rotation called by another version": {of: rotated, do: func(f *evidence.Forger, _ map[string][]byte) {
			f.Members["trust/root-3.dsse.json"] = f.Members["trust/root-2.dsse.json"]
			delete(f.Members, "trust/root-2.dsse.json")
		}, step: "root", says: "is given as version 3"},
		"another station's identity": {do: func(f *evidence.Forger, o map[string][]byte) {
			f.Members[evidence.IdentityName] = of(f, o, visitor).Members[evidence.IdentityName]
		}, step: "station", says: "another TPM as station ems-1"},
		"an identity changed": {do: func(f *evidence.Forger, _ map[string][]byte) {
			b := f.Members[evidence.IdentityName]
			f.Members[evidence.IdentityName] = bytes.Replace(b, []byte(`"counter_start":`), []byte(`"counter_start":1`), 1)
		}, step: "station", says: "identity"},
		"another station's evidence under an enrolled name": {of: visitor, do: func(f *evidence.Forger, _ map[string][]byte) { f.Doc.Station.ID = "ems-1" },
			step: "station", says: "another TPM as station ems-1"},
		"an enrolled station's evidence under another name": {do: func(f *evidence.Forger, _ map[string][]byte) { f.Doc.Station.ID = "ems-2" },
			step: "checkpoint", says: ""},
		"another jurisdiction": {do: func(f *evidence.Forger, _ map[string][]byte) { f.Doc.Station.Jurisdiction = "us/elm-county" }, step: "checkpoint", says: ""},
		"another role":         {do: func(f *evidence.Forger, _ map[string][]byte) { f.Doc.Station.Role = "kiosk" }, step: "story", says: "the station is not what the log says"},
	}
}

func packageForgeries() map[string]forgery {
	name := func(i int, f *evidence.Forger, file string) string {
		return evidence.InItem(f.Doc.Packages[i].Item, file)
	}
	return map[string]forgery{
		"the manifest left out": {do: func(f *evidence.Forger, _ map[string][]byte) { delete(f.Members, item(f, "manifest.dsse.json")) },
			step: "packages", says: "manifest.dsse.json is missing"},
		"the evidence of the sender left out": {do: func(f *evidence.Forger, _ map[string][]byte) { delete(f.Members, item(f, "evidence.json")) },
			step: "packages", says: "evidence.json is missing"},
		"a byte of the manifest changed": {do: func(f *evidence.Forger, _ map[string][]byte) {
			f.Members[item(f, "manifest.dsse.json")] = flipped(f.Members[item(f, "manifest.dsse.json")], 100)
		}, step: "packages", says: "manifest.dsse.json is not the one that the station stored"},
		"the manifest of another package": {of: two, do: func(f *evidence.Forger, _ map[string][]byte) {
			f.Members[name(0, f, "manifest.dsse.json")] = f.Members[name(1, f, "manifest.dsse.json")]
		}, step: "packages", says: "is not the one that the station stored"},
		"two packages exchanged": {of: two, do: func(f *evidence.Forger, _ map[string][]byte) {
			for _, file := range []string{"facts.json", "files.json", "manifest.dsse.json", "evidence.json"} {
				a, b := name(0, f, file), name(1, f, file)
				f.Members[a], f.Members[b] = f.Members[b], f.Members[a]
			}
		}, step: "packages", says: "not those of which the log has the digest"},
		"the facts of another package": {of: two, do: func(f *evidence.Forger, _ map[string][]byte) {
			f.Members[name(0, f, "facts.json")] = f.Members[name(1, f, "facts.json")]
		}, step: "packages", says: "not those of which the log has the digest"},
		"the facts changed": {do: func(f *evidence.Forger, _ map[string][]byte) {
			f.Members[item(f, "facts.json")] = bytes.Replace(f.Members[item(f, "facts.json")], []byte("PRECINCT 7"), []byte("PRECINCT 8"), 1)
		}, step: "packages", says: "not those of which the log has the digest"},
		"the facts left out": {do: func(f *evidence.Forger, _ map[string][]byte) { delete(f.Members, item(f, "facts.json")) }, step: "packages", says: "facts.json is missing"},
		"a file called otherwise": {do: func(f *evidence.Forger, _ map[string][]byte) {
			listing(f, func(l *evidence.Listing) { l.Files[2].Name = "data/other.json" })
		}, step: "packages", says: "not those of which the log has the digest"},
		"a file of another size": {do: func(f *evidence.Forger, _ map[string][]byte) {
			listing(f, func(l *evidence.Listing) { l.Files[2].Size++ })
		}, step: "packages", says: "not those of which the log has the digest"},
		"a file with another hash": {do: func(f *evidence.Forger, _ map[string][]byte) {
			listing(f, func(l *evidence.Listing) { l.Files[2].SHA256 = l.Files[1].SHA256 })
		}, step: "packages", says: "not those of which the log has the digest"},
		"a file left out": {of: plain, do: func(f *evidence.Forger, _ map[string][]byte) {
			listing(f, func(l *evidence.Listing) { l.Files = l.Files[1:] })
		}, step: "packages", says: "not those of which the log has the digest"},
		"a file more": {of: plain, do: func(f *evidence.Forger, _ map[string][]byte) {
			listing(f, func(l *evidence.Listing) { l.Files = append(l.Files, l.Files[0]) })
		}, step: "packages", says: "not those of which the log has the digest"},
		"a whole item called cut": {of: altered, do: func(f *evidence.Forger, _ map[string][]byte) {
			listing(f, func(l *evidence.Listing) { l.Cut = true })
		}, step: "packages", says: "not those of which the log has the digest"},
		"a hash that is none": {do: func(f *evidence.Forger, _ map[string][]byte) {
			listing(f, func(l *evidence.Listing) { l.Files[0].SHA256 = strings.Repeat("Z", 64) })
		}, step: "packages", says: "no SHA-256"},
		"a size below nothing": {do: func(f *evidence.Forger, _ map[string][]byte) {
			listing(f, func(l *evidence.Listing) { l.Files[0].Size = -1 })
		}, step: "packages", says: "a size of -1"},
		"a manifest for what had none": {of: plain, do: func(f *evidence.Forger, o map[string][]byte) {
			other := of(f, o, accepted)
			f.Members[item(f, "manifest.dsse.json")] = other.Members[item(other, "manifest.dsse.json")]
		}, step: "packages", says: "is not the one that the station stored"},
		"the sender's evidence for a package that was not verified": {of: unknown, do: func(f *evidence.Forger, o map[string][]byte) {
			other := of(f, o, accepted)
			f.Members[item(f, "evidence.json")] = other.Members[item(other, "evidence.json")]
		}, step: "packages", says: "belongs to nothing that the log knows"},
	}
}

// TestForgeriesAreFound: each is found, in the step that is about it. Nothing is
// called intact; what only takes the means of checking away is not checked.
func TestForgeriesAreFound(t *testing.T) {
	o := committed(t)
	all := forgeries()
	if len(all) < 90 {
		t.Errorf("only %d forgeries were tried", len(all))
	}
	for name, c := range all {
		t.Run(name, func(t *testing.T) {
			base, root := c.of, c.root
			if base == "" {
				base = accepted
			}
			if root == "" {
				root = rootFile
			}
			var data []byte
			if c.raw != nil {
				data = c.raw(t, o[base])
			} else {
				f := evidence.NewForger(t, o[base])
				if c.do != nil {
					c.do(f, o)
				} else {
					f.KeepPage, f.KeepList = true, true
					c.after(f)
				}
				data = f.File()
			}
			rep := evidence.Check(data, options(t, o, root, ""))
			last := rep.Steps[len(rep.Steps)-1]
			switch {
			case c.step == "" && rep.Result != evidence.Unchecked, c.step != "" && rep.Result != evidence.Damaged:
				t.Errorf("it is called %s: %s", rep.Result, rep.Why)
			case c.step != "" && last.Name != c.step || !strings.Contains(rep.Why, c.says):
				t.Errorf("found in the step %q: %s\nwant %q and the words %q", last.Name, rep.Why, c.step, c.says)
			}
		})
	}
}

// The forger itself changes nothing: what it puts together again is the same.
func TestTheForgerIsHonestUnlessToldOtherwise(t *testing.T) {
	o := committed(t)
	for name, data := range o {
		if !strings.HasSuffix(name, ".zip") {
			continue
		}
		if again := evidence.NewForger(t, data).File(); !bytes.Equal(again, data) {
			t.Errorf("%s comes out another", name)
		}
	}
}
