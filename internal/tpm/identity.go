package tpm

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math"

	"sallyport/internal/dsse"
	"sallyport/internal/tpm/attest"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// Identity is the public description of a station's keys and counter.
type Identity = attest.Identity

// Where Sallyport's objects live: persistent handles and an NV index in the
// ranges of the owner (TCG Registry of Reserved TPM 2.0 Handles, 2.2 and 2.3;
// 0x5350 is "SP"). The owner hierarchy is right for them: TPM2_Clear destroys
// keys and counter together, so an old identity cannot live on with a new counter.
const (
	HandleSRK     uint32 = 0x81005350 // storage root, parent of the three keys
	HandleAK      uint32 = 0x81005351 // attestation key
	HandleSigning uint32 = 0x81005352 // signing key
	HandleLog     uint32 = 0x81005353 // log key
	IndexCounter  uint32 = 0x01805350 // plain NV counter
)

// CreateIdentity makes a storage root, a restricted attestation key, a signing
// key and a log key (random, not derived: a second init never gives the first
// keys again) and a counter, all in the owner hierarchy, and keeps them in the
// TPM. The signing key is bound to the boot states that bootKey approves, for
// good; nil leaves it unbound. It fails with [ErrExists], and changes nothing,
// when any of them is there. When it fails half way it removes what it made. It
// does not load: that is [TPM.LoadIdentity].
func (t *TPM) CreateIdentity(ctx context.Context, bootKey *ecdsa.PublicKey) (Identity, error) {
	var spki []byte
	if bootKey != nil {
		if err := dsse.CheckP256(bootKey); err != nil {
			return Identity{}, fmt.Errorf("cannot make the station's identity: the boot key: %w", err)
		}
		var err error
		if spki, err = x509.MarshalPKIXPublicKey(bootKey); err != nil {
			return Identity{}, fmt.Errorf("cannot make the station's identity: the boot key: %w", err)
		}
	}
	return call(ctx, t, "make the station's identity", func(tr transport.TPM) (Identity, error) {
		if err := vacant(tr); err != nil {
			return Identity{}, err
		}
		id, err := create(tr, spki)
		if err != nil {
			undo, cancel := fresh(tr, undoTime)
			defer cancel()
			if undoErr := remove(undo); undoErr != nil {
				err = fmt.Errorf("%w; what was made could not be removed: %v", err, undoErr)
			}
			return Identity{}, err
		}
		return id, nil
	})
}

// Vacant returns [ErrExists] when CreateIdentity would, and changes nothing. An
// init that removes what an earlier one left must have asked before it began.
func (t *TPM) Vacant(ctx context.Context) error {
	_, err := call(ctx, t, "use this TPM for a new station", func(tr transport.TPM) (struct{}, error) {
		return struct{}{}, vacant(tr)
	})
	return err
}

func vacant(tr transport.TPM) error {
	found, err := ours(tr)
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("%w (found the %s)", ErrExists, found[0].what)
	}
	return err
}

// RemoveIdentity destroys the station's keys and counter. It cannot be undone:
// everything that names these keys must be enrolled anew. It is not an error
// when some or all of them are missing, so it also clears up after an init
// that was killed half way.
func (t *TPM) RemoveIdentity(ctx context.Context) error {
	_, err := call(ctx, t, "remove the station's identity", func(tr transport.TPM) (struct{}, error) {
		t.identity.Store(nil)
		return struct{}{}, remove(tr)
	})
	return err
}

