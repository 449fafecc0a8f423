"""getmail: collects both messages into a Maildir and deletes them on the server. It never appends.

getmail delivers in a child process and sometimes misses the child's end (it begins to wait
after the signal has arrived), until its own time limit expires. The message is
still on the server, so the test runs getmail again, as cron would.
"""

import re
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
timeout = 10

[destination]
type = Maildir
path = {mail}/
user = {owner}

[options]
delete = true
"""

MISSED = re.compile(r"waiting child pid \d+ timed out")


def check(test):
    mail = test.work / "mail"
    mail.mkdir()
    for part in (mail, mail / "cur", mail / "new", mail / "tmp"):
        part.mkdir(exist_ok=True)
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
    test.assertEqual({subject(file) for file in (mail / "new").iterdir()}, {"first", "second"})
    test.assert_logged_out()
    test.assertEqual(test.subjects(), {})
