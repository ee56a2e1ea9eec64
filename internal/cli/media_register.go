package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	register "sallyport/internal/custody" // custody is a function of this package
	"sallyport/internal/station"
	"sallyport/internal/verdict"
)

// mediaCmd is the register of media. What it does with them, people did: the
// register is told.
type mediaCmd struct {
	List     mediaListCmd     `cmd:"" help:"List the media of the register."`
	Show     mediaShowCmd     `cmd:"" help:"The whole story of one medium."`
	Register mediaRegisterCmd `cmd:"" help:"Enter a medium into the register."`
	Prepare  mediaPrepareCmd  `cmd:"" help:"Say that a medium is empty and ready to be written."`
	Seal     mediaSealCmd     `cmd:"" help:"Say that a numbered seal was put on a medium."`
	Handover mediaHandoverCmd `cmd:"" help:"Hand a medium over to somebody."`
	Receive  mediaReceiveCmd  `cmd:"" help:"Receive a medium, and take its seal off."`
	Sanitise mediaSanitiseCmd `cmd:"" help:"Say that a medium was erased."`
	Retire   mediaRetireCmd   `cmd:"" help:"Take a medium out of use, for good."`
	Import   mediaImportCmd   `cmd:"" help:"Enter a list of media (CSV), such as a list of seals."`
}

// theMedium names the medium of a command.
type theMedium struct {
	Medium string `arg:"" help:"The medium's id, an unambiguous beginning of it, or its label."`
}

type mediaListCmd struct {
	State string `help:"Only media in this state, such as in-transit." placeholder:"STATE"`
	Find  string `help:"Only media with this text in label, serial number, file-system id, seal or names." placeholder:"TEXT"`
}

func (c *mediaListCmd) Run(a *app) error {
	s, err := a.connect()
	if err != nil {
		return err
	}
	all, err := c.ask(s)
	if err = errors.Join(err, s.close()); err != nil {
		return err
	}
	return a.print(all, func(w io.Writer) {
		tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintln(tw, "ID\tLABEL\tSTATE\tSINCE\tWITH\tSEAL\tUSE")
		for _, m := range all.Media {
			state := string(m.State)
			if m.Broken {
				state += " (seal broken)"
			}
			fmt.Fprintf(tw, "%.8s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.ID, verdict.Escape(m.Label), state, m.Since,
				orDash(verdict.Escape(strings.Join(m.Holders, ", "))), orDash(verdict.Escape(m.Seal)), use(m.Direction, m.SingleUse, m.Readings))
		}
		tw.Flush()
		fmt.Fprintf(w, "%d of %s in the register\n", len(all.Media), countMedia(all.Count))
	})
}

// ask collects the answer, which comes in parts.
func (c *mediaListCmd) ask(s *session) (all station.Media, err error) {
	all.Media = []register.Summary{}
	args := station.MediaArgs{State: c.State, Find: c.Find}
	for {
		var part station.Media
		if err := s.do(station.OpMediaList, args, nil, &part); err != nil {
			return all, err
		}
		all.Count = part.Count
		all.Media = append(all.Media, part.Media...)
		if len(part.Media) < station.MaxMediaAnswer {
			return all, nil
		}
		args.After = part.Media[len(part.Media)-1].Label
	}
}

