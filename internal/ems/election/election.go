// Package election is the definition of an election as people work on it: the
// classes of NIST SP 1500-20 (which holds those of SP 1500-100 that define
// anything) as Go types, contests and options as sum types. [Definition] is
// plain data and can be anything; [Definition.Check] makes the only value that
// the rest of the core takes, a [Valid] one, or says what is wrong and where.
// The package reads and writes the JSON form of a document whose shape was
// checked (package cdf does that); it knows no other format, counts nothing and
// stores nothing.
//
// Objects refer to each other by identifiers that mean nothing in themselves;
// lists keep the order they were given in, which is the order of ballots and
// reports.
package election

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ID is an object identifier ("@id"): any text that is not empty, unique in
// the document.
type ID = string

// Definition is one ballot definition: the class BallotDefinition.
type Definition struct {
	Class               is[BallotDefinition] `json:"@type"`
	Version             string               // always "1.0.0"
	GeneratedDate       string               // RFC 3339, with zone
	Issuer              string
	IssuerAbbreviation  string
	VendorApplicationID string `json:"VendorApplicationId"`
	SequenceStart       int64
	SequenceEnd         int64
	IsTest              bool   `json:",omitzero"`
	TestType            string `json:",omitzero"`
	Notes               string `json:",omitzero"`
	// Elections holds one election: definitions of several are refused.
	Elections   []Election     `json:"Election,omitzero"`
	Units       []Unit         `json:"GpUnit,omitzero"`
	Parties     []Party        `json:"Party,omitzero"`
	Persons     []Person       `json:"Person,omitzero"`
	Offices     []Office       `json:"Office,omitzero"`
	Groups      []OfficeGroup  `json:"OfficeGroup,omitzero"`
	Headers     []Header       `json:"Header,omitzero"`
	Formats     []BallotFormat `json:"BallotFormat,omitzero"`
	Shapes      []Shape        `json:"Shape,omitzero"`
	ExternalIDs []ExternalID   `json:"ExternalIdentifier,omitzero"`
}

// Election is the class Election.
type Election struct {
	Class       is[ElectionClass] `json:"@type"`
	Name        Text
	Type        ElectionType
	OtherType   string              `json:",omitzero"`
	StartDate   string              // YYYY-MM-DD
	EndDate     string              // YYYY-MM-DD
	ScopeID     ID                  `json:"ElectionScopeId"`
	Contact     *ContactInformation `json:"ContactInformation,omitzero"`
	Candidates  []Candidate         `json:"Candidate,omitzero"`
	Contests    Contests            `json:"Contest,omitzero"`
	Styles      []Style             `json:"BallotStyle,omitzero"`
	ExternalIDs []ExternalID        `json:"ExternalIdentifier,omitzero"`
}

// Unit is a geopolitical unit in which votes are cast or reported: the class
// ReportingUnit. Units make a graph with one root: a precinct may belong to
// several districts.
type Unit struct {
	Class            is[ReportingUnit] `json:"@type"`
	ID               ID                `json:"@id"`
	Type             UnitType
	OtherType        string                  `json:",omitzero"`
	Name             Text                    `json:",omitzero"`
	Number           string                  `json:",omitzero"`
	Composing        []ID                    `json:"ComposingGpUnitIds,omitzero"`
	Districted       bool                    `json:"IsDistricted,omitzero"`
	MailOnly         bool                    `json:"IsMailOnly,omitzero"`
	VotersRegistered *int64                  `json:",omitzero"`
	TotalSubUnits    *int64                  `json:",omitzero"`
	Registration     []PartyRegistration     `json:"PartyRegistration,omitzero"`
	AuthorityIDs     []ID                    `json:"AuthorityIds,omitzero"`
	Contact          *ContactInformation     `json:"ContactInformation,omitzero"`
	Administration   *ElectionAdministration `json:"ElectionAdministration,omitzero"`
	Spatial          *SpatialDimension       `json:"SpatialDimension,omitzero"`
	ExternalIDs      []ExternalID            `json:"ExternalIdentifier,omitzero"`
}

// PartyRegistration counts the registered voters of one party in a unit.
type PartyRegistration struct {
	Class   is[PartyRegistrationClass] `json:"@type"`
	PartyID ID                         `json:"PartyId"`
	Count   int64
}

// Party is a political party, or a coalition of parties when Coalition is set.
type Party struct {
	Class        partyClass `json:"@type"`
	ID           ID         `json:"@id"`
	Name         Text
	Abbreviation Text                `json:",omitzero"`
	Color        string              `json:",omitzero"`
	Slogan       Text                `json:",omitzero"`
	Recognized   bool                `json:"IsRecognizedParty,omitzero"`
	Leaders      []ID                `json:"LeaderPersonIds,omitzero"`
	Logo         []AnnotatedURI      `json:"LogoUri,omitzero"`
	Scope        []ID                `json:"PartyScopeGpUnitIds,omitzero"`
	Members      []ID                `json:"PartyIds,omitzero"`   // coalitions only
	Contests     []ID                `json:"ContestIds,omitzero"` // coalitions only
	Contact      *ContactInformation `json:"ContactInformation,omitzero"`
	ExternalIDs  []ExternalID        `json:"ExternalIdentifier,omitzero"`
}

