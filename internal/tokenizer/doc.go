// Package tokenizer reads the tokenizers of model folders, works out the
// vocabulary that a merge of them has, and edits the tokenizer files that have
// to change. It touches no weights: it says of which rows they are made.
//
// # Reading
//
// Entries come from the first of tokenizer.json (model.vocab), vocab.json,
// vocab.txt and tokenizer.model; added tokens from tokenizer.json and from the
// settings beside it, in the order of transformers 5.23: added_tokens of
// tokenizer.json, added_tokens_decoder of tokenizer_config.json or else
// added_tokens.json, then the special tokens that tokenizer_config.json (or else
// special_tokens_map.json) names. Ids of added tokens are those that tokenizers
// gives them, whatever the files state: an entry's own, else the next one from
// the number of entries on. Files are read as a stream; what stays is a
// Vocabulary, and while it is made about three times as much.
//
// # The output's vocabulary
//
// These are the semantics of mergekit 0.1.5 (tokenizer/build.py, embed.py).
//
//   - Base: the base model's tokens as far as its rows go.
//   - Union: those, then plain entries that the base model lacks, then added
//     tokens that it lacks, each in the order of the models (base first) and of
//     their ids there. All become added tokens. A plain entry of one model that
//     is an added token of another becomes an added token with the id it has.
//   - Named: all tokens of the named tokenizer.
//   - Tokens of overrides that are not there come last, in the recipe's order,
//     as added tokens that are normalized and not special.
//
// Rows are assigned per token and parent before the merge method runs, which
// then mixes whole matrices: a row that is filled in is merged like any other.
//
//   - A parent that has the token keeps its row of it, unless an override
//     forces another.
//   - A parent that lacks it gets what an override says; without one, the row
//     of the only parent that has it; zeros if none has it; the base model's
//     row; and if that lacks it too, the mean of those that have it.
//   - Rows beyond the tokens (PadTo) are the mean of the parent's others.
//   - A token beyond the rows of its model is one that this model lacks.
//   - A model whose tokenizer can't be read is taken to have the base model's.
//
// It differs from mergekit in these points. Plain entries of a union come in the
// order of their ids, not in a random one that changes with every run. Where
// mergekit ends with a KeyError (a model other than the base whose tokenizer
// goes beyond its rows, a token added to the base's tokenizer) the rule for
// missing tokens applies. Ids that no token has get the mean, and not an
// IndexError or zeros. Means are meant to be rounded once, not after every term.
// A base model whose tokenizer goes beyond its rows keeps its files with Base;
// and where its own entries do, no token can be added to it.
//
// # Files
//
// Where no token is added, the tokenizer's files are copied byte for byte.
// Where some are, entries are put into and taken out of the lists of added
// tokens in tokenizer.json, tokenizer_config.json (added_tokens_decoder) and
// added_tokens.json, as far as they are there, and no other byte changes:
// unlike mergekit, which has the installed transformers rewrite all files.
// vocab.json, merges.txt, vocab.txt, tokenizer.model and
// special_tokens_map.json never list added tokens that a merge brings.
package tokenizer
