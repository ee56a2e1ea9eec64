package cli_test

import (
	"strings"
	"testing"
)

func TestWatchWithoutDaemonOrPorts(t *testing.T) {
	o := office(t)
	if r := at(t, o.EMS, "watch"); r.status != 5 || !strings.Contains(r.err, "systemctl start sallyportd") {
		t.Errorf("exit status %d: %s%s", r.status, r.out, r.err)
	}
	daemon(t, o.EMS)
	if r := at(t, o.EMS, "watch"); r.status != 2 || !strings.Contains(r.err, "no USB socket has a role") {
		t.Errorf("exit status %d: %s%s", r.status, r.out, r.err)
	}
	r := at(t, o.EMS, "--json", "watch")
	if r.status != 2 || strings.Count(r.out, "\n") != 1 || !strings.Contains(r.out, `"code":"usage"`) {
		t.Errorf("exit status %d: %s", r.status, r.out)
	}
}
