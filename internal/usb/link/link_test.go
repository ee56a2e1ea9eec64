package link

import (
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/strictjson"
	"sallyport/internal/testtool"
	"sallyport/internal/usb"
	"sallyport/internal/verdict"
)

// pair is a conversation through a real socket, as a pair or by its path.
func pair(t *testing.T) (usbd, sallyportd *Conn) {
	t.Helper()
	a, b := testtool.Sockets(t)
	return New(a), New(b)
}

func reports() []Report {
	stick := &Device{
		Place: "1-2.4", Insertion: "1-2.4#4711", Vendor: "0781", Product: "5581", Serial: "4C53", Manufacturer: "SanDisk", Name: "Ultra", Speed: "480",
		SHA256: strings.Repeat("0f", 32), Shape: "storage 08/06/50", Old: true, Role: usb.In,
	}
	refused := &Device{Place: "1-1", Insertion: "1-1#1", Vendor: "0781", Product: "5581", Shape: "keyboard, mouse or other input 03/01/01",
		Refusal: verdict.New(verdict.NotStorage, "port 1-1", "it is a keyboard")}
	found := verdict.New(verdict.RemovedDuringRead, "port 1-1", "the device has gone")
	return []Report{
		{Kind: State, Ports: []usb.Port{{Path: "1-1", Role: usb.In}, {Path: "1-2.4", Role: usb.Keyboard}}, NotReady: []string{"USB is not denied by default at usb1"}},
		{Kind: State},
		{Kind: Attached, ID: 1, Device: stick, OwnMicros: 12},
		{Kind: Attached, ID: 1<<53 - 1, Device: refused},
		{Kind: Detached, ID: 2},
		{Kind: Opened, ID: 3, Disk: &usb.Disk{Name: "sda", Seq: 17, Bytes: 1 << 40, SectorBytes: 4096, ReadOnly: true, Units: 1}, OwnMicros: 1, KernelMicros: 2},
		{Kind: Failed, ID: 3, Disk: &usb.Disk{Name: "sr0", Kind: 5, Units: 1}, Finding: verdict.New(verdict.NotStorage, "", "")},
		{Kind: Checked, ID: 3, Finding: found}, {Kind: Checked, ID: 3},
		{Kind: Released, ID: 3, Finding: found, KernelMicros: 1}, {Kind: Released, ID: 3},
	}
}

func orders() []Order {
	return []Order{{Kind: Open, ID: 1}, {Kind: Check, ID: 2}, {Kind: Check, ID: 3, Suspect: true}, {Kind: Release, ID: 1<<53 - 1}}
}

func TestMessagesComeAsTheyWereSent(t *testing.T) {
	usbd, sallyportd := pair(t)
	for _, file := range []*os.File{nil, testtool.File(t, "what is on it")} {
		for _, want := range reports() {
			if err := usbd.Send(want, file); err != nil {
				t.Fatal(want.Kind, err)
			}
			var got Report
			f, err := sallyportd.Receive(&got)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s came as %+v, %v", want.Kind, got, err)
			}
			if (f != nil) != (file != nil) {
				t.Fatalf("%s: a file came: %t, was sent: %t", want.Kind, f != nil, file != nil)
			}
			if f == nil {
				continue
			}
			text := make([]byte, 32)
			if n, err := f.ReadAt(text, 0); err != io.EOF || string(text[:n]) != "what is on it" {
				t.Errorf("%s: the file holds %q, %v", want.Kind, text[:n], err)
			}
			f.Close()
		}
	}
	for _, want := range orders() {
		if err := sallyportd.Send(want, nil); err != nil {
			t.Fatal(want.Kind, err)
		}
		var got Order
		if f, err := usbd.Receive(&got); err != nil || f != nil || got != want {
			t.Errorf("%+v came as %+v with %v, %v", want, got, f, err)
		}
	}
}

