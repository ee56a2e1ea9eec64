package translog

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// FindNote returns the signed note that a document carries: a JSON object with the
// member "checkpoint" at its top, an HTML page with it in <pre>, or a text with it
// between other lines. What scanners, editors and printers do to a text is undone:
// other line ends, spaces before and behind, and long lines that go on in the next
// one behind a ">". It judges nothing: no such change makes a checkpoint of what
// was none, for it is signed.
func FindNote(document []byte) ([]byte, error) {
	document = bytes.TrimSpace(bytes.TrimPrefix(document, []byte("\ufeff")))
	if bytes.HasPrefix(document, []byte("{")) {
		return noteInJSON(document)
	}
	text := string(document)
	if _, rest, ok := strings.Cut(text, "<pre>"); ok {
		if inside, _, ok := strings.Cut(rest, "</pre>"); ok {
			text = html.UnescapeString(inside)
		}
	}
	if n := noteInText(text); n != "" {
		return []byte(n), nil
	}
	return nil, errors.New("the document carries no checkpoint")
}

func noteInJSON(document []byte) ([]byte, error) {
	d := jsontext.NewDecoder(bytes.NewReader(document))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return nil, errors.New("the document is no JSON object")
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err == nil && name.String() == "checkpoint" && d.PeekKind() == '"' {
			if name, err = d.ReadToken(); err == nil {
				return []byte(name.String()), nil
			}
		} else if err == nil {
			err = d.SkipValue()
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the document: %w", err)
		}
	}
	return nil, errors.New("the document carries no checkpoint")
}

// noteInText finds the last run of lines that has the form of a checkpoint of a
// station: origin, size, root, an empty line, signatures.
func noteInText(text string) (found string) {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if more, ok := strings.CutPrefix(line, "> "); ok && len(lines) > 0 && len(lines[len(lines)-1]) < maxNote {
			lines[len(lines)-1] += more
			continue
		}
		lines = append(lines, line)
	}
	for i := 0; i+4 < len(lines); i++ {
		if lines[i] == "" || !isSize(lines[i+1]) || !isRoot(lines[i+2]) || lines[i+3] != "" {
			continue
		}
		end := i + 4
		for end < len(lines) && strings.HasPrefix(lines[end], "\u2014 ") {
			end++
		}
		if end > i+4 {
			found = strings.Join(lines[i:end], "\n") + "\n"
		}
	}
	return found
}

// maxNote is the most bytes of a line that goes on in the next one.
const maxNote = 4 << 10

func isSize(line string) bool {
	_, err := strconv.ParseUint(line, 10, 63)
	return err == nil
}

func isRoot(line string) bool {
	b, err := base64.StdEncoding.DecodeString(line)
	return err == nil && len(b) == 32
}
