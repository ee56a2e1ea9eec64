package cli

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"sallyport/internal/audit"
	"sallyport/internal/station"
	"sallyport/internal/translog"
	"sallyport/internal/verdict"
)

// sealing is what vouches for an entry.
type sealing struct {
	// Checkpoint is the first signed note that seals the entry, and Sealed how many
	// entries it seals; both are empty while none does.
	Checkpoint string `json:"checkpoint"`
	Sealed     int64  `json:"sealed"`
	// Leaf is the hash of the entry and Proof the audit path from it to the
	// checkpoint's root, in hexadecimal digits (RFC 6962, section 2.1).
	Leaf  string   `json:"leaf"`
	Proof []string `json:"proof"`
}

// sealing asks for the proof of an entry and checks it: the signature with the
// station's log key, and the entry's place in the tree.
func (s *session) sealing(e *audit.Entry) (sealing, error) {
	out := sealing{Proof: []string{}}
	text, err := e.Encode()
	if err != nil {
		return out, err
	}
	leaf := tlog.RecordHash(text)
	out.Leaf = hex.EncodeToString(leaf[:])
	var p station.Proof
	if err := s.do(station.OpLogProve, station.ProveArgs{Entry: e.Seq}, nil, &p); err != nil || p.Checkpoint == "" {
		return out, err
	}
	c, err := s.openNote(p.Checkpoint)
	if err != nil {
		return out, err
	}
	out.Checkpoint, out.Sealed = p.Checkpoint, c.Size
	var path tlog.RecordProof
	for _, h := range p.Hashes {
		if len(h) != tlog.HashSize {
			return out, fmt.Errorf("a hash of the proof has %d bytes", len(h))
		}
		path = append(path, tlog.Hash(h))
		out.Proof = append(out.Proof, hex.EncodeToString(h))
	}
	if err := tlog.CheckRecord(path, c.Size, c.Root, e.Seq, leaf); err != nil {
		return out, fmt.Errorf("entry %d is not in the tree that the checkpoint over %d entries signs: %w", e.Seq, c.Size, err)
	}
	return out, nil
}

// openNote checks a checkpoint with the station's log key.
func (s *session) openNote(note string) (c translog.Checkpoint, err error) {
	var d station.Document
	if err := s.do(station.OpTrustKey, station.KeyArgs{For: station.KeyForLog}, nil, &d); err != nil {
		return c, err
	}
	block, _ := pem.Decode(d.Body)
	if block == nil {
		return c, errors.New("the station's log key is no PEM")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return c, fmt.Errorf("cannot read the station's log key: %w", err)
	}
	pub, _ := key.(*ecdsa.PublicKey)
	origin, _, _ := strings.Cut(note, "\n")
	keys, err := translog.NewKeys(origin, pub)
	if err != nil {
		return c, err
	}
	return keys.Open([]byte(note))
}

type logExplainCmd struct {
	Entry int64 `arg:"" help:"The entry's number, as 'sallyport log show' prints it." placeholder:"ENTRY"`
}

// Help implements kong.HelpProvider.
func (logExplainCmd) Help() string {
	return `Says of one entry of the audit log what happened, when and by whose wish, what it was about, how it ended and why, with the meaning of each reason and what to do; which entry is the other half of the same action; what happened to the same medium before and after; and under which checkpoint of the TPM it is sealed. The signature and the entry's place under it are checked here.

    sallyport log show --outcome held
    sallyport log explain 57
    sallyport --json log explain 57 > entry-57.json

The JSON form carries the checkpoint and the proof (RFC 6962) that the entry is under it, and so is a witness: 'sallyport-verify witness' takes it.

Exit status: 0 explained, 3 the entry is damaged, 1 failed, 2 usage or no such entry, 5 not ready.`
}

// explanation is what is known of one entry.
type explanation struct {
	Entry audit.Entry `json:"entry"`
	Text  string      `json:"text"`
	// Pair is the outcome of an intent, or the intent of an outcome.
	Pair    *audit.Entry  `json:"pair,omitzero"`
	Reasons []givenReason `json:"reasons"`
	Why     []string      `json:"why"` // the reasons with their places, and what else was noted
	// Around are the entries about the same medium just before and after.
	Around []audit.Entry `json:"around"`
	sealing
	// Problem says why the entry could not be found under a checkpoint.
	Problem string `json:"problem,omitzero"`
}

