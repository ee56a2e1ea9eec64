package limit_test

import (
	"errors"
	"math"
	"testing"

	"sallyport/internal/limit"
)

func TestBudgetNeverGivesMoreThanItHas(t *testing.T) {
	b := limit.NewBudget("entries", 10)
	for _, step := range []struct {
		n    int64
		ok   bool
		left int64
	}{{4, true, 6}, {7, false, 6}, {-1, false, 6}, {math.MaxInt64, false, 6}, {math.MinInt64, false, 6}, {6, true, 0}, {0, true, 0}, {1, false, 0}} {
		err := b.Take(step.n)
		if (err == nil) != step.ok || b.Left() != step.left {
			t.Errorf("Take(%d) = %v, left %d; want ok=%v, left %d", step.n, err, b.Left(), step.ok, step.left)
		}
		var ex *limit.Exceeded
		if err != nil && (!errors.As(err, &ex) || ex.What != "entries" || ex.Limit != 10) {
			t.Errorf("Take(%d): error %v does not name its limit", step.n, err)
		}
	}
	if limit.Check("bytes", -5, 10) == nil || limit.Check("bytes", 11, 10) == nil || limit.Check("bytes", 10, 10) != nil {
		t.Error("Check is wrong at an edge")
	}
}
