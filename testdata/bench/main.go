//go:build linux

// Bench times whole merges against what no program can avoid doing with such
// files: reading both parents and writing one of them.
//
//	go run ./testdata/bench                            # the ratio, files in the page cache
//	go run ./testdata/bench -states found,dropped,returned,cold  # in other states of the machine (as root)
//	go run ./testdata/bench -other OLD -args=--keep-cached       # beside another binary, with more flags
//	go run ./testdata/bench -work formats              # from and to PyTorch .bin, against safetensors
//	go run ./testdata/bench -work readers              # compare and verify, against cat of what they read
//	go run ./testdata/bench -shape tiny                # 45,000 tensors of 4 kB: processor time for each
//	go run ./testdata/bench -work convert -python PYTHON  # convert a .bin, against torch.load and save_file
//	go run ./testdata/bench -python PYTHON             # beside mergekit, which PYTHON has
//	go run ./testdata/bench -table all -other OLD -python PYTHON # all of it in one table (as root)
//	go run ./testdata/bench -table large,memory        # some sections of it
//	go run ./testdata/bench -shape 3b -pair-only       # only make the pair
//	go run ./testdata/bench -shape 405b -sparse -pair-only
//
// The candidates run in turn, in random order, and medians are compared.
// Before every run the last output is deleted and the machine brought into a state.
package main

import (
	"flag"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"slerpmerge/writer"
)

// shardSize cuts the pairs of 1B shape in three files.
const shardSize = 1_000_000_000

func main() {
	log.SetFlags(0)
	dir := flag.String("dir", filepath.Join(os.TempDir(), "slerpmerge-bench"), "folder for the pair and the outputs")
	name := flag.String("shape", "1b", "1b, 3b, 13b, 70b or 405b: the shapes of Llama models; tiny: 45,000 tensors of 4 kB")
	layers := flag.Int("layers", 0, "cut the model to so many layers")
	sparse := flag.Bool("sparse", false, "holes for weights, except a few elements in every tensor")
	pairOnly := flag.Bool("pair-only", false, "make the pair and stop")
	work := flag.String("work", "merge", "merge, formats, readers or convert")
	python := flag.String("python", "", "a Python with torch and safetensors for convert, or with mergekit to be timed beside merge")
	rounds := flag.Int("rounds", 7, "runs of each candidate in each state")
	states := flag.String("states", "touched", "states of the machine, with commas between them: found, touched, dropped, returned, half, cold; the last four need root")
	binary := flag.String("binary", "", "slerpmerge to be timed; built when empty")
	other := flag.String("other", "", "a second slerpmerge to be timed beside it")
	sectionNames := flag.String("table", "", "all, or sections of the table, with commas between them: "+sectionList())
	mergekitRounds := flag.Int("mergekit-rounds", 3, "rounds of mergekit in each state, for the table")
	limit := flag.Duration("limit", 15*time.Minute, "a section of the table begins no further round after that")
	args := flag.String("args", "", "more arguments for merge")
	flag.Parse()

	sh, ok := shapes[*name]
	if !ok {
		log.Fatalf("no shape %q", *name)
	}
	if *layers > 0 {
		sh.layers = *layers
	}
	for _, s := range strings.Split(*states, ",") {
		if !slices.Contains(stateNames, s) {
			log.Fatalf("no state %q", s)
		}
	}
	check(os.MkdirAll(*dir, 0o777))
	var err error
	*dir, err = filepath.Abs(*dir) // mergekit would take two words and a slash for a name of the Hub
	check(err)
	b := bench{dir: *dir, out: filepath.Join(*dir, "out"), tensors: len(sh.tensors())}
	b.a, b.b = filepath.Join(*dir, *name+"-a"), filepath.Join(*dir, *name+"-b")
	switch {
	case *sectionNames != "": // its sections make what they need
	case *work == "convert":
		makeModel(b.a+"-one-bin", sh, 1, *sparse, writer.Bin, math.MaxInt64)
	default:
		makePair(b.a, b.b, sh, *sparse, writer.Safetensors)
	}
	if *work == "formats" {
		makePair(b.a+"-bin", b.b+"-bin", sh, *sparse, writer.Bin)
	}
	if *pairOnly {
		fmt.Println(b.a)
		fmt.Println(b.b)
		return
	}
	if *binary == "" {
		*binary = filepath.Join(*dir, "slerpmerge")
		run("go", "build", "-o", *binary, ".")
	}
	b.binary, b.other, b.python, b.args = *binary, *other, *python, strings.Fields(*args)
	if *sectionNames != "" {
		t := table{bench: b, rounds: *rounds, mergekitRounds: *mergekitRounds, limit: *limit, layers: *layers}
		t.print(*sectionNames)
		return
	}
	list := b.candidates(*work)
	if *work == "merge" && b.python != "" {
		list = append(list, b.mergekitRun())
	}
	for _, s := range strings.Split(*states, ",") {
		b.time(s, list, *rounds)
	}
}

// A bench is the files and programs to be timed.
type bench struct {
	dir, a, b, out        string // a and b are the parents
	binary, other, python string
	args                  []string
	tensors               int
	deadline              time.Time // when no further round begins; zero for never
}

