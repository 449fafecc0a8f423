"""getmail: collects both messages into a Maildir and deletes them on the server. It never appends."""

import shutil

from parts.child import run

from .mbsync import subject

CONFIG = """
[retriever]
type = SimpleIMAPSSLRetriever
server = {test.host}
port = {test.port}
username = {test.user}
password = {test.password}
mailboxes = ("INBOX",)
ca_certs = {test.ca}

[destination]
type = Maildir
path = {mail}/
user = {owner}

[options]
delete = true
"""


def check(test):
    mail = test.work / "mail"
    mail.mkdir()
    for part in (mail, mail / "cur", mail / "new", mail / "tmp"):
        part.mkdir(exist_ok=True)
        # It refuses to deliver as root.
        shutil.chown(part, test.mailbox.owner)
    config = test.work / "getmailrc"
    config.write_text(CONFIG.format(test=test, mail=mail, owner=test.mailbox.owner))
    run(["getmail", "--getmaildir", test.work, "--rcfile", config], env=test.environment())
    test.assertEqual({subject(file) for file in (mail / "new").iterdir()}, {"first", "second"})
    test.assert_logged_out()
    test.assertEqual(test.subjects(), {})
