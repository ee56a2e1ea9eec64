package clarity

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"sallyport/internal/verdict"
)

// Read reads a file whose sums all add up. The name file stands in errors,
// which are [*Problem].
func Read(file string, r io.Reader) (*Report, error) {
	report, problems, err := ReadWithProblems(file, r)
	if err != nil {
		return nil, err
	}
	if len(problems) > 0 {
		return nil, problems[0]
	}
	return report, nil
}

// ReadWithProblems reads a file and returns what does not add up in it beside
// the report (the first 1000), because files that are published do not always.
// Every other fault is an error.
func ReadWithProblems(file string, r io.Reader) (*Report, []*Problem, error) {
	in := &budget{r: r}
	d := &reader{file: file, in: in, xml: xml.NewDecoder(in), report: &Report{}, units: map[string]int{}}
	for {
		in.allow()
		token, err := d.xml.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = d.token(token)
		} else {
			err = d.broken(err)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if err := d.end(); err != nil {
		return nil, nil, err
	}
	return d.report, d.problems, nil
}

// reader is where in a file the reading is.
type reader struct {
	file     string
	in       *budget
	xml      *xml.Decoder
	report   *Report
	problems []*Problem
	stack    []open
	units    map[string]int
	counts   int
	names    int
	begun    bool
}

// open is an element that has not ended.
type open struct {
	name, path string
	form       element
	seen       map[string]bool // children that can stand once
	text       strings.Builder
}

// first says that a child has not been there before.
func (o *open) first(child string) bool {
	if o.seen[child] {
		return false
	}
	if o.seen == nil {
		o.seen = map[string]bool{}
	}
	o.seen[child] = true
	return true
}

func (d *reader) problem(rule Rule, detail string, args ...any) *Problem {
	line, _ := d.xml.InputPos()
	path := "/"
	if len(d.stack) > 0 {
		path = d.stack[len(d.stack)-1].path
	}
	return &Problem{File: d.file, Path: path, Line: line, Rule: rule, Detail: fmt.Sprintf(detail, args...)}
}

// broken tells malformed XML and budgets from what failed to be read.
func (d *reader) broken(err error) error {
	var syntax *xml.SyntaxError
	var over *overBudget
	switch {
	case errors.As(err, &over):
		return d.problem(RuleLimit, "%v", over)
	case errors.As(err, &syntax):
		return d.problem(RuleXML, "%s", verdict.Escape(syntax.Msg))
	case strings.HasPrefix(err.Error(), "xml: "):
		return d.problem(RuleXML, "%s", verdict.Escape(err.Error()))
	}
	return fmt.Errorf("cannot read %s: %w", d.file, err)
}

func (d *reader) token(t xml.Token) error {
	switch t := t.(type) {
	case xml.StartElement:
		return d.start(t)
	case xml.EndElement:
		return d.close(t)
	case xml.CharData:
		return d.chars(string(t))
	case xml.Directive:
		return d.problem(RuleXML, "the file has a document type or another directive")
	case xml.ProcInst:
		if t.Target != "xml" || d.begun {
			return d.problem(RuleXML, "the file has a processing instruction")
		}
	}
	return nil
}

func (d *reader) chars(s string) error {
	if len(d.stack) > 0 {
		if top := &d.stack[len(d.stack)-1]; top.form.text {
			if top.text.WriteString(s); top.text.Len() > maxText {
				return d.problem(RuleLimit, "a text of more than %d bytes", maxText)
			}
			return nil
		}
	}
	if !d.begun {
		s = strings.TrimPrefix(s, "\ufeff") // the byte order mark
	}
	if strings.TrimSpace(s) != "" {
		return d.problem(RuleElement, "text where there is none")
	}
	return nil
}

// start checks an element against the form and takes what it says.
func (d *reader) start(t xml.StartElement) error {
	parent := ""
	if len(d.stack) > 0 {
		parent = d.stack[len(d.stack)-1].name
	} else if d.begun {
		return d.problem(RuleXML, "a second root element")
	}
	form, ok := formOf(parent, t.Name.Local)
	if !ok || t.Name.Space != "" {
		return d.problem(RuleElement, "the element %s does not stand here", quote(t.Name.Local))
	}
	attrs, err := d.attrs(form, t)
	if err != nil {
		return err
	}
	path := "/" + t.Name.Local
	if len(d.stack) > 0 {
		path = d.stack[len(d.stack)-1].path + path
	}
	for _, name := range []string{"key", "name"} {
		if v, ok := attrs[name]; ok {
			path += "[" + v + "]"
			break
		}
	}
	d.begun = true
	d.stack = append(d.stack, open{name: t.Name.Local, path: path, form: form})
	return d.take(parent, t.Name.Local, attrs)
}

func (d *reader) attrs(form element, t xml.StartElement) (map[string]string, error) {
	attrs := map[string]string{}
	for _, a := range t.Attr {
		if a.Name.Space != "" || !form.has(a.Name.Local) {
			return nil, d.problem(RuleElement, "the element %s has no attribute %s", t.Name.Local, quote(a.Name.Local))
		}
		if _, twice := attrs[a.Name.Local]; twice {
			return nil, d.problem(RuleXML, "the attribute %s stands twice", a.Name.Local)
		}
		attrs[a.Name.Local] = a.Value
	}
	for name := range strings.FieldsSeq(form.required) {
		if _, ok := attrs[name]; !ok {
			return nil, d.problem(RuleMissing, "the element %s has no attribute %s", t.Name.Local, name)
		}
	}
	return attrs, nil
}

func (d *reader) close(t xml.EndElement) error {
	if len(d.stack) == 0 || d.stack[len(d.stack)-1].name != t.Name.Local || t.Name.Space != "" {
		return d.problem(RuleXML, "the end of %s does not stand here", quote(t.Name.Local))
	}
	top := d.stack[len(d.stack)-1]
	if err := d.finish(top); err != nil {
		return err
	}
	d.stack = d.stack[:len(d.stack)-1]
	return nil
}

// end holds what can be judged only when the file has been read.
func (d *reader) end() error {
	switch {
	case len(d.stack) > 0:
		return d.problem(RuleXML, "the file ends before its elements do")
	case !d.begun:
		return d.problem(RuleXML, "there is no document")
	case d.report.Level == "":
		return d.problem(RuleMissing, "there is no turnout with counties or precincts")
	case d.report.Name == "" || d.report.Date == "":
		return d.problem(RuleMissing, "the election has no name or no date")
	case len(d.report.Contests) == 0:
		return d.problem(RuleMissing, "there are no contests")
	}
	return nil
}
