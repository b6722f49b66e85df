package cli

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"slerpmerge/internal/model"
	"slerpmerge/internal/recipe"
	"slerpmerge/mmapio"
)

// A mergeAnswer has what was answered, as the command line takes it; "" is not
// asked yet.
type mergeAnswer struct{ primary, secondary, vocab, output, t, format string }

// run returns the whole session.
func (s *session) run(ctx context.Context) error {
	s.say("This merges two models by SLERP into a new folder. Nothing is written before you agree; Ctrl-C leaves.")
	if s.editor != nil {
		s.say("Tab completes a path, the up and down keys go through the list. Without questions: see slerpmerge --help")
	} else {
		s.say("Without questions: see slerpmerge --help")
	}
	if err := s.questions(ctx); err != nil {
		return err
	}
	r, card, err := s.recipe()
	if err != nil {
		return err
	}
	s.say("")
	screen := *s.app
	screen.stdout = s.out // standard output may be a file, which would hide what is agreed to
	if err := screen.showPlan(ctx, r, false); err != nil {
		return err
	}
	s.say("")
	yes := false
	if err := s.ask(ctx, "Run this merge? (yes or no) [yes]", "yes", func(answer string) error {
		yes = strings.EqualFold(answer, "y") || strings.EqualFold(answer, "yes")
		if !yes && !strings.EqualFold(answer, "n") && !strings.EqualFold(answer, "no") {
			return errors.New("answer yes or no")
		}
		return nil
	}); err != nil {
		return err
	}
	if yes {
		s.say("The same merge without questions:")
	} else {
		s.say("Nothing was written. The same merge without questions:")
	}
	s.say("%s", commandLine(s.args()))
	if !yes {
		return nil
	}
	return s.carryOut(ctx, r, work{card: card})
}

// questions fills in the answers. Each is checked with those before it, so
// that parents which don't fit are refused when the second one is named.
func (s *session) questions(ctx context.Context) error {
	a := &s.answers
	s.offer("Models in this folder", modelsIn("."))
	s.matches = pathMatcher(true)
	if err := s.ask(ctx, "Primary model (what t = 0 gives)", "", s.modelAnswer(&a.primary, func() error {
		m, err := model.Open(mmapio.NewPool(planPool), a.primary)
		if err != nil {
			return err
		}
		defer m.Close()
		return m.Mergeable()
	})); err != nil {
		return err
	}
	mismatch := ""
	if err := s.ask(ctx, "Secondary model (what t = 1 gives)", "", s.modelAnswer(&a.secondary, func() (err error) {
		mismatch, err = s.vocabMismatch(ctx)
		return err
	})); err != nil {
		return err
	}
	if mismatch != "" {
		if err := s.askVocab(ctx, mismatch); err != nil {
			return err
		}
	}
	s.options, s.matches = nil, pathMatcher(false)
	if err := s.ask(ctx, "Folder to save the merge in", "", func(answer string) error {
		if a.output = readPath(answer); a.output == "" {
			return errors.New("name a folder that does not exist yet, or is empty")
		}
		return s.checkPlan(ctx)
	}); err != nil {
		return err
	}
	s.matches = nil
	preset := strconv.FormatFloat(recipe.DefaultT, 'g', -1, 64)
	if err := s.ask(ctx, "t, from 0 (primary) to 1 (secondary) ["+preset+"]", preset, func(answer string) error {
		a.t = answer
		return s.checkCommand()
	}); err != nil {
		return err
	}
	s.offer("Formats", []string{string(recipe.Safetensors), string(recipe.Bin)})
	s.matches = s.optionMatches
	err := s.ask(ctx, "Format ["+s.options[0]+"]", s.options[0], func(answer string) error {
		if a.format = s.option(answer); !slices.Contains(s.options, a.format) {
			return errors.New("answer " + strings.Join(s.options, " or "))
		}
		return s.checkCommand()
	})
	s.options, s.matches = nil, nil
	return err
}

