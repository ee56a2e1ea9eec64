package reader

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/limit"
	"sallyport/internal/reader/wire"
	"sallyport/internal/verdict"
)

// timed is a talk under real limits of time with a child that exists only as
// the other end of a pipe, and speaks.
func timed(t *testing.T, l limit.Limits, speak func(to net.Conn)) *talk {
	t.Helper()
	ours, theirs := net.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() { speak(theirs) })
	wg.Go(func() { _, _ = io.Copy(io.Discard, theirs) }) // the requests
	t.Cleanup(func() {
		ours.Close()
		theirs.Close()
		wg.Wait()
	})
	pace := newPace(l)
	line := &deadlined{conn: ours, stall: l.Stall, end: time.Now().Add(l.Total), pace: pace,
		pulled: func() bool { return false }, child: &process{}, ctx: context.Background()}
	tk := newTalk(line, &ring{mem: testRing}, l, testSize)
	tk.pace = pace
	return &tk
}

// say writes frames and waits after each; it ends when the parent has gone.
func say(to net.Conn, wait time.Duration, frames ...*script) {
	for _, s := range frames {
		if _, err := to.Write(s.Bytes()); err != nil {
			return
		}
		time.Sleep(wait)
	}
}

func progress(n int64) *script {
	return new(script).frame(wire.TypeProgress, wire.AppendNumber(nil, n))
}

// TestRateOfAListing: a medium of which some bytes come every second is read
// to its end or given up, by what comes of it in a minute.
func TestRateOfAListing(t *testing.T) {
	for name, tc := range map[string]struct {
		each    int64 // bytes of progress each second
		seconds int
		want    string // "" when the listing is to come
	}{
		"a stick":                         {1 << 20, 200, ""},
		"as slow as is allowed":           {16 << 10, 300, ""},
		"a little slower":                 {16<<10 - 100, 300, "slower than 16384 bytes a second: "},
		"one byte a second":               {1, 300, "slower than 16384 bytes a second: "},
		"slow, but done within a minute":  {1000, 50, ""},
		"slow, and done in the next":      {1000, 70, "slower than"},
		"a byte now and then for an hour": {16 << 10, 3500, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				tk := timed(t, limit.Default(), func(child net.Conn) {
					for i := range tc.seconds {
						say(child, time.Second, progress(int64(i+1)*tc.each))
					}
					say(child, 0, new(script).listing())
				})
				_, err := tk.list()
				switch f, ok := verdict.Find(err); {
				case tc.want == "" && err != nil:
					t.Errorf("after %s: %v", time.Since(began), err)
				case tc.want != "" && (!ok || f.Reason != verdict.Unreadable || !strings.Contains(err.Error(), tc.want)):
					t.Errorf("after %s: %v", time.Since(began), err)
				case tc.want != "" && time.Since(began) > 62*time.Second:
					t.Errorf("it was noticed after %s", time.Since(began))
				}
			})
		})
	}
}

// TestRateOfContent: what counts is the wait for the medium, not the time that
// the parent takes for itself, and small files count as blocks.
func TestRateOfContent(t *testing.T) {
	const files = 900
	list := func() *script {
		s := new(script).medium().volume()
		var entries []wire.Entry
		for i := range files {
			entries = append(entries, wire.Entry{Path: "f" + string(rune('a'+i%26)) + strings.Repeat("x", i/26), Size: 10})
		}
		return s.entries(entries...).listed()
	}
	for name, tc := range map[string]struct {
		every, think time.Duration // of the medium for each file, of the parent
		slow         bool
	}{
		"quick":                     {time.Millisecond, 0, false},
		"five small files a second": {200 * time.Millisecond, 0, false},
		"three small files":         {350 * time.Millisecond, 0, true},
		"a parent that takes long":  {time.Millisecond, time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tk := timed(t, limit.Default(), func(child net.Conn) {
					say(child, 0, list())
					for i := range files {
						say(child, tc.every, new(script).file(uint32(i)).data(10).end())
					}
					say(child, 0, new(script).done())
				})
				listing, err := tk.list()
				if err != nil {
					t.Fatal(err)
				}
				ids := make([]uint32, len(listing.Entries))
				for i := range ids {
					ids[i] = uint32(i)
				}
				st, err := tk.read(ids)
				for err == nil {
					if _, _, err = st.Next(); err == nil {
						time.Sleep(tc.think)
						_, err = io.Copy(io.Discard, struct{ io.Reader }{st})
					}
				}
				f, ok := verdict.Find(err)
				if tc.slow != (ok && f.Reason == verdict.Unreadable && strings.Contains(f.Detail, "slower than")) || !tc.slow && err != io.EOF {
					t.Errorf("it ended with %v", err)
				}
			})
		})
	}
}