// LoadIdentity checks that the TPM holds exactly the keys and the counter of
// want, with the attributes they were made with, and that the counter has not
// gone back behind its first value; only then do the other calls work. It
// makes nothing, and flushes what a killed process left in the TPM's memory.
// [ErrNotInitialised] means that the TPM is empty, [ErrChanged] that it holds
// something else (another TPM, cleared, or initialised again). Approvals of boot
// states must be given anew ([TPM.Approve]).
func (t *TPM) LoadIdentity(ctx context.Context, want Identity) error {
	public, err := want.Check()
	if err != nil {
		return fmt.Errorf("cannot use the station's record of its TPM identity: %w", err)
	}
	if want.Counter != IndexCounter {
		return fmt.Errorf("cannot use the station's record of its TPM identity: the counter is at %#08x, want %#08x", want.Counter, IndexCounter)
	}
	_, err = call(ctx, t, "load the station's identity", func(tr transport.TPM) (struct{}, error) {
		return struct{}{}, load(tr, &want)
	})
	if err != nil {
		return err
	}
	l := &loaded{Identity: want, public: public}
	if l.log, err = want.LogKey(); err != nil { // checked above
		return err
	}
	if l.boot, err = want.Boot(); err != nil {
		return err
	}
	t.identity.Store(l)
	return nil
}

// load compares the TPM's objects with want.
func load(tr transport.TPM, want *Identity) error {
	if err := sweep(tr); err != nil {
		return err
	}
	found, err := ours(tr)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return ErrNotInitialised
	}
	area := map[uint32][]byte{}
	for _, o := range found {
		area[o.handle] = o.area
	}
	for _, x := range []struct {
		handle uint32
		what   string
		want   []byte
	}{
		{HandleSRK, "storage root", want.SRKPublic},
		{HandleAK, "attestation key", want.AKPublic},
		{HandleSigning, "signing key", want.SigningPublic},
		{HandleLog, "log key", want.LogPublic},
		{IndexCounter, "counter", want.CounterPublic},
	} {
		switch {
		case area[x.handle] == nil:
			return fmt.Errorf("%w: its %s at %#08x is missing", ErrChanged, x.what, x.handle)
		case !bytes.Equal(area[x.handle], x.want):
			return fmt.Errorf("%w: its %s at %#08x is another one", ErrChanged, x.what, x.handle)
		}
	}
	n, err := readCounter(tr, want.CounterPublic)
	if err != nil {
		return err
	}
	if n < uint64(want.CounterStart) {
		return fmt.Errorf("%w: its counter went back to %d, it began at %d", ErrChanged, n, want.CounterStart)
	}
	return nil
}

// object is one of Sallyport's objects as the TPM holds it.
type object struct {
	what   string
	handle uint32
	area   []byte // TPMT_PUBLIC or TPMS_NV_PUBLIC
}

// ours reads the public areas of those of Sallyport's objects that exist.
func ours(tr transport.TPM) ([]object, error) {
	var found []object
	for _, x := range []struct {
		what   string
		handle uint32
	}{{"storage root", HandleSRK}, {"attestation key", HandleAK}, {"signing key", HandleSigning}, {"log key", HandleLog}} {
		rsp, err := tpm2.ReadPublic{ObjectHandle: tpm2.TPMHandle(x.handle)}.Execute(tr)
		if errors.Is(err, tpm2.TPMRCHandle) || errors.Is(err, tpm2.TPMRCReferenceH0) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot look for the %s: %w", x.what, err)
		}
		found = append(found, object{x.what, x.handle, rsp.OutPublic.Bytes()})
	}
	rsp, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(IndexCounter)}.Execute(tr)
	switch {
	case errors.Is(err, tpm2.TPMRCHandle):
	case err != nil:
		return nil, fmt.Errorf("cannot look for the counter: %w", err)
	default:
		found = append(found, object{"counter", IndexCounter, rsp.NVPublic.Bytes()})
	}
	return found, nil
}

