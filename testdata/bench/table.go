//go:build linux

package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"slerpmerge/writer"
)

// A row is one line of the table that -table prints.
type row struct{ measure, value, goal string }

// A section is a part of the table.
type section struct {
	name string
	// minutes is about how long it takes with 7 rounds, on two cores and a disk of 2 GB/s.
	minutes int
	rows    func(t *table) []row
}

var sections = []section{
	{"found", 4, func(t *table) []row { return t.warm("found", "<= 0.75") }},
	{"touched", 5, func(t *table) []row { return t.warm("touched", "<= 0.75") }},
	{"dropped", 8, func(t *table) []row { return t.warm("dropped", "<= 0.75, <= 0.55 in the best") }},
	{"returned", 10, func(t *table) []row { return t.warm("returned", "<= 0.75") }},
	{"cold", 8, (*table).cold},
	{"mergekit", 12, (*table).mergekit},
	{"formats", 6, (*table).formats},
	{"readers", 4, (*table).readers},
	{"tiny", 2, (*table).tiny},
	{"memory", 1, (*table).memory},
	{"large", 25, (*table).large},
}

// sectionList names the sections, with the minutes that they take.
func sectionList() string {
	var list []string
	for _, s := range sections {
		list = append(list, fmt.Sprintf("%s (%d min)", s.name, s.minutes))
	}
	return strings.Join(list, ", ")
}

// A table makes the rows of all that is to be shown of one build.
type table struct {
	bench
	rounds         int
	mergekitRounds int
	limit          time.Duration
	layers         int   // the models are cut to so many; 0 for all
	peak           int64 // of all merges of the 1B pair, bytes
}

// print makes the sections that are named, or all, and prints them as one table.
func (t *table) print(names string) {
	var rows []row
	for _, s := range sections {
		if names != "all" && !slices.Contains(strings.Split(names, ","), s.name) {
			continue
		}
		start := time.Now()
		t.deadline = start.Add(t.limit)
		rows = append(rows, s.rows(t)...)
		log.Printf("%s took %.1f minutes", s.name, time.Since(start).Minutes())
	}
	fmt.Printf("| measure (%s) | measured | goal |\n|---|---|---|\n", machine())
	for _, r := range rows {
		fmt.Printf("| %s | %s | %s |\n", r.measure, r.value, r.goal)
	}
}

// machine names the processor.
func machine() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	check(err)
	_, name, _ := strings.Cut(string(text), "model name\t: ")
	name, _, _ = strings.Cut(name, "\n")
	return fmt.Sprintf("%s, %d processors", name, strings.Count(string(text), "processor\t:"))
}

// of formats what one candidate takes of what another does.
func of(r, base []result) string {
	m, n := medians(r), medians(base)
	return fmt.Sprintf("%.2f (%.2f of %.2f s: %s)", m.wall/n.wall, m.wall, n.wall, walls(r))
}

func processor(r, base []result) string {
	m, n := medians(r), medians(base)
	return fmt.Sprintf("%.2f (%.2f of %.2f s)", m.cpu/n.cpu, m.cpu, n.cpu)
}

func (t *table) shape(name string) shape {
	sh := shapes[name]
	if t.layers > 0 {
		sh.layers = min(sh.layers, t.layers)
	}
	return sh
}

// pair makes the pair of a shape that the candidates are about.
func (t *table) pair(shape string) {
	sh := t.shape(shape)
	t.a, t.b, t.tensors = filepath.Join(t.dir, shape+"-a"), filepath.Join(t.dir, shape+"-b"), len(sh.tensors())
	makePair(t.a, t.b, sh, false, writer.Safetensors)
}

// merges times the merge of the pair beside the floor and the other build.
func (t *table) merges(state string) [][]result {
	list := t.candidates("merge")
	r := t.time(state, list, t.rounds)
	for _, x := range r[1] {
		t.peak = max(t.peak, x.rss)
	}
	return r
}

func (t *table) compared(name string, r [][]result, goal string) []row {
	rows := []row{{name + ": wall / cat both, cp one, sync", of(r[1], r[0]), goal}}
	if len(r) > 2 {
		rows = append(rows, row{name + ": the other build, likewise", of(r[2], r[0]), ""},
			row{name + ": processor time / the other build's", processor(r[1], r[2]), "<= 0.60"})
	}
	return rows
}

func (t *table) warm(state, goal string) []row {
	t.pair("1b")
	return t.compared("1B, "+state, t.merges(state), goal)
}

func (t *table) cold() []row {
	t.pair("1b")
	return t.compared("1B, cold", t.merges("cold"), "<= 0.5")
}

