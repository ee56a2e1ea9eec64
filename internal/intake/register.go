package intake

import (
	"context"
	"maps"
	"slices"

	"sallyport/internal/verdict"
)

// Register is the register of the station's media. Its errors mean that it, or
// the log, cannot be relied on any more.
type Register interface {
	// Look is asked once the volumes of a medium are known, and before a package
	// of it is admitted. It returns the medium's id in the register, "" when it is
	// not to be found there, and what speaks against taking anything from it.
	Look(ctx context.Context, m Facts) (id string, against []verdict.Finding, err error)
	// Used is told the verdict over a medium that Look knew and had nothing
	// against: with the reasons for it and its entry in the audit log.
	Used(ctx context.Context, m Facts, v verdict.Verdict, reasons []verdict.Reason, entry int64) error
}

// look asks the register about the medium; what it has against it holds all of it.
func (r *run) look(ctx context.Context) error {
	if r.cfg.Register == nil {
		return nil
	}
	id, against, err := r.cfg.Register.Look(context.WithoutCancel(ctx), r.report.Medium)
	if err != nil {
		return err
	}
	r.report.Medium.Registered, r.looked = id, id != "" && len(against) == 0
	r.layout.findings.add(against...)
	return nil
}

// used tells the register how the reading ended.
func (r *run) used(ctx context.Context) error {
	if !r.looked {
		return nil
	}
	return r.cfg.Register.Used(context.WithoutCancel(ctx), r.report.Medium, r.report.Verdict, slices.Sorted(maps.Keys(r.report.reasons())), r.report.Entry)
}
