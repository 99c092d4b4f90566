// Package problem writes refusals as clients expect them: a [Problem] is a body
// of RFC 9457 (application/problem+json), a [Challenge] the WWW-Authenticate
// header of RFC 6750 that goes with it.
//
// It decides nothing and knows nothing of requests: what a caller may be told
// is up to whoever fills a Problem in.
package problem