// givenReason is a reason and what it means.
type givenReason struct {
	Reason  verdict.Reason `json:"reason"`
	Family  verdict.Family `json:"family"`
	Meaning string         `json:"meaning"`
	Next    string         `json:"next"`
}

func (c *logExplainCmd) Run(a *app) error {
	s, err := a.connect()
	if err != nil {
		return err
	}
	x, damage, err := s.explain(c.Entry)
	if err = errors.Join(err, s.close()); err != nil {
		return err
	}
	if x == nil {
		return a.noEntry(c.Entry, damage)
	}
	if err := a.print(x, func(w io.Writer) { x.show(w) }); err != nil {
		return err
	}
	if x.Problem != "" {
		return exit{ExitHeld}
	}
	return nil
}

// noEntry shows that an entry stands in a damaged place.
func (a *app) noEntry(seq int64, damage []translog.Damage) error {
	if len(damage) == 0 {
		return fmt.Errorf("the station shows neither entry %d nor damage in its place", seq)
	}
	err := a.print(map[string]any{"damage": damage}, func(w io.Writer) {
		for i := range damage {
			fmt.Fprintln(w, damageLine(&damage[i]))
		}
		fmt.Fprintf(w, "Entry %d cannot be read. Keep the log as it is and run 'sallyport-verify log' on it.\n", seq)
	})
	if err != nil {
		return err
	}
	return exit{ExitHeld}
}

func (s *session) explain(seq int64) (*explanation, []translog.Damage, error) {
	e, damage, err := s.logEntry(seq)
	if err != nil || e == nil {
		return nil, damage, err
	}
	x := &explanation{Entry: *e, Around: []audit.Entry{}, Reasons: []givenReason{}}
	if x.Pair, err = s.pair(e); err != nil {
		return nil, nil, err
	}
	st := step{at: e, end: x.Pair}
	if e.Phase == audit.PhaseOutcome && x.Pair != nil {
		st = step{at: x.Pair, end: e}
	}
	if e.Phase == audit.PhaseIntent { // it says how it began, not how it ended
		st.end = nil
	}
	x.Text, x.Why = st.tell(), append([]string{}, st.why()...)
	for _, r := range st.reasons() {
		x.Reasons = append(x.Reasons, givenReason{r, r.Family(), r.Meaning(), r.NextStep()})
	}
	if id := e.Subject.Medium; id != "" {
		if x.Around, err = s.around(id, seq); err != nil {
			return nil, nil, err
		}
	}
	if x.sealing, err = s.sealing(e); err != nil {
		x.Problem = explain(err).Message
	}
	return x, nil, nil
}

// pair finds the other half of an action; nil when there is none.
func (s *session) pair(e *audit.Entry) (pair *audit.Entry, err error) {
	switch e.Phase {
	case audit.PhaseOutcome:
		pair, _, err = s.logEntry(e.Ref)
	case audit.PhaseIntent:
		_, err = s.logPages(audit.Filter{From: e.Seq + 1, Event: string(e.Event)}, func(p *station.Log) error {
			for i := range p.Entries {
				if p.Entries[i].Ref == e.Seq {
					pair = &p.Entries[i]
					return errSeen
				}
			}
			return nil
		})
		if errors.Is(err, errSeen) {
			err = nil
		}
	}
	return pair, err
}

// maxAround entries of the same medium are shown before an entry, and after it.
const maxAround = 4

// around are entries about the same medium.
func (s *session) around(medium string, seq int64) ([]audit.Entry, error) {
	st, err := s.story(medium)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(st.entries, func(e audit.Entry) bool { return e.Seq >= seq })
	if at < 0 {
		at = len(st.entries)
	}
	return st.entries[max(0, at-maxAround):min(len(st.entries), at+1+maxAround)], nil
}

