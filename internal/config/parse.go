package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// kind is the TOML type that a key takes, in the words of an error.
type kind string

const (
	text    kind = `a text in quotes`
	texts   kind = `a list of texts such as ["a", "b"]`
	number  kind = `a whole number`
	numbers kind = `a list of whole numbers such as [1000, 1001]`
	flag    kind = `true or false`
)

// keys is the closed list of keys, as they must be written.
var keys = map[string]kind{
	"station.id": text, "station.name": text, "station.role": text, "station.jurisdiction": text, "station.elections": texts,
	"state_dir": text, "tpm": text, "production": flag, "reader": text,
	"control.socket": text, "control.operator_uids": numbers, "control.operator_gids": numbers, "control.operator_groups": texts,
	"usb.socket": text, "usb.user": text, "usb.in": texts, "usb.out": texts, "usb.keyboard": texts, "usb.security_key": texts,
	"usb.allow": texts, "usb.min_bytes": number, "usb.max_bytes": number, "usb.sector_bytes": numbers,
	"media.register": text, "media.single_use": flag, "media.two_custodians": flag,
	"limits.quarantine_max_bytes": number, "limits.reserve_bytes": number, "limits.stall": text, "limits.total": text,
	"log.level": text,
}

// parse makes a configuration of the content of a file. folder is where relative
// paths start, programs where the running program lies.
func parse(file string, data []byte, folder, programs string) (*Config, error) {
	d := defaults()
	c := newChecker(file, data)
	c.decode(d)
	if len(c.problems) == 0 {
		c.values(d, folder, programs)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	return &d.Config, nil
}

// checker gathers all problems of one file, so that a person mends them in one go.
type checker struct {
	file     string
	data     []byte
	ends     []int          // offset of each line end
	lines    map[string]int // of each key in the file
	problems []*Error
}

// maxProblems is how many are told at once.
const maxProblems = 20

func newChecker(file string, data []byte) *checker {
	c := &checker{file: file, data: data, lines: map[string]int{}}
	for i, b := range data {
		if b == '\n' {
			c.ends = append(c.ends, i)
		}
	}
	return c
}

// line returns the line of an offset, from 1.
func (c *checker) line(offset uint32) int {
	n, _ := slices.BinarySearch(c.ends, int(offset))
	return n + 1
}

func (c *checker) bad(key, problem string, args ...any) {
	c.badAt(c.lines[key], key, problem, args...)
}

func (c *checker) badAt(line int, key, problem string, args ...any) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, &Error{c.file, line, key, fmt.Sprintf(problem, args...)})
	}
}

func (c *checker) err() error {
	slices.SortStableFunc(c.problems, func(a, b *Error) int { return cmp.Compare(a.Line, b.Line) })
	errs := make([]error, len(c.problems))
	for i, p := range c.problems {
		errs[i] = p
	}
	return errors.Join(errs...)
}

// decode looks at the keys first: the library matches them without case, so
// that Role and role would be two ways to write one thing, and its words about
// wrong types are for programmers.
func (c *checker) decode(d *document) {
	c.walk()
	if len(c.problems) > 0 {
		return
	}
	err := toml.NewDecoder(bytes.NewReader(c.data)).DisallowUnknownFields().Decode(d)
	var at *toml.DecodeError
	if errors.As(err, &at) {
		line, _ := at.Position()
		c.badAt(line, strings.Join(at.Key(), "."), "%s", strings.TrimPrefix(at.Error(), "toml: "))
	} else if err != nil {
		c.badAt(0, "", "%v", err)
	}
}

// walk notes the line of each key, and complains of keys that are not in the
// list and of values of another type.
func (c *checker) walk() {
	var p unstable.Parser
	p.Reset(c.data)
	table, known := "", true
	for len(c.problems) < maxProblems && p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table:
			var line int
			table, line = c.keyOf(e, "")
			if known = isTable(table); !known {
				c.badAt(line, table, "unknown table; %s", c.offer(""))
			}
		case unstable.ArrayTable:
			var line int
			table, line = c.keyOf(e, "")
			known = false
			c.badAt(line, table, "write [%s] once, not [[%s]]", table, table)
		case unstable.KeyValue:
			if known {
				c.keyValue(e, table)
			}
		}
	}
	var bad *unstable.ParserError
	if err := p.Error(); errors.As(err, &bad) {
		c.badAt(c.line(p.Range(bad.Highlight).Offset), strings.Join(bad.Key, "."), "not valid TOML: %s", bad.Message)
	} else if err != nil {
		c.badAt(0, "", "not valid TOML: %v", err)
	}
}

func (c *checker) keyValue(e *unstable.Node, table string) {
	key, line := c.keyOf(e, table)
	value := e.Value()
	if value.Kind == unstable.InlineTable && isTable(key) {
		for it := value.Children(); it.Next(); {
			c.keyValue(it.Node(), key)
		}
		return
	}
	want, known := keys[key]
	if !known {
		c.badAt(line, key, "unknown key; %s", c.offer(table))
		return
	}
	if first := c.lines[key]; first > 0 {
		c.badAt(line, key, "stands in line %d already; remove one", first)
		return
	}
	c.lines[key] = line
	if !fits(value, want) {
		c.badAt(line, key, "must be %s", want)
	}
}

// keyOf returns the dotted key of a table or key-value and its line.
func (c *checker) keyOf(e *unstable.Node, table string) (key string, line int) {
	var parts []string
	if table != "" {
		parts = append(parts, table)
	}
	for it := e.Key(); it.Next(); {
		if n := it.Node(); line == 0 {
			line = c.line(n.Raw.Offset)
		}
		parts = append(parts, string(it.Node().Data))
	}
	return strings.Join(parts, "."), line
}

func isTable(name string) bool {
	for key := range keys {
		if strings.HasPrefix(key, name+".") {
			return true
		}
	}
	return false
}

// offer names what may stand in a table, or at the top of the file.
func (c *checker) offer(table string) string {
	var here, tables []string
	for key := range keys {
		if t, name, dotted := strings.Cut(key, "."); !dotted && table == "" {
			here = append(here, key)
		} else if dotted && t == table {
			here = append(here, name)
		} else if dotted && table == "" && !slices.Contains(tables, "["+t+"]") {
			tables = append(tables, "["+t+"]")
		}
	}
	slices.Sort(here)
	slices.Sort(tables)
	if table == "" {
		return "the file may hold " + strings.Join(append(here, tables...), ", ")
	}
	return "[" + table + "] may hold " + strings.Join(here, ", ")
}

func fits(v *unstable.Node, want kind) bool {
	all := func(k unstable.Kind) bool {
		for it := v.Children(); it.Next(); {
			if it.Node().Kind != k {
				return false
			}
		}
		return v.Kind == unstable.Array
	}
	switch want {
	case text:
		return v.Kind == unstable.String
	case number:
		return v.Kind == unstable.Integer
	case flag:
		return v.Kind == unstable.Bool
	case texts:
		return all(unstable.String)
	default:
		return all(unstable.Integer)
	}
}
