package cli_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"

	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
)

func noise(seed, n int) []byte {
	p := make([]byte, 0, n+32)
	for i := 0; len(p) < n; i++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%d/%d", seed, i))
		p = append(p, sum[:]...)
	}
	return p[:n]
}

// inspected returns path to SHA-256 of every file that 'inspect --hash' lists.
func inspected(t *testing.T, img string) map[string]string {
	t.Helper()
	r := call(t, "--json", "inspect", "--hash", img)
	if r.status != 0 || r.err != "" {
		t.Fatalf("exit status %d\n%s%s", r.status, r.out, r.err)
	}
	sums := map[string]string{}
	for _, f := range document(t, r.out)["files"].([]any) {
		if f := f.(map[string]any); f["type"] == "file" {
			sums[f["path"].(string)] = f["sha256"].(string)
		}
	}
	return sums
}

// Good media of every kind, without any station: the listing and the sums are
// those of the files that were written.
func TestInspectGoodMedia(t *testing.T) {
	files := testmedia.Files{
		"empty.txt": nil, "results/precinct 1.json": noise(1, 5000), "results/deep/er/Öffnung.bin": noise(2, 70_000),
		"big.bin": noise(3, 3<<20), "LICENSE": []byte("text\n"), "a folder/": nil,
	}
	want := map[string]string{}
	for name, data := range files {
		if !strings.HasSuffix(name, "/") {
			want[name] = fmt.Sprintf("%x", sha256.Sum256(data))
		}
	}
	fat := testmedia.FAT(t, testmedia.Options{Label: "BALLOTS"}, files)
	media := map[string]string{
		"FAT32": fat, "FAT16": testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 32}, files),
		"MBR": testmedia.Partitioned(t, "mbr", fat), "GPT": testmedia.Partitioned(t, "gpt", fat),
		"exFAT": testmedia.ExFAT(t, testmedia.Options{}, files),
	}
	for name, img := range media {
		t.Run(name, func(t *testing.T) {
			if got := inspected(t, img); !maps.Equal(got, want) {
				t.Errorf("got %v\nwant %v", got, want)
			}
			r := call(t, "inspect", "--hash", img)
			for path, sum := range want {
				if !strings.Contains(r.out, sum+"  "+path+"\n") {
					t.Errorf("%s is not in\n%s", path, r.out)
				}
			}
			if plain := call(t, "inspect", img); plain.status != 0 || strings.Contains(plain.out, want["LICENSE"]) || !strings.Contains(plain.out, "big.bin") {
				t.Errorf("without --hash: exit status %d\n%s", plain.status, plain.out)
			}
		})
	}
}

