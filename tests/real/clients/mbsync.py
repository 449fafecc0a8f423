"""mbsync (isync): three two-way syncs, with changes on both sides in between."""

from parts.child import run

from world import message

CONFIG = """
IMAPAccount remote
Host {test.host}
Port {test.port}
User {test.user}
Pass "{test.password}"
SSLType IMAPS
SystemCertificates no
CertificateFile {test.ca}
AuthMechs LOGIN

IMAPStore remote
Account remote

MaildirStore local
Path {mail}/
Inbox {mail}/INBOX
SubFolders Verbatim

Channel everything
Far :remote:
Near :local:
Patterns *
Create Both
Expunge Both
SyncState *
"""


def check(test):
    mail = test.work / "mail"
    mail.mkdir()
    config = test.work / "mbsyncrc"
    config.write_text(CONFIG.format(test=test, mail=mail))
    inbox = mail / "INBOX"

    def sync():
        run(["mbsync", "--config", config, "--all"], env=test.environment())
        return {subject(file): file for place in ("new", "cur") for file in (inbox / place).iterdir()}

    here = sync()
    test.assertEqual(set(here), {"first", "second"})

    # The local side: a new message, a flag, a deletion.
    (inbox / "new" / "1.draft.localhost").write_bytes(unix(message("written")))
    flag(here["first"], "FS")
    flag(here["second"], "ST")
    here = sync()
    test.assertEqual(set(here), {"first", "written"})
    test.assert_all_done()

    # The server's side: the same three changes.
    there = {subject(file): file for file in test.mailbox.files(test.user)}
    test.mailbox.deliver(test.user, message("third"), "3.test.localhost")
    flag(there["written"], "FS")
    there["first"].unlink()
    here = sync()
    test.assertEqual(set(here), {"written", "third"})
    test.assertIn("F", here["written"].name.partition(":2,")[2])


def unix(text):
    """The message as stored in a Maildir: line ends without CR."""
    return text.replace(b"\r\n", b"\n")


def subject(file):
    return next(line[9:] for line in file.read_text().splitlines() if line.startswith("Subject: "))


def flag(file, letters):
    """Sets the flags of a message in a Maildir, as a mail program does."""
    name = file.name.partition(":")[0]
    file.rename(file.parent.parent / "cur" / f"{name}:2,{letters}")
