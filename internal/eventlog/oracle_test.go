package eventlog

import (
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sallyport/internal/testtool"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
)

// written is a log with what the captured ones do not have.
func written() []entry {
	var entries []entry
	for pcr := range uint32(pcrs) {
		entries = append(entries, entry{pcr, 0x0C, fmt.Sprintf("compact %d", pcr), nil})
	}
	return append(entries,
		entry{7, separator, "\x01\x00\x00\x00", nil},
		entry{4, action, "", nil},
		entry{14, ipl, "MokList\x00", &[sha256.Size]byte{5}})
}

// tpm2-tools replay a log as we do. Their version 5.4 extends even what is not
// measured (EV_NO_ACTION), against the profile, so no such event is in these
// logs; TestATPMReplaysALog has them.
func TestTPM2ToolsReplayTheSame(t *testing.T) {
	dir := t.TempDir()
	logs := map[string][]byte{"written": write(written()...)}
	for _, name := range realNames() {
		logs[name], _ = realLog(t, name)
	}
	line := regexp.MustCompile(`(?m)^ +([0-9]+) *: 0x([0-9a-f]{64})$`)
	for name, data := range logs {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		out := string(testtool.Run(t, "tpm2_eventlog", path))
		_, values, _ := strings.Cut(out, "\npcrs:")
		theirs, ours := map[string]string{}, map[string]string{}
		for _, m := range line.FindAllStringSubmatch(values, -1) {
			theirs[m[1]] = m[2]
		}
		log := mustParse(t, data)
		for pcr, value := range log.Replay() {
			ours[fmt.Sprint(pcr)] = fmt.Sprintf("%x", value)
		}
		if len(ours) == 0 || !maps.Equal(ours, theirs) {
			t.Errorf("%s:\nours   %v\ntheirs %v", name, ours, theirs)
		}
		// They read the same number of events, the header being their number 0.
		if want := fmt.Sprintf("EventNum: %d\n", len(log.Events)); !strings.Contains(out, want) || strings.Contains(out, fmt.Sprintf("EventNum: %d\n", len(log.Events)+1)) {
			t.Errorf("%s: they do not have %d events", name, len(log.Events))
		}
	}
}

// A TPM that is started from each locality and is told all events has the
// values that the log replays to.
func TestATPMReplaysALog(t *testing.T) {
	for _, locality := range []byte{0, 3} {
		// The last PCRs of the log take no extension from locality 0.
		entries := []entry{{0, noAction, "SP800-155 Event\x00" + foreignBytes, &zeros}, startup(locality)}
		for _, e := range written() {
			if e.pcr < 16 {
				entries = append(entries, e)
			}
		}
		log := mustParse(t, write(entries...))
		device := startedTPM(t, locality)
		for _, e := range log.Events {
			if e.Type == noAction {
				continue
			}
			_, err := tpm2.PCRExtend{
				PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(e.PCR), Auth: tpm2.PasswordAuth(nil)},
				Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: e.Digest[:]}}},
			}.Execute(device)
			if err != nil {
				t.Fatal(err)
			}
		}
		values := log.Replay()
		for pcr := range uint(16) {
			r, err := tpm2.PCRRead{PCRSelectionIn: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{
				{Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(pcr)},
			}}}.Execute(device)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.PCRValues.Digests) != 1 {
				t.Fatalf("the TPM shows %d values of PCR %d", len(r.PCRValues.Digests), pcr)
			}
			if got, want := r.PCRValues.Digests[0].Buffer, values[int(pcr)]; string(got) != string(want[:]) {
				t.Errorf("locality %d: PCR %d is %x, replayed %x", locality, pcr, got, want)
			}
		}
	}
}

// startedTPM starts swtpm and sends TPM2_Startup from a locality; what comes
// after is from locality 0.
func startedTPM(t *testing.T, locality byte) transport.TPM {
	t.Helper()
	// The path of a unix socket may have 107 bytes; test folders can be longer.
	dir, err := os.MkdirTemp("", "tpm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	server, control := filepath.Join(dir, "s"), filepath.Join(dir, "c")
	cmd := exec.Command(testtool.Need(t, "swtpm"), "socket", "--tpm2", "--tpmstate", "dir="+dir,
		"--server", "type=unixio,path="+server, "--ctrl", "type=unixio,path="+control, "--flags", "not-need-init")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	c := dialled(t, control)
	from := func(locality byte) {
		// CMD_SET_LOCALITY of swtpm's control channel; it answers with four zeros.
		if _, err := c.Write([]byte{0, 0, 0, 5, locality, 0, 0, 0}); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 4)
		if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "\x00\x00\x00\x00" {
			t.Fatalf("swtpm takes no locality: %x, %v", answer, err)
		}
	}
	from(locality)
	device, err := linuxudstpm.Open(server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { device.Close() })
	if _, err := (tpm2.Startup{StartupType: tpm2.TPMSUClear}).Execute(device); err != nil {
		t.Fatal(err)
	}
	from(0)
	return device
}

// dialled waits until a unix socket answers.
func dialled(t *testing.T, path string) net.Conn {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("unix", path)
		if err == nil {
			t.Cleanup(func() { c.Close() })
			c.SetDeadline(time.Now().Add(30 * time.Second))
			return c
		}
		if time.Now().After(end) {
			t.Fatalf("swtpm did not start: %v", err)
		}
	}
}
