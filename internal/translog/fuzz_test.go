package translog_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"sallyport/internal/translog"
)

// FuzzSegment puts any bytes behind the header of the only segment. Properties:
// Verify and Open terminate without a panic; what Open accepts is exactly the
// longest prefix of whole frames; what it cut off is kept byte for byte; and
// afterwards nothing is left to report.
func FuzzSegment(f *testing.F) {
	inMemory(f)
	a, b, c := frameOf(0, []byte("a")), frameOf(1, []byte("bb")), frameOf(2, []byte("ccc"))
	f.Add([]byte{})
	f.Add(slices.Concat(a, b, c))
	f.Add(slices.Concat(a, b, c[:len(c)-1]))
	f.Add(slices.Concat(a, c, b))
	f.Add(slices.Concat(a, a))
	f.Add(slices.Concat(a, []byte("junk"), b, c))
	f.Add(slices.Concat(a, make([]byte, 40)))
	f.Add(slices.Concat(a, make([]byte, 40), c))
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Add(append([]byte{0, 1, 0, 0}, make([]byte, 40)...))
	key := fixedKey(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		dir := mustCreate(t, translog.Options{})
		seg := filepath.Join(dir, "00000000000000000000.seg")
		head := readFile(t, seg)
		writeFile(t, seg, slices.Concat(head, in))
		var want [][]byte
		rest := in
		for len(rest) > frameSize {
			n := int(rest[0])<<24 | int(rest[1])<<16 | int(rest[2])<<8 | int(rest[3])
			if n < 1 || n > translog.MaxEntry || frameSize+n > len(rest) || !bytes.Equal(rest[:frameSize+n], frameOf(int64(len(want)), rest[frameSize:frameSize+n])) {
				break
			}
			want = append(want, rest[frameSize:frameSize+n])
			rest = rest[frameSize+n:]
		}
		rep, err := translog.Verify(t.Context(), dir, translog.VerifyOptions{Keys: []*ecdsa.PublicKey{key.Public()}})
		if err != nil || (len(rest) > 0) != (len(rep.Damage)+len(rep.Torn) > 0) {
			t.Fatalf("verify: %+v, %v; %d bytes are no frames", rep, err, len(rest))
		}
		l := mustOpen(t, dir, translog.Options{})
		if l.Size() != int64(len(want)) {
			t.Fatalf("%d entries, want %d", l.Size(), len(want))
		}
		for e, err := range l.Entries(0) {
			if err != nil || !bytes.Equal(e.Data, want[e.Index]) {
				t.Fatalf("entry %d: %q, %v", e.Index, e.Data, err)
			}
		}
		cuts := l.Recovery().Cuts
		if (len(rest) > 0) != (len(cuts) == 1) || len(cuts) == 1 && !bytes.Equal(readFile(t, filepath.Join(dir, cuts[0].Kept)), rest) {
			t.Fatalf("cuts %+v of %q", cuts, rest)
		}
		if _, err := l.Append([]byte("next")); err != nil {
			t.Fatal(err)
		}
		l.Close()
		if rep, err = translog.Verify(t.Context(), dir, translog.VerifyOptions{Keys: []*ecdsa.PublicKey{key.Public()}}); err != nil || len(rep.Damage)+len(rep.Torn) > 0 || rep.Entries != int64(len(want)+1) {
			t.Fatalf("verify after the repair: %+v, %v", rep, err)
		}
	})
}

// FuzzCheckpoints puts any bytes behind the header of the checkpoints file of
// a log with entries. Properties: nothing panics; no checkpoint counts that
// the key did not sign; Open either refuses as tampered or leaves a log that
// takes entries.
func FuzzCheckpoints(f *testing.F) {
	inMemory(f)
	key := fixedKey(f)
	base := mustCreate(f, translog.Options{})
	l := mustOpen(f, base, translog.Options{})
	mustAppend(f, l, 3)
	signed, err := l.Checkpoint(f.Context(), key)
	if err != nil {
		f.Fatal(err)
	}
	l.Close()
	unsigned := []byte(translog.Checkpoint{Origin: origin, Size: 3, Root: tlog.Hash{}}.Text() + "\n— x AAAAAAAA\n")
	f.Add(frameOf(0, []byte("x")))
	f.Add(frameOf(0, unsigned))
	f.Add(slices.Concat(frameOf(0, unsigned), []byte("torn")))
	f.Add([]byte{})
	meta := mustRead(f, filepath.Join(base, "log.json"))
	seg := mustRead(f, filepath.Join(base, "00000000000000000000.seg"))
	head := mustRead(f, filepath.Join(base, "checkpoints"))[:headerSize]
	f.Fuzz(func(t *testing.T, in []byte) {
		dir := filepath.Join(t.TempDir(), "log")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, "log.json"), meta)
		writeFile(t, filepath.Join(dir, "00000000000000000000.seg"), seg)
		writeFile(t, filepath.Join(dir, "checkpoints"), slices.Concat(head, in))
		rep, err := translog.Verify(t.Context(), dir, translog.VerifyOptions{Keys: []*ecdsa.PublicKey{key.Public()}})
		if err != nil {
			t.Fatal(err)
		}
		if rep.Sealed != 0 && !bytes.Contains(in, signed) {
			t.Fatalf("sealed by what the key never signed: %+v", rep)
		}
		// Sealing is not part of this: its running time is not the same twice.
		l, err := translog.Open(dir, translog.Options{})
		if err != nil {
			if !errors.Is(err, translog.ErrTampered) {
				t.Fatal(err)
			}
			l.Close()
			return
		}
		mustAppend(t, l, 1)
		l.Close()
	})
}

