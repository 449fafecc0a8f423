"""Real mail programs, one file each: `check(test)` drives the program through a session.

`test` is a case of `test_clients`: it says where the program logs in (`host`,
`port`, `user`, `password`, `ca`), gives it a directory (`work`), and looks at the
mail on the server (`mailbox`). Two messages, `first` and `second`, wait in
INBOX. Each program does as much as it can of: list the folders, select INBOX,
fetch `first` unchanged, append `written`, flag `first`, delete `second` and
expunge, log out. The test then checks the mailbox on the server's disk.
"""