// What is wrong is said in a sentence for the person who holds the medium, with
// the place for whoever examines it, and in the exit status.
func TestInspectDamagedMedia(t *testing.T) {
	files := testmedia.Files{"one.bin": noise(1, 100_000), "two.bin": noise(2, 100_000), "three.txt": []byte("three\n")}
	fat, exfat := testmedia.FAT(t, testmedia.Options{}, files), testmedia.ExFAT(t, testmedia.Options{}, files)
	tree := testmedia.Folder(t, files)
	iso, ext4 := testmedia.Genisoimage(t, tree, "-R", "-J"), testmedia.ExtFrom(t, testmedia.ExtOptions{}, tree)
	ntfs, udf := testmedia.NTFS(t, testmedia.Options{}, files), testmedia.EmptyUDF(t, testmedia.UDFOptions{})
	gpt, mbr := testmedia.Partitioned(t, "gpt", fat), testmedia.Partitioned(t, "mbr", fat)
	damaged := func(img string, change func(img string)) string {
		img = testmedia.Copy(t, img)
		change(img)
		return img
	}
	blank := func(head string) string {
		img := filepath.Join(t.TempDir(), "blank.img")
		write(t, img, []byte(head))
		testtool.Run(t, "truncate", "-s", "4M", img)
		return img
	}
	empty := write(t, filepath.Join(t.TempDir(), "empty.img"), nil)
	for _, tc := range []struct {
		name, img string
		status    int
		sentence  string
		place     string // regular expression
	}{
		{"FAT: chain that loops", damaged(fat, func(i string) { testmedia.LoopChain(t, i, "one.bin") }), 3, "the file system contradicts itself", `one\.bin|byte \d+`},
		{"FAT: two files share clusters", damaged(fat, func(i string) { testmedia.CrossLink(t, i, "one.bin", "two.bin") }), 3, "the file system contradicts itself", `(one|two)\.bin`},
		{"FAT: chain too short", damaged(fat, func(i string) { testmedia.ShortenChain(t, i, "one.bin") }), 3, "the file system contradicts itself", `one\.bin`},
		{"FAT: copies differ", damaged(fat, func(i string) { testmedia.DifferFATs(t, i, "one.bin") }), 3, "the file system contradicts itself", `byte \d+`},
		{"FAT: cut inside a file", damaged(fat, func(i string) { testmedia.CutInside(t, i, "one.bin") }), 3, "the medium ends before", `byte \d+`},
		{"FAT: impossible boot sector", damaged(fat, func(i string) { testmedia.Poke(t, i, 11, 3, 0) }), 3, "the file system contradicts itself", `byte \d+`},
		{"exFAT: entry set with a bad checksum", damaged(exfat, func(i string) { testmedia.BreakEntrySet(t, i, "one.bin") }), 3, "the file system contradicts itself", `byte \d+`},
		{"exFAT: boot checksum", damaged(exfat, func(i string) { testmedia.Poke(t, i, 100, 0xFF) }), 3, "the file system contradicts itself", `byte \d+|boot`},
		{"exFAT: cut inside a file", damaged(exfat, func(i string) { testmedia.CutInside(t, i, "two.bin") }), 3, "the medium ends before", `byte \d+`},
		{"GPT: checksum", damaged(gpt, func(i string) { testmedia.Poke(t, i, 512+56, 0xFF) }), 3, "the file system contradicts itself", `GPT.*byte \d+`},
		{"MBR: partition behind the end", damaged(mbr, func(i string) { testmedia.Poke(t, i, 446+12, 0xFF, 0xFF, 0xFF, 0x7F) }), 3, "the medium ends before", `entry 1`},
		{"ISO 9660: cut", damaged(iso, func(i string) { cutAt(t, i, 300<<10) }), 3, "the medium ends before", `byte \d+`},
		{"ISO 9660: trees that differ", testmedia.Genisoimage(t, tree, "-R", "-J", "-hide-joliet", "three.txt"), 3, "the file system contradicts itself", `tree`},
		{"ext4: superblock", damaged(ext4, func(i string) { testmedia.Poke(t, i, 1024+4, 0xFF, 0xFF) }), 3, "the file system contradicts itself", `superblock`},
		{"ext4: cut", damaged(ext4, func(i string) { cutAt(t, i, 1<<20) }), 3, "the medium ends before", `superblock`},
		{"NTFS: boot sector", damaged(ntfs, func(i string) { testmedia.Poke(t, i, 13, 3) }), 3, "the file system contradicts itself", `boot sector`},
		{"NTFS: cut", damaged(ntfs, func(i string) { cutAt(t, i, 2<<20) }), 3, "the medium ends before", `byte \d+`},
		{"UDF: cut", damaged(udf, func(i string) { cutAt(t, i, 1<<20) }), 3, "the medium ends before", `byte \d+`},
		{"zero bytes", empty, 3, "", `.`},
		{"nothing on it", blank(""), 5, "the file system is not one this station reads", `.`},
		{"LUKS", blank("LUKS\xba\xbe\x00\x02"), 5, "the file system is not one this station reads", `LUKS`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := call(t, "inspect", "--hash", tc.img)
			if r.status != tc.status || !strings.Contains(r.out, tc.sentence) || !regexp.MustCompile(tc.place).MatchString(r.out) || !strings.Contains(r.out, "→ ") || r.err != "" {
				t.Errorf("exit status %d, want %d, %q and %s:\n%s%s", r.status, tc.status, tc.sentence, tc.place, r.out, r.err)
			}
			if j := call(t, "--json", "inspect", "--hash", tc.img); j.status != tc.status || document(t, j.out)["problems"] == nil {
				t.Errorf("--json: exit status %d\n%s", j.status, j.out)
			}
		})
	}
}

// hostileNames is a FAT32 image whose long names hold characters that a
// terminal obeys or that turn the writing around.
func hostileNames(t *testing.T) string {
	t.Helper()
	img := testmedia.FAT(t, testmedia.Options{}, testmedia.Files{"Qjust a long name.txt": []byte("1"), "Zfdp.exe of results": []byte("2")})
	all, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	for start, evil := range map[string]string{"Qjust": "\x1b[2J\a", "Zfdp.": "\u202efdp."} {
		n := 0
		for at := 0; ; n++ {
			i := bytes.Index(all[at:], utf16le(start))
			if i < 0 {
				break
			}
			at += i
			testmedia.Poke(t, img, int64(at), utf16le(evil)...)
			at += len(utf16le(start))
		}
		if n == 0 {
			t.Fatalf("no long name begins with %s", start)
		}
	}
	return img
}

func utf16le(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func TestInspectEscapesNames(t *testing.T) {
	img := hostileNames(t)
	for _, args := range [][]string{{"inspect", img}, {"--json", "inspect", img}} {
		r := call(t, args...)
		for _, c := range []string{"\x1b", "\a", "\u202e"} {
			if strings.Contains(r.out+r.err, c) {
				t.Errorf("%v prints %q raw:\n%q", args[:1], c, r.out)
			}
		}
		for _, shown := range []string{"\ufffd[2J", `u202e`} {
			if !strings.Contains(r.out, shown) {
				t.Errorf("%v does not show %q:\n%q", args[:1], shown, r.out)
			}
		}
	}
}

// cutAt ends an image early.
func cutAt(t *testing.T, img string, size int64) {
	t.Helper()
	if err := os.Truncate(img, size); err != nil {
		t.Fatal(err)
	}
}
