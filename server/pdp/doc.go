// Package pdp answers other people's services: it is a policy decision point of the
// AuthZEN Authorization API 1.0. The package only translates. [API.Register] adds the
// routes to a router that stands behind the gate, which has decided by then that the
// caller may ask at all; what they ask is decided by data.authzen.decision
// ([policy.AccessQuestions]), by the policy that let the caller pass, and nothing is
// remembered of it.
//
//	pdp.New(pdp.Options{URL: "https://pdp.example.com"}).Register(router)
//
// What a stranger sent is read by body.go, question.go and, of a search's pages,
// page.go; each other file is one kind of question. A search enumerates what the policy
// declares (data.authzen.entities) and asks the decision about each, by type and id
// alone, so it says what an evaluation would say.
//
// Beside AuthZEN, GET /access/routes (routes.go) asks the gate's own decision about
// each declared route, for the caller.
package pdp
