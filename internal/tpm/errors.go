package tpm

import (
	"errors"
	"fmt"

	"sallyport/internal/verdict"

	"github.com/google/go-tpm/tpm2"
)

var (
	// ErrExists means that a handle or index of Sallyport's is taken: this TPM
	// was initialised before.
	ErrExists = errors.New("this TPM is already initialised")
	// ErrNotInitialised means that the TPM holds no Sallyport identity.
	ErrNotInitialised = errors.New("this TPM holds no Sallyport identity: run 'sallyport init'")
	// ErrCredential means that a credential was not made for this TPM and its
	// attestation key.
	ErrCredential = errors.New("this credential was not made for this station's TPM and attestation key")
	// ErrSecret means that a sealed secret does not belong to this TPM's
	// identity, or was changed.
	ErrSecret = errors.New("this sealed secret was not made by this station's TPM, or was changed")
	// ErrChanged means that the TPM holds another identity than the station's record says.
	ErrChanged = errors.New("this TPM does not hold the identity of this station")

	errClosed = errors.New("the TPM was closed")
	errState  = errors.New("the identity was not loaded")
)

// failure is a tpm-unavailable finding that keeps its cause, so that a caller
// can tell a deadline from a dead TPM.
type failure struct {
	finding *verdict.Finding
	cause   error
}

func (f *failure) Error() string   { return f.finding.Error() }
func (f *failure) Unwrap() []error { return []error{f.finding, f.cause} }

func unavailable(addr, what string, cause error) error {
	return &failure{verdict.New(verdict.TPMUnavailable, addr, "cannot %s: %v", what, cause), cause}
}

// unapproved is the finding for a key that the present boot state may not use.
func unapproved(why string) error {
	return verdict.New(verdict.BootStateMismatch, "", "this system's boot state is not approved (%s): run 'sallyport station measure' and ask the authority to approve it", why)
}

// explain makes every failure of a call a tpm-unavailable finding, but for the
// states that somebody can act on.
func explain(addr, what string, err error) error {
	if f, ok := verdict.Find(err); ok && f.Reason == verdict.BootStateMismatch {
		return fmt.Errorf("cannot %s: %w", what, err)
	}
	for _, state := range []error{ErrExists, ErrNotInitialised, ErrChanged, ErrCredential, ErrSecret} {
		if errors.Is(err, state) {
			return fmt.Errorf("cannot %s: %w", what, err)
		}
	}
	hint := ""
	switch {
	case errors.Is(err, tpm2.TPMRCInitialize):
		hint = " (the TPM was not started up: the machine's firmware or swtpm's flag 'startup-clear' does that)"
	case errors.Is(err, tpm2.TPMRCAuthFail), errors.Is(err, tpm2.TPMRCBadAuth):
		hint = " (a hierarchy of this TPM has a password: clear the TPM in the firmware's setup before 'sallyport init')"
	case errors.Is(err, tpm2.TPMRCNVSpace):
		hint = " (the TPM's storage is full: remove keys and indices of other programs)"
	}
	return unavailable(addr, what, fmt.Errorf("%w%s", err, hint))
}
