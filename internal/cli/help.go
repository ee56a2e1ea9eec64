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
    sallyport --json intake stick.img > receipt.json

The JSON report carries the checkpoint that the TPM signed over the verdict: kept elsewhere it is a witness of the audit log ('sallyport-verify witness receipt.json'). 'sallyport slip' prints the same for people.

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
func (trustShowCmd) Help() string {
	return `Shows which stations the election authority has enrolled, what each may seal and for which elections.

    sallyport trust show

Exit status: 0 done, 1 failed, 2 usage, 5 no bundle is installed or the station is not ready.`
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

// Help implements kong.HelpProvider.
func (requestCmd) Help() string {
	return `The first step of the enrolment: the TPM says which keys it holds, its attestation key signs the whole request. It is a wish, not a right; what the station may do is decided at the authority. The endorsement key's digest is what people compare when the TPM has no certificate of its maker.

    sallyport station request --out request.json
    sallyport station request --image to-authority.img

Exit status: 0 written, 1 failed, 2 usage, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (activateCmd) Help() string {
	return `Only the TPM of the request can read the challenge, and only while the keys of the request are in it.

    sallyport station activate challenge.json --out answer.json
    sallyport station activate challenge.json --medium from-authority.img --image to-authority.img

Exit status: 0 written, 1 failed, 2 usage or not for this station, 5 the TPM cannot answer.`
}

// Help implements kong.HelpProvider.
func (handoverCmd) Help() string {
	return `For a station that gets a new TPM or a new machine. The new one is initialised under the same id and asks to be enrolled; the old one signs that its key is followed by the new one, and seals nothing from then on. Packages that it sealed before stay valid.

    sallyport station handover request.json --out handover.dsse.json

It cannot be undone. Exit status: 0 written, 1 failed, 2 usage, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (measureCmd) Help() string {
	return `Shows the TPM's registers for firmware, Secure Boot and the system's image, says what each holds, and whether the firmware's event log explains it. Where the signing key is bound to a boot state it works in approved states alone: after an update, write a measurement and carry it to the authority.

    sallyport station measure
    sudo sallyport station measure --events          (the event log is for root alone)
    sallyport station measure --out measurement.json

Exit status: 0 shown, 5 the state is not approved and the signing key is bound, 1 failed, 2 usage.`
}

// Help implements kong.HelpProvider.
func (authorityInitCmd) Help() string {
	return `Makes the root: whose signatures all stations of this authority believe. Alone, this station's key signs; with signer records of others, as many of all as --threshold says must sign every trust bundle. The holder who approves boot states must hold a key in a TPM; without --boot-holder that is this station.

    sallyport authority init --out root.json
    sallyport authority init --threshold 2 clerk.dsse.json board.dsse.json --out root.json

Exit status: 0 done, 1 failed (also: a record is not what it says), 2 usage, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (authorityAdmitCmd) Help() string {
	return `Enrols stations whose TPMs answered the challenge. Each may seal the kinds that stand behind its answer, for the elections given, and nothing else.

    sallyport authority admit --elections county-2026 --out draft.dsse.json \
        pp7-answer.json=election-definition,cvr-export ems-answer.json=results-report
    sallyport authority admit answer.json=cvr-export --attested --pcr 0,2 --out draft.dsse.json
    sallyport authority admit answer.json=cvr-export \
        --handover handover.dsse.json --out draft.dsse.json

Exit status: 0 written, 1 failed (also: an answer or hand-over is not what it says), 2 usage, 5 not ready.`
}

// Help implements kong.HelpProvider.
func (authoritySignCmd) Help() string {
	return `Adds one holder's signature. At an authority station it is the station's own; with --key it is that of a key in an encrypted file or a PKCS#11 token, on any machine, without a station. Look at what you sign first: 'sallyport authority show' shows the draft.

    sallyport authority sign draft.dsse.json --out signed.dsse.json
    sallyport authority sign draft.dsse.json --root root.json \
        --key file:clerk.age --out signed.dsse.json
    sallyport authority sign draft.dsse.json --root root.json --out signed.dsse.json \
        --key 'pkcs11:module=/usr/lib/softhsm/libsofthsm2.so;token=clerk;key=sallyport'

Exit status: 0 written, 1 failed (also: the draft is not what it says), 2 usage, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (authorityShowCmd) Help() string {
	return `Shows a draft as it would be if it were signed and installed. The fingerprint is of what is signed, and stays the same from holder to holder: compare it with the others before you sign. 'sallyport trust show' at a station shows what is installed now.

    sallyport authority show draft.dsse.json
    sallyport authority show draft.dsse.json --medium from-authority.img --root root.json

Exit status: 0 shown, 1 failed or the draft is not what it says, 2 usage, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (authorityRotateCmd) Help() string {
	return `Drafts the root that follows the present one: this station's key (or not, with --leave) and those of the signer records given. It takes effect when enough holders of the old root and of the new one have signed it, and a station has installed it ('trust install root-2.dsse.json'); the next trust bundle is then signed by the new holders, and its package carries the rotation to all stations.

    sallyport authority rotate --threshold 2 clerk.dsse.json new.dsse.json --out root-2.dsse.json

Exit status: 0 written, 1 failed (also: a record is not what it says), 2 usage, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (authorityAdoptCmd) Help() string {
	return `A further station of an authority gives its key to whoever makes the root ('sallyport authority key'), and takes that root over, once. Compare the fingerprint with the other holders.

    sallyport authority adopt root.json

Exit status: 0 done, 1 failed (also: it is no root), 2 usage or this station has a root, 5 not ready.`
}

// Help implements kong.HelpProvider.
func (authorityKeyCmd) Help() string {
	return `Writes the public key of a holder, signed by itself. At an authority station it is the station's own, in its TPM; with --key it is a key in an encrypted file or a PKCS#11 token, on any machine. The root says of each key where it lies.

    sallyport authority key --out station.dsse.json
    sallyport authority key --key file:clerk.age --holder clerk --out clerk.dsse.json

Exit status: 0 written, 1 failed, 2 usage, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (authorityNewKeyCmd) Help() string {
	return `Makes a signing key in a file that is encrypted with a passphrase (age), and asks for the passphrase. A key in a TPM or a token is better: a file can be copied.

    sallyport authority new-key --out clerk.age

Exit status: 0 written, 1 failed, 2 usage.`
}

// Help implements kong.HelpProvider.
func (authorityChallengeCmd) Help() string {
	return `Checks a station's request (the attributes of its keys, the statements of its TPM) and where its TPM comes from: by the certificates of TPM makers in a folder of this machine, or by the endorsement key's digest, which people read from the machine's printed page. Then it encrypts a secret that only this TPM can read.

    sallyport authority challenge request.json --ek-ca tpm-makers --out challenge.json
    sallyport authority challenge request.json --ek-sha256 HEX --out challenge.json

Exit status: 0 written, 1 failed (also: the request is not what it says), 2 usage, 5 not ready.`
}

// Help implements kong.HelpProvider.
func (authorityRevokeCmd) Help() string {
	return `What a revoked key signed up to the given sequence number stays valid; everything later is refused, and with 0 everything. A lost station: give the last number that is accounted for. A stolen key: the last number before the theft. The bound never goes up again.

    sallyport authority revoke polling-place-7 --after 1041 --out draft.dsse.json
    sallyport authority revoke polling-place-7 --after 0 --out draft.dsse.json

Exit status: 0 written, 1 failed, 2 usage or no such station, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (authorityChangeCmd) Help() string {
	return `Changes what an enrolled station may do; what is not named stays.

    sallyport authority change polling-place-7 --elections county-2027 --out draft.dsse.json
    sallyport authority change polling-place-7 --kinds none --out draft.dsse.json
    sallyport authority change polling-place-7 --attested yes --out draft.dsse.json

Exit status: 0 written, 1 failed, 2 usage or no such station, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (authorityApproveCmd) Help() string {
	return `Approves the state of firmware and system that a measurement shows, besides those approved before: the station's TPM then lets its key sign in that state, and evidence of it is accepted. Make the draft at the station that holds the boot key.

    sallyport authority approve measurement.json --label "release 2.1" --out draft.dsse.json
    sallyport authority approve measurement.json --drop "release 2.0" --out draft.dsse.json

Exit status: 0 written, 1 failed (also: the measurement is not what it says), 2 usage, 5 not ready.`
}

// Help implements kong.HelpProvider.
func (authorityHybridCmd) Help() string {
	return `A package of these kinds must be signed with ML-DSA-65 too, by the key that stands beside the station's own; both must verify. The list replaces the one before.

    sallyport authority hybrid cvr-export results-report --out draft.dsse.json
    sallyport authority hybrid none --out draft.dsse.json

Exit status: 0 written, 1 failed, 2 usage, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (authorityReissueCmd) Help() string {
	return `    sallyport authority reissue --out draft.dsse.json

Exit status: 0 written, 1 failed, 2 usage, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (authorityStatusCmd) Help() string {
	return `    sallyport authority status

Exit status: 0 shown, 1 failed, 2 this station is no authority, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (authorityPublishCmd) Help() string {
	return `Seals the installed trust bundle, with every rotation of the root that leads to it, as a package of the kind trust-bundle for every station. Stations take it like any other medium: insert it. A station that has none yet takes this one first.

    sallyport authority publish --device /dev/sdb --erase
    sallyport authority publish --image trust.img

Exit status: 0 written, 1 failed, 2 usage, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (trustIdentityCmd) Help() string {
	return `Writes what this station's TPM says of its keys and its counter, for whoever checks its log: the log key, and what the anchors of the checkpoints are checked with. Nothing in it is secret; the authority has it from the enrolment.

    sallyport trust identity --out ems-1.json
    sallyport-verify log /var/lib/sallyport/log --identity ems-1.json

Exit status: 0 written, 1 failed, 2 usage, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (logAttestCmd) Help() string {
	return `Proves to somebody who is here now that the log is the newest one: he makes up a number, the TPM certifies its counter together with that number and the last checkpoint. A log that was put back from an older copy cannot account for the counter.

    openssl rand -hex 32                                 (by the asker)
    sallyport log attest --nonce HEX --out answer.json
    sallyport-verify attest answer.json --nonce HEX --identity ems-1.json --dir log

Exit status: 0 written, 1 failed, 2 usage, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (authorityDiscardCmd) Help() string {
	return `Every draft builds upon the one before, so that no change is lost while signatures are collected. A draft that the other holders refuse is forgotten here; copies of it that lie elsewhere must not be signed any more.

    sallyport authority discard

Exit status: 0 done, 1 failed, 2 usage or no draft, 5 the station is not ready.`
}