// Person is the class Person: somebody who stands, holds office or runs the
// election; never a voter.
type Person struct {
	Class       is[PersonClass]      `json:"@type"`
	ID          ID                   `json:"@id"`
	FullName    Text                 `json:",omitzero"`
	FirstName   string               `json:",omitzero"`
	MiddleName  []string             `json:",omitzero"`
	LastName    string               `json:",omitzero"`
	Nickname    string               `json:",omitzero"`
	Prefix      string               `json:",omitzero"`
	Suffix      string               `json:",omitzero"`
	Title       Text                 `json:",omitzero"`
	Profession  Text                 `json:",omitzero"`
	Gender      string               `json:",omitzero"`
	DateOfBirth string               `json:",omitzero"` // YYYY-MM-DD
	PartyID     ID                   `json:"PartyId,omitzero"`
	Contact     []ContactInformation `json:"ContactInformation,omitzero"`
	ExternalIDs []ExternalID         `json:"ExternalIdentifier,omitzero"`
}

// Office is what a contest is about to fill.
type Office struct {
	Class          is[OfficeClass] `json:"@type"`
	ID             ID              `json:"@id"`
	Name           Text
	Description    Text                `json:",omitzero"`
	DistrictID     ID                  `json:"ElectionDistrictId,omitzero"`
	Partisan       bool                `json:"IsPartisan,omitzero"`
	FilingDeadline string              `json:",omitzero"` // YYYY-MM-DD
	Holders        []ID                `json:"OfficeHolderPersonIds,omitzero"`
	Term           *Term               `json:",omitzero"`
	Contact        *ContactInformation `json:"ContactInformation,omitzero"`
	ExternalIDs    []ExternalID        `json:"ExternalIdentifier,omitzero"`
}

// Term is the term of an office.
type Term struct {
	Class     is[TermClass] `json:"@type"`
	Type      string        `json:",omitzero"` // full-term or unexpired-term
	StartDate string        `json:",omitzero"`
	EndDate   string        `json:",omitzero"`
	Label     string        `json:",omitzero"`
}

// OfficeGroup groups offices for display.
type OfficeGroup struct {
	Class   is[OfficeGroupClass] `json:"@type"`
	Name    string
	Label   string        `json:",omitzero"`
	Offices []ID          `json:"OfficeIds,omitzero"`
	Groups  []OfficeGroup `json:"SubOfficeGroup,omitzero"`
}

// Candidate is somebody who stands in this election.
type Candidate struct {
	Class             is[CandidateClass] `json:"@type"`
	ID                ID                 `json:"@id"`
	BallotName        Text
	ReadName          string              `json:",omitzero"` // how to say it
	PartyID           ID                  `json:"PartyId,omitzero"`
	PersonID          ID                  `json:"PersonId,omitzero"`
	Incumbent         bool                `json:"IsIncumbent,omitzero"`
	TopTicket         bool                `json:"IsTopTicket,omitzero"`
	FileDate          string              `json:",omitzero"` // YYYY-MM-DD
	PreElectionStatus string              `json:",omitzero"` // filed, qualified or withdrawn
	CampaignSlogan    Text                `json:",omitzero"`
	Contact           *ContactInformation `json:"ContactInformation,omitzero"`
	ExternalIDs       []ExternalID        `json:"ExternalIdentifier,omitzero"`
}

// Header is a heading on ballots.
type Header struct {
	Class       is[HeaderClass] `json:"@type"`
	ID          ID              `json:"@id"`
	Name        Text
	Content     Text         `json:"HeaderedContent,omitzero"`
	ExternalIDs []ExternalID `json:"ExternalIdentifier,omitzero"`
}

// ExternalID is an identifier that somebody else gave (ExternalIdentifier).
// Type is fips, local-level, national-level, ocd-id, state-level or other.
type ExternalID struct {
	Class     is[ExternalIdentifier] `json:"@type"`
	Type      string
	OtherType string `json:",omitzero"`
	Value     string
	Label     string `json:",omitzero"`
}

// Read decodes a document whose shape package cdf has checked against the
// standard's schema. An error says what stands where it must not.
func Read(data []byte) (*Definition, error) {
	var d Definition
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, err
	}
	return &d, nil
}

// JSON encodes the document, indented, in the order of the types' fields: the
// same definition gives the same bytes.
func (d *Definition) JSON() ([]byte, error) {
	data, err := json.Marshal(d, jsontext.WithIndent("  "), json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	return append(data, '\n'), nil
}

// Clone returns a deep copy.
func (d *Definition) Clone() (*Definition, error) {
	data, err := d.JSON()
	if err != nil {
		return nil, err
	}
	return Read(data)
}
