package demo

import "github.com/stagedoor/stagedoor/server/account"

// Passwords are the demo accounts' passwords by username. They are published, so
// an account that still has its own is for demonstrations only.
func Passwords() map[string]string {
	return map[string]string{"johndoe": "secret", "alice": "secretalice", "carol": "secretcarol"}
}

// Accounts are the people of the demo. The first two are the original article's,
// with its very hashes; their passwords are no secret: johndoe / secret (an
// administrator), alice / secretalice (a client, disabled) and carol /
// secretcarol (a client).
func Accounts() []account.Account {
	return []account.Account{
		{
			Username: "johndoe", Email: "johndoe@example.com", FullName: "John Doe",
			Roles: []string{"admin"}, PasswordHash: "$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW",
		},
		{
			Username: "alice", Email: "alice@example.com", FullName: "Alice Wonderson",
			Roles: []string{"client"}, Disabled: true, PasswordHash: "$2b$12$gSvqqUPvlXP2tfVFaWK1Be7DlH.PKZbv5H8KnzzVgXXbVxpva.pFm",
		},
		{
			Username: "carol", Email: "carol@example.com", FullName: "Carol Doe",
			Roles: []string{"client"}, PasswordHash: "$argon2id$v=19$m=19456,t=2,p=1$SfGbH1KiVBMit5FJfzqKiw$1PjEEkDBX7QS6IhKlm430HHw3PvzHuzunDMBJAq56S0",
		},
	}
}
