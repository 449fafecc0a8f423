"""Real programs that send, one file each: `check(test)` sends the letter of `letter.py`.

`test` is a case of `test_sending`: it says where the program logs in (`host`, `port`,
`security`, `user`, `password`, `ca`), gives it a directory (`work`), and checks the mail
that arrived. Programs that send a file unchanged are judged by every byte, programs that
write the message themselves by its subject, its text and its attachment.
"""
