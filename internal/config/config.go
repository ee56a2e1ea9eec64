// Package config is the configuration of a station: one TOML file, read
// strictly and checked whole before anything else happens. It reads that file
// and nothing else: it opens no TPM, makes no folder and does not look whether
// what it names exists. The file is as trusted as who may write it, so a file
// that every user may write is refused. systemd/sallyport.toml is the example
// that is shipped; a test reads it.
package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"sallyport/internal/usb"
)

// maxFile is the largest configuration file in bytes.
const maxFile = 1 << 20

// Config is what the file says, complete with defaults and with every path
// absolute. A relative path in the file is taken from the folder of the file,
// wherever the program was started.
type Config struct {
	Station Station `toml:"station"`
	// StateDir holds the store, the log, the trust bundle and the station's
	// identity. Default /var/lib/sallyport.
	StateDir string `toml:"state_dir"`
	// TPM is "device:/dev/tpmrm0" or, for a software TPM, "swtpm:" and the path
	// of its socket. Default "device:/dev/tpmrm0".
	TPM string `toml:"tpm"`
	// Production refuses a software TPM. Default true: a station for trying things
	// out says so.
	Production bool `toml:"production"`
	// Reader is the program that reads media in confinement. Default
	// sallyport-reader in the folder of the running program.
	Reader  string  `toml:"reader"`
	Control Control `toml:"control"`
	USB     USB     `toml:"usb"`
	Media   Media   `toml:"media"`
	Limits  Limits  `toml:"-"` // its durations are texts in the file
	Log     Log     `toml:"log"`

	// File is the path as it was given to [Load], SHA256 that of the content: the
	// audit log names both.
	File   string   `toml:"-"`
	SHA256 [32]byte `toml:"-"`
}

// Station says who the station is. It must not change once the station is
// initialised.
type Station struct {
	// ID names the station in the trust bundle and in manifests (see
	// naming.IsName). Required.
	ID string `toml:"id"`
	// Name is for people: up to 100 printable characters. Required.
	Name string `toml:"name"`
	// Role is "source", "ems", "kiosk" or "authority". Required.
	Role string `toml:"role"`
	// Jurisdiction is the one whose packages the station makes and takes (see
	// naming.IsScope). Required.
	Jurisdiction string `toml:"jurisdiction"`
	// Elections are the ids of the elections whose packages the station takes now.
	// Default none.
	Elections []string `toml:"elections"`
}

// Control is the socket on which the command line reaches the daemon.
type Control struct {
	// Socket is its path, at most 107 bytes. Default /run/sallyport/control.sock.
	Socket string `toml:"socket"`
	// OperatorUIDs and OperatorGIDs may use it beside root and the daemon's own
	// user. Default none.
	OperatorUIDs []uint32 `toml:"operator_uids"`
	OperatorGIDs []uint32 `toml:"operator_gids"`
	// OperatorGroups are further groups, by name; the system knows their numbers
	// when the daemon starts. Default none.
	OperatorGroups []string `toml:"operator_groups"`
}

// USB says what the sockets of the station are for, and which devices may use
// them; sallyport-usbd enforces it. A station that names no port has no live
// USB: media come as image files and block devices.
type USB struct {
	// Socket is where sallyportd reaches sallyport-usbd, at most 107 bytes.
	// Default /run/sallyport-usbd/usbd.sock.
	Socket string `toml:"socket"`
	// User is the user of sallyportd: nobody else, but root, may ask
	// sallyport-usbd for a device. Default "sallyport".
	User string `toml:"user"`
	// In, Out, Keyboard and SecurityKey are the places that have these roles, as
	// the kernel names them: BUS-PORT[.PORT…]. Default none.
	In          []string `toml:"in"`
	Out         []string `toml:"out"`
	Keyboard    []string `toml:"keyboard"`
	SecurityKey []string `toml:"security_key"`
	// Allow are the storage devices that are allowed (see usb.ParseRule). Default
	// none: any plain storage device.
	Allow []string `toml:"allow"`
	// MinBytes and MaxBytes bound the capacity of a medium. Default 1 MiB and 2 TiB.
	MinBytes int64 `toml:"min_bytes"`
	MaxBytes int64 `toml:"max_bytes"`
	// SectorBytes are the logical sector sizes that are allowed. Default 512 and 4096.
	SectorBytes []int64 `toml:"sector_bytes"`
}

// Live says whether any socket of the station has a role.
func (u *USB) Live() bool { return len(u.In)+len(u.Out)+len(u.Keyboard)+len(u.SecurityKey) > 0 }

