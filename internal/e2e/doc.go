// Package e2e holds the tests of the program as a whole.
package e2e
