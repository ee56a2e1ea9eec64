package election

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// is is the member "@type" of a class: it takes no memory, is written by
// itself, and refuses to be read as another class.
type is[C class] struct{}

type class interface{ class() string }

const prefix = "BallotDefinition."

// MarshalText writes the class.
func (is[C]) MarshalText() ([]byte, error) {
	var c C
	return []byte(prefix + c.class()), nil
}

// UnmarshalText compares the class.
func (is[C]) UnmarshalText(text []byte) error {
	var c C
	if string(text) != prefix+c.class() {
		return fmt.Errorf("the class is %q, not %q", text, prefix+c.class())
	}
	return nil
}

// The classes, for the members "@type".
type (
	BallotDefinition            struct{}
	ElectionClass               struct{}
	ReportingUnit               struct{}
	PartyRegistrationClass      struct{}
	PersonClass                 struct{}
	OfficeClass                 struct{}
	TermClass                   struct{}
	OfficeGroupClass            struct{}
	CandidateClass              struct{}
	HeaderClass                 struct{}
	ExternalIdentifier          struct{}
	InternationalizedText       struct{}
	LanguageStringClass         struct{}
	AnnotatedStringClass        struct{}
	AnnotatedURIClass           struct{}
	ContactInformationClass     struct{}
	LatLngClass                 struct{}
	ScheduleClass               struct{}
	HoursClass                  struct{}
	ElectionAdministrationClass struct{}
	SpatialDimensionClass       struct{}
	SpatialExtentClass          struct{}
	BallotStyleClass            struct{}
	BallotFormatClass           struct{}
	ShapeClass                  struct{}
)

func (BallotDefinition) class() string            { return "BallotDefinition" }
func (ElectionClass) class() string               { return "Election" }
func (ReportingUnit) class() string               { return "ReportingUnit" }
func (PartyRegistrationClass) class() string      { return "PartyRegistration" }
func (PersonClass) class() string                 { return "Person" }
func (OfficeClass) class() string                 { return "Office" }
func (TermClass) class() string                   { return "Term" }
func (OfficeGroupClass) class() string            { return "OfficeGroup" }
func (CandidateClass) class() string              { return "Candidate" }
func (HeaderClass) class() string                 { return "Header" }
func (ExternalIdentifier) class() string          { return "ExternalIdentifier" }
func (InternationalizedText) class() string       { return "InternationalizedText" }
func (LanguageStringClass) class() string         { return "LanguageString" }
func (AnnotatedStringClass) class() string        { return "AnnotatedString" }
func (AnnotatedURIClass) class() string           { return "AnnotatedUri" }
func (ContactInformationClass) class() string     { return "ContactInformation" }
func (LatLngClass) class() string                 { return "LatLng" }
func (ScheduleClass) class() string               { return "Schedule" }
func (HoursClass) class() string                  { return "Hours" }
func (ElectionAdministrationClass) class() string { return "ElectionAdministration" }
func (SpatialDimensionClass) class() string       { return "SpatialDimension" }
func (SpatialExtentClass) class() string          { return "SpatialExtent" }
func (BallotStyleClass) class() string            { return "BallotStyle" }
func (BallotFormatClass) class() string           { return "BallotFormat" }
func (ShapeClass) class() string                  { return "Shape" }

// partyClass is "@type" of a [Party]: Party or Coalition.
type partyClass struct{ Coalition bool }

// MarshalText writes the class.
func (c partyClass) MarshalText() ([]byte, error) {
	if c.Coalition {
		return []byte(prefix + "Coalition"), nil
	}
	return []byte(prefix + "Party"), nil
}

// UnmarshalText reads the class.
func (c *partyClass) UnmarshalText(text []byte) error {
	switch string(text) {
	case prefix + "Party":
		c.Coalition = false
	case prefix + "Coalition":
		c.Coalition = true
	default:
		return fmt.Errorf("the class %q is not a party", text)
	}
	return nil
}

// Number is a decimal number as the document writes it: lengths on a ballot
// are kept and not calculated with.
type Number string

// MarshalJSONTo writes the number.
func (n Number) MarshalJSONTo(e *jsontext.Encoder) error { return e.WriteValue(jsontext.Value(n)) }

// UnmarshalJSONFrom reads the number.
func (n *Number) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	v, err := d.ReadValue()
	if err != nil {
		return err
	}
	if v.Kind() != '0' {
		return fmt.Errorf("%s is not a number", v.Kind())
	}
	*n = Number(v)
	return nil
}

// Kept is an object that is kept as it stands and not interpreted.
type Kept string

// MarshalJSONTo writes the object.
func (k Kept) MarshalJSONTo(e *jsontext.Encoder) error { return e.WriteValue(jsontext.Value(k)) }

// UnmarshalJSONFrom reads the object.
func (k *Kept) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	v, err := d.ReadValue()
	if err != nil {
		return err
	}
	v = v.Clone()
	if err := v.Compact(); err != nil {
		return err
	}
	*k = Kept(v)
	return nil
}