// large is the pair that does not leave much of the memory free.
func (t *table) large() []row {
	t.pair("3b")
	var rows []row
	for _, state := range []string{"touched", "half"} {
		name := map[string]string{"touched": "3B, warm", "half": "3B, half of it evicted"}[state]
		rows = append(rows, t.compared(name, t.time(state, t.candidates("merge"), t.rounds), "reported")...)
	}
	return rows
}

func (t *table) mergekit() []row {
	if t.python == "" {
		return nil
	}
	t.pair("1b")
	var rows []row
	for _, state := range []string{"found", "touched", "dropped", "returned"} {
		r := t.time(state, []candidate{t.candidates("merge")[1], t.mergekitRun()}, t.mergekitRounds)
		m, n := medians(r[1]), medians(r[0])
		rows = append(rows, row{"mergekit / slerpmerge, 1B, " + state,
			fmt.Sprintf("%.1f (%.1f s and %d MiB; %.2f s: %s; %s)", m.wall/n.wall, m.wall, m.rss>>20, n.wall, walls(r[1]), walls(r[0])), ">= 12, >= 25 at best"})
	}
	return rows
}

func (t *table) formats() []row {
	t.pair("1b")
	makePair(t.a+"-bin", t.b+"-bin", t.shape("1b"), false, writer.Bin)
	r := t.time("touched", t.candidates("formats"), t.rounds)
	return []row{
		{"bin to safetensors / safetensors to safetensors", of(r[1], r[0]), "<= 1.05"},
		{"safetensors to bin / safetensors to safetensors", of(r[2], r[0]), "<= 1.05"},
		{"bin to bin / safetensors to safetensors", of(r[3], r[0]), "<= 1.05"},
	}
}

func (t *table) readers() []row {
	t.pair("1b")
	list := t.candidates("readers")
	r := t.time("touched", list, t.rounds)
	rows := []row{{"compare / cat of the pair", of(r[1], r[0]), "<= 1.25"}, {"verify / cat of pair and output", of(r[3], r[2]), "<= 1.25"}}
	if len(r) > 5 {
		rows = append(rows, row{"the other build: compare; verify", of(r[4], r[0]) + "; " + of(r[5], r[2]), ""})
	}
	check(os.RemoveAll(filepath.Join(t.dir, "merged")))
	return rows
}

func (t *table) tiny() []row {
	t.pair("tiny")
	r := t.time("touched", t.candidates("merge"), t.rounds)
	us := func(r []result) string {
		return fmt.Sprintf("%.1f us", medians(r).cpu/float64(t.tensors)*1e6)
	}
	value := us(r[1])
	if len(r) > 2 {
		value += "; the other build " + us(r[2])
	}
	return []row{{"45,000 tensors of 4 kB: processor time for each", value, "<= 20 us"}}
}

// memory has the highest peak of all merges so far, and a merge in a cgroup without
// swap.
func (t *table) memory() []row {
	const limit = 96 << 20
	t.pair("1b")
	t.merges("found")
	rows := []row{{"1B: highest peak of resident memory", fmt.Sprintf("%.1f MiB", float64(t.peak)/(1<<20)), "<= 64 MiB"}}
	check(os.RemoveAll(t.out))
	c := t.candidates("merge")[1]
	group, err := newGroup(limit)
	if err != nil {
		return append(rows, row{"in a cgroup of 96 MiB without swap", "not tried: " + err.Error(), "finishes"})
	}
	defer os.Remove(group)
	c.argv = append([]string{"sh", "-c", `echo $$ >"$0"/cgroup.procs && exec "$@"`, group}, c.argv...)
	for _, name := range c.inputs { // their pages would belong to nobody's group
		evict(name)
	}
	r := c.time()
	return append(rows, row{"in a cgroup of 96 MiB without swap", fmt.Sprintf("finishes in %.1f s, peak %.1f MiB", r.wall, float64(r.rss)/(1<<20)), "finishes"})
}

// newGroup makes a cgroup that has so much memory and no swap, in either version.
func newGroup(limit int64) (string, error) {
	name := fmt.Sprintf("slerpmerge-bench-%d", os.Getpid())
	v1 := filepath.Join("/sys/fs/cgroup/memory", name)
	if err := os.Mkdir(v1, 0o777); err == nil {
		_ = os.WriteFile(filepath.Join(v1, "memory.swappiness"), []byte("0"), 0)
		return v1, os.WriteFile(filepath.Join(v1, "memory.limit_in_bytes"), fmt.Append(nil, limit), 0)
	}
	v2 := filepath.Join("/sys/fs/cgroup", name)
	if err := os.Mkdir(v2, 0o777); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(v2, "memory.swap.max"), []byte("0"), 0); err != nil && !os.IsNotExist(err) {
		return v2, err
	}
	return v2, os.WriteFile(filepath.Join(v2, "memory.max"), fmt.Append(nil, limit), 0)
}
