package main

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// proxyTo is httputil.ReverseProxy as it comes: it changes where a request goes and
// nothing else, and has no BufferPool. The transport keeps as many connections as
// Stagedoor's, and like it asks for no compression of its own; with Go's default of
// two for each host, most requests would open a connection.
func proxyTo(upstream string) (http.Handler, error) {
	target, err := url.Parse(upstream)
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 256, IdleConnTimeout: 90 * time.Second, DisableCompression: true,
		},
	}, nil
}
