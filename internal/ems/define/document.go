package define

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

func sortIDs(ids []ID) { slices.Sort(ids) }

// difference returns the JSON pointer of the first place in which two documents
// differ, members in the order of their names.
func difference(a, b []byte) (string, error) {
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		return "", fmt.Errorf("cannot compare the definitions: %w", err)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		return "", fmt.Errorf("cannot compare the definitions: %w", err)
	}
	pointer, _ := differs(x, y, "")
	return pointer, nil
}

func differs(x, y any, at string) (string, bool) {
	switch x := x.(type) {
	case map[string]any:
		y, ok := y.(map[string]any)
		if !ok {
			return at, true
		}
		names := slices.Collect(maps.Keys(x))
		names = slices.AppendSeq(names, maps.Keys(y))
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			if p, bad := differs(x[name], y[name], at+"/"+escape(name)); bad {
				return p, true
			}
		}
		return "", false
	case []any:
		y, ok := y.([]any)
		if !ok {
			return at, true
		}
		for i := range min(len(x), len(y)) {
			if p, bad := differs(x[i], y[i], at+"/"+strconv.Itoa(i)); bad {
				return p, true
			}
		}
		return at, len(x) != len(y)
	}
	switch y.(type) {
	case map[string]any, []any:
		return at, true
	}
	return at, x != y
}

func escape(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
