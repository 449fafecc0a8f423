"""getmail: fetches both messages into a Maildir and deletes them on the server. It has TLS, but no STLS.

It now and then misses the end of the child that delivers, as `clients/getmail.py` says, and is run again.
"""

import shutil

from parts.child import run

from clients.getmail import MISSED

CONFIG = """
[retriever]
type = SimplePOP3SSLRetriever
server = {test.host}
port = {test.port}
username = {test.user}
password = {test.password}
ca_certs = {test.ca}
timeout = 10

[destination]
type = Maildir
path = {mail}/
user = {owner}

[options]
delete = true
delivered_to = false
received = false
"""


def check(test):
    mail = test.work / "mail"
    for part in (mail, mail / "cur", mail / "new", mail / "tmp"):
        part.mkdir()
        # getmail refuses to deliver as root.
        shutil.chown(part, test.mailbox.owner)
    config = test.work / "getmailrc"
    config.write_text(CONFIG.format(test=test, mail=mail, owner=test.mailbox.owner))
    for _attempt in range(5):
        command = ["getmail", "--getmaildir", test.work, "--rcfile", config]
        done = run(command, env=test.environment(), check=False)
        words = (done.stdout + done.stderr).decode()
        if not MISSED.search(words):
            break
    test.assertEqual(done.returncode, 0, words)
    fetched = b"".join(file.read_bytes() for file in (mail / "new").iterdir())
    test.assertIn(b"Subject: first", fetched)
    test.assertIn(b"Subject: second", fetched)
    test.assertIn(b"\n.\n..\n.a dot first\n", fetched)
    test.assert_logged_out("Disconnected: Logged out")
    test.assertEqual(test.subjects(), [])
