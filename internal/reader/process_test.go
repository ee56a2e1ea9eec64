package reader

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sallyport/internal/limit"
	"sallyport/internal/verdict"
)

// TestChildThatCannotBeKilled: no test can put a process to uninterruptible
// sleep everywhere, so this one is never reaped.
func TestChildThatCannotBeKilled(t *testing.T) {
	proc, err := os.StartProcess("/proc/self/exe", []string{"ended", "-test.run=^$"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := proc.Wait(); err != nil { // so that nobody is killed
		t.Fatal(err)
	}
	ours, theirs, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	theirs.Close() // as a killed child's socket
	var log bytes.Buffer
	p := &process{proc: proc, conn: ours, ring: &ring{}, log: zerolog.New(&log), patience: 20 * time.Millisecond, exited: make(chan struct{})}
	line := &deadlined{conn: ours, stall: time.Minute, end: time.Now().Add(time.Minute), pace: newPace(limit.Default()), pulled: func() bool { return false }, child: p, ctx: context.Background()}
	_, err = io.ReadFull(line, make([]byte, 1))
	if f, ok := verdict.Find(err); !ok || f.Reason != verdict.SandboxUnavailable {
		t.Errorf("reading gave %v", err)
	}
	p.end()
	p.end()
	if n := strings.Count(log.String(), "does not end after SIGKILL"); n != 1 {
		t.Errorf("the log says it %d times: %s", n, log.String())
	}
	if _, err := ours.Write([]byte{0}); err == nil {
		t.Error("the socket is still open")
	}
}