// A candidate is a command line to be timed.
type candidate struct {
	name    string
	argv    []string
	inputs  []string // files
	against int      // the candidate that it is measured by
}

// candidates are those for one kind of work.
func (b *bench) candidates(work string) []candidate {
	pair, pairBin := weights(b.a, b.b), weights(b.a+"-bin", b.b+"-bin")
	merge := func(binary, one, two string, more ...string) []string {
		return slices.Concat([]string{binary, "merge", one, two, "-o", b.out, "-t", "0.3"}, more, b.args)
	}
	cat := func(files []string) []string {
		return []string{"sh", "-c", "cat " + strings.Join(files, " ") + " >/dev/null"}
	}
	switch work {
	case "convert":
		file := filepath.Join(b.a+"-one-bin", "pytorch_model.bin")
		return []candidate{
			{"torch", []string{b.python, "testdata/bench/convert.py", file, b.out}, []string{file}, 0},
			{"slerpmerge", []string{b.binary, "convert", file, "-o", b.out}, []string{file}, 0}}
	case "formats":
		var list []candidate
		for _, to := range []string{"safetensors", "bin"} {
			first := len(list)
			list = append(list,
				candidate{"safetensors to " + to, merge(b.binary, b.a, b.b, "--format", to), pair, first},
				candidate{"bin to " + to, merge(b.binary, b.a+"-bin", b.b+"-bin", "--format", to), pairBin, first})
		}
		return list
	case "readers":
		merged := filepath.Join(b.dir, "merged")
		check(os.RemoveAll(merged))
		run(b.binary, "merge", b.a, b.b, "-o", merged, "-q")
		all := append(weights(merged), pair...)
		list := []candidate{
			{"cat of the pair", cat(pair), pair, 0},
			{"compare", []string{b.binary, "compare", b.a, b.b}, pair, 0},
			{"cat of pair and output", cat(all), all, 2},
			{"verify", []string{b.binary, "verify", merged}, all, 2}}
		if b.other != "" {
			list = append(list, candidate{"other compare", []string{b.other, "compare", b.a, b.b}, pair, 0},
				candidate{"other verify", []string{b.other, "verify", merged}, all, 2})
		}
		return list
	case "merge":
		floor := fmt.Sprintf("cat %s >/dev/null; cp -r %s %s; sync", strings.Join(pair, " "), b.a, b.out)
		list := []candidate{{"cat+cp+sync", []string{"sh", "-c", floor}, pair, 0},
			{"slerpmerge", merge(b.binary, b.a, b.b), pair, 0}}
		if b.other != "" {
			list = append(list, candidate{"other", merge(b.other, b.a, b.b), pair, 0})
		}
		return list
	}
	log.Fatalf("no work %q", work)
	return nil
}

// mergekitRun is the merge of the pair by mergekit.
func (b *bench) mergekitRun() candidate {
	recipe := filepath.Join(b.dir, "mergekit.yaml")
	text := fmt.Sprintf("merge_method: slerp\nbase_model: %s\nmodels: [{model: %s}, {model: %s}]\nparameters: {t: 0.3}\ndtype: bfloat16\n", b.a, b.a, b.b)
	check(os.WriteFile(recipe, []byte(text), 0o666))
	return candidate{"mergekit", []string{b.python, "-m", "mergekit.scripts.run_yaml", recipe, b.out}, weights(b.a, b.b), 0}
}

// weights are the weight files of folders.
func weights(dirs ...string) []string {
	var files []string
	for _, d := range dirs {
		list, err := os.ReadDir(d)
		if os.IsNotExist(err) {
			continue
		}
		check(err)
		for _, e := range list {
			if writer.IsWeightFile(e.Name()) {
				files = append(files, filepath.Join(d, e.Name()))
			}
		}
	}
	return files
}

// time runs the candidates in turn in one state of the machine, and prints medians
// and returns all results.
func (b *bench) time(state string, list []candidate, rounds int) [][]result {
	results := make([][]result, len(list))
	for round := range rounds + 1 { // the first is not counted
		if round > 1 && !b.deadline.IsZero() && time.Now().After(b.deadline) {
			rounds = round - 1
			break
		}
		for _, i := range rand.Perm(len(list)) {
			check(os.RemoveAll(b.out))
			run("sync")
			bring(state, list[i].inputs)
			r := list[i].time()
			fmt.Printf("%s, round %d  %-26s %s\n", state, round, list[i].name, r)
			if round > 0 {
				results[i] = append(results[i], r)
			}
		}
	}
	check(os.RemoveAll(b.out))
	fmt.Printf("\n| %s: median of %d | wall s | processor s | MiB | wall / | processor / | processor us a tensor | walls |\n|---|---|---|---|---|---|---|---|\n", state, rounds)
	for i, c := range list {
		m, base := medians(results[i]), medians(results[c.against])
		fmt.Printf("| %s | %.3f | %.2f | %d | %.2f %s | %.2f | %.0f | %s |\n", c.name, m.wall, m.cpu, m.rss>>20, m.wall/base.wall, list[c.against].name,
			m.cpu/base.cpu, m.cpu/float64(b.tensors)*1e6, walls(results[i]))
	}
	fmt.Println()
	return results
}

func run(name string, args ...string) {
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	check(cmd.Run())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
