// Package testmodel makes the models that tests read: folders of weight files
// in either format, and checkpoints as trainers save them.
//
// It writes files by itself, with the encoders of the formats and without
// writer, so that the tests of every other package may use it.
package testmodel
