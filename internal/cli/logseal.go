package cli

import (
	"errors"
	"os"
	"path/filepath"

	"sallyport/internal/logexport"
	"sallyport/internal/manifest"
)

type logSealCmd struct {
	Format   string `enum:"cdf-json,cdf-xml,jsonl,csv" default:"cdf-json" help:"cdf-json or cdf-xml (NIST SP 1500-101, with the meaning of the events), jsonl or csv." placeholder:"FORMAT"`
	Audience string `default:"*" help:"Station that the package is for, or * for every station of the jurisdiction." placeholder:"STATION"`
	logFilter
	destination
}

// Help implements kong.HelpProvider.
func (logSealCmd) Help() string {
	return `Exports the log, or a part of it, and seals the export as a package of the kind log-export: whoever gets it knows which station gave it out, and that nothing of it was changed. The station must be enrolled for that kind.

    sallyport log seal --device /dev/sdb --erase
    sallyport log seal --image log.img --since 2026-11-03T00:00:00Z
    sallyport log seal --image held.img --format csv --event package --outcome held

Exit status: 0 sealed, 1 failed, the log is damaged or sealing it is not permitted, 2 usage, 5 not ready.`
}

// Run exports into a folder that is gone when the command ends. A damaged log is
// not sealed: 'log export' writes what can be read, and says what cannot.
func (c *logSealCmd) Run(a *app) (err error) {
	dir, err := os.MkdirTemp("", "sallyport-log-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ending := map[logexport.Format]string{logexport.CDFJSON: ".json", logexport.CDFXML: ".xml", logexport.JSONLines: ".jsonl", logexport.CSV: ".csv"}[logexport.Format(c.Format)]
	export := &logExportCmd{Format: c.Format, Out: filepath.Join(dir, "log"+ending), logFilter: c.logFilter}
	files := []string{export.Out}
	if c.Format == string(logexport.CDFJSON) || c.Format == string(logexport.CDFXML) {
		export.Documentation = filepath.Join(dir, "events"+ending)
		files = append(files, export.Documentation)
	}
	filter, err := export.filter()
	if err != nil {
		return err
	}
	log, err := export.open(a)
	if err != nil {
		return err
	}
	res, err := export.export(a, log, filter)
	if err = errors.Join(err, log.close()); err != nil {
		return err
	}
	export.record(a, res)
	if res.Damaged > 0 {
		return usage("the log is damaged in %s, so it is not sealed: 'sallyport log export' writes what can be read", count(int(res.Damaged), "place"))
	}
	seal := &sealCmd{Kind: string(manifest.LogExport), Audience: c.Audience, destination: c.destination, Files: files}
	return seal.Run(a)
}
