package cli

import (
	"bufio"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/control"
	"sallyport/internal/station"
	"sallyport/internal/translog"
	"sallyport/internal/verdict"
)

type logCmd struct {
	Show    logShowCmd    `cmd:"" help:"Print entries of the audit log, also as they come."`
	Explain logExplainCmd `cmd:"" help:"Say in plain words what one entry means, and what seals it."`
	Export  logExportCmd  `cmd:"" help:"Write the audit log, or a part of it, to a file for others."`
	Seal    logSealCmd    `cmd:"" help:"Seal the audit log, or a part of it, as a package for others."`
	Bundle  logBundleCmd  `cmd:"" help:"Write the evidence about one medium to a file that others can check."`
	Events  logEventsCmd  `cmd:"" help:"Print the catalogue of events."`
	Peers   logPeersCmd   `cmd:"" help:"What other stations' logs have shown here."`
	Attest  logAttestCmd  `cmd:"" help:"Answer a live challenge: the last checkpoint, and the TPM's counter now."`
}

// logFilter are the flags that select entries; they are joined by AND.
type logFilter struct {
	From    *int64    `help:"First entry." placeholder:"N"`
	To      *int64    `help:"Last entry." placeholder:"N"`
	Since   time.Time `help:"Only entries since this time (RFC 3339)." placeholder:"TIME"`
	Until   time.Time `help:"Only entries before this time (RFC 3339)." placeholder:"TIME"`
	Event   string    `help:"Only this event, or this family of events (such as package)." placeholder:"EVENT"`
	Outcome string    `help:"Only entries with this outcome." placeholder:"OUTCOME"`
	About   string    `help:"Only entries about this medium, package, manifest digest, station or person." placeholder:"ID"`
	Medium  string    `help:"Only entries about this medium." placeholder:"ID"`
	Package string    `help:"Only entries about this package." placeholder:"ID"`
	Station string    `help:"Only entries about packages that this station sealed." placeholder:"ID"`
	Person  string    `help:"Only what this person asked for: the number of the account." placeholder:"UID"`
}

// filter checks the flags against each other and the catalogue: one that can
// match nothing is refused.
func (c *logFilter) filter() (f audit.Filter, err error) {
	if c.Outcome != "" && !audit.Outcome(c.Outcome).Valid() {
		return f, control.Failf(control.CodeUsage, "there is no outcome %q; there are %v", verdict.Escape(c.Outcome), audit.Outcomes())
	}
	if err := knownEvent(c.Event); err != nil {
		return f, err
	}
	f = audit.Filter{Event: c.Event, About: c.About, Outcome: audit.Outcome(c.Outcome), Since: c.Since, Until: c.Until,
		Subject: audit.Subject{Medium: c.Medium, Package: c.Package, Station: c.Station, Person: c.Person}}
	if c.Person != "" && strings.Trim(c.Person, "0123456789") == "" {
		f.Subject.Person = "uid " + c.Person
	}
	if c.From != nil {
		f.From = *c.From
	}
	if c.To != nil {
		f.To = *c.To + 1
	}
	switch {
	case f.From < 0 || c.To != nil && *c.To < f.From:
		return f, control.Failf(control.CodeUsage, "no entry is from %d to %d", f.From, f.To-1)
	case !c.Since.IsZero() && !c.Until.IsZero() && !c.Since.Before(c.Until):
		return f, control.Failf(control.CodeUsage, "no time is since %s and before %s", c.Since.Format(time.RFC3339), c.Until.Format(time.RFC3339))
	}
	return f, nil
}

// knownEvent refuses what is neither an event of the catalogue nor a family.
func knownEvent(name string) error {
	var ids []string
	for _, d := range audit.Catalogue() {
		id := string(d.ID)
		if name == "" || id == name || strings.HasPrefix(id, name+".") {
			return nil
		}
		ids = append(ids, id)
	}
	return control.Failf(control.CodeUsage, "there is no event %q; there are %s", verdict.Escape(name), strings.Join(ids, ", "))
}

type logShowCmd struct {
	logFilter
	Follow bool `help:"Go on with new entries as they come, until Ctrl-C. Needs a running sallyportd." short:"f"`
}

