package signer

import (
	"context"
	"os/exec"

	"sallyport/internal/durable"
)

// PinVariable carries the PIN to the tool.
const PinVariable = pinVariable

// CreateWith is [Create] with failing steps and less work.
func CreateWith(fs durable.FS, path, passphrase string, work int) (*FileKey, error) {
	return create(fs, path, passphrase, work)
}

// OpenWith is [OpenPKCS11] with another program as the tool.
func OpenWith(ctx context.Context, cfg Config, tool string) (*TokenKey, error) {
	return openToken(ctx, cfg, tool)
}

// Command is what would be run.
func Command(ctx context.Context, cfg Config, args ...string) (*exec.Cmd, error) {
	return (&TokenKey{cfg: cfg, tool: toolPath}).command(ctx, args...)
}

// Decrypt opens the bytes of a key file.
func Decrypt(data []byte, passphrase string, most int) (*FileKey, error) {
	return decrypt(data, passphrase, most)
}

// ParsePlain reads what is encrypted in a key file.
func ParsePlain(plain []byte) (*FileKey, error) { return parsePlain(plain) }

// Private returns the private key.
func (k *FileKey) Private() any { return k.key }

// EncodeSignature makes DER of a token's signature.
func EncodeSignature(raw []byte) ([]byte, error) { return encodeSignature(raw) }

// Listing returns label, id and kind of each key in the tool's list.
func Listing(out []byte) (keys [][3]string) {
	for _, k := range parseListing(out) {
		keys = append(keys, [3]string{k.label, k.id, k.kind})
	}
	return keys
}

// Complaint is the error of a tool that wrote this, in pieces, on standard error.
func Complaint(pieces [][]byte, pin string) error {
	o := &output{most: maxOutput, keep: maxTail, stop: func(error) {}}
	for _, p := range pieces {
		_, _ = o.Write(p)
	}
	return complaint(o.lines(), pin, &exec.ExitError{})
}
