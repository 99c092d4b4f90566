// Package policy is the embedded Open Policy Agent: it loads policies, checks
// and tests them, makes them live, and decides by them. It is the only package
// that imports OPA.
//
// Three types matter. A [Source] says where policy and data lie. A [Snapshot]
// is one policy that was loaded from it: immutable, complete with its data,
// route table, prepared queries and caches. An [Engine] holds the snapshot that
// is live and replaces it when the source changes:
//
//	engine, err := policy.New(ctx, policy.Dir("policies", "data"), policy.Options{})
//	go engine.Watch(ctx)
//	...
//	snapshot := engine.Current()           // once for a request: the next may be another
//	match, declared := snapshot.Match(host, target.Segments)
//	decision, err := snapshot.Decide(ctx, request)
//
// # From a directory to a decision
//
// A source is read into memory in one go; if it changes meanwhile it is read
// again, so a snapshot never holds files of two states, and its revision is the
// digest of exactly what was loaded. OPA's own loader then reads that copy, with
// the semantics of `opa test policies data`, except that names with a leading
// dot are left out. What it finds is compiled strictly, without the builtins
// that reach out; checked against the schemas of the inputs (package schema); and
// tested by OPA's own tester, within a deadline. Whatever fails on the way is a
// [LoadError] whose [Problem] values name file, line and, for a test, what was
// expected and what was found. [Load] does all this for people who only want to
// check a policy, [Test] for those who want results and coverage.
//
// An engine that can't load what its source holds now keeps the snapshot it has,
// and says so in its [Status].
//
// # What counts as an answer
//
// Only the boolean true allows. An entrypoint that is missing, undefined or
// answers something that is no decision denies, and leaves a [Warning], once for
// each snapshot. An evaluation that fails or passes its deadline is an error,
// and no decision.
package policy
