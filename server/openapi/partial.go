package openapi

import (
	"strings"
)

// partial is a claim to a path with a parameter that is a part of a segment, as in
// /{dir}/{name}.json: no pattern takes the same requests.
type partial struct {
	segments []string // as the document has them, below the base
	// cover is the shape of the pattern that was put in its place, and takes more.
	cover []string
	claim claim
}

// settlePartial closes what takes some of the requests to a path that no pattern can
// say, as /v1/{file} does beside /{dir}/{name}.json: its methods there. What is narrower
// stays, and what is wider than its cover is kept from it by that.
func (in *importer) settlePartial() error {
	if len(in.partial) == 0 {
		return nil
	}
	patterns := in.table.sorted()
	shapes := make([][]string, len(patterns))
	for i, pattern := range patterns {
		shapes[i] = shape(pattern)
	}
	for _, p := range in.partial {
		if in.compared += len(patterns); in.compared > maxComparisons {
			return errAmbiguous
		}
		for i, pattern := range patterns {
			if !p.crosses(shapes[i]) {
				continue
			}
			in.deny(in.table.entries[pattern], untranslated{reason: "would also take requests to " + printable(p.claim.path) + ", which can't be declared", advice: "change one"},
				func(c claim) bool { return p.claim.method == "" || c.method == p.claim.method })
		}
	}
	return nil
}

// crosses reports whether some request to the path is one to the shape, too, unless all
// of the shape's are the path's, or the cover is narrower than the shape.
func (p partial) crosses(shape []string) bool {
	if len(shape) != len(p.segments) {
		return false
	}
	within := true
	for i, part := range shape {
		overlaps, contained := segmentOf(p.segments[i], part)
		if !overlaps {
			return false
		}
		within = within && contained
	}
	return !within && !includes(shape, p.cover)
}

// segmentOf compares a segment of a document's path with one of a shape: whether some
// text can be both, and whether all that the shape's can be is the document's, too. In
// doubt it is yes and no.
func segmentOf(written, of string) (overlaps, contained bool) {
	first, last := strings.IndexByte(written, '{'), strings.LastIndexByte(written, '}')
	if first < 0 || last < first {
		same := shape("/" + written)[0] == of
		return same || of == anything || first >= 0, same
	}
	prefix, suffix := written[:first], written[last+1:]
	if of == anything {
		return true, prefix == "" && suffix == "" && strings.Count(written, "{") == 1
	}
	overlaps = len(of) >= len(prefix)+len(suffix) && strings.HasPrefix(of, prefix) && strings.HasSuffix(of, suffix)
	return overlaps, overlaps && strings.Count(written, "{") == 1 && len(of) > len(prefix)+len(suffix)
}
