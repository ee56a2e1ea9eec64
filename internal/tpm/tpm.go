// Package tpm is a station's TPM 2.0: it makes and loads the station's keys,
// signs, and keeps the counter that never goes back. It is not a TPM library
// (that is github.com/google/go-tpm) and judges nobody else's statements (that
// is package attest).
//
// One goroutine owns the TPM; every call is queued to it, ends with its
// context, and reports a TPM that does not answer as a tpm-unavailable
// finding. A call that failed may have taken effect all the same: a counter
// may have advanced, never gone back. The TPM is trusted to keep keys and
// counters; its answers are checked nevertheless (each signature and each
// certificate is verified in Go before it is returned).
//
// No key has a password: it would have to lie in a file that the same process
// reads; what keeps others from the keys is the mode of the device node and the
// unit's device policy. What keeps a changed system from the signing key is its
// policy, when it was made with one: the TPM itself lets it sign only in a boot
// state that the boot key approved ([TPM.Approve]). That takes a policy session,
// which a TPM has few of; file session.go sees to it that none is left behind.
// The log key is not bound, so that every boot leaves its trace.
package tpm

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// TPM is an open TPM. It is safe for concurrent use.
type TPM struct {
	addr     string
	info     Info
	ops      chan op
	life     context.Context // ends at Close
	end      context.CancelFunc
	gone     chan struct{} // closed when the owner goroutine has ended
	identity atomic.Pointer[loaded]
}

// loaded is an identity that LoadIdentity found unchanged in the TPM.
type loaded struct {
	Identity
	public, log *ecdsa.PublicKey
	boot        *ecdsa.PublicKey // nil: the signing key is not bound
	approved    atomic.Pointer[map[[32]byte][]byte]
}

// op is one call on its way to the owner goroutine.
type op struct {
	ctx context.Context
	run func(transport.TPM)
}

