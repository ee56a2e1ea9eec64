package election

import (
	"regexp"
	"strconv"
	"strings"

	"sallyport/internal/ems/model"
)

var thresholdText = regexp.MustCompile(`(?i)^\s*(more than\s+)?(?:(\d{1,9})\s*/\s*(\d{1,9})|(\d{1,3})(?:\.(\d{1,6}))?\s*(?:%|percent))`)

// threshold takes over what a question needs to pass. PassageThreshold is free
// text in the standard; what is counted with must begin with a part: "60%",
// "2/3", "more than 50 percent".
func (c *checker) threshold(m *Measure, out *model.Contest, at string) {
	text := m.PassageThreshold.String()
	if text == "" {
		return
	}
	t, ok := ParseThreshold(text)
	if !ok {
		c.bad(at+"/PassageThreshold", "passage-threshold", "the threshold must begin with a part between 0 and 1, such as 60%%, 2/3 or \"more than 1/2\"")
		return
	}
	out.Threshold = t
}

// ParseThreshold reads a part of the votes, exactly; what follows it is for people.
func ParseThreshold(text string) (model.Threshold, bool) {
	m := thresholdText.FindStringSubmatch(text)
	if m == nil {
		return model.Threshold{}, false
	}
	t := model.Threshold{More: m[1] != ""}
	var err error
	if m[2] != "" {
		t.Num, err = strconv.ParseInt(m[2], 10, 64)
		if err == nil {
			t.Den, err = strconv.ParseInt(m[3], 10, 64)
		}
	} else {
		t.Num, err = strconv.ParseInt(m[4]+m[5], 10, 64)
		if err == nil {
			t.Den, err = strconv.ParseInt("100"+strings.Repeat("0", len(m[5])), 10, 64)
		}
	}
	if err != nil || t.Den == 0 || t.Num > t.Den || t.Num == t.Den && t.More {
		return model.Threshold{}, false
	}
	return t, true
}
