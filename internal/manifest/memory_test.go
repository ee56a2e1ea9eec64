package manifest_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"sallyport/internal/manifest"
	"sallyport/internal/verdict"
)

// allocated returns the bytes that f allocates in all, which its peak cannot
// be over.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// TestAStrangersEnvelopeCostsNoMemory: anybody can put the largest envelope on
// a medium, many times.
func TestAStrangersEnvelopeCostsNoMemory(t *testing.T) {
	tail := `","payloadType":"` + manifest.PayloadType + `","signatures":[{"keyid":"` + key(keyUnknown).KeyID() + `","sig":"QUFB"}]}`
	head := `{"payload":"`
	// Key ids are no secret: these are enrolled, but nobody signed.
	forged := `","payloadType":"` + manifest.PayloadType + `","signatures":[{"keyid":"` + key(keyPrecinct).KeyID() + `","sig":"MAYCAQECAQE="},{"keyid":"` +
		ml(mlPrecinct).KeyID() + `","sig":"` + strings.Repeat("QUFB", 3309/3) + `"}]}`
	unsigned := head + strings.Repeat("QUFB", (manifest.MaxEnvelope-len(head)-len(forged))/4) + forged
	stranger := head + strings.Repeat("QUFB", (manifest.MaxEnvelope-len(head)-len(tail))/4) + tail
	for name, tc := range map[string]struct {
		envelope string
		want     verdict.Reason
	}{
		"a key that is not enrolled": {stranger, verdict.SignerUnknown},
		"signatures that are none":   {unsigned, verdict.SignatureInvalid},
		"no envelope at the end":     {stranger[:len(stranger)-4], verdict.ManifestMalformed},
		"no base64":                  {strings.Replace(stranger, "QUFB", "Q\nFB", 1), verdict.ManifestMalformed},
		"no base64 at the end":       {strings.Replace(stranger, `QUFB",`, `QUF=",`, 1), verdict.ManifestMalformed},
		"a giant signature":          {strings.Replace(`{"payload":"","payloadType":"`+manifest.PayloadType+`","signatures":[{"keyid":"`+key(keyUnknown).KeyID()+`","sig":"X"}]}`, "X", stranger[len(head):len(head)+30<<20], 1), verdict.ManifestMalformed},
		"one text":                   {`"` + stranger[len(head):len(head)+30<<20] + `"`, verdict.ManifestMalformed},
		"many values":                {"[" + strings.Repeat("1,", 15<<20) + "1]", verdict.ManifestMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			data := []byte(tc.envelope)
			var err error
			n := allocated(func() { _, err = manifest.Verify(data, packageID, newPolicy(t)) })
			if f, ok := verdict.Find(err); !ok || f.Reason != tc.want {
				t.Errorf("got %.300v, want %s", err, tc.want)
			}
			if n > 1<<20 {
				t.Errorf("%d bytes were allocated for an envelope of %d", n, len(data))
			}
		})
	}
}

// TestTheLargestManifestIsVerifiedInBoundedMemory: upper case in the paths
// costs a second copy of each.
func TestTheLargestManifestIsVerifiedInBoundedMemory(t *testing.T) {
	all := make([]string, manifest.MaxFiles)
	for i := range all {
		all[i] = fmt.Sprintf("%s/%s/BALLOT-%051d.json", strings.Repeat("A", 56), strings.Repeat("b", 57), i)
	}
	payload := encode(t, base(paths(all...)))
	for name, tc := range map[string]struct {
		keys []byte
		most int64
	}{
		"ECDSA":  {[]byte{keyPrecinct}, 90 << 20},
		"hybrid": {[]byte{keyPrecinct, mlPrecinct, keyWitness, mlWitness}, 120 << 20}, // one copy of the payload more, for both
	} {
		t.Run(name, func(t *testing.T) {
			data := enclose(t, payload, tc.keys...)
			if len(data) < 38<<20 {
				t.Fatalf("the envelope has only %d bytes", len(data))
			}
			var v *manifest.Verified
			var err error
			n := allocated(func() { v, err = manifest.Verify(data, packageID, newPolicy(t)) })
			if err != nil || len(v.Payload().Files) != manifest.MaxFiles {
				t.Fatal(err)
			}
			t.Logf("%.1f MiB were allocated beside an envelope of %.1f MiB", float64(n)/(1<<20), float64(len(data))/(1<<20))
			if n > tc.most {
				t.Errorf("%d bytes were allocated beside an envelope of %d", n, len(data))
			}
		})
	}
}