// vocabMismatch is checkPlan for the models, except for vocabularies that
// differ: those are asked about. It says how they do.
func (s *session) vocabMismatch(ctx context.Context) (string, error) {
	r, _, err := s.recipe()
	if err != nil {
		return "", err
	}
	p, done, err := s.plan(ctx, mmapio.NewPool(planPool), r, false)
	if err != nil {
		return "", err
	}
	defer done()
	if p.VocabMismatch != "" && len(p.Blockers) == 1 {
		return p.VocabMismatch, nil
	}
	return "", p.Refusal()
}

// askVocab asks what becomes of the rows that only one vocabulary has.
func (s *session) askVocab(ctx context.Context, mismatch string) error {
	s.say("The vocabularies differ: %s. What becomes of the rows that only one has?", clean(mismatch))
	s.say("extend keeps them as they are, base goes by the primary, truncate drops them;")
	s.say("zero (as LLM-SLERP-Merge does), mean and gradient blend them with something that stands in.")
	s.offer("Ways", []string{string(recipe.VocabExtend), string(recipe.VocabBase), string(recipe.VocabTruncate),
		string(recipe.VocabZero), string(recipe.VocabMean), string(recipe.VocabGradient)})
	s.matches = s.optionMatches
	return s.ask(ctx, "Rows of one vocabulary ["+s.options[0]+"]", s.options[0], func(answer string) error {
		if s.answers.vocab = s.option(answer); !slices.Contains(s.options, s.answers.vocab) {
			return errors.New("answer " + strings.Join(s.options, ", "))
		}
		return s.checkPlan(ctx)
	})
}

// modelAnswer takes an answer that names a model. A folder that only holds
// models in folders of its own is opened as a picker would.
func (s *session) modelAnswer(to *string, check func() error) func(string) error {
	return func(answer string) error {
		if answer == "" {
			return errors.New("name a model folder or a weight file")
		}
		*to = readPath(answer)
		if _, err := os.Lstat(*to); err != nil { // a folder may be called 1
			*to = readPath(s.option(answer))
		}
		err := check()
		if err == nil {
			return nil
		}
		s.report(err)
		if inside := modelsIn(*to); len(inside) > 0 {
			s.offer("Models in "+clean(*to), inside)
		}
		return errReported
	}
}

// checkPlan asks the plan whether the answers so far can be carried out.
func (s *session) checkPlan(ctx context.Context) error {
	r, _, err := s.recipe()
	if err != nil {
		return err
	}
	p, done, err := s.plan(ctx, mmapio.NewPool(planPool), r, false)
	if err != nil {
		return err
	}
	defer done()
	return p.Refusal()
}

// checkCommand asks the command line whether it takes the answers so far.
func (s *session) checkCommand() error {
	_, _, err := s.recipe()
	return err
}

// args returns the answers as arguments of merge.
func (s *session) args() []string {
	var args []string
	for _, a := range [][]string{
		{s.answers.primary}, {s.answers.secondary}, {"-o", s.answers.output}, {"-t", s.answers.t}, {"--format", s.answers.format}, {"--vocab", s.answers.vocab},
	} {
		if a[len(a)-1] != "" {
			args = append(args, a...)
		}
	}
	return args
}

// recipe reads the answers as the command line would, so that what is run and
// what the printed line runs can't differ. card reports whether there is to be
// one.
func (s *session) recipe() (r recipe.Request, card bool, err error) {
	c := mergeCmd{mergeFlags: withMethods()}
	parser, err := kong.New(&c, kong.Name("merge"), methodNames(), kong.WithHyphenPrefixedParameters(true))
	if err != nil {
		panic("cli: internal error: " + err.Error())
	}
	if _, err = parser.Parse(s.args()); err != nil {
		return r, false, err
	}
	r, err = c.recipe(c.Output)
	return r, !c.NoCard, err
}
