package cli

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMountsOfADisk(t *testing.T) {
	const table = `22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw
31 27 8:17 / /media/MY\040STICK rw - vfat /dev/sdb1 rw
32 27 0:44 /sub /data rw - btrfs /dev/null rw
33 27 8:1 / /boot rw - vfat /dev/sda1 rw
cut off
`
	null, err := os.Stat("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	rdev := null.Sys().(*syscall.Stat_t).Rdev
	for at, devices := range map[string][]string{
		`/media/MY\040STICK`: {"8:16", "8:17"}, "/": {"8:0", "8:1", "8:2"}, "": {"8:32", "8:33"}, "/boot": {"8:1"},
	} {
		if got := (&disk{devices: devices}).mounted(table); got != at {
			t.Errorf("%v is mounted at %q, want %q", devices, got, at)
		}
	}
	// A character device is no disk, whatever its number.
	if got := (&disk{devices: []string{fmt.Sprintf("%d:%d", unix.Major(rdev), unix.Minor(rdev))}}).mounted(table); got != "" {
		t.Errorf("a character device is mounted at %q", got)
	}
}

func TestSizesOfImages(t *testing.T) {
	for s, want := range map[string]int64{"": 0, "512": 512, "64M": 64 << 20, "1K": 1024, "8G": 8 << 30, "2T": 2 << 40, "1024T": 1 << 50,
		"0": -1, "-512": -1, "1": -1, "M": -1, "64MM": -1, "64KM": -1, "64m": -1, "1.5G": -1, "1025T": -1, "99999999999999999999": -1, " 64M": -1} {
		got, err := parseSize(s)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d, %v; want %d", s, got, err, want)
		}
	}
}
