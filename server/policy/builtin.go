package policy

// UnderBuiltIn returns a function that says of a pattern which of the built-in ones it
// takes a part of, or the whole; empty where there is none. An error names a built-in
// pattern that is none.
func UnderBuiltIn(patterns []string) (func(pattern string) string, error) {
	b, err := newBuiltIn(patterns)
	if err != nil {
		return nil, err
	}
	return b.under, nil
}