// FuzzAnchors puts any bytes behind the header of the anchors file of a log with
// two checkpoints. Properties: nothing panics; no anchor counts that was not made
// for its checkpoint; Open either refuses as tampered or leaves a log that can be
// sealed and anchored.
func FuzzAnchors(f *testing.F) {
	inMemory(f)
	key, tpm := fixedKey(f), &counter{}
	base := mustCreate(f, translog.Options{})
	l := mustOpen(f, base, translog.Options{Anchor: tpm})
	for range 2 {
		mustAppend(f, l, 1)
		if _, err := l.Checkpoint(f.Context(), key); err != nil {
			f.Fatal(err)
		}
	}
	l.Close()
	good := mustRead(f, filepath.Join(base, "anchors"))[headerSize:]
	one := good[:len(good)/2]
	f.Add(good)
	f.Add(one)
	f.Add(slices.Concat(good, one))
	f.Add(slices.Concat(one, good[len(one)+4:]))
	f.Add(slices.Concat(good[len(one):], one))
	f.Add(slices.Concat(one, make([]byte, 50)))
	f.Add([]byte{})
	var files = map[string][]byte{}
	for _, name := range []string{"log.json", "00000000000000000000.seg", "checkpoints", "anchors"} {
		files[name] = mustRead(f, filepath.Join(base, name))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		dir := filepath.Join(t.TempDir(), "log")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, b := range files {
			if name == "anchors" {
				b = slices.Concat(b[:headerSize], in)
			}
			writeFile(t, filepath.Join(dir, name), b)
		}
		opt := translog.VerifyOptions{Keys: []*ecdsa.PublicKey{key.Public()}, Anchor: checkAnchor}
		rep, err := translog.Verify(t.Context(), dir, opt)
		if err != nil {
			t.Fatal(err)
		}
		if rep.OK() && rep.Counter != 0 && !bytes.HasPrefix(in, one) {
			t.Fatalf("anchored by what the TPM never said: %+v", rep)
		}
		l, err := translog.Open(dir, translog.Options{Anchor: &counter{n: 100}})
		if err != nil {
			if !errors.Is(err, translog.ErrTampered) {
				t.Fatal(err)
			}
			l.Close()
			return
		}
		mustAppend(t, l, 1)
		if _, err := l.Checkpoint(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		l.Close()
		after, err := translog.Verify(t.Context(), dir, opt)
		if err != nil || rep.OK() && !after.OK() {
			t.Fatalf("after a seal: %+v, %v; before: %+v", after, err, rep)
		}
	})
}

// FuzzNote feeds any note to the parser. Property: what is accepted was signed
// by the key, byte for byte.
func FuzzNote(f *testing.F) {
	key := fixedKey(f)
	l := mustOpen(f, mustCreate(f, translog.Options{}), translog.Options{})
	mustAppend(f, l, 3)
	signed, err := l.Checkpoint(f.Context(), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add([]byte(origin + "\n3\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— " + origin + " AAAAAAAA\n"))
	f.Add([]byte("\n\n— a AAAAAAAA\n"))
	f.Add([]byte{})
	keys, err := translog.NewKeys(origin, key.Public())
	if err != nil {
		f.Fatal(err)
	}
	text, _, _ := bytes.Cut(signed, []byte("\n\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if c, err := keys.Open(in); err == nil && c.Text() != string(text)+"\n" {
			t.Fatalf("accepted %+v, which the key never signed", c)
		}
		if c, err := translog.ParseText(string(in)); err == nil && c.Text() != string(in) {
			t.Fatalf("%q was read as %q", in, c.Text())
		}
	})
}

// fixedKey signs the same bytes for the same text (RFC 6979): a fuzzer needs
// runs that repeat.
func fixedKey(f *testing.F) softKey {
	f.Helper()
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32))
	if err != nil {
		f.Fatal(err)
	}
	return softKey{k}
}

// inMemory puts the folders of a fuzz target where fsync costs nothing.
func inMemory(f *testing.F) {
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		f.Setenv("TMPDIR", "/dev/shm")
	}
}

func mustRead(f *testing.F, name string) []byte {
	f.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		f.Fatal(err)
	}
	return b
}
