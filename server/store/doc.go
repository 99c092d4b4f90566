// Package store keeps what must survive a restart, in a SQLite database.
//
// [Open] makes or opens a database and brings its schema up to date; the [Store]
// that it returns implements the interfaces of its users: those of package account
// (account.Store, LoginStore, ClientStore, SessionStore, RevocationStore, EventStore)
// and token.KeyStore. It keeps a few named settings too.
//
// What a method wrote survives a kill -9 and a power cut once it has returned
// (write-ahead log, synchronous=FULL). Several processes may have one database
// open, such as a command beside a running server: writers queue for the lock
// and readers never wait. [Store.Changed] tells cheaply whether anybody has
// changed anything.
//
// # Another database
//
// The SQL here is understood by SQLite and PostgreSQL alike ($1 placeholders, ON
// CONFLICT, times as microseconds, JSON as text). What differs is a dialect: how
// to open, the migrations, the change counter, and what errors mean. sqlite.go is
// the only one so far. Package storetest holds the suite that every store must
// pass.
package store
