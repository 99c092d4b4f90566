// Package trial runs an example as its users would: a Stagedoor server that issues
// tokens, and the example's own binary beside copies of its policies and data. Only
// the examples' tests import it.
package trial