// Help implements kong.HelpProvider.
func (logShowCmd) Help() string {
	return `The audit log holds what happened to media, packages, trust and the station itself; never votes and never the content of files. Each line is one entry: its number, the time in UTC, the event. An action has two, "intent" before it and "outcome" after it. 'sallyport log explain N' says what entry N means.

    sallyport log show --event medium.verdict
    sallyport log show --event package --outcome held
    sallyport log show --medium 7c2e2bfb0936 | less
    sallyport log show --since 2026-11-03T18:00:00Z --person 1000
    sallyport log show --follow              (what is new; with --from or --since older ones first)
    sallyport --json log show --follow --event medium.verdict   (a JSON document on a line)

Places of the log that are damaged are named, whatever the filter. To check that the log is intact use 'sallyport-verify log'.

Exit status: 0 done, 3 shown, but the log is damaged, 1 failed, 2 usage, 5 the station is not ready.`
}

func (c *logShowCmd) Run(a *app) error {
	f, err := c.filter()
	if err != nil {
		return err
	}
	if c.Follow {
		return c.follow(a, f)
	}
	s, err := a.connect()
	if err != nil {
		return err
	}
	damaged, err := c.show(a, s, f)
	if err = errors.Join(err, s.close()); err == nil && damaged {
		err = exit{ExitHeld}
	}
	return err
}

// show prints what is there now: one document, or page by page.
func (c *logShowCmd) show(a *app, s *session, f audit.Filter) (damaged bool, err error) {
	all := station.Log{Entries: []audit.Entry{}}
	if a.cmd.JSON {
		all.Size, err = s.logPages(f, func(p *station.Log) error {
			all.Entries, all.Damage, all.Checkpoint = append(all.Entries, p.Entries...), append(all.Damage, p.Damage...), p.Checkpoint
			return nil
		})
		if err == nil {
			err = a.writeJSON(all)
		}
		return len(all.Damage) > 0, err
	}
	shown := false
	w := bufio.NewWriterSize(a.out, 64<<10)
	size, err := s.logPages(f, func(p *station.Log) error {
		shown, damaged = shown || len(p.Entries) > 0, damaged || len(p.Damage) > 0
		return inOrder(p, func(e *audit.Entry) error { return printed(fmt.Fprintln(w, logLine(e))) },
			func(d *translog.Damage) error { return printed(fmt.Fprintln(w, damageLine(d))) })
	})
	if err == nil && !shown {
		fmt.Fprintf(w, "none of the %d entries matches\n", size)
	}
	err = errors.Join(err, w.Flush())
	if errors.Is(err, syscall.EPIPE) {
		err = nil // the pager was left
	}
	return damaged, err
}

// printed drops the number of bytes.
func printed(_ int, err error) error { return err }

// The time between two looks at the log, which grows while nothing comes.
const (
	shortestPoll = 200 * time.Millisecond
	longestPoll  = 2 * time.Second
)

// follow prints entries as they come. It asks the daemon again and again for
// what is new; opening the station here would keep a daemon from starting.
func (c *logShowCmd) follow(a *app, f audit.Filter) error {
	err := c.followed(a, f)
	switch {
	case a.ctx.Err() != nil, errors.Is(err, syscall.EPIPE): // Ctrl-C, or leaving a pager, is how people leave
		return nil
	case err == nil || !a.cmd.JSON:
		return err
	}
	// The last line of many: a document on one line, as the others.
	p := explain(err)
	if err := written(a.jsonLine(failure{p})); err != nil {
		return err
	}
	return exit{p.status()}
}

