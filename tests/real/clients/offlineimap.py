"""OfflineIMAP: two two-way syncs, with local changes in between."""

from parts.child import run

from world import message

from .mbsync import flag, subject, unix

CONFIG = """
[general]
accounts = test
metadata = {work}/metadata

[Account test]
localrepository = local
remoterepository = remote

[Repository local]
type = Maildir
localfolders = {work}/mail

[Repository remote]
type = IMAP
remotehost = {test.host}
remoteport = {test.port}
remoteuser = {test.user}
remotepass = {password}
ssl = yes
sslcacertfile = {test.ca}
"""


def check(test):
    config = test.work / "offlineimaprc"
    # In OfflineIMAP's configuration % starts a substitution.
    config.write_text(CONFIG.format(test=test, work=test.work, password=test.password.replace("%", "%%")))
    inbox = test.work / "mail" / "INBOX"

    def sync():
        done = run(["offlineimap", "-o", "-u", "basic", "-c", config], env=test.environment())
        test.assertNotIn(b"ERROR", done.stdout + done.stderr)
        return {subject(file): file for place in ("new", "cur") for file in (inbox / place).iterdir()}

    here = sync()
    test.assertEqual(set(here), {"first", "second"})
    (inbox / "new" / "1.draft.localhost").write_bytes(unix(message("written")))
    flag(here["first"], "FS")
    here["second"].unlink()
    test.assertEqual(set(sync()), {"first", "written"})
    test.assert_all_done()
