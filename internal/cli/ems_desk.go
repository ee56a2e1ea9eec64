package cli

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/control"
	"sallyport/internal/ems"
	"sallyport/internal/ems/define"
	"sallyport/internal/ems/election"
	"sallyport/internal/verdict"
)

// withDesk opens the database that --db names: the commands of the definition
// desk work on one, and never on a station that runs.
func withDesk[R any](a *app, u access, ask func(*ems.Core) (R, error)) (none R, err error) {
	if a.cmd.EMS.DB == "" {
		return none, control.Failf(control.CodeUsage, "this works on a database: name it with 'sallyport ems --db FILE' ('sallyport ems create FILE' makes one). What goes into a station comes by a medium")
	}
	c, err := a.openDatabase(a.cmd.EMS.DB, u)
	if err != nil {
		return none, err
	}
	r, err := ask(c.(databaseCore).Core)
	return r, errors.Join(deskError(err), c.Close())
}

// deskError gives errors of the desk their code and what to do.
func deskError(err error) error {
	for _, x := range []struct {
		is   error
		next string
	}{
		{ems.ErrNoDraft, "'sallyport ems new' makes one"},
		{ems.ErrNotTest, "make the test core with 'sallyport ems deck run', or of test-definition.json"},
		{ems.ErrOtherDefinition, "make the deck and the test core of the definition in force"},
		{ems.ErrNotEmpty, "zero reports and tests begin with an empty core"},
	} {
		if errors.Is(err, x.is) {
			code := codeFailed
			if errors.Is(err, ems.ErrNoDraft) {
				code = control.CodeNotFound
			}
			return control.Failf(code, "%v (%s)", err, x.next)
		}
	}
	return err
}

// codeContent is the code of problems with what a definition or file says.
const codeContent = string(verdict.ContentInvalid)

// refusal is the one JSON document of a command that refuses something for all
// its problems.
type refusal struct {
	Error    problem          `json:"error"`
	Problems []define.Problem `json:"problems"`
}

// refuse shows every problem and ends the command.
func (a *app) refuse(problems []define.Problem, format string, args ...any) error {
	p := problem{Code: codeContent, Message: fmt.Sprintf(format, args...)}
	if a.cmd.JSON {
		if err := a.writeJSON(refusal{p, problems}); err != nil {
			return err
		}
		return exit{p.status()}
	}
	a.complain(p)
	showProblems(a.err, problems)
	return exit{p.status()}
}

func showProblems(w io.Writer, list []define.Problem) {
	for _, p := range list {
		text := printable(p.Error()) // which says of a warning that it is one
		if p.Severity == define.Error {
			text = "error: " + text
		}
		if p.File != "" && p.Pointer != "" {
			text += " at " + printable(p.Pointer)
		}
		fmt.Fprintf(w, "  %s\n", text)
	}
}

// fewProblems is how many problems a command shows that is not about them.
const fewProblems = 20

// showSome shows all errors, and of the warnings the first ones.
func showSome(w io.Writer, list []define.Problem, electionID string) {
	n := max(len(errorsOf(list)), fewProblems)
	showProblems(w, list[:min(n, len(list))])
	if n < len(list) {
		fmt.Fprintf(w, "  and %s more: 'sallyport ems check --draft %s' lists all\n", count(len(list)-n, "warning"), verdict.Escape(electionID))
	}
}

// errorsOf are the problems that stop the work.
func errorsOf(list []define.Problem) (out []define.Problem) {
	for _, p := range list {
		if p.Severity == define.Error {
			out = append(out, p)
		}
	}
	return out
}

func fromCheck(list []election.Problem) []define.Problem {
	out := make([]define.Problem, 0, len(list))
	for _, p := range list {
		out = append(out, define.Problem{Severity: define.Error, Pointer: p.Pointer, Rule: p.Rule, Text: p.Text})
	}
	return out
}

var (
	ruleInDetail = regexp.MustCompile(` ?\(rule ([a-z0-9-]+)\)`)
	lineInDetail = regexp.MustCompile(`, line ([0-9]+)$`)
)

// fromFinding is a finding as a problem; other errors are the command's own.
func fromFinding(err error) (define.Problem, bool) {
	f, ok := verdict.Find(err)
	if !ok {
		return define.Problem{}, false
	}
	p := define.Problem{Severity: define.Error, Rule: string(f.Reason), Text: ruleInDetail.ReplaceAllString(f.Detail, "")}
	if m := ruleInDetail.FindStringSubmatch(f.Detail); m != nil {
		p.Rule = m[1]
	}
	p.File, p.Pointer, _ = strings.Cut(f.Where, "#")
	if m := lineInDetail.FindStringSubmatch(p.Text); m != nil {
		if line, err := strconv.Atoi(m[1]); err == nil {
			p.Line, p.Text = line, strings.TrimSuffix(p.Text, m[0])
		}
	}
	return p, true
}

// reviewed is everything that is wrong with a definition, or wants a look.
func reviewed(d *election.Definition) (*election.Valid, []define.Problem) {
	v, bad := d.Check()
	if v == nil {
		return nil, fromCheck(bad)
	}
	list := define.Review(v)
	if list == nil {
		list = []define.Problem{}
	}
	return v, list
}

// latest is what people work on: the newest draft, or where there is none the
// definition that was imported.
func (a *app) latest(c *ems.Core, electionID string) (*ems.InForce, error) {
	list, err := c.Drafts(a.ctx, electionID)
	switch {
	case errors.Is(err, ems.ErrNoDraft):
		return c.InForce(a.ctx, electionID)
	case err != nil:
		return nil, err
	}
	return list[len(list)-1].InForce()
}

// usable refuses a definition that has problems, and returns its warnings.
func (a *app) usable(f *ems.InForce, electionID string) ([]define.Problem, error) {
	_, list := reviewed(f.Definition)
	if bad := errorsOf(list); f.Valid == nil || len(bad) > 0 {
		return nil, a.refuse(list, "the definition of the election %s cannot be used: it has %s", verdict.Escape(electionID), count(len(bad), "error"))
	}
	return list, nil
}

// outFile is a file that a command makes; Path has slashes.
type outFile struct {
	Path string
	Data []byte
}

// writeFolder makes a new folder with all files in it, or nothing.
func writeFolder(dir string, files []outFile) error {
	return newFolder(dir, func(create func(string) (io.WriteCloser, error)) error {
		for _, f := range files {
			w, err := create(f.Path)
			if err != nil {
				return err
			}
			_, err = w.Write(f.Data)
			if err := errors.Join(err, w.Close()); err != nil {
				return err
			}
		}
		return nil
	})
}

// fileWord makes a word for a file name of a package of foreign text; what
// several texts would share is made different by its number.
func fileWord(used map[string]bool, s string) string {
	word := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, s)
	word = strings.Trim(word[:min(len(word), 32)], "-")
	if word == "" {
		word = "x"
	}
	for n, base := 2, word; used[strings.ToLower(word)]; n++ {
		word = fmt.Sprintf("%s-%d", base, n)
	}
	used[strings.ToLower(word)] = true
	return word
}

// styleCodes are the codes of the styles, in their order.
func styleCodes(v *election.Valid) (out []string) {
	for i := range v.Election().Styles {
		out = append(out, v.Election().Styles[i].Code())
	}
	return out
}

// contestsOf are the contests of a style, in the order of the ballot.
func contestsOf(s *election.Style) (out []string) {
	s.Contests(func(o *election.OrderedContest, _ string) { out = append(out, o.Contest) })
	return slices.Clip(out)
}
