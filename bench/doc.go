//go:build linux

// Command bench measures Stagedoor and writes docs/benchmarks.md. `make bench`
// runs it, `make bench-peers` runs it with -peers, and its test runs all of it in
// miniature.
//
// A run goes through sections, in this order:
//
//	stages   the repository's Go benchmarks, and the steps of one decision in this process
//	growth   the same with more routes, accounts and scopes
//	http     the whole path: wrk against bare net/http, bare Gin, Stagedoor in
//	         several states, and `opa run --server`, in interleaved rounds
//	gateway  Stagedoor in front of an nginx, and as the answer to nginx's
//	         auth_request, beside nginx's proxy_pass and a bare ReverseProxy
//	profile  where the time of a cold request goes: a CPU profile of the server
//	latency  bare Gin and Stagedoor at a fixed rate of half the capacity
//	reload   200 reloads of a policy of 100 modules while requests run
//	logins   200 logins at once, and what other requests notice of them
//	start    from the start of a process to its first decision
//
// What is measured goes into bench/results/main.json (peers.json with -peers) and
// the page is rendered from these files, so no figure in it is typed by hand, and
// neither run erases the other's part. `go run ./bench -only gateway -keep` measures one
// section anew and leaves the others as they were; the page says when that was. Linux
// only: it reads /proc.
//
// The files: run.go says what is run, build.go and process.go start servers,
// state.go makes accounts, tokens and policies, load.go and load.lua drive wrk,
// openloop.go and pump.go are a client of a fixed rate; each section has a file of its name;
// verdict.go compares with what must hold; report.go writes the page.
package main