func countMedia(n int) string {
	if n == 1 {
		return "1 medium"
	}
	return fmt.Sprintf("%d media", n)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// use says what a medium is for, and whether it was used.
func use(d register.Direction, once bool, readings int64) string {
	words := string(d)
	if once {
		words += ", once"
	}
	if readings > 0 {
		words += fmt.Sprintf(", read %d×", readings)
	}
	return words
}

type mediaShowCmd struct{ theMedium }

func (c *mediaShowCmd) Run(a *app) error {
	var m register.Medium
	if err := a.do(station.OpMediaShow, station.MediumArgs{Medium: c.Medium}, nil, &m); err != nil {
		return err
	}
	return a.print(&m, func(w io.Writer) { showMedium(w, &m) })
}

// showMedium tells the story of a medium in plain words.
func showMedium(w io.Writer, m *register.Medium) {
	fmt.Fprintf(w, "medium %s %q is %s\n", m.ID, verdict.Escape(m.Label), strings.ToUpper(string(m.State)))
	holder := "by the register nobody was named yet"
	if len(m.Holders) > 0 {
		holder = "with " + names(m.Holders)
	}
	seal := "no seal is on it"
	if m.Seal != "" {
		seal = "seal " + verdict.Escape(m.Seal) + " is on it"
	}
	fmt.Fprintf(w, "  %s; %s\n", holder, seal)
	fmt.Fprintf(w, "  serial number %s, file-system id %s\n", orNoneKnown(register.JoinSerial(m.Vendor, m.Product, m.Serial)), orNoneKnown(m.FSID))
	way := "for data in either direction"
	switch m.Direction {
	case register.In:
		way = "for data that comes in; never written here"
	case register.Out:
		way = "for data that goes out; never read here"
	}
	if m.SingleUse {
		way += "; read once only"
	}
	for _, row := range [][2]string{{"use", way}, {"jurisdiction", m.Jurisdiction}, {"election", m.Election}, {"note", m.Note}} {
		if row[1] != "" {
			fmt.Fprintf(w, "  %s: %s\n", row[0], verdict.Escape(row[1]))
		}
	}
	if m.Broken {
		fmt.Fprintln(w, "  A SEAL OF IT WAS BROKEN, MISSING OR ANOTHER ONE: nothing is read from it until it is sanitised")
	}
	fmt.Fprintln(w)
	for i := range m.History {
		fmt.Fprintf(w, "  %s  %s\n", m.History[i].At, tale(&m.History[i]))
	}
	if m.Readings > 0 {
		fmt.Fprintf(w, "  read %s in all; the last time %s: %s as medium %s, audit entry %d\n", times(m.Readings), m.Last.At, m.Last.Verdict, verdict.Escape(m.Last.Medium), m.Last.Entry)
	}
	var can []string
	for _, a := range m.State.Next() {
		if a != register.Consume {
			can = append(can, "'sallyport media "+string(a)+"'")
		}
	}
	if len(can) > 0 {
		fmt.Fprintf(w, "\npossible now: %s\n", strings.Join(can, ", "))
	}
	fmt.Fprintf(w, "'sallyport log show --about %s' has every entry about it\n", m.ID)
}

func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func names(list []string) string { return verdict.Escape(strings.Join(list, " and ")) }

func orNoneKnown(s string) string {
	if s == "" {
		return "not known"
	}
	return verdict.Escape(s)
}

// tale is one step as a sentence.
func tale(s *register.Step) string {
	line := ""
	switch s.Act {
	case register.Add:
		line = "registered"
	case register.Prepare:
		line = "made ready to be written"
	case register.Seal:
		line = "sealed with " + verdict.Escape(s.Seal)
		if s.Package != "" {
			line += ", package " + s.Package + " is on it"
		}
	case register.HandOver:
		line = fmt.Sprintf("handed over by %s to %s", names(s.From), names(s.To))
	case register.Receive:
		line = fmt.Sprintf("received by %s from %s", names(s.To), names(s.From))
	case register.Consume:
		line = "read by this station"
	case register.Sanitise:
		line = "sanitised: " + verdict.Escape(s.Note)
	case register.Retire:
		line = "retired: " + verdict.Escape(s.Note)
	}
	if s.Place != "" {
		line += " at " + verdict.Escape(s.Place)
	}
	switch {
	case s.SealBroken && s.Seal == "":
		line += "; THE SEAL WAS BROKEN OR MISSING"
	case s.SealBroken:
		line += "; THE SEAL WAS NOT RIGHT: " + verdict.Escape(s.Seal)
	case s.SealDone == register.SealChecked:
		line += "; seal " + verdict.Escape(s.Seal) + " was intact"
	case s.SealDone == register.SealOff:
		line += "; seal " + verdict.Escape(s.Seal) + " was intact and taken off"
	}
	if s.FSID != "" {
		line += "; file-system id " + verdict.Escape(s.FSID)
	}
	if s.Note != "" && s.Act != register.Sanitise && s.Act != register.Retire {
		line += " (" + verdict.Escape(s.Note) + ")"
	}
	by := ""
	if s.UID != register.Station {
		by = fmt.Sprintf("by uid %d, ", s.UID)
	}
	return fmt.Sprintf("%s [%saudit entry %d]", line, by, s.Seq)
}

type mediaRegisterCmd struct {
	Label        string `required:"" help:"What is written on the medium; no two media have the same." placeholder:"TEXT"`
	Serial       string `help:"Serial number of its USB device, alone or as VENDOR:PRODUCT:SERIAL." placeholder:"SERIAL"`
	FSID         string `name:"fs-id" help:"Id of its file system, as 'sallyport inspect' shows it." placeholder:"ID"`
	SealNumber   string `help:"Number of the seal that is on it already." placeholder:"N"`
	Direction    string `required:"" enum:"in,out,both" help:"Which way data may take on it, seen from this station: in, out or both." placeholder:"WAY"`
	SingleUse    bool   `help:"It is read here once only."`
	Jurisdiction string `help:"Whose it is." placeholder:"ID"`
	Election     string `help:"For which election." placeholder:"ID"`
	Note         string `help:"Anything else, for people." placeholder:"TEXT"`
}

func (c *mediaRegisterCmd) Run(a *app) error {
	d := register.Description{Label: c.Label, FSID: c.FSID, Seal: c.SealNumber, Direction: register.Direction(c.Direction), SingleUse: c.SingleUse,
		Jurisdiction: c.Jurisdiction, Election: c.Election, Note: c.Note}
	d.Vendor, d.Product, d.Serial = register.SplitSerial(c.Serial)
	var m register.Medium
	if err := a.do(station.OpMediaRegister, d, nil, &m); err != nil {
		return err
	}
	return a.print(&m, func(w io.Writer) { showMedium(w, &m) })
}

// change tells the register what was done with a medium, and shows it.
func (t *theMedium) change(a *app, c register.Change) error {
	var m register.Medium
	if err := a.do(station.OpMediaChange, station.MediaChangeArgs{MediumArgs: station.MediumArgs{Medium: t.Medium}, Change: c}, nil, &m); err != nil {
		return err
	}
	return a.print(&m, func(w io.Writer) { showMedium(w, &m) })
}

type mediaPrepareCmd struct {
	theMedium
	FSID string `name:"fs-id" help:"Id of its new file system." placeholder:"ID"`
	Note string `help:"Anything else, for people." placeholder:"TEXT"`
}

func (c *mediaPrepareCmd) Run(a *app) error {
	return c.change(a, register.Change{Act: register.Prepare, FSID: c.FSID, Note: c.Note})
}

type mediaSealCmd struct {
	theMedium
	SealNumber string `required:"" help:"Number of the seal; a number is used once." placeholder:"N"`
	Package    string `help:"Id of the package that this station sealed onto it." placeholder:"ID"`
	FSID       string `name:"fs-id" help:"Id of its new file system." placeholder:"ID"`
	Note       string `help:"Anything else, for people." placeholder:"TEXT"`
}

func (c *mediaSealCmd) Run(a *app) error {
	return c.change(a, register.Change{Act: register.Seal, Seal: c.SealNumber, Package: c.Package, FSID: c.FSID, Note: c.Note})
}

// handover is what hand-over and receipt have in common.
type handover struct {
	From       []string `sep:"none" help:"Who has it, once for each person; not needed when the register knows." placeholder:"NAME"`
	To         []string `sep:"none" required:"" help:"Who takes it, once for each person." placeholder:"NAME"`
	SealNumber string   `help:"Number of the seal that you see on it, intact." placeholder:"N"`
	SealBroken bool     `help:"The seal is broken, missing or another one (--seal-number says which)."`
	Place      string   `help:"Where." placeholder:"TEXT"`
	Note       string   `help:"Anything else, for people." placeholder:"TEXT"`
}

func (h *handover) change(act register.Act) register.Change {
	return register.Change{Act: act, From: h.From, To: h.To, Seal: h.SealNumber, SealBroken: h.SealBroken, Place: h.Place, Note: h.Note}
}

type mediaHandoverCmd struct {
	theMedium
	handover
}

func (c *mediaHandoverCmd) Run(a *app) error {
	return c.theMedium.change(a, c.handover.change(register.HandOver))
}

type mediaReceiveCmd struct {
	theMedium
	handover
	FSID string `name:"fs-id" help:"Id of the file system that the sender says is on it." placeholder:"ID"`
}

func (c *mediaReceiveCmd) Run(a *app) error {
	change := c.handover.change(register.Receive)
	change.FSID = c.FSID
	return c.theMedium.change(a, change)
}

type mediaSanitiseCmd struct {
	theMedium
	Method string `required:"" help:"How it was erased." placeholder:"TEXT"`
	FSID   string `name:"fs-id" help:"Id of its new file system." placeholder:"ID"`
}

func (c *mediaSanitiseCmd) Run(a *app) error {
	return c.change(a, register.Change{Act: register.Sanitise, Note: c.Method, FSID: c.FSID})
}

type mediaRetireCmd struct {
	theMedium
	Why string `required:"" help:"Why, such as: destroyed, lost." placeholder:"TEXT"`
}

func (c *mediaRetireCmd) Run(a *app) error {
	return c.change(a, register.Change{Act: register.Retire, Note: c.Why})
}

type mediaImportCmd struct {
	List string `arg:"" help:"The list, a CSV file." placeholder:"FILE"`
}

func (c *mediaImportCmd) Run(a *app) error {
	list, err := readDocument("list of media", c.List)
	if err != nil {
		return err
	}
	// Here already, for a mistake needs no station.
	if _, err := register.ParseList(list); err != nil {
		var no *register.Refusal
		if errors.As(err, &no) {
			return usage("%s: %v; nothing was entered", verdict.Escape(c.List), no)
		}
		return err
	}
	var done station.MediaImported
	if err := a.do(station.OpMediaImport, station.MediaImportArgs{List: list}, nil, &done); err != nil {
		return err
	}
	return a.print(done, func(w io.Writer) { fmt.Fprintf(w, "entered %s\n", countMedia(done.Count)) })
}

const mediaExits = `Exit status: 0 done, 1 failed, 2 usage (also: not possible now), 5 the station is not ready.`

// Help implements kong.HelpProvider.
func (mediaListCmd) Help() string {
	return `    sallyport media list
    sallyport media list --state in-transit
    sallyport media list --find 004711

` + mediaExits
}

// Help implements kong.HelpProvider.
func (mediaShowCmd) Help() string {
	return `Tells who had the medium when, under which seal, what was done with it and what can be done now.

    sallyport media show 3fa2
    sallyport media show P-12

Exit status: 0 done, 1 failed, 2 usage or no such medium, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (mediaRegisterCmd) Help() string {
	return `A medium needs a label, and a serial number, a file-system id or both. What a device says of itself proves nothing: when the register has both, an inserted medium has to show both. With media.register in the configuration the intake goes by the register: a medium that contradicts it is held.

    sallyport media register --label P-12 --direction in --serial 0781:5581:4C531001
    sallyport media register --label P-13 --direction both --fs-id 1A2B-3C4D --single-use

` + mediaExits
}

// Help implements kong.HelpProvider.
func (mediaPrepareCmd) Help() string {
	return `A medium that is new, received empty or sanitised is ready to be written. Without --fs-id the register forgets the id of its file system: whoever writes it makes a new one.

    sallyport media prepare P-12
    sallyport media prepare P-12 --fs-id 1A2B-3C4D

` + mediaExits
}

// Help implements kong.HelpProvider.
func (mediaSealCmd) Help() string {
	return `Put a numbered seal on the medium, then tell the register. A number is used once. A package has to be one that this station has sealed ('sallyport seal'), and the medium one on which data may go out.

    sallyport media seal P-12 --seal-number 004711
    sallyport media seal P-12 --seal-number 004711 \
        --package 0827f516cd13c56f86ac17871f513aec

` + mediaExits
}

// Help implements kong.HelpProvider.
func (mediaHandoverCmd) Help() string {
	return `Look at the seal, if there is one, and give its number. When it is broken, missing or another one say so: from then on nothing is read from the medium until it is sanitised. Where the configuration wants two custodians, name two people.

    sallyport media handover P-12 --from "county clerk" --to "courier" \
        --seal-number 004711 --place "Town hall"
    sallyport media handover P-12 --to "Eve Fox" --to "Guy Hill" --seal-number 004711
    sallyport media handover P-12 --to "Eve Fox" --seal-broken

` + mediaExits
}

// Help implements kong.HelpProvider.
func (mediaReceiveCmd) Help() string {
	return `Look at the seal, if there is one, give its number, and take it off. Where the configuration says so, a medium is read only after it was received.

    sallyport media receive P-12 --to "Ida Jones" --seal-number 004711
    sallyport media receive P-12 --to "Ida Jones" --seal-broken --seal-number 004712

` + mediaExits
}

// Help implements kong.HelpProvider.
func (mediaSanitiseCmd) Help() string {
	return `Erase the medium, then tell the register how.

    sallyport media sanitise P-12 --method "overwritten, blkdiscard"

` + mediaExits
}

// Help implements kong.HelpProvider.
func (mediaRetireCmd) Help() string {
	return `The register keeps the medium and its story; it is never read again.

    sallyport media retire P-12 --why "destroyed, protocol 17"
    sallyport media retire P-12 --why "lost on the way"

` + mediaExits
}

// Help implements kong.HelpProvider.
func (mediaImportCmd) Help() string {
	return `Enters all media of a list, or none. The list is CSV (RFC 4180) in UTF-8 with these columns, of which label and direction, and serial or fs_id, must not be empty. A medium with a seal comes into the register as sealed, to be received. Cells are text and never formulas.

    label,serial,fs_id,seal,direction,single_use,note
    P-12,0781:5581:4C531001,1A2B-3C4D,004711,in,yes,from precinct 12

    sallyport media import seals.csv

` + mediaExits
}
