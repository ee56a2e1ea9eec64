package proof

import (
	"strings"

	"sallyport/internal/ems/election"
	"sallyport/internal/ems/page"
)

// content lays out what stands on the ballot, with the headings above it.
func (w *writer) content(b *page.BallotPage, list election.Content, above []page.Line) {
	for _, i := range list {
		switch i := i.(type) {
		case *election.OrderedContest:
			b.Contests = append(b.Contests, w.contest(i, above))
		case *election.OrderedHeader:
			h := w.header(i.Header)
			w.content(b, i.Content, append(above[:len(above):len(above)], h...))
		}
	}
}

func (w *writer) header(id election.ID) (out []page.Line) {
	for i := range w.v.Definition().Headers {
		if h := &w.v.Definition().Headers[i]; h.ID == id {
			return append(w.lines(h.Name), w.lines(h.Content)...)
		}
	}
	return nil
}

func (w *writer) contest(o *election.OrderedContest, above []page.Line) page.BallotContest {
	c := w.v.Contest(o.Contest)
	base := c.Base()
	out := page.BallotContest{Title: w.lines(base.Title()), VoteFor: 1}
	out.Instructions = append(out.Instructions, above...)
	out.Instructions = append(out.Instructions, w.lines(base.BallotSubTitle)...)
	out.Instructions = append(out.Instructions, w.question(c)...)
	if x, ok := c.(*election.CandidateContest); ok {
		out.VoteFor = int(x.VotesAllowed)
	}
	if len(w.lines(base.BallotSubTitle)) == 0 {
		out.Instructions = append(out.Instructions, w.words(voteFor(c))...)
	}
	for _, opt := range ordered(base, o.Options) {
		out.Options = append(out.Options, w.option(opt))
	}
	return out
}

// question are the texts of what is asked.
func (w *writer) question(c election.Contest) (out []page.Line) {
	measure := func(m *election.Measure) {
		for _, t := range []election.Text{m.SummaryText, m.FullText, m.ProStatement, m.ConStatement, m.EffectOfAbstain} {
			out = append(out, w.lines(t)...)
		}
	}
	switch c := c.(type) {
	case *election.BallotMeasureContest:
		measure(&c.Measure)
	case *election.RetentionContest:
		measure(&c.Measure)
	case *election.ActivationContest:
		out = w.lines(c.SummaryText)
	}
	return out
}

// ordered are the options of a contest in the order of a ballot style.
func ordered(c *election.ContestBase, order []election.ID) (out []election.Option) {
	if len(order) == 0 {
		return c.Options
	}
	at := map[election.ID]election.Option{}
	for _, o := range c.Options {
		at[o.Base().ID] = o
	}
	for _, id := range order {
		out = append(out, at[id])
	}
	return out
}

func (w *writer) option(o election.Option) page.BallotOption {
	switch o := o.(type) {
	case *election.CandidateOption:
		return w.candidates(o)
	case *election.BallotMeasureOption:
		return page.BallotOption{Name: w.lines(o.Selection)}
	case *election.ActivationOption:
		return page.BallotOption{Name: w.lines(o.Selection)}
	case *election.PartyOption:
		out := page.BallotOption{}
		for _, id := range o.Parties {
			out.Name = append(out.Name, w.lines(w.v.Party(id).Name)...)
		}
		return out
	}
	return page.BallotOption{}
}

// candidates is an option with one candidate, a ticket, or nobody yet.
func (w *writer) candidates(o *election.CandidateOption) page.BallotOption {
	out := page.BallotOption{WriteIn: o.WriteIn}
	parties := o.Endorsements
	var names []election.Text
	for _, id := range o.Candidates {
		x := w.v.Candidate(id)
		names = append(names, x.BallotName)
		if len(o.Endorsements) == 0 && x.PartyID != "" && len(parties) == 0 {
			parties = []election.ID{x.PartyID}
		}
	}
	if o.WriteIn && len(names) == 0 {
		out.Name = w.words(writeIn())
	}
	out.Name = append(out.Name, w.ticket(names)...)
	for _, id := range parties {
		out.Detail = append(out.Detail, w.lines(w.v.Party(id).Name)...)
	}
	return out
}

// ticket puts the names of a ticket on one line in each language.
func (w *writer) ticket(names []election.Text) (out []page.Line) {
	if len(names) == 1 {
		return w.lines(names[0])
	}
	seen := map[string]bool{}
	for _, l := range w.languages {
		var parts []string
		for _, n := range names {
			s, ok := n.In(l)
			if !ok {
				s = n.String()
			}
			parts = append(parts, s)
		}
		if line := strings.Join(parts, " / "); line != "" && !seen[line] {
			seen[line] = true
			out = append(out, page.Line{Lang: l, Text: line})
		}
	}
	return out
}
