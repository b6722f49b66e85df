package batch

import (
	"slices"

	"slerpmerge/internal/recipe"
)

// sweepFlag is the flag that makes several outputs of one job.
const sweepFlag = "sweep"

// spread returns a job for each value of its sweep; the job itself if it has none. Their
// names and outputs have the value added.
func (p *parser) spread(j *Job) []*Job {
	i := slices.IndexFunc(j.Flags, func(f Flag) bool { return f.Name == sweepFlag })
	if i < 0 {
		return []*Job{j}
	}
	f := j.Flags[i]
	sweep, err := recipe.ParseSweep(f.Values[0])
	if err != nil {
		p.FailAt(f.Pos, "%s", err)
		return nil
	}
	var jobs []*Job
	for _, v := range sweep.Values {
		own := *j
		own.group = j.Name
		own.Name += sweep.Suffix(v)
		own.Output.Text += sweep.Suffix(v)
		own.Flags = slices.Clone(j.Flags)
		own.Flags[i].Values = []string{sweep.Name + "=" + v.Word}
		jobs = append(jobs, &own)
	}
	return jobs
}
