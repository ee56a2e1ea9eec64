package config

import (
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/naming"
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
	d.Control.Socket = c.path("control.socket", d.Control.Socket, folder)
	if n := len(d.Control.Socket); n > maxSocket {
		c.bad("control.socket", "has %d bytes (%s), the path of a socket has at most %d: choose a shorter one", n, d.Control.Socket, maxSocket)
	}
	c.ids("control.operator_uids", d.Control.OperatorUIDs)
	c.ids("control.operator_gids", d.Control.OperatorGIDs)
	c.limits(d)
	c.choice("log.level", d.Log.Level, "debug", "info", "warn", "error")
}

// maxSocket is what fits into sockaddr_un with its final zero.
const maxSocket = 107

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
