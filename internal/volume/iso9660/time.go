package iso9660

import "time"

// timeCache turns times into text; files of one medium share many.
type timeCache [64]struct {
	key  uint64
	text string
}

// text renders a time of 7 bytes (ECMA-119 section 9.1.5) or 17 (section
// 8.4.26.1) as its writer's clock showed it, RFC 3339 without a zone, or "" when
// it is none.
func (c *timeCache) text(p []byte) string {
	var f [6]int // year to second
	if len(p) == 17 {
		if !digits(p[:16]) {
			return ""
		}
		f[0] = int(p[0]-'0')*1000 + int(p[1]-'0')*100 + int(p[2]-'0')*10 + int(p[3]-'0')
		for i := range 5 {
			f[i+1] = int(p[4+2*i]-'0')*10 + int(p[5+2*i]-'0')
		}
	} else {
		for i := range f {
			f[i] = int(p[i])
		}
		f[0] += 1900
	}
	key := uint64(f[0])
	for _, n := range f[1:] {
		key = key<<8 | uint64(n)
	}
	slot := &c[key*0x9E3779B97F4A7C15>>58]
	if slot.text != "" && slot.key == key {
		return slot.text
	}
	t := time.Date(f[0], time.Month(f[1]), f[2], f[3], f[4], f[5], 0, time.UTC)
	if t.Month() != time.Month(f[1]) || t.Day() != f[2] || t.Hour() != f[3] || t.Minute() != f[4] || t.Second() != f[5] || f[0] == 0 {
		return ""
	}
	slot.key, slot.text = key, t.Format("2006-01-02T15:04:05")
	return slot.text
}