// Messages stay apart and in order, however fast they come, in both directions
// at once.
func TestManyMessagesStayApart(t *testing.T) {
	usbd, sallyportd := pair(t)
	const many = 2000
	talk := func(mine *Conn) error {
		sent := make(chan error, 1)
		go func() {
			for i := range int64(many) {
				if err := mine.Send(Order{Kind: Check, ID: i}, nil); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		for i := range int64(many) {
			var o Order
			if _, err := mine.Receive(&o); err != nil {
				return err
			} else if o.ID != i {
				return errors.New("out of order")
			}
		}
		return <-sent
	}
	other := make(chan error, 1)
	go func() { other <- talk(usbd) }()
	if err := errors.Join(talk(sallyportd), <-other); err != nil {
		t.Error(err)
	}
}

// What a device says of itself goes through as it is: whoever shows it escapes
// it, and nothing in it ends a message or a conversation.
func TestHostileTextsSurvive(t *testing.T) {
	usbd, sallyportd := pair(t)
	fill := func(s string) string { return strings.Repeat(s, 4096/len(s)) }
	for name, text := range map[string]string{
		"control characters": fill("\x00\x01\x1b[31m\x7f"), "quotes": fill(`"}` + `\`), "newlines": fill("\r\n"), "an end of line of JavaScript": fill("\u2028\u2029"),
		"right to left": fill("\u202e"), "JSON": fill(`","kind":"opened",`), "markup": fill("<script>"), "beyond the plane": fill("\U0001F5F3"),
	} {
		want := Report{Kind: Attached, ID: 1, Device: &Device{
			Place: "1-1", Insertion: "1-1#1", Vendor: "0781", Product: "5581", Serial: text, Name: text, Manufacturer: "x" + text[:96], Shape: "storage",
			Refusal: verdict.New(verdict.DeviceNotAllowed, "port 1-1", "%s", text[:480]),
		}}
		if err := usbd.Send(want, nil); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got Report
		if _, err := sallyportd.Receive(&got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s came otherwise: %v", name, err)
		}
	}
	if err := usbd.Send(Report{Kind: Attached, Device: &Device{Name: "\xff\xfe"}}, nil); err == nil {
		t.Error("bytes that are no text were sent")
	}
	last := Report{Kind: Detached, ID: 9}
	if err := usbd.Send(last, nil); err != nil {
		t.Fatal(err)
	}
	var got Report
	if _, err := sallyportd.Receive(&got); err != nil || !reflect.DeepEqual(got, last) {
		t.Errorf("what was not sent came all the same: %+v, %v", got, err)
	}
}

func TestOnlyWholeMessagesOfTheirKind(t *testing.T) {
	file := testtool.File(t, "")
	for body, to := range map[string]any{
		` `: nil, `x`: nil, `null`: nil, `[]`: nil, `"open"`: nil, `1`: nil, `{`: nil, `{"kind":"open"`: nil,
		`{"kind":"open","id":1}{}`: nil, `{"kind":"open","id":1}x`: nil, "{\"kind\":\"open\",\"id\":1}\x00": nil,
		`{"kind":"open","id":1,"id":2}`: nil, `{"kind":"open","kind":"open","id":1}`: nil, `{"Kind":"open","id":1}`: nil, `{"kind":"open","id":1,"more":1}`: nil,
		`{"kind":1,"id":1}`: nil, `{"kind":"open","id":"1"}`: nil, `{"kind":"open","id":1.0}`: nil, `{"kind":"open","id":1e1}`: nil, `{"kind":"open","id":null}`: nil,
		`{"kind":"open","id":-0}`: nil, `{"kind":"open","id":9007199254740992}`: nil, "{\"kind\":\"\xff\",\"id\":1}": nil,
		`{"kind":"check","id":1,"suspect":1}`: nil, `{"kind":"check","id":1,"suspect":true}`: &Report{}, // an order is no report
		`{"kind":"opened","id":1,"disk":{"name":"sda"}}`: &Order{}, `{"kind":"opened","id":1,"disk":{"name":"sda","more":1}}`: &Report{},
		`{"kind":"opened","id":1,"disk":"sda"}`: &Report{}, `{"kind":"opened","id":1,"disk":{"diskseq":-1}}`: &Report{},
		`{"kind":"state","ports":{}}`: &Report{}, `{"kind":"state","ports":[{"path":"1-1","role":"in","rights":"all"}]}`: &Report{}, `{"kind":"state","not_ready":[1]}`: &Report{},
		`{"kind":"attached","id":1,"device":{"refusal":{"reason":"x","how":"y"}}}`: &Report{}, `{"kind":"attached","id":1,"device":null}`: &Report{},
		strings.Repeat(`{"device":`, 40) + `1` + strings.Repeat(`}`, 40): &Report{},
	} {
		kinds := []any{to}
		if to == nil {
			kinds = []any{&Order{}, &Report{}}
		}
		for _, to := range kinds {
			usbd, sallyportd := pair(t)
			before := testtool.Descriptors(t)
			raw(t, sallyportd, []byte(body), int(file.Fd()))
			if f, err := usbd.Receive(to); err == nil || f != nil || errors.Is(err, io.EOF) {
				t.Errorf("%.80q was taken for %+v with %v, %v", body, to, f, err)
			}
			if now := testtool.Descriptors(t); now != before {
				t.Errorf("%.80q: %d descriptors are open, %d were before", body, now, before)
			}
		}
	}
}

// raw sends bytes that Send would not.
func raw(t *testing.T, c *Conn, body []byte, fds ...int) {
	t.Helper()
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	if _, _, err := c.c.WriteMsgUnix(body, oob, nil); err != nil {
		t.Fatal(err)
	}
}

func TestMessagesAreBounded(t *testing.T) {
	usbd, sallyportd := pair(t)
	// message makes a report of exactly so many bytes.
	message := func(size int) Report {
		r := Report{Kind: State, NotReady: []string{""}}
		b, err := strictjson.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		r.NotReady[0] = strings.Repeat("x", size-len(b))
		return r
	}
	largest := message(MaxMessage)
	if err := usbd.Send(message(MaxMessage+1), nil); err == nil {
		t.Error("a message over the bound was sent")
	}
	if err := usbd.Send(largest, nil); err != nil {
		t.Fatal(err)
	}
	var got Report
	if _, err := sallyportd.Receive(&got); err != nil || !reflect.DeepEqual(got, largest) {
		t.Fatalf("the largest message came with %d texts, %v", len(got.NotReady), err)
	}
	body, err := strictjson.Encode(message(MaxMessage + 1))
	if err != nil {
		t.Fatal(err)
	}
	f := testtool.File(t, "")
	before := testtool.Descriptors(t)
	raw(t, usbd, body, int(f.Fd()))
	got = Report{}
	if file, err := sallyportd.Receive(&got); err == nil || file != nil || errors.Is(err, io.EOF) {
		t.Errorf("a message over the bound was read: %v, %v", file, err)
	}
	// The first MaxMessage bytes could be a message by themselves.
	raw(t, usbd, append([]byte(`{"kind":"detached","id":1}`), strings.Repeat(" ", MaxMessage)...))
	if _, err := sallyportd.Receive(&got); err == nil {
		t.Errorf("the beginning of a message was taken for it: %+v", got)
	}
	if now := testtool.Descriptors(t); now != before {
		t.Errorf("%d descriptors are open, %d were before", now, before)
	}
}

func TestMoreThanOneFileIsRefused(t *testing.T) {
	usbd, sallyportd := pair(t)
	fd := int(testtool.File(t, "").Fd())
	before := testtool.Descriptors(t)
	for _, fds := range [][]int{{fd, fd}, {fd, fd, fd}, {fd, fd, fd, fd, fd}, {fd, fd, fd, fd, fd, fd, fd, fd, fd, fd}} {
		raw(t, usbd, []byte(`{"kind":"opened","id":1}`), fds...)
		var r Report
		if f, err := sallyportd.Receive(&r); err == nil || f != nil {
			t.Errorf("%d files: %v, %v", len(fds), f, err)
		}
		if now := testtool.Descriptors(t); now != before {
			t.Fatalf("%d files: %d descriptors are open, %d were before", len(fds), now, before)
		}
	}
}