// Policy is what the file allows.
func (u *USB) Policy() *usb.Policy {
	p := &usb.Policy{MinBytes: u.MinBytes, MaxBytes: u.MaxBytes, SectorBytes: u.SectorBytes}
	for _, r := range u.roles() {
		for _, place := range *r.places {
			p.Ports = append(p.Ports, usb.Port{Path: place, Role: r.role})
		}
	}
	for _, text := range u.Allow {
		if r, err := usb.ParseRule(text); err == nil { // the file was checked
			p.Rules = append(p.Rules, r)
		}
	}
	return p
}

type portList struct {
	key    string
	role   usb.Role
	places *[]string
}

func (u *USB) roles() []portList {
	return []portList{
		{"usb.in", usb.In, &u.In}, {"usb.out", usb.Out, &u.Out},
		{"usb.keyboard", usb.Keyboard, &u.Keyboard}, {"usb.security_key", usb.SecurityKey, &u.SecurityKey},
	}
}

// Media says what the station demands of its media, by the register of media.
type Media struct {
	// Register is "off", "known" or "required": whether the intake goes by the
	// register, for the media in it or for all. Default "off".
	Register string `toml:"register"`
	// SingleUse lets every medium be read once. Default false: those alone of which
	// the register says so.
	SingleUse bool `toml:"single_use"`
	// TwoCustodians wants two different people on either side of a hand-over.
	// Default false.
	TwoCustodians bool `toml:"two_custodians"`
}

// Limits are the ceilings that depend on the station's hardware; those of the
// formats are fixed.
type Limits struct {
	// QuarantineMaxBytes is what held packages may take together; of what would go
	// beyond it only the manifest is kept. Default 256 GiB.
	QuarantineMaxBytes int64 `toml:"quarantine_max_bytes"`
	// ReserveBytes stay free on the file system of StateDir, so that the log can
	// always be written. Default 1 GiB, at least 1 MiB.
	ReserveBytes int64 `toml:"reserve_bytes"`
	// Stall is the longest wait for the next byte of a medium. Default 30s.
	Stall time.Duration `toml:"-"`
	// Total is the longest time over one medium. Default 6h.
	Total time.Duration `toml:"-"`
}

// Log is the log for administrators; the audit log knows no settings.
type Log struct {
	// Level is "debug", "info", "warn" or "error". Default "info".
	Level string `toml:"level"`
}

// document is the file as it is written.
type document struct {
	Config
	Limits struct {
		Limits
		Stall string `toml:"stall"`
		Total string `toml:"total"`
	} `toml:"limits"`
}

// defaults returns what holds for keys that the file does not have; texts are as
// they would stand in the file.
func defaults() *document {
	d := &document{Config: Config{
		StateDir:   "/var/lib/sallyport",
		TPM:        "device:/dev/tpmrm0",
		Production: true,
		Control:    Control{Socket: "/run/sallyport/control.sock"},
		USB: USB{Socket: "/run/sallyport-usbd/usbd.sock", User: "sallyport",
			MinBytes: 1 << 20, MaxBytes: 2 << 40, SectorBytes: []int64{512, 4096}},
		Media: Media{Register: "off"},
		Log:   Log{Level: "info"},
	}}
	d.Limits.QuarantineMaxBytes = 256 << 30
	d.Limits.ReserveBytes = 1 << 30
	d.Limits.Stall, d.Limits.Total = "30s", "6h"
	return d
}

// Error is one thing that is wrong with a configuration file.
type Error struct {
	File    string
	Line    int    // 0 when a key is missing
	Key     string // dotted; may be empty
	Problem string // what is wrong and what to do
}

func (e *Error) Error() string {
	s := e.File
	if e.Line > 0 {
		s += ":" + strconv.Itoa(e.Line)
	}
	if e.Key != "" {
		s += ": " + e.Key
	}
	return s + ": " + e.Problem
}

// Load reads and checks the file. Its errors are one or several joined [Error]s,
// in the order of their lines, or say why the file cannot be read.
func Load(path string) (*Config, error) {
	data, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find the running program: %w", err)
	}
	c, err := parse(path, data, filepath.Dir(abs), filepath.Dir(exe))
	if err != nil {
		return nil, err
	}
	c.File, c.SHA256 = path, sha256.Sum256(data)
	return c, nil
}

func read(path string) (data []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a plain file", path)
	}
	if st.Mode().Perm()&0o002 != 0 {
		return nil, fmt.Errorf("every user may write %s and so control this station: run 'chmod o-w %s' and look at its content", path, path)
	}
	if data, err = io.ReadAll(io.LimitReader(f, maxFile+1)); err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return data, nil
}
