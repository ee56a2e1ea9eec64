package election

import "slices"

// Text is text in one or more languages: the class InternationalizedText. The
// zero Text says nothing and is not written.
type Text struct {
	Class is[InternationalizedText] `json:"@type"`
	Label string                    `json:",omitzero"`
	Text  []LanguageString
}

// LanguageString is text in one language; Language is a tag of BCP 47.
type LanguageString struct {
	Class    is[LanguageStringClass] `json:"@type"`
	Language string
	Content  string
}

// English returns a text in English.
func English(s string) Text {
	return Text{Text: []LanguageString{{Language: "en", Content: s}}}
}

// IsZero says whether there is no text in any language.
func (t Text) IsZero() bool { return len(t.Text) == 0 && t.Label == "" }

// String returns the English text, or the first one.
func (t Text) String() string {
	for _, s := range t.Text {
		if s.Language == "en" || s.Language == "en-US" {
			return s.Content
		}
	}
	if len(t.Text) > 0 {
		return t.Text[0].Content
	}
	return ""
}

// In returns the text in a language; ok is false when there is none.
func (t Text) In(language string) (s string, ok bool) {
	i := slices.IndexFunc(t.Text, func(s LanguageString) bool { return s.Language == language })
	if i < 0 {
		return "", false
	}
	return t.Text[i].Content, true
}

// With returns t with the text of one language set.
func (t Text) With(language, s string) Text {
	t.Text = slices.Clone(t.Text)
	if i := slices.IndexFunc(t.Text, func(x LanguageString) bool { return x.Language == language }); i >= 0 {
		t.Text[i].Content = s
		return t
	}
	t.Text = append(t.Text, LanguageString{Language: language, Content: s})
	return t
}

// AnnotatedString is the class AnnotatedString.
type AnnotatedString struct {
	Class      is[AnnotatedStringClass] `json:"@type"`
	Annotation string                   `json:",omitzero"`
	Content    string
}

// AnnotatedURI is the class AnnotatedUri.
type AnnotatedURI struct {
	Class      is[AnnotatedURIClass] `json:"@type"`
	Annotation string                `json:",omitzero"`
	Content    string
}

// ContactInformation is the class ContactInformation.
type ContactInformation struct {
	Class       is[ContactInformationClass] `json:"@type"`
	Label       string                      `json:",omitzero"`
	Name        string                      `json:",omitzero"`
	AddressLine []string                    `json:",omitzero"`
	Directions  Text                        `json:",omitzero"`
	Email       []AnnotatedString           `json:",omitzero"`
	Fax         []AnnotatedString           `json:",omitzero"`
	Phone       []AnnotatedString           `json:",omitzero"`
	URI         []AnnotatedURI              `json:"Uri,omitzero"`
	LatLng      *LatLng                     `json:",omitzero"`
	Schedule    []Schedule                  `json:",omitzero"`
}

// LatLng is the class LatLng, WGS 84 degrees.
type LatLng struct {
	Class     is[LatLngClass] `json:"@type"`
	Label     string          `json:",omitzero"`
	Source    string          `json:",omitzero"`
	Latitude  Number
	Longitude Number
}

// Schedule is the class Schedule.
type Schedule struct {
	Class             is[ScheduleClass] `json:"@type"`
	Label             string            `json:",omitzero"`
	StartDate         string            `json:",omitzero"`
	EndDate           string            `json:",omitzero"`
	OnlyByAppointment bool              `json:"IsOnlyByAppointment,omitzero"`
	OrByAppointment   bool              `json:"IsOrByAppointment,omitzero"`
	SubjectToChange   bool              `json:"IsSubjectToChange,omitzero"`
	Hours             []Hours           `json:",omitzero"`
}

// Hours is the class Hours.
type Hours struct {
	Class     is[HoursClass] `json:"@type"`
	Label     string         `json:",omitzero"`
	Day       string         `json:",omitzero"`
	StartTime string
	EndTime   string
}

// ElectionAdministration is the class ElectionAdministration.
type ElectionAdministration struct {
	Class     is[ElectionAdministrationClass] `json:"@type"`
	Name      string                          `json:",omitzero"`
	Officials []ID                            `json:"ElectionOfficialPersonIds,omitzero"`
	Contact   *ContactInformation             `json:"ContactInformation,omitzero"`
}

// SpatialDimension is the class SpatialDimension.
type SpatialDimension struct {
	Class  is[SpatialDimensionClass] `json:"@type"`
	Map    []AnnotatedURI            `json:"MapUri,omitzero"`
	Extent *SpatialExtent            `json:"SpatialExtent,omitzero"`
}

// SpatialExtent is the class SpatialExtent.
type SpatialExtent struct {
	Class       is[SpatialExtentClass] `json:"@type"`
	Format      string
	Coordinates string
}
