package verifycmd_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/tpm/attest"
)

const (
	otherNote     = "the statement was made for something else"
	otherTPM      = "cannot accept the attestation key's signature over the statement"
	otherKey      = "the checkpoint is signed by key"
	lastOtherKey  = "the last checkpoint: " + otherKey
	fewCheckpoint = "there are 4 anchors and 3 checkpoints"
)

// checkpointTampering are edits of one checkpoint.
func checkpointTampering() []tampering {
	return []tampering{
		{"flip a bit of a checkpoint's text", func(p *tape) []string {
			p.flip("checkpoints", frameAt(p.notes, 1)+frameHeader+40)
			return []string{p.noteAt(1) + badChecksum}
		}, "checkpoints, byte"},
		{"flip a bit of the last checkpoint", func(p *tape) []string {
			p.flip("checkpoints", frameAt(p.notes, 3)+frameHeader+40)
			return []string{p.noteAt(3) + badChecksum, p.anchorAt(3) + "there is no checkpoint 3"}
		}, fewCheckpoint},
		{"change the size in a checkpoint", func(p *tape) []string {
			p.note(2, "\n27\n", "\n26\n")
			return []string{p.noteAt(2) + "the signature of key", p.anchorAt(2) + otherNote}
		}, ""},
		{"change the size in the last checkpoint", func(p *tape) []string {
			p.note(3, "\n38\n", "\n37\n")
			return []string{p.noteAt(3) + "the signature of key", p.anchorAt(3) + otherNote}
		}, "do not have the root"},
		{"change the root in a checkpoint", func(p *tape) []string {
			p.note(2, sealedRoot(p.notes[2]), sealedRoot(p.notes[1]))
			return []string{p.noteAt(2) + "the signature of key", p.anchorAt(2) + otherNote}
		}, ""},
		{"change a checkpoint's signature", func(p *tape) []string {
			b := bytes.Clone(p.notes[2])
			if i := len(b) - 12; b[i] == 'A' { // base64 stays base64
				b[i] = 'B'
			} else {
				b[i] = 'A'
			}
			p.sealWith("checkpoints", replaced(p.notes, 2, b)...)
			return []string{p.noteAt(2) + "the signature of key", p.anchorAt(2) + otherNote}
		}, ""},
		{"change the origin in a checkpoint", func(p *tape) []string {
			p.note(2, "ems-1\n27", "ems-2\n27")
			return []string{p.noteAt(2) + "the signature of key", p.anchorAt(2) + otherNote}
		}, ""},
		{"add a line to a checkpoint", func(p *tape) []string {
			p.note(2, "\n\n", "\nmore\n\n")
			return []string{p.noteAt(2) + "the signature of key", p.anchorAt(2) + otherNote}
		}, ""},
		{"add a line of another station's key to a checkpoint", func(p *tape) []string {
			_, line, _ := bytes.Cut(p.foreign.notes[2], []byte("\n\n"))
			p.sealWith("checkpoints", replaced(p.notes, 2, slices.Concat(p.notes[2], line))...)
			return []string{p.anchorAt(2) + otherNote}
		}, ""},
		{"make a checkpoint no note", func(p *tape) []string {
			p.sealWith("checkpoints", replaced(p.notes, 2, []byte("sealed"))...)
			return []string{p.noteAt(2) + "not a signed note", p.anchorAt(2) + otherNote}
		}, ""},
	}
}

