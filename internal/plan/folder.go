package plan

import (
	"path"
	"slices"

	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/text"
	"slerpmerge/writer"
)

// ConfigName returns the place of config.json in the output.
func (p *Plan) ConfigName() string { return path.Join(p.Primary.Home, "config.json") }

// scheme places the weights as the primary has them: a sentence-transformers
// model has modules in folders of their own.
func (p *planner) scheme() writer.Scheme {
	s := writer.Scheme{Stem: p.Primary.Stem, Home: p.Primary.Home}
	if slices.ContainsFunc(p.Models, hasModules) {
		s.Folder = func(i int) string { return p.Tensors[i].module() }
	}
	return s
}

// hasModules reports whether a model has weights in folders of modules.
func hasModules(m *model.Model) bool {
	return slices.ContainsFunc(m.Files, func(f model.File) bool { return f.Module != "" })
}

// module returns the folder of the module that a tensor belongs to, "" as a rule.
func (t *Tensor) module() string {
	o := t.Sole()
	return o.Model.Files[o.Tensor().File].Module
}

// lacksModule reports whether a tensor belongs to a module that the primary
// does not have.
func (p *Plan) lacksModule(o operand.Operand) bool {
	folder := o.Model.Files[o.Tensor().File].Module
	return folder != "" && !slices.Contains(p.Primary.Modules, folder)
}

// dropModules leaves out modules that the primary does not have: its
// modules.json, which goes into the output, would not name them.
func (p *planner) dropModules() {
	if !slices.ContainsFunc(p.Models, hasModules) {
		return
	}
	var dropped []string
	p.Tensors = slices.DeleteFunc(p.Tensors, func(t Tensor) bool {
		folder := t.module()
		if folder == "" || slices.Contains(p.Primary.Modules, folder) {
			return false
		}
		if !slices.Contains(dropped, folder) {
			dropped = append(dropped, folder)
		}
		return true
	})
	for _, folder := range dropped {
		p.warn("%s has no module %s: its tensors are left out", p.Primary.Name(), text.Quote(folder))
	}
}