// remove destroys those of Sallyport's objects that exist.
func remove(tr transport.TPM) error {
	if err := sweep(tr); err != nil {
		return err
	}
	found, err := ours(tr)
	if err != nil {
		return err
	}
	for _, o := range found {
		at := tpm2.NamedHandle{Handle: tpm2.TPMHandle(o.handle), Name: name(o.area)}
		if o.handle == IndexCounter {
			_, err = tpm2.NVUndefineSpace{AuthHandle: tpm2.TPMRHOwner, NVIndex: at}.Execute(tr)
		} else {
			_, err = tpm2.EvictControl{Auth: tpm2.TPMRHOwner, ObjectHandle: at, PersistentHandle: at.Handle}.Execute(tr)
		}
		if err != nil {
			return fmt.Errorf("cannot remove the %s: %w", o.what, err)
		}
	}
	return nil
}

// create makes the identity. The caller removes what is left when it fails.
func create(tr transport.TPM, bootKey []byte) (Identity, error) {
	none := Identity{}
	if err := sweep(tr); err != nil {
		return none, err
	}
	id := Identity{V: attest.Version, BootKey: bootKey, Counter: IndexCounter}
	boot, err := id.Boot()
	if err != nil {
		return none, err
	}
	signing, err := attest.SigningTemplate(boot)
	if err != nil {
		return none, err
	}
	if id.SRKPublic, err = primary(tr, tpm2.TPMRHOwner, tpm2.ECCSRKTemplate, HandleSRK); err != nil {
		return none, fmt.Errorf("cannot make the storage root: %w", err)
	}
	ak, err := child(tr, id.SRKPublic, attest.AKTemplate(), HandleAK)
	if err != nil {
		return none, fmt.Errorf("cannot make the attestation key: %w", err)
	}
	key, err := child(tr, id.SRKPublic, signing, HandleSigning)
	if err != nil {
		return none, fmt.Errorf("cannot make the signing key: %w", err)
	}
	log, err := child(tr, id.SRKPublic, attest.LogTemplate(), HandleLog)
	if err != nil {
		return none, fmt.Errorf("cannot make the log key: %w", err)
	}
	id.AKPublic, id.SigningPublic, id.LogPublic = ak.OutPublic.Bytes(), key.OutPublic.Bytes(), log.OutPublic.Bytes()
	if id.EKPublic, err = endorsement(tr); err != nil {
		return none, fmt.Errorf("cannot read the endorsement key: %w", err)
	}
	if err := defineCounter(tr, &id); err != nil {
		return none, fmt.Errorf("cannot make the counter: %w", err)
	}
	if err := certify(tr, &id, key); err != nil {
		return none, fmt.Errorf("cannot certify the keys: %w", err)
	}
	if _, err := id.Check(); err != nil {
		return none, fmt.Errorf("the TPM made an identity that does not verify: %w", err)
	}
	return id, nil
}

// primary makes a primary key, keeps it at the persistent handle keep unless
// that is 0, and returns its public area. The transient object, of which a TPM
// has room for three, is always flushed.
func primary(tr transport.TPM, hierarchy tpm2.TPMHandle, template tpm2.TPMTPublic, keep uint32) ([]byte, error) {
	rsp, err := tpm2.CreatePrimary{PrimaryHandle: hierarchy, InPublic: tpm2.New2B(template)}.Execute(tr)
	if err != nil {
		return nil, err
	}
	if keep == 0 {
		return rsp.OutPublic.Bytes(), flush(tr, rsp.ObjectHandle)
	}
	return rsp.OutPublic.Bytes(), persist(tr, rsp.ObjectHandle, rsp.Name, keep)
}

// child makes a key below the storage root and keeps it.
func child(tr transport.TPM, srk []byte, template tpm2.TPMTPublic, keep uint32) (*tpm2.CreateResponse, error) {
	parent := at(HandleSRK, srk)
	made, err := tpm2.Create{ParentHandle: parent, InPublic: tpm2.New2B(template)}.Execute(tr)
	if err != nil {
		return nil, err
	}
	got, err := tpm2.Load{ParentHandle: parent, InPrivate: made.OutPrivate, InPublic: made.OutPublic}.Execute(tr)
	if err != nil {
		return nil, err
	}
	return made, persist(tr, got.ObjectHandle, got.Name, keep)
}

