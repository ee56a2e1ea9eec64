package define

import (
	"slices"
	"strings"
)

// EditUsage says how edits are written, one a line.
func EditUsage() []string {
	return []string{
		"CLASS add ID COLUMN=VALUE…",
		"CLASS set ID COLUMN=VALUE…",
		"CLASS remove ID",
		"election set KEY=VALUE…",
		"contest order CONTEST OPTION…",
		"translation set OBJECT FIELD LANGUAGE TEXT",
		"translation remove OBJECT FIELD LANGUAGE",
		"style remove CODE",
	}
}

// ParseEdit reads an edit from the words of a command line, as [EditUsage]
// shows; CLASS is unit, party, office, header, contest, candidate or option,
// and columns and keys are those of the CSV tables. It judges the form alone:
// what the values are worth is seen when the edit is applied.
func ParseEdit(args []string) (Edit, error) {
	if len(args) < 2 {
		return nil, usage()
	}
	class, verb, rest := args[0], args[1], args[2:]
	switch {
	case class == "translation":
		return parseTranslation(verb, rest)
	case class == contestClass && verb == "order":
		return parseOrder(rest)
	case class == electionClass && verb == "set":
		fields, err := parseFields(class, rest)
		return Set{electionClass, electionClass, fields}, err
	case verb == "remove" && len(rest) == 1 && (class == styleClass || slices.Contains(editable(), class)):
		return Remove{class, rest[0]}, parseID(rest[0])
	case (verb == "set" || verb == "add") && len(rest) > 0 && slices.Contains(editable(), class):
		fields, err := parseFields(class, rest[1:])
		if err == nil {
			err = parseID(rest[0])
		}
		if verb == "add" {
			return Add{class, rest[0], fields}, err
		}
		return Set{class, rest[0], fields}, err
	}
	return nil, usage()
}

func usage() error {
	return faultf("edit", "this is no edit; those are: %s", strings.Join(EditUsage(), "; "))
}

func parseID(id string) error {
	if strings.Contains(id, "=") {
		return faultf("edit", "%q stands where an identifier belongs", id)
	}
	return checkID(id)
}

func parseFields(class string, args []string) ([]Field, error) {
	if len(args) == 0 {
		return nil, faultf("edit", "the edit sets nothing: add COLUMN=VALUE")
	}
	var out []Field
	for _, a := range args {
		name, value, ok := strings.Cut(a, "=")
		if !ok {
			return nil, faultf("edit", "%q is not of the form COLUMN=VALUE", a)
		}
		out = append(out, Field{name, value})
	}
	_, err := cells(classNamed(class), out)
	return out, err
}

func parseOrder(args []string) (Edit, error) {
	if len(args) < 2 {
		return nil, usage()
	}
	for _, id := range args {
		if err := parseID(id); err != nil {
			return nil, err
		}
	}
	return Order{args[0], args[1:]}, nil
}

func parseTranslation(verb string, args []string) (Edit, error) {
	text := ""
	switch {
	case verb == "set" && len(args) == 4 && args[3] != "":
		text = args[3]
	case verb == "remove" && len(args) == 3:
	default:
		return nil, usage()
	}
	return Translate{args[0], args[1], args[2], text}, nil
}
