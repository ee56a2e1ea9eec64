package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"sallyport/internal/testelection"
	"sallyport/internal/testmedia"
	"sallyport/internal/testoffice"
	"sallyport/internal/tpm/tpmtest"
)

// impostors is act 5.
func (c *ceremony) impostors() {
	challenge := func(step, code, request string, how ...string) {
		c.refusesAt(step, code, c.authority, append([]string{"authority", "challenge", "request.json", "--medium", request, "--image", c.none()}, how...)...)
	}
	c.say("A TPM of a maker that the authority does not know:")
	stranger := c.station(tpmtest.NewMaker(c.office.TB), "polling-place-8", "source", "")
	request, ek := c.requests(stranger)
	challenge("a TPM of an unknown maker", "signer-unknown", request, "--ek-ca", c.makers)
	c.say("Keys in a file, with the certificate of the EMS station's TPM beside them:")
	genuine, _ := c.requests(c.ems)
	body := c.onStick(genuine, "request.json")
	challenge("another station's EK certificate", "signer-unknown", c.forged("forged", "request.json", c.request(body, false)), "--ek-ca", c.makers)
	c.say("The same keys, which claim the EMS station's endorsement key as well. The certificate is right, and the challenge goes out; but only a TPM that holds both can read it:")
	borrowed := c.stick("ems-1-challenge")
	c.at(c.authority, "authority", "challenge", "request.json", "--medium", c.forged("forged", "request.json", c.request(body, true)), "--image", borrowed, "--ek-ca", c.makers)
	c.refusesAt("its challenge at the genuine TPM", "cannot open", c.ems, "station", "activate", "challenge.json", "--medium", borrowed, "--image", c.none())
	answer, err := invented(c.onStick(borrowed, "challenge.json"))
	if err != nil {
		c.office.TB.Fatal(err)
	}
	c.refusesAt("an answer that was made up", "signature-invalid", c.authority, "authority", "admit", "answer.json=none",
		"--medium", c.forged("forged", "answer.json", answer), "--replace", "--image", c.none())
	c.say("A TPM without a certificate would do if people compared its digest; this one is another:")
	challenge("a digest of another machine", "signer-unknown", request, "--ek-sha256", strings.Repeat("0", len(ek)))
}

// bootState is act 6.
func (c *ceremony) bootState() {
	if err := c.source.ExtendPCR(11); err != nil {
		c.office.TB.Fatal(err)
	}
	c.say("Somebody started the machine with another kernel image: the TPM's register 11 shows it.")
	refused := append([]string{"seal", "--audience", c.ems.ID, "--image", c.none()}, c.cvr("cvr-precinct-2.json")...)
	c.refusesAt("sealing in an unapproved state", "boot-state-mismatch", c.source, refused...)
	out, _, status := c.tries("polling-place-7", c.source, "station", "measure")
	c.wrapped("    ", "PCR 11: "+line(out, "PCR 11"))
	c.wrapped("    ", "NOT APPROVED: "+line(out, "NOT APPROVED:"))
	c.expect("the station says why", "exit status 5", fmt.Sprintf("exit status %d", status))
	measurement := c.stick("measurement")
	c.tries("polling-place-7", c.source, "station", "measure", "--image", measurement)
	c.say("It was the county's own update. The authority approves the new state; the bundle takes it to the station's TPM.")
	trust, _ := c.issue(c.drafts("approve", "measurement.json", "--medium", measurement, "--label", "release 2"), c.board)
	c.takes("bundle with that state: source", c.source, trust, "accepted")
	p := c.seals(c.source, "cvr-2", c.cvr("cvr-precinct-2.json")...)
	c.takes("its package, before that bundle", c.ems, p.image, "trust-outdated")
	c.takes("the bundle: EMS station", c.ems, trust, "accepted")
	bare := c.withoutEvidence(p)
	c.takes("its package without its evidence", c.ems, bare, "boot-state-mismatch")
	c.takes("its package, in the new state", c.ems, p.image, "accepted")
}

// withoutEvidence copies a stick and takes the evidence away.
func (c *ceremony) withoutEvidence(p sealed) (image string) {
	image = testmedia.Copy(c.office.TB, p.image)
	const firstPartition = 0x1be + 8 // its first sector, little-endian
	start := binary.LittleEndian.Uint32(testmedia.Bytes(c.office.TB, image, firstPartition, 4))
	testmedia.Mtool(c.office.TB, "mdel", "-i", fmt.Sprintf("%s@@%d", image, int64(start)*512), "::SALLYPORT/"+p.PackageID+"/evidence.json")
	return image
}

// oldMedia is act 7.
func (c *ceremony) oldMedia() {
	c.takes("a trust medium that came before", c.ems, c.oldTrust, "replayed")
	half := c.drafts("reissue")
	c.say("A holder signs only what the others see too; the medium of a draft that lacks his signature is nothing:")
	c.refusesAt("a draft with one signature", "signer-not-permitted", c.ems, "trust", "install", "draft.dsse.json", "--medium", half)
	c.say("The other holders do not agree to it, so it is forgotten:")
	c.at(c.authority, "authority", "discard")
	c.expect("a draft that nobody wants", "forgotten", map[bool]string{true: "forgotten", false: "still there"}[!strings.Contains(c.at(c.authority, "authority", "status"), "draft of version")])
}

// hybrid is act 8.
func (c *ceremony) hybrid() {
	early := c.seals(c.source, "cvr-3", c.cvr("cvr-precinct-3.json")...)
	trust, _ := c.issue(c.drafts("hybrid", "cvr-export"), c.board)
	c.takes("bundle that wants ML-DSA-65 too", c.ems, trust, "accepted")
	c.takes("a package with one signature", c.ems, early.image, "signer-not-permitted")
	c.takes("the bundle: source", c.source, trust, "accepted")
	c.say("The source seals them once more, in the place of the package that nobody takes any more.")
	late := c.seals(c.source, "cvr-3", c.cvr("cvr-precinct-3.json", "--supersedes", early.PackageID)...)
	c.takes("a package with both signatures", c.ems, late.image, "accepted")
}

// end is act 12.
func (c *ceremony) end() {
	out := c.at(c.ems, "--json", "ems", "tally")
	var got struct{ Ballots int64 }
	var want testelection.Expected
	expected, err := os.ReadFile(c.office.Small("expected-tally.json"))
	if err == nil {
		err = errors.Join(json.Unmarshal([]byte(out), &got), json.Unmarshal(expected, &want))
	}
	if err != nil {
		c.office.TB.Fatal(err)
	}
	c.expect("ballots in the tally", strconv.FormatInt(want.Ballots, 10), strconv.FormatInt(got.Ballots, 10))
	for _, s := range []*testoffice.Station{c.authority, c.source, c.newSource, c.replacement, c.ems} {
		got := "intact"
		if said, err := s.CheckLog(); err != nil {
			got = "NOT intact"
			c.wrapped("    ", said)
		}
		c.expect("log of "+filepath.Base(s.Dir), "intact", got)
	}
}
