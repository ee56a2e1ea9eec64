package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"sallyport/internal/testoffice"
	"sallyport/internal/tpm/tpmtest"
)

// newHolder makes a holder's folder, and a secret for his key.
func (c *ceremony) newHolder(name, secret string) holder {
	dir := filepath.Join(c.office.Dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		c.office.TB.Fatal(err)
	}
	return holder{name: name, secret: c.newFile(filepath.Join(dir, "secret"), []byte(secret+"\n"))}
}

// fileHolder makes a holder with a key in an encrypted file.
func (c *ceremony) fileHolder(name string) holder {
	h := c.newHolder(name, "five words that "+name+" chose")
	file := filepath.Join(filepath.Dir(h.secret), "key.age")
	c.does(name, c.office, "authority", "new-key", "--out", file, "--secret-file", h.secret)
	h.key = "file:" + file
	return h
}

// tokenHolder makes a holder with a key in a PKCS#11 token, or, where there is no
// software for one, in a file.
func (c *ceremony) tokenHolder(name string) holder {
	key, err := c.office.NewToken(name, "471108")
	if errors.Is(err, testoffice.ErrNoToken) {
		c.say(fmt.Sprintf("(%v: %s has a key in a file instead)", err, name))
		return c.fileHolder(name)
	}
	if err != nil {
		c.office.TB.Fatal(err)
	}
	h := c.newHolder(name, "471108")
	h.key = key
	c.say("BOARD='" + strings.ReplaceAll(key, c.office.Dir+"/", "") + "'")
	return h
}

// record has a holder write his signer record onto a stick.
func (c *ceremony) record(h holder) (image string) {
	image = c.stick(h.name)
	c.does(h.name, c.office, append([]string{"authority", "key", "--holder", h.name, "--image", image}, h.signs()...)...)
	return image
}

// found is act 1.
func (c *ceremony) found() {
	o := c.office
	c.maker = tpmtest.NewMaker(o.TB)
	var err error
	if c.authority, err = o.NewStationBy(c.maker, "authority", "authority", ""); err != nil {
		o.TB.Fatal(err)
	}
	if c.makers, err = o.WriteMakers("makers", c.maker); err != nil {
		o.TB.Fatal(err)
	}
	c.at(c.authority, "init")
	c.say("The clerk keeps a key in an encrypted file, the board of elections one in a token (PKCS#11).")
	c.clerk, c.board = c.fileHolder("clerk"), c.tokenHolder("board")
	clerk, board := c.record(c.clerk), c.record(c.board)
	c.root = filepath.Join(o.Dir, "root.json")
	out := c.at(c.authority, "authority", "init", "--threshold", "2", "clerk.dsse.json", "board.dsse.json",
		"--medium", clerk, "--medium", board, "--out", c.root)
	c.expect("the authority is founded", "2 of 3 must sign", strings.Replace(line(out, "root version 1:"), "holders ", "", 1))
	c.say("root.json is the one document that nothing but people vouches for. They compare:")
	c.wrapped("    ", line(out, "fingerprint, to be compared by people:"))
}

// station makes a station and pins the root; people compare the fingerprint.
func (c *ceremony) station(maker *tpmtest.Maker, id, role, elections string) *testoffice.Station {
	s, err := c.office.NewStationBy(maker, id, role, elections)
	if err != nil {
		c.office.TB.Fatal(err)
	}
	c.at(s, "init", "--root", c.root)
	return s
}

// requests has a station ask to be enrolled, and returns the stick and the
// digest of the endorsement key, which people read from the screen.
func (c *ceremony) requests(s *testoffice.Station) (image, ek string) {
	image = c.stick(s.ID + "-request")
	out := c.at(s, "station", "request", "--image", image)
	return image, line(out, "endorsement key")
}

// answers takes a station through the challenge; how says how the authority
// knows its TPM.
func (c *ceremony) answers(s *testoffice.Station, request string, how ...string) (image string) {
	challenge, answer := c.stick(s.ID+"-challenge"), c.stick(s.ID+"-answer")
	out := c.at(c.authority, append([]string{"authority", "challenge", "request.json", "--medium", request, "--image", challenge}, how...)...)
	c.say(fmt.Sprintf("The authority sees: %s; TPM %s.", line(out, "known"), line(out, "TPM")))
	c.at(s, "station", "activate", "challenge.json", "--medium", challenge, "--image", answer)
	return answer
}

// drafts has the authority draft the next bundle onto a stick.
func (c *ceremony) drafts(args ...string) (image string) {
	image = c.stick("draft")
	c.at(c.authority, append(append([]string{"authority"}, args...), "--image", image)...)
	return image
}

