package config

import (
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/naming"
	"sallyport/internal/usb"
)

// values checks what the file says and completes it.
func (c *checker) values(d *document, folder, programs string) {
	c.station(&d.Station)
	d.StateDir = c.path("state_dir", d.StateDir, folder)
	c.tpm(d, folder)
	if d.Reader == "" && c.lines["reader"] == 0 {
		d.Reader = filepath.Join(programs, "sallyport-reader")
	}
	d.Reader = c.path("reader", d.Reader, folder)
	d.Control.Socket = c.socket("control.socket", d.Control.Socket, folder)
	c.ids("control.operator_uids", d.Control.OperatorUIDs)
	c.ids("control.operator_gids", d.Control.OperatorGIDs)
	c.accounts("control.operator_groups", d.Control.OperatorGroups)
	c.usb(&d.USB, folder)
	c.choice("media.register", d.Media.Register, "off", "known", "required")
	if d.Media.SingleUse && d.Media.Register == "off" {
		c.bad("media.single_use", `is true while media.register is "off", so nothing would enforce it: use "known" or "required"`)
	}
	c.limits(d)
	c.choice("log.level", d.Log.Level, "debug", "info", "warn", "error")
}

// maxSocket is what fits into sockaddr_un with its final zero.
const maxSocket = 107

func (c *checker) socket(key, path, folder string) string {
	path = c.path(key, path, folder)
	if n := len(path); n > maxSocket {
		c.bad(key, "has %d bytes (%s), the path of a socket has at most %d: choose a shorter one", n, path, maxSocket)
	}
	return path
}

func (c *checker) usb(u *USB, folder string) {
	u.Socket = c.socket("usb.socket", u.Socket, folder)
	if !account(u.User) {
		c.bad("usb.user", "is %q, which is not the name of a user", u.User)
	}
	roles := map[string]string{}
	for _, r := range u.roles() {
		if !c.short(r.key, len(*r.places)) {
			continue
		}
		for _, place := range *r.places {
			if !usb.IsPlace(place) {
				c.bad(r.key, "%q is not the place of a USB socket; use its name in /sys/bus/usb/devices, such as \"1-2\" or \"1-2.4\"", place)
			} else if first := roles[place]; first != "" {
				c.bad(r.key, "%q stands in %s already; a socket has one role", place, first)
			}
			roles[place] = r.key
		}
	}
	if c.short("usb.allow", len(u.Allow)) {
		for _, text := range u.Allow {
			if _, err := usb.ParseRule(text); err != nil {
				c.bad("usb.allow", "%v", err)
			}
		}
	}
	const least, most = 1, 1 << 53
	if u.MinBytes < least || u.MaxBytes < u.MinBytes || u.MaxBytes > most {
		c.bad("usb.max_bytes", "from %d to %d bytes is no range; use min_bytes ≥ %d and max_bytes from min_bytes to %d", u.MinBytes, u.MaxBytes, least, int64(most))
	}
	for _, n := range u.SectorBytes {
		if n < 512 || n > 4096 || n&(n-1) != 0 {
			c.bad("usb.sector_bytes", "%d is no size of sectors; use 512, 1024, 2048 or 4096", n)
		}
	}
	if len(u.SectorBytes) == 0 {
		c.bad("usb.sector_bytes", "is empty, so no medium would be allowed")
	}
	c.short("usb.sector_bytes", len(u.SectorBytes))
}

// account accepts the names of users and groups that Debian's adduser(8) makes.
func account(s string) bool {
	return naming.IsName(s) && len(s) <= 32 && !strings.Contains(s, ".")
}

func (c *checker) accounts(key string, names []string) {
	if !c.short(key, len(names)) {
		return
	}
	for i, n := range names {
		if !account(n) {
			c.bad(key, "%q is not the name of a group", n)
		}
		if slices.Contains(names[:i], n) {
			c.bad(key, "%q stands there twice; remove one", n)
		}
	}
}

