package cli

import (
	"context"

	"slerpmerge/internal/recipe"
)

type convertCmd struct {
	Model  string `arg:"" help:"Model folder or weight file."`
	Output string `short:"o" placeholder:"DIR" help:"Output folder; must not exist or be empty (required unless --dry-run)."`
	outputFlags
	runFlags
	Overwrite bool `help:"Replace the output folder in one step when the conversion is complete."`
	DryRun    bool `help:"Only show what would happen."`
}

// Help returns the text below the flags.
func (convertCmd) Help() string {
	return "Example: slerpmerge convert ./alpha -o ./alpha-bin --format bin"
}

// Run converts.
func (c *convertCmd) Run(ctx context.Context, a *app) error {
	r, w, err := c.order()
	if err != nil {
		return err
	}
	return a.carryOut(ctx, r, w)
}

// order returns the request of the command line.
func (c *convertCmd) order() (recipe.Request, work, error) {
	r := recipe.Request{Recipe: recipe.Conversion(c.Model), Run: recipe.Run{Output: c.Output, Overwrite: c.Overwrite}}
	w := work{dryRun: c.DryRun, json: c.JSON, run: c.runFlags}
	if c.Model == "" {
		return r, w, &requestError{msg: "MODEL is empty: name a model folder or weight file"}
	}
	return r, w, c.put(&r)
}
