package audit_test

import (
	"testing"

	"sallyport/internal/audit"
)

// BenchmarkParse is one usual entry through the strict parser, which bounds
// how fast a log is verified.
func BenchmarkParse(b *testing.B) {
	e := audit.Entry{Seq: 7, Boot: bootA, MonoUS: 3_000_000, Wall: "2026-11-03T07:00:00.000000Z", WallTrusted: true, Event: audit.PackageVerify, Phase: audit.PhaseEvent,
		Subject: audit.Subject{Package: "0123456789abcdef0123456789abcdef", Medium: "m-1"}, Outcome: audit.Success,
		Fields: map[string]string{"files": "3", "bytes": "123456", "kind": "cvr-export"}}
	data, err := e.Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := audit.Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}
