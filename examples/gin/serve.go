package main

import (
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// serve answers on an address until it can't, and logs which one it is: port 0 is
// any that is free.
func serve(address string, handler http.Handler) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	slog.Info("serving", "url", "http://"+listener.Addr().String())
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second,
		DisableGeneralOptionsHandler: true, // "OPTIONS *" goes through the gate, too
	}
	return server.Serve(listener)
}

// must ends the program where a part of it can't be made.
func must[T any](made T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return made
}
