package report

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"sallyport/internal/ems/page"
	"sallyport/internal/ems/results"
)

// Words of reports.
const (
	notResults = "TEST — NOT RESULTS"
	withheld   = "withheld"  // in place of a count
	undivided  = "undivided" // counts without way of voting beside others, in CSV files
)

// StatusWords is a status as reports say it.
func StatusWords(s results.Status) string {
	switch s {
	case results.PreElection:
		return "PRE-ELECTION – NO RESULTS"
	case results.UnofficialPartial:
		return "UNOFFICIAL – PARTIAL"
	case results.UnofficialComplete:
		return "UNOFFICIAL – COMPLETE"
	case results.Certified:
		return "OFFICIAL – CERTIFIED"
	case results.Correction:
		return "OFFICIAL – CORRECTION"
	case results.Recount:
		return "OFFICIAL – RECOUNT"
	}
	return strings.ToUpper(string(s))
}

// report begins a report: its document has the head, which says on every page
// what it is of.
func (v *view) report(name, title string) *Report {
	r := v.r
	notice := StatusWords(r.Status)
	if r.Test {
		notice = notResults + " · " + notice
	}
	d := &page.Document{
		Title: title + " – " + cmp.Or(r.Name, r.ElectionID), Lang: v.opt.language(), Author: r.Issuer, Date: r.GeneratedAt,
		Notice: notice, Size: v.opt.Size, Footer: v.footer(),
	}
	about := v.head
	pairs := make([]page.Pair, len(about))
	for i, a := range about {
		pairs[i] = page.Pair{Key: a[0], Value: a[1]}
	}
	d.Blocks = append(d.Blocks, page.KeyValues{Pairs: pairs})
	return &Report{Name: name, Document: d, About: append([][2]string{{"Report", title}}, about...), fonts: v.opt.Fonts}
}

// about says what a report is of.
func (v *view) about() [][2]string {
	r := v.r
	reported, all := r.Reporting()
	out := [][2]string{{"Election", cmp.Or(r.Name, r.ElectionID)}}
	add := func(key, value string) {
		if value != "" {
			out = append(out, [2]string{key, value})
		}
	}
	add("Date", r.Date)
	add("Jurisdiction", r.Issuer)
	add("Status", StatusWords(r.Status))
	if r.Test {
		add("Notice", notResults)
	}
	add("Precincts Reporting", fmt.Sprintf("%d of %d", reported, all))
	add("Generated", v.generated())
	add("Report number", strconv.FormatInt(r.Sequence, 10))
	add("Definition", short(r.DefinitionSHA256))
	add("State", short(r.StateDigest))
	add("Log head", short(r.LogHead))
	add("Source", r.Provenance)
	return out
}

func (v *view) generated() string {
	if v.r.GeneratedAt.IsZero() {
		return "time not recorded"
	}
	return v.r.GeneratedAt.UTC().Format("2006-01-02 15:04:05") + " UTC"
}

// footer is what stands at the foot of every page.
func (v *view) footer() []string {
	r := v.r
	lines := []string{fmt.Sprintf("%s · %s · %s · Report %d · Generated %s", cmp.Or(r.Name, r.ElectionID), r.Issuer, StatusWords(r.Status), r.Sequence, v.generated())}
	var digests []string
	for _, d := range [][2]string{{"Definition ", short(r.DefinitionSHA256)}, {"State ", short(r.StateDigest)}, {"Log head ", short(r.LogHead)}} {
		if d[1] != "" {
			digests = append(digests, d[0]+d[1])
		}
	}
	if len(digests) > 0 {
		lines = append(lines, strings.Join(digests, " · "))
	}
	if r.Provenance != "" {
		lines = append(lines, r.Provenance)
	}
	if r.Test {
		lines = append(lines, notResults)
	}
	return lines
}

// short is enough of a digest to compare by eye.
func short(digest string) string {
	if len(digest) <= 20 {
		return digest
	}
	return digest[:16] + "…"
}

// add appends blocks to a report.
func (p *Report) add(blocks ...page.Block) { p.Document.Blocks = append(p.Document.Blocks, blocks...) }

// count is a number with separators.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// cells are the counts of a line as people read them: for each option, then
// overvotes and undervotes. plain are digits alone.
func cells(l *results.Line, plain bool) []string {
	out := make([]string, 0, len(l.Votes)+2)
	for _, n := range l.Votes {
		out = append(out, cell(n, l, plain))
	}
	return append(out, rest(l.Overvotes, l, plain), rest(l.Undervotes, l, plain))
}

func cell(n int64, l *results.Line, plain bool) string {
	switch {
	case l.Suppressed:
		return withheld
	case plain:
		return strconv.FormatInt(n, 10)
	}
	return count(n)
}

// rest is a count that a source which reports votes only does not have.
func rest(n int64, l *results.Line, plain bool) string {
	switch {
	case !l.Partial || n > 0 || l.Suppressed:
		return cell(n, l, plain)
	case plain:
		return ""
	}
	return "–"
}

// percent is a share for display.
func percent(part, all int64) string {
	if s := results.Percent(part, all, 2); s != "" {
		return s + " %"
	}
	return ""
}

// methodWords is a way of voting as people say it.
func methodWords(kind string) string {
	switch kind {
	case "election-day":
		return "Election Day"
	case "early":
		return "Early Voting"
	case "absentee":
		return "Absentee"
	case "absentee-mail":
		return "Absentee by Mail"
	case "absentee-in-person":
		return "Absentee in Person"
	case "absentee-fwab":
		return "Federal Write-in Absentee"
	case "uocava":
		return "UOCAVA"
	case "provisional":
		return "Provisional"
	case results.Total:
		return "Total"
	case "other":
		return "Other"
	}
	return kind
}

// voteFor is the line below a contest's title.
func voteFor(c *results.Contest) string {
	s := fmt.Sprintf("Vote For %d", c.VotesAllowed)
	if c.Ranked {
		s = "Ranked choice: first choices"
	}
	if c.Elected > 1 {
		s += fmt.Sprintf(" (elects %d)", c.Elected)
	}
	return s
}

// optionName is an option with its parties.
func (v *view) optionName(o *results.Option) string {
	name := cmp.Or(o.Name, o.ID)
	var parties []string
	for _, p := range o.Parties {
		parties = append(parties, v.parties[p])
	}
	if len(parties) > 0 {
		name += " (" + strings.Join(parties, ", ") + ")"
	}
	return name
}

func (v *view) title(c *results.Contest) string {
	t := cmp.Or(c.Title, c.ID)
	if c.PrimaryParty != "" {
		t += " (" + v.parties[c.PrimaryParty] + ")"
	}
	return t
}