// checkpointsTampering are checkpoints that were taken out and moved, and their
// file.
func checkpointsTampering() []tampering {
	return []tampering{
		{"cut a checkpoint out", func(p *tape) []string {
			b := p.read("checkpoints")
			p.write("checkpoints", slices.Concat(b[:frameAt(p.notes, 1)], b[frameAt(p.notes, 2):]))
			return []string{p.noteAt(1) + "checkpoint 2 stands where checkpoint 1 belongs"}
		}, same},
		{"cut a checkpoint out and number the others anew", func(p *tape) []string {
			p.sealWith("checkpoints", slices.Delete(slices.Clone(p.notes), 1, 2)...)
			return []string{p.anchorAt(1) + otherNote, p.anchorAt(2) + otherNote, p.anchorAt(3) + "there is no checkpoint 3"}
		}, fewCheckpoint},
		{"swap two checkpoints", func(p *tape) []string {
			b, x, y, z := p.read("checkpoints"), frameAt(p.notes, 1), frameAt(p.notes, 2), frameAt(p.notes, 3)
			p.write("checkpoints", slices.Concat(b[:x], b[y:z], b[x:y], b[z:]))
			return []string{p.noteAt(1) + "checkpoint 2 stands where checkpoint 1 belongs", more}
		}, same},
		{"swap two checkpoints and number them anew", func(p *tape) []string {
			p.sealWith("checkpoints", p.notes[0], p.notes[2], p.notes[1], p.notes[3])
			at := fmt.Sprintf("checkpoints, byte %d: checkpoint 2: ", frameAt([][]byte{p.notes[0], p.notes[2]}, 2))
			return []string{at + "it seals 14 entries with root", p.anchorAt(1) + otherNote, p.anchorAt(2) + otherNote}
		}, ""},
		{"cut the last checkpoint", func(p *tape) []string {
			p.sealWith("checkpoints", p.notes[:3]...)
			return []string{p.anchorAt(3) + "there is no checkpoint 3"}
		}, fewCheckpoint},
		{"cut the last checkpoint and the entries under it", func(p *tape) []string {
			p.sealWith("checkpoints", p.notes[:3]...)
			p.back(27)
			return []string{p.anchorAt(3) + "there is no checkpoint 3"}
		}, fewCheckpoint},
		{"cut all checkpoints", func(p *tape) []string {
			p.sealWith("checkpoints")
			return []string{p.anchorAt(0) + "there is no checkpoint 0", p.anchorAt(1) + "there is no", p.anchorAt(2) + "there is no", p.anchorAt(3) + "there is no"}
		}, "there are 4 anchors and 0 checkpoints"},
	}
}

// forgedTampering are checkpoints that the station did not make here, alone and
// over other entries.
func forgedTampering() []tampering {
	return []tampering{
		{"sign the last checkpoint with another key", func(p *tape) []string {
			p.sealWith("checkpoints", replaced(p.notes, 3, signed(p.t, p.foreign.tpm, p.origin, 38, p.root(38)))...)
			return []string{p.noteAt(3) + otherKey, p.anchorAt(3) + otherNote}
		}, lastOtherKey},
		{"sign all checkpoints with another key", func(p *tape) []string {
			var all [][]byte
			for _, n := range tapeSeals() {
				all = append(all, signed(p.t, p.foreign.tpm, p.origin, n, p.root(n)))
			}
			p.sealWith("checkpoints", all...)
			return []string{"checkpoints, byte 64: checkpoint 0: the checkpoint is signed by key", more}
		}, lastOtherKey},
		{"change an entry, rebuild everything and sign all with another key", func(p *tape) []string {
			p.at[22].Data = p.replaced(22, `"size":"1022"`, `"size":"10220"`)
			p.rebuild()
			p.rehash()
			var all [][]byte
			for _, n := range tapeSeals() {
				all = append(all, signed(p.t, p.foreign.tpm, p.origin, n, p.root(n)))
			}
			p.sealWith("checkpoints", all...)
			p.sealWith("anchors", p.foreign.anchors...)
			return []string{"checkpoints, byte 64: checkpoint 0: the checkpoint is signed by key", more}
		}, lastOtherKey},
		{"put another station's whole log in place", func(p *tape) []string {
			for _, name := range []string{"checkpoints", "anchors", "hashes", "log.json"} {
				p.write(name, p.foreign.read(name))
			}
			for _, s := range p.segments() {
				p.write(s, p.foreign.read(s))
			}
			return []string{"checkpoints, byte 64: checkpoint 0: the checkpoint is signed by key", more}
		}, lastOtherKey},
		{"append another station's checkpoint", func(p *tape) []string {
			p.sealWith("checkpoints", append(slices.Clone(p.notes), p.foreign.notes[3])...)
			return []string{p.noteAt(4) + otherKey}
		}, "do not have the root"},
		{"append a checkpoint of another origin", func(p *tape) []string {
			p.sealWith("checkpoints", append(slices.Clone(p.notes), p.stranger.notes[3])...)
			return []string{p.noteAt(4) + otherKey}
		}, "ems-9"},
		{"append an old checkpoint again", func(p *tape) []string {
			p.sealWith("checkpoints", append(slices.Clone(p.notes), p.notes[1])...)
			return []string{p.noteAt(4) + "it seals 14 entries with root"}
		}, ""},
		{"append the last checkpoint again", func(p *tape) []string {
			p.sealWith("checkpoints", append(slices.Clone(p.notes), p.notes[3])...)
			return []string{p.noteAt(4) + "it seals the 38 entries that the one before it sealed"}
		}, ""},
		{"append a checkpoint of the same station's other log", func(p *tape) []string {
			p.sealWith("checkpoints", append(slices.Clone(p.notes), p.twin.notes[3])...)
			return []string{p.noteAt(4) + "it seals 38 entries with root"}
		}, "do not have the root"},
		{"put a checkpoint of the same station's other log in place", func(p *tape) []string {
			p.sealWith("checkpoints", replaced(p.notes, 2, p.twin.notes[2])...)
			return []string{p.span(14, 26) + ": the entries do not have the root", p.anchorAt(2) + otherNote}
		}, ""},
		{"append a checkpoint over more entries than there are", func(p *tape) []string {
			p.sealWith("checkpoints", append(slices.Clone(p.notes), signed(p.t, p.tpm, p.origin, 50, p.root(42)))...)
			return []string{fmt.Sprintf("one or more of the entries 42 to 49 (from %s, byte %d): the log ends after 42 entries, its checkpoints seal 50", p.at[41].File, p.end(41))}
		}, "the log ends after 42 entries, its last checkpoint seals 50"},
		{"append a checkpoint of another key over other entries", func(p *tape) []string {
			p.put(40, 41, frameOf(40, p.other(40)))
			p.at[40].Data = p.other(40)
			p.rehash()
			p.sealWith("checkpoints", append(slices.Clone(p.notes), signed(p.t, p.foreign.tpm, p.origin, 42, p.root(42)))...)
			return []string{p.noteAt(4) + otherKey}
		}, lastOtherKey},
		{"remove the checkpoints", func(p *tape) []string {
			p.remove("checkpoints")
			return []string{"checkpoints, byte 0: the file is missing"}
		}, same},
		{"empty the checkpoints", func(p *tape) []string {
			p.cut("checkpoints", 0)
			return []string{"checkpoints, byte 0: the file header is cut short after 0 of 64 bytes"}
		}, same},
		{"flip a bit of the checkpoints' header", func(p *tape) []string {
			p.flip("checkpoints", 40)
			return []string{"checkpoints, byte 0: the checksum of the file header does not match"}
		}, same},
		{"put another origin's checkpoints in place", func(p *tape) []string {
			p.write("checkpoints", p.stranger.read("checkpoints"))
			return []string{"checkpoints, byte 0: the file belongs to a log of another origin"}
		}, same},
	}
}

