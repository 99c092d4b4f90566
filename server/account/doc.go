// Package account keeps who may log in, and logs them in.
//
// An [Account] is a person or program with a username, perhaps an e-mail
// address, roles, free attributes and a password hash. Three types do the work:
//
//   - [Directory] administers accounts: create, import, update, remove, find. It
//     holds the rules of what a good account is, and every change that it makes
//     is one transaction. [Directory.Subject] tells the gate who somebody is now.
//   - [Hasher] makes password hashes (argon2id) and verifies them, together with
//     the bcrypt and argon2i hashes that other programs made, up to a cost.
//   - [Authenticator] answers a login. A failure of any kind looks like any other
//     in result and time; hashing runs a few at a time behind a bounded queue;
//     repeated failures are slowed down by account and by address.
//
// A login comes in two steps, since whether an account may log in at all is the
// policy's decision. [Authenticator.Authenticate] checks the password and hands
// out an [Attempt]; the caller asks the policy, and then either accepts or
// rejects the attempt. A rejected attempt looks like a wrong password:
//
//	attempt, err := authenticator.Authenticate(ctx, login, password, addr)
//	var busy *account.BusyError
//	switch {
//	case errors.As(err, &busy):
//		// 503, Retry-After: busy.RetryAfter
//	case errors.Is(err, account.ErrBadCredentials):
//		// the answer to every failed login
//	case err != nil:
//		// storage failed
//	}
//	if !policySaysYes(attempt.Account.Subject()) {
//		return attempt.Reject(ctx)
//	}
//	return attempt.Accept(ctx)
//
// # Names
//
// An account is found by its id, its username or its e-mail address. Usernames
// and addresses share one namespace of canonical identities (RFC 8265: case and
// Unicode form do not count), so nobody's username can be somebody else's
// address, and the throttle counts one counter however a name is spelt.
//
// # Clients and sessions
//
// A [Client] is a program that asks for tokens; [Clients] administers them. A
// [Session] is one login on one device: [Sessions] begins one, exchanges its refresh
// tokens ([Sessions.Present], then [Presented.Rotate] once the policy has said yes)
// and ends it. What ends before it expires is in [Revocations], which the gate asks
// about each token. [Who] finds who the subject of a token is now, an account or a
// client. What others have changed is known after a Reload.
//
// # Audit
//
// Every change writes its [Event] in its own transaction: without the event there
// is no change. [WithActor] says by whom; [Events] reads the log.
//
// # Storage
//
// The package stores nothing itself: [Store], [LoginStore], [ClientStore],
// [SessionStore], [RevocationStore] and [EventStore] are the interfaces that
// server/store implements.
package account
