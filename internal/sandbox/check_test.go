package sandbox

import (
	"strings"
	"testing"
)

func TestStatusWithOneMeasureMissingIsRefused(t *testing.T) {
	const good = "Name:\tx\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n" +
		"CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n"
	if err := checkStatus(good); err != nil {
		t.Fatal(err)
	}
	for _, tc := range [][2]string{
		{"Seccomp:\t2", "Seccomp:\t0"},
		{"Seccomp:\t2", "Seccomp:\t1"},
		{"NoNewPrivs:\t1", "NoNewPrivs:\t0"},
		{"CapEff:\t0000000000000000", "CapEff:\t0000000000000400"},
		{"CapPrm:\t0000000000000000", "CapPrm:\t0000000000000001"},
		{"CapAmb:\t0", "CapAmb:\t1"},
		{"CapInh:\t0", "CapInh:\t1"},
		{"Seccomp:\t2\n", ""},
		{good, ""},
	} {
		if err := checkStatus(strings.Replace(good, tc[0], tc[1], 1)); err == nil {
			t.Errorf("%q in the place of %q passed", tc[1], tc[0])
		}
	}
}
