package rla

import (
	"archive/zip"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
)

// hartCVR is one file of a Hart export (namespace of CVRDesign.xsd), as far as
// Arlo reads it.
type hartCVR struct {
	XMLName  xml.Name      `xml:"http://tempuri.org/CVRDesign.xsd Cvr"`
	Contests []hartContest `xml:"Contests>Contest"`
	Sequence int           `xml:"BatchSequence"`
	Sheet    int           `xml:"SheetNumber"`
	Split    hartSplit     `xml:"PrecinctSplit"`
	Batch    string        `xml:"BatchNumber"`
	GUID     string        `xml:"CvrGuid"`
}

type hartSplit struct {
	Name string
	ID   string `xml:"Id"`
}

type hartContest struct {
	Name    string
	ID      string       `xml:"Id"`
	Options []hartOption `xml:"Options>Option"`
}

type hartOption struct {
	Name  string
	ID    string `xml:"Id"`
	Value int
}

// WriteHart writes records in the form of Hart: records is a zip file with one
// XML file for each sheet, information the CSV that names tabulators and
// imprinted ids. Arlo takes both together in one zip file. The form lists only
// choices that were marked, and Arlo takes every contest as vote for one: a
// contest that allows more is refused, and a sheet without a mark in a contest
// reads as a sheet without the contest. What was written before an error is
// worthless.
func WriteHart(sheets, information io.Writer, e Export, records CVRs) error {
	x, err := e.exporter()
	if err != nil {
		return err
	}
	for _, c := range x.Contests {
		if c.VoteFor != 1 {
			return x.problem(RuleCVRForm, "the contest %s allows %d votes; in the Hart form Arlo takes one", quote(c.Name), c.VoteFor)
		}
	}
	z, l := zip.NewWriter(sheets), newLines(information)
	if err := l.write("#FormatVersion 1"); err != nil {
		return err
	}
	if err := l.write("#BatchId", "Workstation", "UniqueIdentifier", "CvrId"); err != nil {
		return err
	}
	err = x.each(records, func(m marks) error {
		if err := writeSheet(z, m, x.hart(m)); err != nil {
			return err
		}
		return l.write(m.Batch, m.Tabulator, m.imprinted(), m.guid())
	})
	if err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("cannot end the zip file: %w", err)
	}
	return l.end()
}

// guid is the id of a record, or where its sheet lies when it has none.
func (m marks) guid() string {
	if m.ID != "" {
		return m.ID
	}
	return m.Tabulator + "-" + m.Batch + "-" + strconv.Itoa(m.position)
}

func (x *exporter) hart(m marks) hartCVR {
	h := hartCVR{Sequence: m.position, Sheet: 1, Split: hartSplit{Name: m.Precinct, ID: m.Precinct}, Batch: m.Batch, GUID: m.guid()}
	for i, c := range x.Contests {
		if m.chosen[i] == nil {
			continue
		}
		contest := hartContest{Name: c.Name, ID: strconv.Itoa(i + 1)}
		for j, yes := range m.chosen[i] {
			if yes {
				contest.Options = append(contest.Options, hartOption{Name: c.Choices[j].Name, ID: strconv.Itoa(j + 1), Value: 1})
			}
		}
		h.Contests = append(h.Contests, contest)
	}
	return h
}

// writeSheet adds one file, whose name is its number in the export and which
// has no time.
func writeSheet(z *zip.Writer, m marks, h hartCVR) error {
	w, err := z.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf("%08d.xml", m.number), Method: zip.Deflate})
	if err == nil {
		_, err = io.WriteString(w, xml.Header)
	}
	if err == nil {
		err = xml.NewEncoder(w).Encode(h)
	}
	if err != nil {
		return fmt.Errorf("cannot write a sheet: %w", err)
	}
	return nil
}