func persist(tr transport.TPM, transient tpm2.TPMHandle, n tpm2.TPM2BName, keep uint32) error {
	_, err := tpm2.EvictControl{
		Auth:             tpm2.TPMRHOwner,
		ObjectHandle:     tpm2.NamedHandle{Handle: transient, Name: n},
		PersistentHandle: tpm2.TPMHandle(keep),
	}.Execute(tr)
	return errors.Join(err, flush(tr, transient))
}

func flush(tr transport.TPM, transient tpm2.TPMHandle) error {
	_, err := tpm2.FlushContext{FlushHandle: transient}.Execute(tr)
	return err
}

// defineCounter makes the counter and increments it once, which gives it its
// first value: one more than any counter of this TPM ever had (Part 3, 31.8).
func defineCounter(tr transport.TPM, id *Identity) error {
	public := attest.CounterTemplate(IndexCounter, false)
	_, err := tpm2.NVDefineSpace{AuthHandle: tpm2.TPMRHOwner, PublicInfo: tpm2.New2B(public)}.Execute(tr)
	if err != nil {
		return err
	}
	if err := increment(tr, tpm2.Marshal(public)); err != nil {
		return err
	}
	rsp, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(IndexCounter)}.Execute(tr)
	if err != nil {
		return err
	}
	id.CounterPublic = rsp.NVPublic.Bytes()
	n, err := readCounter(tr, id.CounterPublic)
	if err != nil {
		return err
	}
	if n > math.MaxInt64 {
		return fmt.Errorf("the counter begins at %d", n)
	}
	id.CounterStart = int64(n)
	return nil
}

// certify lets the attestation key vouch for the two other keys: that this TPM
// made the signing key, and that it holds the log key.
func certify(tr transport.TPM, id *Identity, signing *tpm2.CreateResponse) error {
	boot, err := id.Boot()
	if err != nil {
		return err
	}
	key, err := attest.SigningKey(id.SigningPublic, boot)
	if err != nil {
		return err
	}
	if id.KeyID, err = dsse.KeyID(key); err != nil {
		return err
	}
	q := id.Qualifying()
	made, err := tpm2.CertifyCreation{
		SignHandle:     at(HandleAK, id.AKPublic),
		ObjectHandle:   tpm2.NamedHandle{Handle: tpm2.TPMHandle(HandleSigning), Name: name(id.SigningPublic)},
		QualifyingData: tpm2.TPM2BData{Buffer: q[:]},
		CreationHash:   signing.CreationHash,
		InScheme:       noScheme(),
		CreationTicket: signing.CreationTicket,
	}.Execute(tr)
	if err != nil {
		return err
	}
	id.SigningCreation = signing.CreationData.Bytes()
	id.SigningCertify = made.CertifyInfo.Bytes()
	if id.SigningCertifySig, err = attest.DER(made.Signature); err != nil {
		return err
	}
	held, err := tpm2.Certify{
		ObjectHandle:   at(HandleLog, id.LogPublic),
		SignHandle:     at(HandleAK, id.AKPublic),
		QualifyingData: tpm2.TPM2BData{Buffer: q[:]},
		InScheme:       noScheme(),
	}.Execute(tr)
	if err != nil {
		return err
	}
	id.LogCertify = held.CertifyInfo.Bytes()
	id.LogCertifySig, err = attest.DER(held.Signature)
	return err
}

// name returns the TPM name of a public area.
func name(area []byte) tpm2.TPM2BName { return tpm2.TPM2BName{Buffer: attest.Name(area)} }

// at names an object for a command that needs its (empty) password.
func at(handle uint32, area []byte) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: tpm2.TPMHandle(handle), Name: name(area), Auth: tpm2.PasswordAuth(nil)}
}

// noScheme leaves the choice to the key, whose scheme is fixed.
func noScheme() tpm2.TPMTSigScheme { return tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull} }
