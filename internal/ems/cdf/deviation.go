package cdf

import (
	"regexp"
	"slices"
)

// Deviation is a named departure from a standard that a lenient reader
// accepted. FORMAT.md of internal/ems has the closed list of rules.
type Deviation struct {
	Where       string // file and JSON pointer of the first
	Rule        string
	Consequence string // how it was read
	Count       int    // how often it stands at this place, whatever the numbers in lists
}

// deviations collects what a lenient reader accepted, one entry for each rule,
// place and consequence, so that a report of any length has few of them.
type deviations struct {
	list  []Deviation
	index map[[3]string]int
}

var listNumber = regexp.MustCompile(`/[0-9]+(/|$)`)

func (d *deviations) add(c *checker, rule, consequence string) {
	d.addAt(c.file, c.at.pointer(), rule, consequence)
}

func (d *deviations) addAt(file, pointer, rule, consequence string) {
	key := [3]string{rule, listNumber.ReplaceAllString(pointer, "/*$1"), consequence}
	if d.index == nil {
		d.index = map[[3]string]int{}
	}
	i, ok := d.index[key]
	if !ok {
		i = len(d.list)
		d.index[key] = i
		d.list = append(d.list, Deviation{Where: file + "#" + pointer, Rule: rule, Consequence: consequence})
	}
	d.list[i].Count++
}

// found returns the deviations so far; d may be nil.
func (d *deviations) found() []Deviation {
	if d == nil {
		return nil
	}
	return slices.Clone(d.list)
}
