"""Real programs that fetch by POP3, one file each: `check(test)` fetches the mail in INBOX.

`test` is a case of `test_fetching`: it says where the program logs in (`host`, `port`,
`security`, `user`, `password`, `ca`), gives it a directory (`work`), and looks at the
mail on the other side (`mailbox`). Two messages, `first` and `second`, wait in INBOX;
`first` has lines that begin with dots. Programs that hand mail on as it is are judged
by every byte.
"""
