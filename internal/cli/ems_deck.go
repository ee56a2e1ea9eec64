package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sallyport/internal/control"
	"sallyport/internal/ems"
	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/deck"
	"sallyport/internal/ems/model"
	"sallyport/internal/verdict"
)

// emsDeckCmd are the commands of tests of logic and accuracy.
type emsDeckCmd struct {
	Make    deckMakeCmd    `cmd:"" help:"Make a test deck of a definition: ballots to mark, and what they must count to."`
	Run     deckRunCmd     `cmd:"" help:"Count the deck's own records in a new test core, without paper."`
	Compare deckCompareCmd `cmd:"" help:"Compare what a test core counted with what the deck must count to."`
	Sign    deckSignCmd    `cmd:"" help:"Test once more and sign it off, by two people."`
	Status  deckStatusCmd  `cmd:"" help:"List the sign-offs of an election, and which of them is for the definition in force."`
}

// The files of a deck's folder.
const (
	deckFile       = "deck.json"
	deckTestFile   = "test-definition.json"
	deckRecordFile = "test-records.json"
)

type deckMakeCmd struct {
	theElection
	Out  string `required:"" help:"Folder to make; it must not exist." placeholder:"DIR"`
	Size string `help:"minimal gives the whole pattern to one precinct of each ballot style, complete to every one." enum:"minimal,complete" default:"minimal"`
	Seed string `help:"Makes the ballots' identifiers: decks that must not be taken for each other have different ones." default:"1" placeholder:"TEXT"`
	Each int    `help:"The least number of ballots for each ballot style and precinct." placeholder:"N"`
}

// madeDeck is what 'ems deck make' prints.
type madeDeck struct {
	Election   string   `json:"election"`
	SHA256     string   `json:"definition_sha256"`
	Deck       string   `json:"deck_sha256"`
	Folder     string   `json:"folder"`
	Ballots    int      `json:"ballots"`
	Covered    int      `json:"covered"`
	Required   int      `json:"required"`
	Files      []string `json:"files"`
	TestSHA256 string   `json:"test_definition_sha256"`
	// NewerDraft is a draft that is not what is tested, since another definition
	// was imported; 0 when there is none.
	NewerDraft int `json:"newer_draft"`
}

func (c *deckMakeCmd) Run(a *app) error {
	if err := checkNew(c.Out); err != nil {
		return err
	}
	m, err := withDesk(a, reading, func(k *ems.Core) (*madeDeck, error) { return c.make(a, k) })
	if err != nil {
		return err
	}
	return a.print(m, func(w io.Writer) {
		fmt.Fprintf(w, "wrote a test deck of %s of election %s to %s\n  definition   %s\n  deck         %s\n  exercised    %d of %d\n", count(m.Ballots, "ballot"), verdict.Escape(m.Election), verdict.Escape(m.Folder), m.SHA256, m.Deck, m.Covered, m.Required)
		warnOfDraft(w, m.NewerDraft)
		fmt.Fprintf(w, "Mark the ballots as marking-guide.csv says and scan them, or count them without paper:\n  sallyport ems --db %s deck run %s %s --test-db test.db\n", verdict.Escape(a.cmd.EMS.DB), verdict.Escape(m.Election), verdict.Escape(m.Folder))
	})
}

func (c *deckMakeCmd) make(a *app, k *ems.Core) (*madeDeck, error) {
	f, err := k.InForce(a.ctx, c.Election)
	if err != nil {
		return nil, err
	}
	if _, err := a.usable(f, c.Election); err != nil {
		return nil, err
	}
	d, err := deck.Build(f.Valid, deck.Options{DefinitionSHA256: f.SHA256, Seed: c.Seed, Size: deck.Size(c.Size), PerUnit: c.Each})
	if errors.Is(err, deck.ErrOptions) || errors.Is(err, deck.ErrBudget) {
		return nil, control.Failf(control.CodeUsage, "%v", err)
	}
	if err != nil {
		return nil, err
	}
	files, m, err := deckFiles(a.ctx, f, d)
	if err != nil {
		return nil, err
	}
	m.Election, m.Folder = c.Election, c.Out
	if m.NewerDraft, err = newerDraft(a, k, c.Election, f); err != nil {
		return nil, err
	}
	return m, writeFolder(c.Out, files)
}

// newerDraft is the number of the newest draft where an imported definition is
// in force and the draft is another one; otherwise 0.
func newerDraft(a *app, k *ems.Core, electionID string, f *ems.InForce) (int, error) {
	d, err := a.latest(k, electionID)
	if err != nil || !f.Imported || d.SHA256 == f.SHA256 {
		return 0, err
	}
	return d.Revision, nil
}

func warnOfDraft(w io.Writer, revision int) {
	if revision > 0 {
		fmt.Fprintf(w, "WARNING: draft %d is another definition; the imported one is in force, and it is what is tested\n", revision)
	}
}