func (c *checker) station(s *Station) {
	if c.required("station.id", `"precinct-12"`) && !naming.IsName(s.ID) {
		c.bad("station.id", "is %q; use 1 to 64 letters, digits or . _ - beginning with a letter or digit", s.ID)
	}
	if c.required("station.name", `"Precinct 12, town hall"`) && !printable(s.Name) {
		c.bad("station.name", "must have 1 to 100 printable characters")
	}
	if c.required("station.role", `"source"`) {
		c.choice("station.role", s.Role, "source", "ems", "kiosk", "authority")
	}
	if c.required("station.jurisdiction", `"us-xx-example"`) && !naming.IsScope(s.Jurisdiction) {
		c.bad("station.jurisdiction", "is %q; use 1 to 128 letters, digits or . _ ~ : / - beginning with a letter or digit", s.Jurisdiction)
	}
	if !c.short("station.elections", len(s.Elections)) {
		return
	}
	for i, e := range s.Elections {
		if !naming.IsScope(e) {
			c.bad("station.elections", "%q is not the id of an election; each must be named, * is not possible", e)
		}
		if slices.Contains(s.Elections[:i], e) {
			c.bad("station.elections", "%q stands there twice; remove one", e)
		}
	}
}

func (c *checker) tpm(d *document, folder string) {
	scheme, path, _ := strings.Cut(d.TPM, ":")
	switch {
	case scheme == "device" && filepath.IsAbs(path):
	case scheme == "swtpm" && path != "":
		if d.Production {
			c.bad("tpm", `names a software TPM, which can be copied and rolled back: use "device:/dev/tpmrm0", or production = false on a station for trying things out`)
		}
		d.TPM = scheme + ":" + c.path("tpm", path, folder)
	default:
		c.bad("tpm", `is %q; use "device:/dev/tpmrm0", or "swtpm:" and the path of its socket`, d.TPM)
	}
}

func (c *checker) limits(d *document) {
	const most = 1<<53 - 1
	for _, l := range []struct {
		key          string
		value, least int64
	}{
		{"limits.quarantine_max_bytes", d.Limits.QuarantineMaxBytes, 1 << 20},
		{"limits.reserve_bytes", d.Limits.ReserveBytes, 1 << 20},
	} {
		if l.value < l.least || l.value > most {
			c.bad(l.key, "is %d; use bytes, from %d (1 MiB) to %d", l.value, l.least, int64(most))
		}
	}
	d.Config.Limits = d.Limits.Limits
	d.Config.Limits.Stall = c.duration("limits.stall", d.Limits.Stall, time.Second, time.Hour)
	d.Config.Limits.Total = c.duration("limits.total", d.Limits.Total, time.Minute, 7*24*time.Hour)
}

func (c *checker) duration(key, s string, least, most time.Duration) time.Duration {
	t, err := time.ParseDuration(s)
	if err != nil || t < least || t > most {
		c.bad(key, `is %q; use a time such as "30s", "5m" or "6h", from %v to %v`, s, least, most)
	}
	return t
}

// required complains of a key that is not in the file, with an example.
func (c *checker) required(key, example string) bool {
	if c.lines[key] > 0 {
		return true
	}
	table, name, _ := strings.Cut(key, ".")
	c.bad(key, "is missing; add %s = %s below [%s]", name, example, table)
	return false
}

func (c *checker) choice(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.bad(key, "is %q; use one of %s", value, strings.Join(allowed, ", "))
	}
}

// path returns an absolute path.
func (c *checker) path(key, path, folder string) string {
	if path == "" || strings.ContainsFunc(path, unicode.IsControl) || !utf8.ValidString(path) {
		c.bad(key, "is %q, which is not a path", path)
		return path
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(folder, path)
	}
	return filepath.Clean(path)
}

func (c *checker) ids(key string, ids []uint32) {
	if !c.short(key, len(ids)) {
		return
	}
	for i, id := range ids {
		if id == 1<<32-1 {
			c.bad(key, "%d means no user and no group to the kernel", id)
		}
		if slices.Contains(ids[:i], id) {
			c.bad(key, "%d stands there twice; remove one", id)
		}
	}
}

// maxList is the longest list; nobody reads a longer one.
const maxList = 256

func (c *checker) short(key string, n int) bool {
	if n > maxList {
		c.bad(key, "has %d entries, at most %d are allowed", n, maxList)
	}
	return n <= maxList
}

func printable(s string) bool {
	return s != "" && utf8.RuneCountInString(s) <= 100 && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
