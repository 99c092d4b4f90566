// Package gateway puts the gate in front of other people's services, in two ways.
//
// As a reverse proxy ([Gateway.Proxy], a handler inside the gate): a request whose
// declared pattern has an upstream goes there, with the very path and query that
// the policy saw, and with headers that say who asks. Which upstream that is, the
// snapshot that decided the request says ([policy.Snapshot.Upstream]), so no request
// is decided by one table and proxied by another.
//
// As the answer to another proxy's question ([Gateway.ForwardAuth], a handler around
// the gate): nginx, Caddy, Traefik and Envoy each describe a request that they got,
// and the gate decides it as if it had come here.
//
// What both tell about the caller, and what they take away from what the caller
// said about itself, is in identity.go. docs/gateway.md is for their users.
package gateway
