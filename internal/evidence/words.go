package evidence

import (
	"strings"

	"sallyport/internal/audit"
	"sallyport/internal/verdict"
)

// The words of the page. They belong to [Version] and never change, whatever the
// words on other screens become: the page of an old file has to come out the same.
// What has no words here is called by its name.

// meaning says what a reason means, for people.
func meaning(r verdict.Reason) string {
	switch r {
	case verdict.NoManifest:
		return "the medium carries no sealed package"
	case verdict.ManifestMalformed:
		return "the manifest is not a valid Sallyport manifest"
	case verdict.SignatureInvalid:
		return "the signature does not match the manifest"
	case verdict.SignerUnknown:
		return "the manifest is signed by a key that is not enrolled"
	case verdict.SignerRevoked:
		return "the signing key was revoked"
	case verdict.SignerNotPermitted:
		return "the signing station may not send this kind of package"
	case verdict.BootStateMismatch:
		return "the sending station was not in its approved boot state"
	case verdict.WrongJurisdiction:
		return "the package belongs to another jurisdiction"
	case verdict.WrongElection:
		return "the package belongs to another election, or to another version of its definition"
	case verdict.WrongAudience:
		return "the package is addressed to another station"
	case verdict.Replayed:
		return "this package, or a later one of its stream, was accepted before"
	case verdict.SequenceGap:
		return "an earlier package of this stream is missing"
	case verdict.Fork:
		return "the sender signed two different packages in the same place of its stream"
	case verdict.Superseded:
		return "the sender has replaced this package by a later one"
	case verdict.TrustOutdated:
		return "the package was sealed under a newer trust bundle than the station had"
	case verdict.FileExtra:
		return "the medium carries a file that the manifest does not list"
	case verdict.FileAltered:
		return "a file differs from what was signed"
	case verdict.FileMissing:
		return "a file that the manifest lists is not on the medium"
	case verdict.MalwareFound:
		return "the scanner found malware"
	case verdict.ContentInvalid:
		return "the package is authentic, but its content breaks the rules of its format"
	case verdict.MediumReused:
		return "the medium was used before and may be used only once"
	}
	return troubles(r)
}

// troubles is meaning for the reasons that blame no sender.
func troubles(r verdict.Reason) string {
	switch r {
	case verdict.Unreadable:
		return "the medium could not be read"
	case verdict.Truncated:
		return "the medium ends before its file system or a file does"
	case verdict.FilesystemInconsistent:
		return "the file system contradicts itself"
	case verdict.RemovedDuringRead:
		return "the medium was pulled before it was read to the end"
	case verdict.FilesystemUnsupported:
		return "the file system is not one that the station reads"
	case verdict.OverLimit:
		return "the medium is over a limit of the station"
	case verdict.ScannerUnavailable:
		return "the malware scanner was not ready"
	case verdict.StoreFull:
		return "the station's store had no room for it"
	case verdict.TPMUnavailable:
		return "the station's TPM did not answer"
	case verdict.ClockUnusable:
		return "the station's clock was unusable"
	case verdict.SandboxUnavailable:
		return "the confined reader did not start, or stopped while reading"
	case verdict.Interrupted:
		return "the station stopped while the medium was being checked"
	case verdict.TrustMissing:
		return "the station had no trust bundle installed"
	case verdict.NotStorage:
		return "the device is not plain storage"
	case verdict.CompositeDevice:
		return "the device claims to be storage and something else"
	case verdict.PortNotAllowed:
		return "the port does not take media"
	case verdict.DeviceNotAllowed:
		return "the device is not on the station's list"
	case verdict.DeviceChanged:
		return "the device came back as another one"
	case verdict.CapacityOutOfRange:
		return "the device's capacity is outside the allowed range"
	}
	return strings.ReplaceAll(string(r), "-", " ")
}

// happened says what an entry tells, for people.
func happened(e *audit.Entry) string {
	what := ""
	switch e.Event {
	case audit.StationStart:
		return "The station started."
	case audit.DeviceAttached:
		return "The device came to its port."
	case audit.DeviceAuthorise:
		what = "the device is allowed and opened for reading"
	case audit.DeviceRelease:
		what = "the device is denied again"
	case audit.DeviceRemoved:
		return "The device has gone from its port."
	case audit.MediumInserted:
		return "The medium came in."
	case audit.MediumRead:
		what = "the medium is read in the confined reader"
	case audit.MediumVerdict:
		return "The verdict over the medium."
	case audit.PackageVerify:
		return "The manifest was checked against the trust bundle."
	case audit.PackageStage:
		what = "the package is copied into the store"
	case audit.PackageAdmit:
		what = "the package is admitted"
	case audit.PackageHold:
		what = "the package goes into quarantine"
	case audit.PackageRecovered:
		return "The station found a package that a stop had left half-way."
	case audit.EMSImport:
		what = "the package is imported into the election core"
	case audit.TrustInstall:
		what = "a trust bundle is installed"
	default:
		what = string(e.Event)
	}
	switch e.Phase {
	case audit.PhaseIntent:
		return "Begun: " + what + "."
	case audit.PhaseOutcome:
		return "Ended: " + what + "."
	}
	return what
}