// issue takes a draft to a second holder, installs it at the authority and
// publishes it. It returns the stick for the stations, and the one from which the
// authority installed it.
func (c *ceremony) issue(draft string, second holder) (trust, signed string) {
	desk := c.at(c.authority, "authority", "show", "draft.dsse.json", "--medium", draft)
	signed, seen := c.signs(draft, "draft.dsse.json", second, c.root)
	if print := line(desk, signedPrint); print == "" || print != seen {
		c.office.TB.Fatalf("the authority signed %q, %s is shown %q", print, second.name, seen)
	}
	c.at(c.authority, "trust", "install", "draft.dsse.json", "--medium", signed)
	trust = c.stick("trust")
	c.at(c.authority, "authority", "publish", "--image", trust)
	return trust, signed
}

// signedPrint stands before the fingerprint that holders compare.
const signedPrint = "fingerprint of what is signed, to be compared by the holders:"

// signs has a holder look at a draft and sign it. It returns the new stick with
// both signatures, and the fingerprint that the holder saw.
func (c *ceremony) signs(draft, name string, h holder, root string) (signed, seen string) {
	signed = c.stick("signed-by-" + h.name)
	seen = line(c.does(h.name, c.office, "authority", "show", name, "--medium", draft, "--root", root), signedPrint)
	c.does(h.name, c.office, append([]string{"authority", "sign", name, "--medium", draft, "--root", root, "--image", signed}, h.signs()...)...)
	return signed, seen
}

// enrol is act 2.
func (c *ceremony) enrol() {
	c.source = c.station(c.maker, "polling-place-7", "source", "")
	c.ems = c.station(c.maker, "ems-1", "ems", testoffice.ElectionID)
	root := filepath.Join(c.ems.Dir, "pinned.json")
	at := c.at(c.ems, "trust", "root", "--out", root)
	desk := c.at(c.authority, "trust", "root", "--out", filepath.Join(c.authority.Dir, "pinned.json"))
	const print = "fingerprint, to be compared by people:"
	c.expect("people compare the fingerprint", "equal", map[bool]string{true: "equal", false: "NOT equal"}[line(desk, print) == line(at, print)])
	c.wrapped("    ", line(at, print))
	request, _ := c.requests(c.source)
	answer := c.answers(c.source, request, "--ek-ca", c.makers)
	c.drafts("admit", "answer.json=election-definition,cvr-export,media-set", "--medium", answer, "--attested",
		"--elections", testoffice.ElectionID, "--label", "release 1")
	c.at(c.authority, "authority", "status")
	c.say("That draft stays on the desk: the next one builds upon it, and only that is signed.")
	request, _ = c.requests(c.ems)
	answer = c.answers(c.ems, request, "--ek-ca", c.makers)
	draft := c.drafts("admit", "answer.json=results-report", "--medium", answer, "--elections", testoffice.ElectionID, "--label", "release 1")
	c.refusesAt("a bundle with one signature", "signer-not-permitted", c.authority, "trust", "install", "draft.dsse.json", "--medium", draft)
	c.oldTrust, _ = c.issue(draft, c.clerk)
	out := c.at(c.authority, "trust", "show")
	c.expect("both stations are enrolled", "version 2, 2 stations", line(out, "trust bundle"))
	c.expect("TPMs that their maker vouches for", "2", strconv.Itoa(strings.Count(out, "which its maker's certificate names")))
}

// first is act 3.
func (c *ceremony) first() {
	if err := c.ems.StartDaemon(); err != nil {
		c.office.TB.Fatal(err)
	}
	c.takes("first bundle: EMS station", c.ems, c.oldTrust, "accepted")
	c.takes("first bundle: source", c.source, c.oldTrust, "accepted")
}

// cvr are the flags of a package of cast vote records.
func (c *ceremony) cvr(file string, more ...string) []string {
	return append(append([]string{"--kind", "cvr-export", "--election", testoffice.ElectionID, "--definition", c.office.Small("definition.json")}, more...), c.office.Small(file))
}

// seal is act 4.
func (c *ceremony) seal() {
	definition := c.seals(c.source, "definition", "--kind", "election-definition", "--election", testoffice.ElectionID, c.office.Small("definition.json"))
	first := c.seals(c.source, "cvr-1", c.cvr("cvr-precinct-1.json")...)
	c.takes("election definition", c.ems, definition.image, "accepted")
	c.takes("cast vote records with evidence", c.ems, first.image, "accepted")
	attested := "no"
	if strings.Contains(c.at(c.ems, "trust", "show"), "shows its boot state with each package") {
		attested = "yes"
	}
	c.expect("the source is attested", "yes", attested)
	c.takes("the same medium once more", c.ems, definition.image, "replayed")
}