func (x *explanation) show(w io.Writer) {
	e := &x.Entry
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	definition, _ := audit.Define(e.Event)
	fmt.Fprintf(w, "entry %d: %s (%s, %s)\n", e.Seq, e.Event, e.Phase, definition.Severity)
	row("what", "%s", x.Text)
	if !strings.HasPrefix(x.Text, definition.Meaning) {
		row("event", "%s", definition.Meaning)
	}
	row("when", "%s", when(e))
	if e.WallTrusted {
		row("", "the station vouches for its clock")
	} else {
		row("", "the clock was NOT trusted: it stood before an earlier trusted time, or the station did not vouch for it; the order of entries is sure all the same")
	}
	row("who", "%s", whoAsked(e))
	for _, about := range [][2]string{{"medium", e.Subject.Medium}, {"package", e.Subject.Package}, {"manifest", e.Subject.Manifest}, {"sealed by", e.Subject.Station}} {
		if about[1] != "" {
			row(about[0], "%s", verdict.Visible(about[1]))
		}
	}
	if e.Outcome != "" {
		row("outcome", "%s", strings.ToUpper(string(e.Outcome)))
	}
	for i, why := range x.Why {
		head := ""
		if i == 0 {
			head = "why"
		}
		row(head, "%s", why)
	}
	for _, r := range x.Reasons {
		row("", "→ %s", r.Next)
	}
	for i, name := range fieldNames(e) {
		head := ""
		if i == 0 {
			head = "fields"
		}
		row(head, "%s: %s", name, verdict.Visible(e.Fields[name]))
	}
	x.showPair(row)
	for i := range x.Around {
		if i == 0 {
			fmt.Fprintln(w, "the same medium, before and after:")
		}
		mark := " "
		if x.Around[i].Seq == e.Seq {
			mark = ">"
		}
		fmt.Fprintf(w, "%s %s\n", mark, logLine(&x.Around[i]))
	}
	x.showSealing(w)
}

// showPair names the other half of an action.
func (x *explanation) showPair(row func(name, format string, args ...any)) {
	e := &x.Entry
	took := func(from, to *audit.Entry) string {
		if from.Boot != to.Boot {
			return ", after another start of the system"
		}
		return fmt.Sprintf(", %s later", time.Duration(to.MonoUS-from.MonoUS)*time.Microsecond)
	}
	switch {
	case e.Phase == audit.PhaseIntent && x.Pair != nil:
		row("its end", "entry %d: %s%s", x.Pair.Seq, strings.ToUpper(string(x.Pair.Outcome)), took(e, x.Pair))
	case e.Phase == audit.PhaseIntent:
		row("its end", "is not in the log: it is still going on, or the station was stopped; the next start records how it ended")
	case e.Phase == audit.PhaseOutcome && x.Pair != nil:
		row("its begin", "entry %d%s", e.Ref, strings.Replace(took(x.Pair, e), "later", "before", 1))
	case e.Phase == audit.PhaseOutcome:
		row("its begin", "entry %d, which cannot be read", e.Ref)
	}
}

func (x *explanation) showSealing(w io.Writer) {
	switch {
	case x.Problem != "":
		fmt.Fprintf(w, "NOT proven: %s\nKeep the log as it is and run 'sallyport-verify log' on it.\n", printable(x.Problem))
	case x.Checkpoint == "":
		fmt.Fprintln(w, "not sealed yet: no checkpoint of the TPM covers this entry; the next one will, at the next verdict or when the station stops")
	default:
		fmt.Fprintf(w, "sealed: the station's TPM has signed a checkpoint over the first %d entries, and this entry is one of them (both checked here)\n", x.Sealed)
		for line := range strings.Lines(strings.TrimSuffix(x.Checkpoint, "\n")) {
			fmt.Fprint(w, "    ", verdict.Visible(strings.TrimSuffix(line, "\n")), "\n")
		}
		fmt.Fprintf(w, `to check it elsewhere, with a copy of the log's folder and the station's log key ('sallyport trust key --out key.pem'):
    sallyport-verify log LOG --key key.pem
or against this very checkpoint, which the JSON form carries, with the proof (RFC 6962):
    sallyport --json log explain %d > entry.json
    sallyport-verify witness entry.json --dir LOG --key key.pem
`, x.Entry.Seq)
	}
}

// whoAsked says by whose wish something happened.
func whoAsked(e *audit.Entry) string {
	if e.Subject.Person == "" {
		return "the station itself; nobody asked for it by name"
	}
	return verdict.Visible(e.Subject.Person)
}

// when is the time of an entry as people here read it, with its distance from
// UTC.
func when(e *audit.Entry) string {
	at := e.Time().Local().Format("2006-01-02 15:04:05 -07:00")
	if !e.WallTrusted {
		at += " (clock not trusted)"
	}
	return at
}
