package batch

import "slices"

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
	suffixes, args, err := p.grammar.Sweep(f.Values[0])
	if err != nil {
		p.FailAt(f.Pos, "%s", err)
		return nil
	}
	var jobs []*Job
	for k, suffix := range suffixes {
		own := *j
		own.group = j.Name
		own.Name += suffix
		own.Output.Text += suffix
		own.Flags = slices.Clone(j.Flags)
		own.Flags[i].Values = args[k : k+1]
		jobs = append(jobs, &own)
	}
	return jobs
}
