package station

import (
	"context"
	"errors"

	"sallyport/internal/audit"
	"sallyport/internal/authority"
	"sallyport/internal/control"
	"sallyport/internal/verdict"
)

// action runs do between its intent and its outcome. What do refuses with a
// finding, or with a [control.Failure], is a refusal; its other errors are
// failures. The fields that do returns belong to the outcome of a success.
func (s *Station) action(ctx context.Context, e audit.Event, do func() (result any, fields map[string]string, err error)) (any, error) {
	intent, err := s.audit.Intent(ctx, e)
	if err != nil {
		return nil, s.die(err)
	}
	result, fields, err := do()
	outcome := audit.Success
	if err != nil {
		outcome, fields = audit.Failure, map[string]string{"detail": err.Error()}
		var usage *control.Failure
		var desk *authority.Refusal
		if f, ok := verdict.Find(err); ok {
			outcome, fields = audit.Refused, map[string]string{"reason": string(f.Reason), "detail": f.Error()}
		} else if errors.As(err, &usage) {
			outcome = audit.Refused
		} else if errors.As(err, &desk) {
			outcome, err = audit.Refused, control.Failf(control.CodeUsage, "%v", desk)
		}
	}
	if lerr := intent.Outcome(context.WithoutCancel(ctx), outcome, fields); lerr != nil {
		return nil, s.die(errors.Join(lerr, err))
	}
	if err != nil {
		return nil, refused(err)
	}
	return result, s.sealLog(ctx)
}
