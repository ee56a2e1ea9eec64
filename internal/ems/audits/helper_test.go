package audits_test

import (
	"testing"

	"sallyport/internal/ems/election"
	"sallyport/internal/ems/model"
)

func definition(t *testing.T, doc []byte) *model.Definition {
	t.Helper()
	d, err := election.Read(doc)
	if err != nil {
		t.Fatal(err)
	}
	v, problems := d.Check()
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return v.Compiled()
}