// TestSilence is no matter of the rate: the medium may be silent for as long as
// the limit says, even when that is more than a minute.
func TestSilence(t *testing.T) {
	for name, tc := range map[string]struct {
		stall, silent time.Duration
		gone          bool
		want          verdict.Reason
	}{
		"shorter":             {30 * time.Second, 29 * time.Second, false, ""},
		"longer":              {30 * time.Second, 31 * time.Second, false, verdict.Unreadable},
		"longer, and pulled":  {30 * time.Second, 31 * time.Second, true, verdict.RemovedDuringRead},
		"two patient minutes": {3 * time.Minute, 2 * time.Minute, false, ""},
		"beyond all the time": {7 * time.Hour, 6*time.Hour + time.Minute, false, verdict.OverLimit},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := limit.Default()
				l.Stall = tc.stall
				tk := timed(t, l, func(child net.Conn) {
					say(child, tc.silent, progress(1<<20))
					say(child, 0, new(script).listing())
				})
				tk.conn.(*deadlined).pulled = func() bool { return tc.gone }
				_, err := tk.list()
				if f, _ := verdict.Find(err); (tc.want == "") != (err == nil) || f != nil && f.Reason != tc.want {
					t.Errorf("got %v, want %q", err, tc.want)
				}
			})
		})
	}
}

// TestWhatAPulledMediumAnswers: of the child's findings, those that a pulled
// medium causes become its own.
func TestWhatAPulledMediumAnswers(t *testing.T) {
	for reason, want := range map[verdict.Reason]verdict.Reason{
		verdict.Unreadable:             verdict.RemovedDuringRead,
		verdict.Truncated:              verdict.RemovedDuringRead,
		verdict.RemovedDuringRead:      verdict.RemovedDuringRead,
		verdict.FilesystemInconsistent: verdict.FilesystemInconsistent,
		verdict.OverLimit:              verdict.OverLimit,
	} {
		s := new(script)
		s.medium().volume().problem(reason).entries(wire.Entry{Path: "a", Size: 10}).listed().file(0).fail(reason).done()
		tk := s.talk()
		tk.pulled = func() bool { return true }
		list, got, err := everything(tk, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{&list.Volumes[0].Problems[0], got[0].err} {
			if f, ok := verdict.Find(err); !ok || f.Reason != want || !strings.Contains(f.Error(), "byte 7") && !strings.Contains(f.Error(), "w") {
				t.Errorf("%s became %v", reason, err)
			}
		}
	}
}

// TestPulled: by its size, and by the kernel's number of the insertion.
func TestPulled(t *testing.T) {
	dir := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	disk, part := filepath.Join(dir, "sdb"), filepath.Join(dir, "sdb", "sdb1")
	img := filepath.Join(dir, "image")
	for name, tc := range map[string]struct {
		sysfs  string
		change func()
		want   bool
	}{
		"nothing happened":        {disk, func() {}, false},
		"another insertion":       {disk, func() { write(disk+"/diskseq", "8\n") }, true},
		"another, of a partition": {part, func() { write(disk+"/diskseq", "8\n") }, true},
		"no longer listed":        {disk, func() { os.RemoveAll(disk) }, true},
		"never was listed":        {filepath.Join(dir, "sdc"), func() { write(dir+"/sdd/diskseq", "9\n") }, false},
		"no bytes":                {disk, func() { write(img, "") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			write(part+"/partition", "1\n")
			write(disk+"/diskseq", "7\n")
			write(img, "12345")
			f, err := os.Open(img)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			s := &source{dev: f, size: 5, block: true, sysfs: tc.sysfs}
			s.seq = s.sequence()
			if s.pulled() {
				t.Fatal("pulled from the beginning")
			}
			tc.change()
			if s.pulled() != tc.want {
				t.Errorf("pulled is %v", !tc.want)
			}
			f.Close()
			if s.pulled() != tc.want {
				t.Error("closing it by ourselves changed that")
			}
		})
	}
}
