// Package gate is the one place where an HTTP request meets the policy.
//
// Three types matter. A [Gate], made by [New], is put around everything else. A
// [Loader] tells the policy of the thing that a request is about. A [Passage] tells
// the handler behind what the gate has found out:
//
//	door, err := gate.New(gate.Options{
//		Policy:  engine,   // a policy.Engine
//		Tokens:  verifier, // token.NewVerifier(nil, token.VerifierOptions{Trusted: issuers})
//		Loaders: map[string]gate.Loader{"/notes/{id}": findNote},
//	})
//	server := &http.Server{Handler: door.Wrap(mux), DisableGeneralOptionsHandler: true}
//	...
//	caller := gate.FromContext(r.Context()).Request.Subject // in a handler
//
// That is a program whose callers log in elsewhere: their subjects are external, and
// have what the issuer's mapping gives them. One that issues tokens of its own names
// its Issuer, and the Subjects that know who each of its subjects is now. For Gin
// there are [Gate.WrapGin] and [FromGin]. The directory examples holds whole programs.
//
// For each request it reads the canonical target, finds the declared route,
// verifies the bearer token, looks up who its subject is now and what the
// route's [Loader] knows of the resource, and asks the policy. Each of these is
// one call to another package; the gate holds them together, and decides
// nothing itself. A request that passes reaches the handler behind with a
// [Passage] in its context; any other is answered here, with the status and the
// challenge of RFC 6750 and as little said as the caller may know.
//
// What the policy judged and what the handler serves are the same: a target has
// one spelling (package route), and a request whose URL was rewritten in front of
// the gate is refused. So the gate must be the outermost handler. A server that
// it is put into needs DisableGeneralOptionsHandler, or else net/http answers
// "OPTIONS *" before any handler.
//
// A handler that panics is answered 500 and logged; the server goes on.
package gate
