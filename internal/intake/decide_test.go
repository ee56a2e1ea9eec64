package intake_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"sallyport/internal/durable"
	"sallyport/internal/intake"
	"sallyport/internal/testmedia"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/vault"
	"sallyport/internal/verdict"
)

// TestRecoveryAdmitsNoOtherBytes: the EMS core has imported a package whose
// admission then failed, and an altered copy of it, which verified up to its
// envelope, was being held when the power went. Whichever of the two is looked
// at first, the genuine one is admitted.
func TestRecoveryAdmitsNoOtherBytes(t *testing.T) {
	for _, id := range []string{"000000000000-1", "zzzzzzzzzzzz-1"} {
		r := newRig(t)
		r.close()
		r.open(durable.FS{Hook: func(step string, done bool) error {
			if step == "vault.admit.rename" && !done {
				return errors.New("I/O error")
			}
			return nil
		}})
		p := r.definition()
		if _, err := r.tryInsert(context.Background(), r.medium(nil, p)); err == nil {
			t.Fatal("the admission did not fail")
		}
		r.close()
		altered := bytes.Clone(p.contents["definition.json"])
		altered[1000] ^= 1
		r.leaveCopy(id, map[string][]byte{"manifest.dsse.json": p.seal(t), "data/definition.json": altered})
		r.open(durable.FS{})
		admitted := r.items(vault.Admitted)
		if len(admitted) != 1 || admitted[0] == id || !bytes.Equal(r.stored(admitted[0])["data/definition.json"], p.contents["definition.json"]) {
			t.Errorf("admitted is %v, the altered copy was %s", admitted, id)
		}
		if held := r.items(vault.Held); !slices.Contains(held, id) {
			t.Errorf("held are %v, want the altered copy %s", held, id)
		}
	}
}

// leaveCopy stages an item with the facts of the leftover that is there, as an
// intake does, and leaves it without a decision.
func (r *rig) leaveCopy(id string, files map[string][]byte) {
	r.t.Helper()
	v, err := vault.Open(r.cfg.Store, vault.Options{Reserve: r.cfg.Reserve})
	r.must(err)
	left, err := v.Leftovers()
	r.must(err)
	if len(left) != 1 {
		r.t.Fatalf("leftovers: %+v", left)
	}
	genuine, err := v.Recover(left[0].ID, vault.Record{Data: []byte("{}")})
	r.must(err)
	facts, err := genuine.Facts()
	r.must(err)
	var size int64
	for _, data := range files {
		size += int64(len(data))
	}
	stage, err := v.Stage(id, size, facts)
	r.must(err)
	for _, name := range []string{"manifest.dsse.json", "data/definition.json"} {
		_, err := stage.AddFile(name, bytes.NewReader(files[name]))
		r.must(err)
	}
	copied, err := stage.Commit(vault.Record{Data: []byte("{}")})
	r.must(err)
	r.must(errors.Join(copied.Close(), genuine.Close(), v.Close()))
}

// TestTrustThatChangesWhileReading: the signer is taken out of the bundle after
// the manifest was verified and before the package is admitted.
func TestTrustThatChangesWhileReading(t *testing.T) {
	revoked := false
	r := newRig(t, func(r *rig) {
		r.cfg.Policy = func() (intake.Policy, error) {
			if revoked {
				r.source = r.stranger // the next bundle enrols another key
			}
			return r.policy()
		}
	})
	p := r.set()
	img := r.medium(nil, p)
	r.progress = func() { revoked = true }
	rep := r.insert(img)
	r.wants(rep, verdict.Held, 3, verdict.SignerUnknown)
	r.nothingAdmitted()
	r.holds(rep, map[string][]byte{"manifest.dsse.json": p.seal(t), "data/a.bin": p.contents["a.bin"], "data/b/b.bin": p.contents["b/b.bin"]})
}

// TestANewKeyBeginsItsStreamsAnew: a station whose TPM was replaced counts from
// the beginning, without a predecessor, and is no fork.
func TestANewKeyBeginsItsStreamsAnew(t *testing.T) {
	r := newRig(t)
	r.wants(r.insert(r.medium(nil, r.set())), verdict.Accepted, 0)
	r.source, r.seq = tpmtest.NewSoft(t), 0
	first := r.set()
	r.wants(r.insert(r.medium(nil, first)), verdict.Accepted, 0)
	r.wants(r.insert(r.medium(nil, r.set())), verdict.Held, 3, verdict.Fork)
	r.wants(r.insert(r.medium(nil, r.set().after(first, t))), verdict.Accepted, 0)
}

// TestAnAlteredReplayIsBoth: a copy of an accepted package of which a byte was
// changed is not passed off as a mere repetition.
func TestAnAlteredReplayIsBoth(t *testing.T) {
	r := newRig(t)
	p := r.set()
	img := r.medium(nil, p)
	altered := testmedia.Copy(t, img)
	testmedia.Alter(t, altered, p.path("data/a.bin"), 1000)
	r.wants(r.insert(img), verdict.Accepted, 0)
	r.wants(r.insert(altered), verdict.Held, 3, verdict.FileAltered, verdict.Replayed)
	r.wants(r.insert(img), verdict.Held, 3, verdict.Replayed)
}
