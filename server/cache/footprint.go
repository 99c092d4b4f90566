package cache

import "encoding/json"

// Footprint is about how many bytes of memory a JSON value takes, for the sizes
// that [Cache.Put] wants: within a third, whether it is text or a thousand empty
// lists. It knows what encoding/json decodes to (numbers as json.Number), and lists
// of strings.
func Footprint(value any) int {
	const box = 16 // an interface
	switch v := value.(type) {
	case map[string]any:
		size := 80
		if len(v) > 0 {
			size = 256 // room for eight members
		}
		for name, member := range v {
			size += 2*box + len(name) + Footprint(member)
		}
		return size
	case []any:
		size := 64
		for _, member := range v {
			size += Footprint(member)
		}
		return size
	case []string:
		size := 64
		for _, text := range v {
			size += box + len(text)
		}
		return size
	case string:
		return 2*box + len(v)
	case json.Number:
		return 2*box + len(v)
	}
	return box
}
