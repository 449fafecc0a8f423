"""Real mail programs: the same sessions with Dovecot directly and through the proxy.

The direct sessions are the control group. If a program fails in both, the script or
the program is at fault; if it fails only through the proxy, the proxy is.
"""

import os
import secrets
import unittest

from clients import curl, fetchmail, getmail, imaplib_session, mbsync, neomutt, offlineimap, scripts, thunderbird
from world import ALICE, RealParts, message


class Programs:
    """The programs; the classes below choose the server for their logins."""

    user = ALICE

    def log_in_at(self, server, password, mailbox):
        self.host, self.port, self.ca = server.host, server.port, server.ca
        self.password = password
        self.mailbox = mailbox
        mailbox.empty(self.user)
        mailbox.deliver(self.user, message("first"), "1.test.localhost")
        mailbox.deliver(self.user, message("second"), "2.test.localhost")
        self.log_before = mailbox.log_position()

    def environment(self, **extra):
        """A program's whole environment: an empty home, and none of the tester's settings."""
        clean = {"HOME": self.work, "PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | extra
        return {name: str(value) for name, value in clean.items()}

    def subjects(self):
        """The messages in INBOX: `{subject: flags}`."""
        found = {}
        for flags, content in self.mailbox.messages(self.user):
            subject = next(line for line in content.splitlines() if line.startswith(b"Subject: "))
            found[subject[9:].decode()] = flags
        return found

    def assert_logged_out(self, how="Disconnected: Logged out"):
        self.mailbox.wait_for_log(how, since=self.log_before)

    def assert_all_done(self, how="Disconnected: Logged out"):
        """`first` is flagged, `second` is deleted, `written` is there, and the program logged out."""
        self.assert_logged_out(how)
        subjects = self.subjects()
        self.assertIn("written", subjects)
        self.assertNotIn("second", subjects)
        self.assertIn("F", subjects["first"])

    def test_curl(self):
        curl.check(self)

    def test_imaplib(self):
        imaplib_session.check(self)

    def test_mbsync(self):
        mbsync.check(self)

    def test_offlineimap(self):
        offlineimap.check(self)

    def test_fetchmail(self):
        fetchmail.check(self)

    def test_getmail(self):
        getmail.check(self)

    def test_neomutt(self):
        neomutt.check(self)

    def test_php_imap(self):
        scripts.php(self)

    def test_perl_mail_imapclient(self):
        scripts.perl(self)

    def test_node_imapflow(self):
        scripts.node(self)

    def test_thunderbird(self):
        thunderbird.check(self)


class StraightAtDovecot(Programs, RealParts):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.chosen = secrets.token_urlsafe(12)
        cls.control = cls.world.password_dovecot(cls.chosen)

    def setUp(self):
        super().setUp()
        self.log_in_at(self.control, self.chosen, self.control)


class ThroughTheProxy(Programs, RealParts):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.proxy = cls.world.proxy()
        code, cls.client, words = cls.proxy.authorize(ALICE)
        assert code == 0, words
        cls.proxy.serve()

    def setUp(self):
        super().setUp()
        self.log_in_at(self.proxy, self.client["password"], self.dovecot)


if __name__ == "__main__":
    unittest.main()