func (c *logShowCmd) followed(a *app, f audit.Filter) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	s := &session{app: a, cfg: cfg}
	if c.From == nil && c.Since.IsZero() { // from the end on
		var now station.Log
		if err := s.do(station.OpLogShow, station.LogArgs{Filter: audit.Filter{From: 1<<53 - 1}, Export: true}, nil, &now); err != nil {
			return followable(err)
		}
		f.From = now.Size
	}
	entry := func(e *audit.Entry) error { return printed(fmt.Fprintln(a.out, logLine(e))) }
	damage := func(d *translog.Damage) error { return printed(fmt.Fprintln(a.out, damageLine(d))) }
	if a.cmd.JSON {
		entry = func(e *audit.Entry) error { return a.jsonLine(e) }
		damage = func(d *translog.Damage) error { return a.jsonLine(map[string]*translog.Damage{"damage": d}) }
	}
	for wait := shortestPoll; ; wait = min(2*wait, longestPoll) {
		size, err := s.logPages(f, func(p *station.Log) error {
			if len(p.Entries) > 0 {
				wait = shortestPoll
			}
			return inOrder(p, entry, damage)
		})
		if err != nil {
			return followable(err)
		}
		if f.From = max(f.From, size); f.To > 0 && f.From >= f.To {
			return nil
		}
		select {
		case <-a.ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// followable adds what to do when no daemon answers.
func followable(err error) error {
	var f *control.Failure
	if errors.As(err, &f) && f.Code == control.CodeUnavailable {
		return control.Failf(f.Code, "%s; --follow shows what a running daemon records: start it with 'systemctl start sallyportd'", f.Message)
	}
	return err
}

// logPages asks for page after page of what f selects, as far as the log went at
// the first answer, and returns how far that was.
func (s *session) logPages(f audit.Filter, each func(*station.Log) error) (size int64, err error) {
	for first := true; ; first = false {
		var p station.Log
		if err := s.do(station.OpLogShow, station.LogArgs{Filter: f, Export: true}, nil, &p); err != nil {
			return size, err
		}
		if first {
			if size = p.Size; f.To == 0 || f.To > size {
				f.To = size
			}
		}
		if err := each(&p); err != nil {
			return size, err
		}
		switch {
		case p.Next == 0 || p.Next >= f.To:
			return size, nil
		case p.Next <= f.From:
			return size, control.Failf(codeFailed, "the station shows the log again from entry %d instead of going on", p.Next)
		case s.app.ctx.Err() != nil:
			return size, s.app.interrupted("the log was being read.")
		}
		f.From = p.Next
	}
}

// logEntry reads one entry; it is nil when it stands in a damaged place.
func (s *session) logEntry(seq int64) (e *audit.Entry, damage []translog.Damage, err error) {
	size, err := s.logPages(audit.Filter{From: seq, To: seq + 1}, func(p *station.Log) error {
		if len(p.Entries) > 0 {
			e = &p.Entries[0]
		}
		damage = append(damage, p.Damage...)
		return nil
	})
	if err == nil && (seq < 0 || seq >= size) {
		err = control.Failf(control.CodeNotFound, "the log has no entry %d: it has %d, from 0 on", seq, size)
	}
	return e, damage, err
}

// inOrder walks a page, entries and damage in the order of the log.
func inOrder(p *station.Log, entry func(*audit.Entry) error, damage func(*translog.Damage) error) error {
	rest := p.Damage
	for i := range p.Entries {
		for ; len(rest) > 0 && rest[0].Entry <= p.Entries[i].Seq; rest = rest[1:] {
			if err := damage(&rest[0]); err != nil {
				return err
			}
		}
		if err := entry(&p.Entries[i]); err != nil {
			return err
		}
	}
	for i := range rest {
		if err := damage(&rest[i]); err != nil {
			return err
		}
	}
	return nil
}

func damageLine(d *translog.Damage) string { return "DAMAGED: " + verdict.Visible(d.Error()) }

// logLine is one entry on one line.
func logLine(e *audit.Entry) string {
	line := fmt.Sprintf("%6d  %s  %-17s %-7s", e.Seq, verdict.Visible(e.Wall), verdict.Visible(string(e.Event)), verdict.Visible(string(e.Phase)))
	if !e.WallTrusted {
		line += " (clock not trusted)"
	}
	if e.Phase == audit.PhaseOutcome {
		line += fmt.Sprintf(" of %d", e.Ref)
	}
	if e.Outcome != "" {
		line += " " + strings.ToUpper(verdict.Visible(string(e.Outcome)))
	}
	if e.Subject.Medium != "" {
		line += " medium=" + verdict.Visible(e.Subject.Medium)
	}
	if e.Subject.Package != "" {
		line += " package=" + verdict.Visible(e.Subject.Package)
	}
	for _, name := range fieldNames(e) {
		line += fmt.Sprintf(" %s=%q", name, e.Fields[name])
	}
	return line
}

// fieldNames are those of the fields that an entry has, its own before the
// common ones.
func fieldNames(e *audit.Entry) []string {
	definition, _ := audit.Define(e.Event)
	names := slices.DeleteFunc(definition.Fields, func(name string) bool { return slices.Contains(audit.CommonFields(), name) })
	return slices.DeleteFunc(append(names, audit.CommonFields()...), func(name string) bool { return e.Fields[name] == "" })
}
