package route

import "fmt"

// EscapeSegment is the spelling of a text as one segment of a path that
// [ParseTarget] takes and decodes to the same text, if there is one.
func EscapeSegment(text string) (escaped string, ok bool) {
	room := make([]byte, 0, len(text))
	for i := range len(text) {
		if c := text[i]; isPathChar(c) {
			room = append(room, c)
		} else {
			room = fmt.Appendf(room, "%%%02X", c)
		}
	}
	escaped = string(room)
	target, err := ParseTarget("/" + escaped)
	return escaped, err == nil && text != "" && len(target.Segments) == 1 && target.Segments[0] == text
}
