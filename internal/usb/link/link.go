// Package link is the conversation between sallyport-usbd, which alone may
// touch devices, and sallyportd, which alone decides about media: JSON messages
// over a unix socket that keeps them apart (SOCK_SEQPACKET), with an open
// device beside one of them. usbd tells what it sees and what its policy says;
// sallyportd asks for one device after the other; usbd grants only what its own
// policy allows, whoever asks. Both sides check the other's user as the kernel
// knows it. The texts of a device are foreign and stay so on both sides; a
// message that is not understood ends the conversation.
//
//	usbd                                   sallyportd
//	  ── state, attached … ──────────────►   (at the beginning, and on change)
//	  ◄────────────────────── open ID ────   after the intent is in the log
//	  ── opened ID, disk, descriptor ────►   or: failed ID, finding
//	  ◄───────────────────── check ID ────   before the verdict
//	  ── checked ID [finding] ───────────►
//	  ◄─────────────────── release ID ────   after the verdict
//	  ── released ID [finding] ──────────►
//	  ── detached ID ────────────────────►   at any time
package link

import (
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/strictjson"
	"sallyport/internal/unixsock"
	"sallyport/internal/usb"
	"sallyport/internal/verdict"
)

// Kinds of reports, usbd's messages.
const (
	State    = "state"    // ports, and why no medium can be taken now
	Attached = "attached" // a device came
	Detached = "detached" // it has gone
	Opened   = "opened"   // the device is open; the descriptor is with the message
	Failed   = "failed"   // it was not opened
	Checked  = "checked"  // it is still the one that was opened, or not
	Released = "released" // it is denied again
)

// Report is one message of usbd.
type Report struct {
	Kind    string           `json:"kind"`
	ID      int64            `json:"id,omitzero"` // of the device, given by usbd
	Device  *Device          `json:"device,omitzero"`
	Disk    *usb.Disk        `json:"disk,omitzero"`
	Finding *verdict.Finding `json:"finding,omitzero"`
	Ports   []usb.Port       `json:"ports,omitzero"`
	// NotReady says in one sentence each why usbd grants no medium.
	NotReady []string `json:"not_ready,omitzero"`
	// OwnMicros is the time that usbd itself took for what it reports, and
	// KernelMicros that which it waited for the kernel and the device.
	OwnMicros    int64 `json:"own_us,omitzero"`
	KernelMicros int64 `json:"kernel_us,omitzero"`
}

// Device is what usbd knows of a device that came. Its texts are the device's
// own, escaped as by verdict.Escape.
type Device struct {
	Place string `json:"place"`
	// Insertion tells this insertion from every other of this boot.
	Insertion    string `json:"insertion"`
	Vendor       string `json:"vendor"`
	Product      string `json:"product"`
	Serial       string `json:"serial,omitzero"`
	Manufacturer string `json:"manufacturer,omitzero"`
	Name         string `json:"name,omitzero"`
	Speed        string `json:"speed,omitzero"` // Mbit/s
	SHA256       string `json:"sha256,omitzero"`
	Shape        string `json:"shape"` // the classes, in words
	// Old says that the device was there before this conversation began.
	Old bool `json:"old,omitzero"`
	// Role is what the policy gives it; empty when it is refused.
	Role usb.Role `json:"role,omitzero"`
	// Refusal is why it was refused; nil when it has a role.
	Refusal *verdict.Finding `json:"refusal,omitzero"`
}

// Orders, sallyportd's messages.
const (
	Open    = "open"
	Check   = "check"
	Release = "release"
)

// Order is one message of sallyportd.
type Order struct {
	Kind string `json:"kind"`
	ID   int64  `json:"id"`
	// Suspect, with check: reading failed, so usbd waits a moment for the news
	// that the device is gone before it says that it is there.
	Suspect bool `json:"suspect,omitzero"`
}

// MaxMessage bounds one message, in bytes.
const MaxMessage = 64 << 10

// sendTime is how long the other end may leave messages lying.
const sendTime = 2 * time.Second

// Conn is one end of a conversation. Send and Receive may each be used by one
// goroutine.
type Conn struct {
	c   *net.UnixConn
	buf []byte
	oob []byte
}

// New takes over a connection of the network "unixpacket".
func New(c *net.UnixConn) *Conn {
	return &Conn{c: c, buf: make([]byte, MaxMessage), oob: unixsock.Space()}
}

// Dial connects to usbd's socket.
func Dial(path string) (*Conn, error) {
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return nil, fmt.Errorf("cannot reach sallyport-usbd: %w", err)
	}
	return New(c), nil
}

// Close ends the conversation; a Receive in another goroutine returns.
func (c *Conn) Close() error { return c.c.Close() }

// PeerUID is the user at the other end, as the kernel noted it.
func (c *Conn) PeerUID() (uint32, error) {
	cred, err := unixsock.Peer(c.c)
	if err != nil {
		return 0, err
	}
	return cred.Uid, nil
}

// Send sends one message, with a descriptor when file is not nil.
func (c *Conn) Send(msg any, file *os.File) error {
	body, err := strictjson.Encode(msg)
	if err != nil {
		return fmt.Errorf("cannot encode a message: %w", err)
	}
	if len(body) > MaxMessage {
		return fmt.Errorf("cannot send a message of %d bytes: at most %d are allowed", len(body), MaxMessage)
	}
	if err := c.c.SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
		return fmt.Errorf("cannot send a message: %w", err)
	}
	if _, _, err := c.c.WriteMsgUnix(body, unixsock.Rights(file), nil); err != nil {
		return fmt.Errorf("cannot send a message: %w", err)
	}
	return nil
}

// Receive takes the next message into msg, a pointer to a [Report] or an
// [Order], and the descriptor that came with it, if any. The other end's end is
// io.EOF.
func (c *Conn) Receive(msg any) (*os.File, error) {
	n, oobn, flags, _, err := c.c.ReadMsgUnix(c.buf, c.oob)
	file, ferr := unixsock.TakeFile(c.oob[:oobn], flags)
	if err == nil {
		err = ferr
	}
	if err == nil && flags&unix.MSG_TRUNC != 0 {
		err = fmt.Errorf("cannot read a message of more than %d bytes", MaxMessage)
	}
	if err == nil {
		err = decode(c.buf[:n], msg)
	}
	if err != nil && file != nil {
		file.Close()
		file = nil
	}
	return file, err
}

func decode(body []byte, msg any) error {
	if err := strictjson.Decode(body, msg, MaxMessage); err != nil {
		return fmt.Errorf("cannot understand a message: %w", err)
	}
	return nil
}
