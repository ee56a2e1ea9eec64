package cli

// The long help of each command: what happens, an example, its exit statuses.
// Package go/doc lays the texts out; indented lines stay as they are.

// Help implements kong.HelpProvider.
func (initCmd) Help() string {
	return `Makes the station's keys in the TPM, its state folder and the first entries of its audit log. It never touches a station that exists; one that was cut off by a power failure is undone by the next 'init'.

An authority makes its own root document. Every other station needs that document, and people should compare its fingerprint:

    sallyport init                       (at the authority)
    sallyport trust root --out root.json (at the authority)
    sallyport init --root root.json      (at every other station)

Exit status: 0 done, 1 failed, 2 usage, 5 the TPM does not answer.`
}

// Help implements kong.HelpProvider.
func (statusCmd) Help() string {
	return `Shows the station, its TPM, trust bundle, audit log and store, and names everything because of which media would not be taken now.

    sallyport status
    sallyport --json status

Exit status: 0 ready to take media, 5 not ready (the text says why), 1 failed, 2 usage.`
}

// Help implements kong.HelpProvider.
func (watchCmd) Help() string {
	return `Shows every USB port of the station as it is: which device is there, what happens with it, how far it is read, the verdict with its reasons and what to do, and SAFE TO REMOVE once the device is denied again. On a terminal the view stays and changes; otherwise each change is one line. It needs a running sallyportd; Ctrl-C leaves it and changes nothing.

    sallyport watch
    sallyport watch --once
    sallyport --json watch      (a JSON document on a line, at each change and every five seconds)

Exit status: 0 shown, 5 no daemon answers, or with --once media cannot be taken now, 2 usage, 1 failed.`
}

// Help implements kong.HelpProvider.
func (intakeCmd) Help() string {
	return `Reads the medium once through the confined reader, verifies every sealed package on it, and admits each or holds it in quarantine with the reasons. Nothing on the medium is changed.

    sallyport intake /dev/sdb
    sallyport intake stick.img
    sallyport --json intake stick.img

A block device must not be mounted. Ctrl-C ends this command and never the daemon: the medium gets its verdict all the same ('sallyport log show --event medium'). Without a daemon Ctrl-C ends the reading in order, and the medium is held as interrupted.

Exit status: 0 accepted, 3 held (see 'sallyport quarantine list'), 4 refused by device policy, 5 could not be checked (insert it again when the cause is mended), 1 failed, 2 usage.`
}

// Help implements kong.HelpProvider.
func (inspectCmd) Help() string {
	return `Lists partitions, volumes and files of any medium and names what is wrong with them. It needs no station, no daemon, no TPM and no trust, keeps nothing and writes no audit log. The medium is read only by the confined reader. Names are shown with control characters escaped.

    sallyport inspect stick.img
    sallyport inspect --hash /dev/sdb
    sallyport --json inspect --hash stick.img

Exit status: 0 nothing is wrong, 3 damaged (an intake would hold it), 5 could not be checked (such as a file system that is not read here), 1 failed, 2 usage.`
}

// Help implements kong.HelpProvider.
func (sealAgainCmd) Help() string {
	return `Nothing is signed: the station keeps the envelope of every package that it sealed and gives it out again. Receivers take the packages of a stream in their order, so one that was lost (a full medium, a pulled stick) would stop all that follow it. With --out only the manifest is written: the files must lie there already, and be those that were sealed, or the receiver holds the package. With --image or --device name the files as they were named to 'seal'; they are copied, and have to be those that were signed.

    sallyport seal-again 0827f516cd13c56f86ac17871f513aec --out /mnt
    sallyport seal-again 0827f516cd13c56f86ac17871f513aec --device /dev/sdb --erase notices/

Exit status: 0 done, 1 failed, 2 usage or not a package of this station, 5 could not be checked.`
}

