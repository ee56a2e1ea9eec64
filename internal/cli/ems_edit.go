package cli

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strings"

	"sallyport/internal/ems"
	"sallyport/internal/ems/define"
	"sallyport/internal/ems/election"
)

func isStale(err error) bool { return errors.Is(err, ems.ErrChanged) }

// styleRules are the flags that say how ballot styles are made.
type styleRules struct {
	Rotation  string   `help:"How candidates rotate in contests that do: none, by-style or by-precinct." enum:",none,by-style,by-precinct" default:"" placeholder:"HOW"`
	Alphabet  string   `help:"The 26 letters in the order that was drawn, by which candidates are sorted before they rotate." placeholder:"LETTERS"`
	Languages []string `name:"language" help:"The languages of the ballots, the first one first." placeholder:"TAG"`
}

func (r *styleRules) given() bool {
	return r.Rotation != "" || r.Alphabet != "" || len(r.Languages) > 0
}

// of returns the rules for a definition.
func (r *styleRules) of(d *election.Definition) define.Rules {
	rules := define.DefaultRules(d)
	if r.Rotation != "none" {
		rules.Rotation = define.Rotation(r.Rotation)
	}
	rules.Alphabet = r.Alphabet
	if len(r.Languages) > 0 {
		rules.Languages = r.Languages
	}
	return rules
}

// rulesOf finds out by which rules the ballot styles of a draft were made: those
// that make the same ones again. ok is false when none of the known ones does:
// they were made by hand, elsewhere, or by the letters of a lottery.
func rulesOf(d *election.Definition) (define.Rules, bool) {
	if len(d.Elections) != 1 || len(d.Elections[0].Styles) == 0 {
		return define.Rules{}, false
	}
	have, err := d.JSON()
	if err != nil {
		return define.Rules{}, false
	}
	for _, how := range []define.Rotation{define.NoRotation, define.ByPrecinct, define.ByStyle} {
		rules := define.DefaultRules(d)
		rules.Rotation = how
		again, _ := define.BuildStyles(d, rules)
		if again == nil {
			continue
		}
		if made, err := again.JSON(); err == nil && bytes.Equal(made, have) {
			return rules, true
		}
	}
	return define.Rules{}, false
}

type emsEditCmd struct {
	theElection
	Edit []string `arg:"" help:"What to change: the words of one edit, or several edits, each quoted as one argument." placeholder:"EDIT"`
	Base int      `help:"The draft that you looked at; when there is a newer one, nothing is changed." placeholder:"REVISION"`
	styleRules
	decides
}

func (c *emsEditCmd) Run(a *app) error {
	edits, bad := parseEdits(c.Edit)
	if len(bad) > 0 {
		return a.refuse(bad, "nothing was changed: %s", count(len(bad), "edit")+" cannot be read")
	}
	saved, err := withDesk(a, changing, func(k *ems.Core) (*savedDraft, error) {
		former, err := a.lastDraft(k, c.Election, c.Base)
		if err != nil {
			return nil, err
		}
		d, err := define.Apply(former.Definition, edits...)
		if err != nil {
			return nil, a.refuseEdit(err)
		}
		d, styles, err := c.rebuild(a, former.Definition, d, edits)
		if err != nil {
			return nil, err
		}
		return a.keep(k, d, c.by(), former, styles)
	})
	if err != nil {
		return err
	}
	return a.print(saved, saved.show)
}

// refuseEdit shows which edit cannot be made, and why.
func (a *app) refuseEdit(err error) error {
	p := define.Problem{Severity: define.Error, Rule: "edit", Text: err.Error()}
	var e *define.EditError
	if errors.As(err, &e) {
		p = editProblem(e.Edit.Args(), e.Err)
	}
	return a.refuse([]define.Problem{p}, "nothing was changed: an edit cannot be made")
}

// rebuild makes the ballot styles of an edited definition anew where edits can
// change them, and where it is known how they were made.
func (c *emsEditCmd) rebuild(a *app, former, d *election.Definition, edits []define.Edit) (*election.Definition, string, error) {
	rules, known := rulesOf(former)
	switch {
	case c.given():
		rules = c.of(d)
	case len(d.Elections[0].Styles) == 0:
		return d, stylesNone, nil
	case !changesStyles(edits):
		return d, stylesKept, nil
	case !known:
		return d, stylesPending, nil
	default:
		now := define.DefaultRules(d)
		now.Rotation = rules.Rotation
		rules = now
	}
	out, bad := define.BuildStyles(d, rules)
	if out == nil && c.given() {
		return nil, "", a.refuse(bad, "nothing was changed: the ballot styles cannot be made")
	}
	if out == nil { // a draft may have problems: they are shown with it
		return d, stylesPending, nil
	}
	return out, madeOrKept(d, out), nil
}

// madeOrKept says whether making ballot styles made other ones.
func madeOrKept(before, after *election.Definition) string {
	a, errA := before.JSON()
	b, errB := after.JSON()
	if errA == nil && errB == nil && bytes.Equal(a, b) {
		return stylesKept
	}
	return stylesMade
}

// changesStyles says whether ballot styles depend on something that is edited.
func changesStyles(edits []define.Edit) bool {
	for _, e := range edits {
		switch words := e.Args(); words[0] {
		case "contest", "unit", "candidate", "option", "party", "election":
			return true
		}
	}
	return false
}

// parseEdits reads edits: all words are one edit, or when the first argument has
// several words, each argument is one.
func parseEdits(args []string) (edits []define.Edit, bad []define.Problem) {
	each := [][]string{args}
	if len(args) > 0 && strings.ContainsAny(args[0], " \t") {
		each = nil
		for _, text := range args {
			words, err := splitWords(text)
			if err != nil {
				bad = append(bad, define.Problem{Severity: define.Error, Object: text, Rule: "edit", Text: err.Error()})
				continue
			}
			each = append(each, words)
		}
	}
	for _, words := range each {
		e, err := define.ParseEdit(words)
		if err != nil {
			bad = append(bad, editProblem(words, err))
			continue
		}
		edits = append(edits, e)
	}
	return edits, bad
}

// editProblem is what is wrong with an edit.
func editProblem(words []string, err error) define.Problem {
	return define.Problem{Severity: define.Error, Object: strings.Join(words, " "), Rule: cmp.Or(define.RuleOf(err), "edit"), Text: err.Error()}
}

// splitWords splits an edit into words as a shell does: spaces separate, quotes
// of either kind keep what is between them together.
func splitWords(s string) (out []string, err error) {
	var word strings.Builder
	var quote rune
	inside := false
	for _, r := range s {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, inside = r, true
		case r == ' ' || r == '\t':
			if inside {
				out = append(out, word.String())
				word.Reset()
			}
			inside = false
		default:
			word.WriteRune(r)
			inside = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("the quote %c does not end", quote)
	}
	if inside {
		out = append(out, word.String())
	}
	return out, nil
}