// Open connects to the TPM at addr: "device:/dev/tpmrm0" or
// "swtpm:/path/to.sock" (the unix socket of swtpm's --server). It asks the TPM
// who it is and changes nothing. Failures are tpm-unavailable findings; a
// malformed addr is a plain error.
func Open(ctx context.Context, addr string) (*TPM, error) {
	ch, err := dial(addr)
	if err != nil {
		return nil, err
	}
	t := start(addr, ch)
	t.info, err = call(ctx, t, "open the TPM", readInfo)
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// start starts the owner goroutine; it owns ch from here on.
func start(addr string, ch channel) *TPM {
	t := &TPM{addr: addr, ops: make(chan op), gone: make(chan struct{})}
	t.life, t.end = context.WithCancel(context.Background())
	go t.own(ch)
	return t
}

// own runs one call after another until Close.
func (t *TPM) own(ch channel) {
	defer close(t.gone)
	defer ch.Close()
	for {
		select {
		case <-t.life.Done():
			return
		case o := <-t.ops:
			ctx, cancel := context.WithCancel(o.ctx)
			stop := context.AfterFunc(t.life, cancel)
			o.run(&link{ctx: ctx, ch: ch})
			stop()
			cancel()
		}
	}
}

// closeWait bounds how long Close waits for a command that a device driver
// does not give up.
const closeWait = 2 * time.Second

// Close ends all calls and releases the TPM. It fails when the driver of a TPM
// device does not give back a running command; the goroutine that waits for it
// then ends with the command.
func (t *TPM) Close() error {
	t.end()
	select {
	case <-t.gone:
		return nil
	case <-time.After(closeWait):
		return fmt.Errorf("cannot close the TPM %s: a command has not come back after %v", t.addr, closeWait)
	}
}

// call runs fn on the owner goroutine and returns its result, or a
// tpm-unavailable finding when ctx ends first. what completes "cannot …".
func call[T any](ctx context.Context, t *TPM, what string, fn func(transport.TPM) (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	var zero T
	done := make(chan result, 1)
	o := op{ctx: ctx, run: func(tr transport.TPM) {
		var r result
		r.v, r.err = fn(tr)
		done <- r
	}}
	select {
	case t.ops <- o:
	case <-ctx.Done():
		return zero, unavailable(t.addr, what, fmt.Errorf("an earlier command has not ended: %w", context.Cause(ctx)))
	case <-t.life.Done():
		return zero, unavailable(t.addr, what, errClosed)
	}
	select {
	case r := <-done:
		if r.err != nil {
			return zero, explain(t.addr, what, r.err)
		}
		return r.v, nil
	case <-ctx.Done():
		return zero, unavailable(t.addr, what, fmt.Errorf("no answer in time: %w", context.Cause(ctx)))
	case <-t.life.Done():
		return zero, unavailable(t.addr, what, errClosed)
	}
}

// Info says which TPM this is, by its own account.
type Info struct {
	Manufacturer string // four characters of the TCG vendor id registry, trimmed
	Vendor       string // vendor strings 1 to 4, trimmed
	Firmware     string // "major.minor.build.patch", as four 16-bit numbers
	// Software is true unless the manufacturer is known to make hardware TPMs:
	// software and virtual TPMs can be copied and rolled back with their state
	// files and must not be used in production. A dishonest TPM can claim
	// anything here; only the endorsement certificate, checked at enrolment,
	// proves hardware.
	Software bool
}

// hardware lists the makers of discrete and firmware TPMs by their id in the
// TCG TPM Vendor ID Registry. IBM (libtpms, swtpm), MSFT (the reference
// simulator, Hyper-V), GOOG, VMW and AMZN (cloud) also name virtual TPMs and are left out.
func hardware(manufacturer string) bool {
	switch manufacturer {
	case "AMD", "ATML", "BRCM", "CSCO", "FLYS", "HPI", "HPE", "HISI", "IFX", "INTC", "LEN",
		"NSM", "NSG", "NTC", "NTZ", "QCOM", "ROCC", "SMSC", "SMSN", "SNS", "STM", "TXN", "WEC":
		return true
	}
	return false
}

// Info returns what the TPM said of itself when it was opened.
func (t *TPM) Info() Info { return t.info }

func readInfo(tr transport.TPM) (Info, error) {
	rsp, err := tpm2.GetCapability{
		Capability:    tpm2.TPMCapTPMProperties,
		Property:      uint32(tpm2.TPMPTFamilyIndicator),
		PropertyCount: 16,
	}.Execute(tr)
	if err != nil {
		return Info{}, err
	}
	list, err := rsp.CapabilityData.Data.TPMProperties()
	if err != nil {
		return Info{}, err
	}
	p := map[tpm2.TPMPT]uint32{}
	for _, x := range list.TPMProperty {
		p[x.Property] = x.Value
	}
	if family := text(p[tpm2.TPMPTFamilyIndicator]); family != "2.0" {
		return Info{}, fmt.Errorf("it is of family %q, want 2.0", family)
	}
	fw1, fw2 := p[tpm2.TPMPTFirmwareVersion1], p[tpm2.TPMPTFirmwareVersion2]
	i := Info{
		Manufacturer: text(p[tpm2.TPMPTManufacturer]),
		Vendor:       text(p[tpm2.TPMPTVendorString1], p[tpm2.TPMPTVendorString2], p[tpm2.TPMPTVendorString3], p[tpm2.TPMPTVendorString4]),
		Firmware:     fmt.Sprintf("%d.%d.%d.%d", fw1>>16, fw1&0xffff, fw2>>16, fw2&0xffff),
	}
	i.Software = !hardware(i.Manufacturer)
	return i, nil
}

// text reads property values as characters, four each, up to the first NUL of
// each; what is not printable ASCII becomes '?'.
func text(values ...uint32) string {
	var b []byte
	for _, v := range values {
		for shift := 24; shift >= 0; shift -= 8 {
			c := byte(v >> shift)
			if c == 0 {
				break
			}
			if c < ' ' || c > '~' {
				c = '?'
			}
			b = append(b, c)
		}
	}
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return string(b)
}

// Clock is the TPM's own account of time, which nobody can set back (Part 2, 10.11).
type Clock struct {
	Milliseconds uint64 // powered time over the TPM's life; never set back, may jump over a lost minute
	ResetCount   uint32 // power cycles since the last TPM2_Clear
	RestartCount uint32 // suspends since the last power cycle
	Safe         bool   // false: a value up to Milliseconds may have been reported before an unorderly power-off
}

// Clock reads the TPM's clock.
func (t *TPM) Clock(ctx context.Context) (Clock, error) {
	return call(ctx, t, "read the clock", func(tr transport.TPM) (Clock, error) {
		rsp, err := tpm2.ReadClock{}.Execute(tr)
		if err != nil {
			return Clock{}, err
		}
		c := rsp.CurrentTime.ClockInfo
		return Clock{Milliseconds: c.Clock, ResetCount: c.ResetCount, RestartCount: c.RestartCount, Safe: bool(c.Safe)}, nil
	})
}