// Help implements kong.HelpProvider.
func (sealCmd) Help() string {
	return `The files are read once: what is hashed is what is written. It is made durable and read back from the medium, and has to be the same. Then the station's TPM signs the list, which comes from the files of this machine and never from what was read back, and only then the manifest is written: a package without one is never accepted. When anything goes wrong before the signature, nothing of the package stays behind; after it, 'sallyport seal-again' writes the very package once more. To seal the same files again makes a new package with a sequence of its own, and says so.

    sallyport seal --kind election-definition --audience ems-1 \
        --election county-2026 --out /mnt definition.json
    sallyport seal --kind cvr-export --audience ems-1 --election county-2026 \
        --definition definition.json --image cvr.img cvr-1.json cvr-2.json
    sallyport seal --kind media-set --audience '*' --device /dev/sdb notices/
    sallyport seal --kind media-set --audience '*' --dry-run notices/    (signs and writes nothing)

--out writes to DIR/SALLYPORT/<package id>, on whatever file system is there. --image makes a new file and --device takes a whole disk: either gets a partition table and one FAT32, whose boot sector is written last, so that a medium that was cut off shows no package; at the end all of it is read back once more. Files of 4 GiB and more need a medium with exFAT, mounted, and --out.

--device destroys everything on the disk. Without --erase it shows which disk that is and ends. It must not be mounted, and neither may one of its partitions; when the writing fails, it is left without a file system.

A folder's files keep their paths below it. Names have letters, digits and . _ - only, at most 64 characters, six folders deep; links, pipes and devices are refused. The station's own trust bundle is asked first, so that a package which every receiver would hold is not sealed at all.

Exit status: 0 sealed, 1 failed (also: this station may not seal such a package), 2 usage, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (quarantineListCmd) Help() string {
	return `    sallyport quarantine list
    sallyport quarantine show ITEM

Exit status: 0 done, 1 failed, 2 usage, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (quarantineShowCmd) Help() string {
	return `Shows the medium, what its manifest says as far as it was verified, every reason with its place, and the stored files. Held bytes are kept as they came.

    sallyport quarantine show 7c2e
    sallyport quarantine show --verify 7c2e2bfb0936-1

Exit status: 0 done, 1 failed (also: --verify found stored bytes altered), 2 usage or no such item, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (logShowCmd) Help() string {
	return `The audit log holds what happened to media, packages, trust and the station itself; never votes and never the content of files. To check that it is intact use 'sallyport-verify log'.

    sallyport log show --event medium.verdict
    sallyport log show --event package --outcome held
    sallyport log show --about 7c2e2bfb0936
    sallyport log show --since 2026-11-03T18:00:00Z

Exit status: 0 done, 1 failed, 2 usage, 5 the log is damaged or the station is not ready.`
}

// Help implements kong.HelpProvider.
func (tallyCmd) Help() string {
	return `Counts every ballot anew and checks the count against the conservation identity: in each contest votes, overvotes and undervotes add up to the ballots.

    sallyport ems tally
    sallyport --json ems tally county-2026

Exit status: 0 done, 1 failed, 2 usage or no such election, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (electionsCmd) Help() string {
	return `    sallyport ems elections

Exit status: 0 done, 1 failed, 2 usage, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (trustShowCmd) Help() string {
	return `Shows which stations the election authority has enrolled, what each may seal and for which elections.

    sallyport trust show

Exit status: 0 done, 1 failed, 2 usage, 5 no bundle is installed or the station is not ready.`
}

// Help implements kong.HelpProvider.
func (trustExportCmd) Help() string {
	return `    sallyport trust export --out polling-place-7.json

Carry the file to the authority, which names it in 'sallyport trust issue'.

Exit status: 0 written, 1 failed, 2 usage, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (trustIssueCmd) Help() string {
	return `Signs the next trust bundle: the stations of the last one, and those named here, added or changed. Each record is what 'sallyport trust export' wrote at its station.

    sallyport trust issue --out trust-2.json --elections county-2026 \
        polling-place-7.json=cvr-export,media-set ems-1.json=results-report
    sallyport trust issue --out trust-3.json polling-place-7.json=none

Carry the bundle to every station and install it there.

Exit status: 0 issued, 1 failed, 2 usage, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (trustRootCmd) Help() string {
	return `    sallyport trust root --out root.json

People compare the printed fingerprint at the authority and at the station.

Exit status: 0 written, 1 failed, 2 usage, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (trustKeyCmd) Help() string {
	return `    sallyport trust key --out ems-1.pem
    sallyport-verify log /var/lib/sallyport/log --key ems-1.pem

Exit status: 0 written, 1 failed, 2 usage, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (trustInstallCmd) Help() string {
	return `Installs the bundle when enough keys of the pinned root have signed it and it is newer than the installed one. It never goes back to an older version.

    sallyport trust install trust-2.json

Exit status: 0 installed, 1 refused or failed, 2 usage, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (versionCmd) Help() string { return "Exit status: 0." }
