package usbd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/uevent"
	"sallyport/internal/usb"
)

// step does one thing for usbd.
func (m *machine) step(name string, do func() error) error {
	m.mu.Lock()
	refuse, after := m.refuse, m.after
	m.mu.Unlock()
	if err := refuse(name); err != nil {
		return err
	}
	m.mu.Lock()
	err := do()
	if err == nil {
		m.done = append(m.done, name)
	}
	m.mu.Unlock()
	if err == nil {
		after(name)
	}
	return err
}

func (m *machine) object(format string, args ...any) {
	m.t.Helper()
	m.t.Errorf("usbd must not: "+format, args...)
}

func (m *machine) deny(bus string) error {
	return m.step("deny "+bus, func() error {
		if _, there := m.denied[bus]; !there {
			return os.ErrNotExist
		}
		if err := m.stubborn[bus]; err != nil {
			return err
		}
		m.denied[bus] = true
		m.put(filepath.Join(tree, bus), "authorized_default", "0\n")
		m.put(filepath.Join(tree, bus), "interface_authorized_default", "0\n")
		return nil
	})
}

func (m *machine) authorise(place, insertion string, yes bool) error {
	name := map[bool]string{true: "authorise ", false: "forbid "}[yes] + place
	return m.step(name, func() error {
		p := m.plugs[place]
		if now, err := m.sys.Insertion(place); p == nil || err != nil || now != insertion {
			return os.ErrNotExist
		}
		if yes {
			m.mayUse(p)
			f, _, err := m.sys.Facts(place)
			if err != nil {
				return err
			}
			if role, finding := m.policy.Decide(f); finding != nil || role == usb.Out {
				m.object("authorise the device at port %s (role %q): %v", place, role, finding)
			}
		}
		if yes && p.deaf {
			return nil
		}
		m.authorised(p, yes)
		return nil
	})
}

func (m *machine) mayUse(p *plug) {
	m.t.Helper()
	if p.refused {
		m.object("use the device at port %s, which is refused", p.place)
	}
	for bus, denied := range m.denied {
		if !denied && m.stubborn[bus] == nil {
			m.object("use a device at port %s before %s is denied", p.place, bus)
		}
	}
}

func (m *machine) bind(node string) error {
	return m.step("bind "+node, func() error {
		for bus, denied := range m.denied {
			if node != rootNode(bus) {
				continue
			}
			if !denied {
				m.object("let %s work before the bus is denied", node)
			}
			m.put(filepath.Join(tree, bus, node), "authorized", "1\n")
			return nil
		}
		place, _, _ := strings.Cut(node, ":")
		p := m.plugs[place]
		if p == nil {
			return os.ErrNotExist
		}
		if !p.authorised || !slices.Contains(m.nodes(p), node) {
			return os.ErrNotExist
		}
		m.mayUse(p)
		m.bound(p, node)
		return nil
	})
}

// find returns the device and the unit of a disk.
func (m *machine) find(disk string) (*plug, *unit) {
	for _, p := range m.plugs {
		for i, u := range p.disks {
			if u.name == disk && p.bound[p.place+":1.0"] {
				return p, &p.disks[i]
			}
		}
	}
	return nil, nil
}

func (m *machine) open(d usb.Disk) (f *os.File, err error) {
	err = m.step("open "+d.Name, func() error {
		p, _ := m.find(d.Name)
		if p == nil {
			return syscall.ENXIO
		}
		m.mayUse(p)
		if was := m.opened[d.Name]; was != nil {
			if _, err := was.Stat(); !errors.Is(err, os.ErrClosed) {
				m.object("open %s twice", d.Name)
			}
		}
		f, err = os.Open(filepath.Join(m.root, "dev", d.Name))
		if err != nil {
			return err
		}
		// As with O_EXCL of a disk, the lock stays for as long as anybody has it.
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			return errors.Join(syscall.EBUSY, f.Close())
		}
		m.files, m.opened[d.Name] = append(m.files, f), f
		return nil
	})
	return f, err
}

func (m *machine) same(f *os.File, d usb.Disk) error {
	return m.step("same "+d.Name, func() error {
		if _, err := f.Stat(); err != nil || !slices.Contains(m.files, f) {
			m.object("ask about a file that is closed or not of ours: %v", err)
		}
		p, u := m.find(d.Name)
		if p == nil {
			return syscall.ENXIO
		}
		if u.bytes != d.Bytes {
			return fmt.Errorf("it has %d bytes, and had %d", u.bytes, d.Bytes)
		}
		return nil
	})
}

// did says what usbd has done so far, without questions.
func (m *machine) did() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(m.done), func(s string) bool { return strings.HasPrefix(s, "same ") })
}

// isAuthorised says whether the kernel may use the device.
func (m *machine) isAuthorised(place string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.plugs[place]
	return p != nil && p.authorised
}

// openFiles counts the disks that usbd itself has open.
func (m *machine) openFiles() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, f := range m.files {
		if _, err := f.Stat(); err == nil {
			n++
		}
	}
	return n
}

// announcer is what the kernel announces.
type announcer struct {
	queue chan uevent.Batch
	mu    sync.Mutex
	sent  int
	asked int // calls of Wait
}

func newEvents() *announcer { return &announcer{queue: make(chan uevent.Batch, 1<<15)} }

func (e *announcer) send(b uevent.Batch) {
	e.mu.Lock()
	e.sent++
	e.mu.Unlock()
	e.queue <- b
}

func (e *announcer) Wait(ctx context.Context) (uevent.Batch, error) {
	e.mu.Lock()
	e.asked++
	e.mu.Unlock()
	select {
	case b, ok := <-e.queue:
		if !ok {
			return b, errors.New("the subscription is broken")
		}
		return b, nil
	case <-ctx.Done():
		return uevent.Batch{}, ctx.Err()
	}
}

// taken says whether the loop has been given everything.
func (e *announcer) taken() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.asked > e.sent
}

// until waits for a condition.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came about that %s", what)
		}
	}
}

// soon takes what has to come at once.
func soon[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(10 * time.Second):
		t.Fatal("what was awaited does not come")
	}
	return v
}