// deckFiles are the files of a deck.
func deckFiles(ctx context.Context, f *ems.InForce, d *deck.Deck) ([]outFile, *madeDeck, error) {
	m := &madeDeck{SHA256: f.SHA256, Ballots: len(d.Sheets)}
	cover, err := deck.Cover(f.Valid, d)
	if err != nil {
		return nil, nil, err
	}
	m.Covered, m.Required = cover.Covered, cover.Required
	want, err := deck.Expect(f.Valid, d)
	if err != nil {
		return nil, nil, err
	}
	if m.Deck, err = d.SHA256(); err != nil {
		return nil, nil, err
	}
	test, err := ems.TestCopy(f.Valid)
	if err != nil {
		return nil, nil, err
	}
	definition, err := test.Definition().JSON()
	if err != nil {
		return nil, nil, err
	}
	m.TestSHA256 = digest(definition)
	var files []outFile
	for _, x := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{deckFile, d.WriteJSON},
		{"marking-guide.csv", func(w io.Writer) error { return d.WriteGuide(f.Valid, w) }},
		{"expected.csv", want.WriteCSV},
		{"expected.json", func(w io.Writer) error { return writeExpected(w, d, m.Deck, want) }},
		{"coverage.txt", cover.WriteText},
		{deckTestFile, func(w io.Writer) error { _, err := w.Write(definition); return err }},
		{deckRecordFile, func(w io.Writer) error { return writeDeckRecords(ctx, w, definition, d) }},
	} {
		var b bytes.Buffer
		if err := x.write(&b); err != nil {
			return nil, nil, err
		}
		files, m.Files = append(files, outFile{x.name, b.Bytes()}), append(m.Files, x.name)
	}
	return files, m, nil
}

// expectedDocument is expected.json: what a deck must count to.
type expectedDocument struct {
	Type             string         `json:"type"`
	Test             bool           `json:"test"`
	DefinitionSHA256 string         `json:"definition_sha256"`
	DeckSHA256       string         `json:"deck_sha256"`
	Ballots          int            `json:"ballots"`
	Lines            []expectedLine `json:"lines"`
}

type expectedLine struct {
	deck.Key
	Ballots    int64            `json:"ballots"`
	Votes      map[string]int64 `json:"votes,omitzero"`
	Overvotes  int64            `json:"overvotes"`
	Undervotes int64            `json:"undervotes"`
	WriteIns   int64            `json:"write_ins"`
}

func writeExpected(w io.Writer, d *deck.Deck, sha string, want *deck.Expected) error {
	doc := expectedDocument{Type: "sallyport-test-deck-expected-v1", Test: true, DefinitionSHA256: d.DefinitionSHA256, DeckSHA256: sha, Ballots: want.Sheets()}
	for k, n := range want.Lines() {
		doc.Lines = append(doc.Lines, expectedLine{k, n.Ballots, n.Votes, n.Overvotes, n.Undervotes, n.WriteIns})
	}
	return json.MarshalWrite(w, doc, json.Deterministic(true), jsontext.WithIndent("  "))
}

// writeDeckRecords writes the marked deck as a report of cast vote records that
// is marked as a test.
func writeDeckRecords(ctx context.Context, w io.Writer, definition []byte, d *deck.Deck) error {
	docs, err := cdf.New()
	if err != nil {
		return err
	}
	v, err := docs.Election(deckTestFile, definition)
	if err != nil {
		return err
	}
	source, _, err := docs.ReadDocument(ctx, deckTestFile, bytes.NewReader(definition), cdf.ReadOptions{Format: cdf.BD})
	if err != nil {
		return err
	}
	ballots, err := d.Ballots(v)
	if err != nil {
		return err
	}
	slices.SortFunc(ballots, func(x, y model.Ballot) int { return cmp.Compare(x.ID, y.ID) })
	generated, err := time.Parse(time.RFC3339, v.Definition().GeneratedDate)
	if err != nil {
		return err
	}
	h := cdf.RecordsHeader{Source: source, Definition: v.Compiled(), Generated: generated, Types: []string{"other"}, OtherType: "test",
		Notes: "test deck: these are no votes", DeviceID: deck.TestDevice, Application: "sallyport"}
	return docs.WriteRecords(ctx, w, cdf.JSON, h, func(yield func(*model.Ballot) error) error {
		for i := range ballots {
			if err := yield(&ballots[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// deckIn reads the deck of a folder.
func deckIn(dir string) (*deck.Deck, error) {
	f, _, err := openPlain(filepath.Join(dir, deckFile), 0)
	if err != nil {
		return nil, control.Failf(control.CodeUsage, "%s is not the folder of a test deck: %v", verdict.Escape(dir), err)
	}
	d, err := deck.ReadDeck(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, control.Failf(codeContent, "%v", err)
	}
	return d, nil
}