// anchorTampering are edits of anchors.
func anchorTampering() []tampering {
	return []tampering{
		{"flip a bit of an anchor", func(p *tape) []string {
			p.flip("anchors", frameAt(p.anchors, 1)+frameHeader+60)
			return []string{p.anchorAt(1) + badChecksum}
		}, same},
		{"flip a bit of the last anchor", func(p *tape) []string {
			p.flip("anchors", frameAt(p.anchors, 3)+frameHeader+60)
			return []string{p.anchorAt(3) + badChecksum}
		}, ""},
		{"change the counter in an anchor", func(p *tape) []string {
			p.statement(2, func(a *attest.Anchor) { a.Counter[len(a.Counter)-1]++ })
			return []string{p.anchorAt(2) + otherTPM}
		}, ""},
		{"change an anchor's signature", func(p *tape) []string {
			p.statement(2, func(a *attest.Anchor) { a.CounterSig[20] ^= 1 })
			return []string{p.anchorAt(2) + otherTPM}
		}, ""},
		{"leave an anchor's statement out", func(p *tape) []string {
			p.statement(2, func(a *attest.Anchor) { a.Counter, a.CounterSig = nil, nil })
			return []string{p.anchorAt(2)}
		}, ""},
		{"make an anchor no JSON", func(p *tape) []string {
			p.sealWith("anchors", replaced(p.anchors, 2, []byte("sealed"))...)
			return []string{p.anchorAt(2) + "cannot read the anchor"}
		}, ""},
		{"swap two anchors", func(p *tape) []string {
			b, x, y, z := p.read("anchors"), frameAt(p.anchors, 1), frameAt(p.anchors, 2), frameAt(p.anchors, 3)
			p.write("anchors", slices.Concat(b[:x], b[y:z], b[x:y], b[z:]))
			return []string{p.anchorAt(1) + "anchor 2 stands where anchor 1 belongs", more}
		}, same},
		{"swap two anchors and number them anew", func(p *tape) []string {
			p.sealWith("anchors", p.anchors[0], p.anchors[2], p.anchors[1], p.anchors[3])
			return []string{p.anchorAt(1) + otherNote, fmt.Sprintf("anchors, byte %d: anchor 2: ", frameAt([][]byte{p.anchors[0], p.anchors[2]}, 2)) + otherNote}
		}, ""},
		{"cut an anchor out", func(p *tape) []string {
			b := p.read("anchors")
			p.write("anchors", slices.Concat(b[:frameAt(p.anchors, 1)], b[frameAt(p.anchors, 2):]))
			return []string{p.anchorAt(1) + "anchor 2 stands where anchor 1 belongs"}
		}, same},
		{"cut the last two anchors", func(p *tape) []string {
			p.sealWith("anchors", p.anchors[:2]...)
			return []string{fmt.Sprintf("anchors, byte %d: the last 2 checkpoints have no anchor", frameAt(p.anchors, 2))}
		}, same},
		{"cut all anchors", func(p *tape) []string {
			p.sealWith("anchors")
			return []string{"anchors, byte 64: the last 4 checkpoints have no anchor"}
		}, same},
		{"append an old anchor again", func(p *tape) []string {
			p.sealWith("anchors", append(slices.Clone(p.anchors), p.anchors[1])...)
			return []string{p.anchorAt(4) + "there is no checkpoint 4"}
		}, "there are 5 anchors and 4 checkpoints"},
		{"put an old anchor in the place of the last", func(p *tape) []string {
			p.sealWith("anchors", replaced(p.anchors, 3, p.anchors[2])...)
			return []string{p.anchorAt(3) + otherNote}
		}, ""},
		{"put another station's anchor in place", func(p *tape) []string {
			p.sealWith("anchors", replaced(p.anchors, 2, p.foreign.tpm.anchor(10, p.notes[2]))...)
			return []string{p.anchorAt(2) + otherTPM}
		}, ""},
		{"anchor a checkpoint with a TPM that was put back", func(p *tape) []string {
			p.sealWith("anchors", replaced(p.anchors, 3, p.tpm.anchor(9, p.notes[3]))...)
			return []string{p.anchorAt(3) + "the counter stands at 9, at the anchor before it stood at 10"}
		}, ""},
		{"anchor two checkpoints with one value of the counter", func(p *tape) []string {
			p.sealWith("anchors", replaced(p.anchors, 3, p.tpm.anchor(10, p.notes[3]))...)
			return []string{p.anchorAt(3) + "the counter stands at 10, at the anchor before it stood at 10"}
		}, ""},
		{"remove the anchors", func(p *tape) []string {
			p.remove("anchors")
			return []string{"anchors, byte 0: the file is missing"}
		}, same},
		{"flip a bit of the anchors' header", func(p *tape) []string {
			p.flip("anchors", 12)
			return []string{"anchors, byte 0: the checksum of the file header does not match"}
		}, same},
		{"exchange checkpoints and anchors", func(p *tape) []string {
			a, b := p.read("checkpoints"), p.read("anchors")
			p.write("checkpoints", b)
			p.write("anchors", a)
			return []string{`checkpoints, byte 0: the file starts with "SPLOGANC" instead of "SPLOGCHK"`, `anchors, byte 0: the file starts with "SPLOGCHK"`}
		}, "the file starts with"},
	}
}

// note changes a checkpoint's text; its frame is right.
func (p *tape) note(n int, old, new string) {
	p.t.Helper()
	b := strings.Replace(string(p.notes[n]), old, new, 1)
	if b == string(p.notes[n]) {
		p.t.Fatalf("checkpoint %d has no %q: %s", n, old, b)
	}
	p.sealWith("checkpoints", replaced(p.notes, n, []byte(b))...)
}

// statement changes an anchor; its frame and its JSON are right.
func (p *tape) statement(n int, change func(a *attest.Anchor)) {
	p.t.Helper()
	a := anchorOf(p.t, p.anchors[n])
	change(&a)
	b, err := a.Encode()
	p.must(err)
	p.sealWith("anchors", replaced(p.anchors, n, b)...)
}

func replaced(all [][]byte, n int, with []byte) [][]byte {
	all = slices.Clone(all)
	all[n] = with
	return all
}
