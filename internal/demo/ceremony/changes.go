package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"sallyport/internal/testoffice"
)

// notice are the flags of a package of files for people.
func (c *ceremony) notice() []string {
	return []string{"--kind", "media-set", c.office.Small("definition.json")}
}

// handOver is act 9.
func (c *ceremony) handOver() {
	underWay := c.seals(c.source, "notices", c.notice()...)
	c.newSource = c.station(nil, "polling-place-7", "source", "")
	request, ek := c.requests(c.newSource)
	handover := c.stick("handover")
	c.at(c.source, "station", "handover", "request.json", "--medium", request, "--image", handover)
	c.refusesAt("the old machine seals once more", "has handed over", c.source, append([]string{"seal", "--audience", c.ems.ID, "--image", c.none()}, c.notice()...)...)
	c.say("The new TPM has no certificate of its maker: people take the digest from the machine's printed page.")
	answer := c.answers(c.newSource, request, "--ek-sha256", ek)
	trust, _ := c.issue(c.drafts("admit", "answer.json=election-definition,cvr-export,media-set", "--attested", "--elections", testoffice.ElectionID,
		"--handover", "handover.dsse.json", "--medium", answer, "--medium", handover, "--label", "release 1"), c.board)
	c.takes("the bundle with the new key", c.newSource, trust, "accepted")
	c.takes("the bundle: EMS station", c.ems, trust, "accepted")
	c.takes("old machine's package from before", c.ems, underWay.image, "accepted")
	c.takes("a package of the new machine", c.ems, c.seals(c.newSource, "notices", c.notice()...).image, "accepted")
}

// lost is act 10.
func (c *ceremony) lost() {
	underWay := c.seals(c.newSource, "notices", c.notice()...)
	c.say(fmt.Sprintf("The record of the polling place ends with sequence %d. Then the machine is stolen, and the thief seals on it.", underWay.Seq))
	stolen := c.seals(c.newSource, "notices", c.notice()...)
	trust, _ := c.issue(c.drafts("revoke", "polling-place-7", "--after", strconv.FormatInt(underWay.Seq, 10)), c.board)
	c.takes("bundle that revokes the station", c.ems, trust, "accepted")
	c.takes("what was under way until then", c.ems, underWay.image, "accepted")
	c.takes("what the thief sealed", c.ems, stolen.image, "signer-revoked")
	c.say("A third machine takes its place. Nobody can hand over, so the authority says what of the old keys counts.")
	c.replacement = c.station(c.maker, "polling-place-7", "source", "")
	request, _ := c.requests(c.replacement)
	answer := c.answers(c.replacement, request, "--ek-ca", c.makers)
	trust, _ = c.issue(c.drafts("admit", "answer.json=election-definition,cvr-export,media-set", "--medium", answer, "--attested", "--elections", testoffice.ElectionID,
		"--replace", "--revoke-after", strconv.FormatInt(underWay.Seq, 10), "--label", "release 1"), c.board)
	c.takes("bundle with its replacement", c.replacement, trust, "accepted")
	c.takes("the bundle: EMS station", c.ems, trust, "accepted")
	c.takes("a package of the replacement", c.ems, c.seals(c.replacement, "notices", c.notice()...).image, "accepted")
}

// rotate is act 11.
func (c *ceremony) rotate() {
	c.say("The board gives its key up; the deputy clerk gets one. Two of the old holders and two of the new ones must sign: the authority station is among both.")
	c.deputy = c.fileHolder("deputy")
	clerk, deputy, draft := c.record(c.clerk), c.record(c.deputy), c.stick("root-draft")
	c.at(c.authority, "authority", "rotate", "--threshold", "2", "clerk.dsse.json", "deputy.dsse.json", "--medium", clerk, "--medium", deputy, "--image", draft)
	half, old := c.signs(draft, "root-2.dsse.json", c.board, c.root)
	c.refusesAt("new root, by old holders alone", "signer-not-permitted", c.authority, "trust", "install", "root-2.dsse.json", "--medium", half)
	whole, now := c.signs(half, "root-2.dsse.json", c.deputy, c.root)
	c.expect("both holders see one new root", "yes", map[bool]string{true: "yes", false: "no"}[old == now && old != ""])
	c.at(c.authority, "trust", "install", "root-2.dsse.json", "--medium", whole)
	c.root = filepath.Join(c.office.Dir, "root-2.json")
	out := c.at(c.authority, "trust", "root", "--out", c.root)
	c.say("Holders without a station get the new root document, and compare:")
	c.wrapped("    ", line(out, "fingerprint, to be compared by people:"))
	c.refusesAt("publishing under the old root", "root was rotated", c.authority, "authority", "publish", "--image", c.none())
	next := c.drafts("reissue")
	c.refuses("the retired holder signs", "is none of", "board", c.office,
		append([]string{"authority", "sign", "draft.dsse.json", "--medium", next, "--root", c.root, "--image", c.none()}, c.board.signs()...)...)
	missed, stale := c.issue(next, c.deputy)
	c.say("The stick with that bundle is left in a drawer; the next bundle overtakes it.")
	trust, _ := c.issue(c.drafts("change", "polling-place-7", "--kinds", "none"), c.deputy)
	c.takes("next bundle, under the new root", c.ems, trust, "accepted")
	version, _, _ := strings.Cut(line(c.at(c.ems, "trust", "show"), "root "), ":")
	c.expect("the root of the EMS station", "version 2", version)
	c.takes("the stick from the drawer", c.ems, missed, "replayed")
	c.refusesAt("its bundle, by hand", "superseded", c.ems, "trust", "install", "draft.dsse.json", "--medium", stale)
}
