package proof

import (
	"fmt"
	"strings"

	"sallyport/internal/ems/election"
	"sallyport/internal/ems/page"
)

// phrase is one of the few words that stand on a proof and in no definition, in
// the languages that this package has. In other languages the words of the
// definition stand alone, as its subtitles do.
type phrase map[string]string

func fillOval() phrase {
	return phrase{
		"en": "To vote, fill in the oval next to your choice completely. To vote for a person who is not listed, fill in the oval and write the name.",
		"es": "Para votar, rellene por completo el óvalo junto a su elección. Para votar por una persona que no está en la lista, rellene el óvalo y escriba el nombre.",
	}
}

func writeIn() phrase { return phrase{"en": "Write-in", "es": "Candidato por escrito"} }

// voteFor says how many options may be marked.
func voteFor(c election.Contest) phrase {
	x, ok := c.(*election.CandidateContest)
	switch {
	case ok && x.RanksAllowed != nil && *x.RanksAllowed > 1:
		return phrase{"en": fmt.Sprintf("Rank up to %d choices", *x.RanksAllowed), "es": fmt.Sprintf("Ordene hasta %d opciones", *x.RanksAllowed)}
	case ok && x.VotesAllowed > 1:
		return phrase{"en": fmt.Sprintf("Vote for up to %d", x.VotesAllowed), "es": fmt.Sprintf("Vote por hasta %d", x.VotesAllowed)}
	}
	return phrase{"en": "Vote for 1", "es": "Vote por 1"}
}

// words are a phrase in the languages of the proof; a tag such as es-US gets the
// words of its language.
func (w *writer) words(p phrase) (out []page.Line) {
	for _, tag := range w.languages {
		language, _, _ := strings.Cut(tag, "-")
		if s, ok := p[language]; ok {
			out = append(out, page.Line{Lang: tag, Text: s})
		}
	}
	return out
}
