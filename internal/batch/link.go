package batch

import (
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"slerpmerge/internal/disk"
	"slerpmerge/internal/text"
	"slerpmerge/writer"
)

// link finds out which job needs which, and puts them in order.
func (p *parser) link() {
	jobs := p.manifest.Jobs
	byName, byOutput := map[string]*Job{}, map[string]*Job{}
	for _, j := range jobs {
		byName[j.Name] = j
		var err error
		if j.out, err = disk.Resolve(j.Task.Output()); err != nil {
			p.FailAt(j.Output.Pos, "%s", err)
			continue
		}
		if other, ok := byOutput[fold(j.out)]; ok {
			p.FailAt(j.Output.Pos, "%s is the output of job %s too", text.QuoteWord(j.Output.Text), other.Name)
			continue
		}
		byOutput[fold(j.out)] = j
	}
	parents := map[string]*Job{} // by path: a job that reads it
	hurt := map[*Job]bool{}      // the contents of their outputs have been reported
	for _, j := range jobs {
		for _, path := range j.Task.Parents() {
			path, err := disk.Resolve(path)
			if err != nil {
				continue // the plan says what is wrong
			}
			maker, place := above(path, byOutput)
			switch {
			case maker == j && place == path:
				p.FailAt(j.Output.Pos, "%s is a model that this job reads", text.QuoteWord(j.Output.Text))
			case maker == j:
				p.FailAt(j.Output.Pos, "%s contains %s, which this job reads", text.QuoteWord(j.Output.Text), text.QuoteWord(path))
			case maker != nil && place != path && !weightFile(place, path):
				if !hurt[maker] {
					p.FailAt(maker.Output.Pos, "%s contains %s, which job %s reads", text.QuoteWord(maker.Output.Text), text.QuoteWord(path), j.Name)
				}
				hurt[maker] = true
			case maker != nil:
				j.need(maker)
				j.makers = append(j.makers, maker)
			default:
				if _, ok := parents[fold(path)]; !ok {
					parents[fold(path)] = j
				}
			}
		}
		for _, name := range j.After {
			p.waitFor(j, name, byName)
		}
	}
	for _, j := range jobs {
		if j.out == "" {
			continue
		}
		up := filepath.Dir(j.out)
		if other, _ := above(up, byOutput); other != nil {
			p.FailAt(j.Output.Pos, "%s lies inside the output of job %s, %s", text.QuoteWord(j.Output.Text), other.Name, text.QuoteWord(other.Output.Text))
		}
		if reader, path := above(up, parents); reader != nil {
			p.FailAt(j.Output.Pos, "%s lies inside %s, a model that job %s reads", text.QuoteWord(j.Output.Text), text.QuoteWord(path), reader.Name)
		}
	}
	p.order()
}

// need adds a job that comes first.
func (j *Job) need(other *Job) {
	if !slices.Contains(j.needs, other) {
		j.needs = append(j.needs, other)
	}
}

func (p *parser) waitFor(j *Job, name Word, byName map[string]*Job) {
	other, ok := byName[name.Text]
	_, there := p.named[name.Text]
	switch {
	case other == j:
		p.FailAt(name.Pos, "the job can't come after itself")
	case ok:
		j.need(other)
	case there && j.group != name.Text && p.waitForGroup(j, name.Text, byName):
	case there || p.nameless: // it has problems of its own
	default:
		known := slices.Sorted(maps.Keys(p.named))
		if near := text.Nearest(name.Text, known); near != "" {
			p.FailAt(name.Pos, "there is no job %s, did you mean %q?", text.QuoteWord(name.Text), near)
		} else {
			p.FailAt(name.Pos, "there is no job %s", text.QuoteWord(name.Text))
		}
	}
}

// waitForGroup has a job wait for all outputs of a sweep; it reports whether there are any.
func (p *parser) waitForGroup(j *Job, name string, byName map[string]*Job) (found bool) {
	for _, own := range slices.Sorted(maps.Keys(byName)) {
		if other := byName[own]; other.group == name {
			j.need(other)
			found = true
		}
	}
	return found
}

// weightFile reports whether a path may be one of the files that are made in
// an output folder.
func weightFile(out, path string) bool {
	return filepath.Dir(path) == out && writer.IsWeightFile(filepath.Base(path))
}

// above finds the job that has the path, or the nearest folder above it.
func above(path string, jobs map[string]*Job) (*Job, string) {
	for {
		if j, ok := jobs[fold(path)]; ok {
			return j, path
		}
		up := filepath.Dir(path)
		if up == path {
			return nil, ""
		}
		path = up
	}
}

// fold makes paths equal that the system usually takes for the same.
func fold(path string) string {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		return strings.ToLower(path)
	}
	return path
}

// order sorts the jobs so that each comes after those that it needs, and else
// as in the file.
func (p *parser) order() {
	var sorted []*Job
	const busy, ready = 1, 2
	state := map[*Job]int{}
	var chain []*Job
	var visit func(j *Job)
	visit = func(j *Job) {
		switch state[j] {
		case ready:
			return
		case busy:
			loop := chain[slices.Index(chain, j):]
			names := make([]string, 0, len(loop)+1)
			for _, l := range loop {
				names = append(names, l.Name)
			}
			p.FailAt(j.Pos, "the jobs wait for each other in a circle: %s", strings.Join(append(names, j.Name), " needs "))
			return
		}
		state[j] = busy
		chain = append(chain, j)
		for _, n := range j.needs {
			visit(n)
		}
		chain = chain[:len(chain)-1]
		state[j] = ready
		sorted = append(sorted, j)
	}
	for _, j := range p.manifest.Jobs {
		visit(j)
	}
	p.manifest.Jobs = sorted
}
