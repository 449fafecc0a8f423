"""Real programs that fetch by POP3: the same sessions with Dovecot directly and through the proxy.

The direct sessions are the control group, as in test_clients.
"""

import os
import secrets
import unittest

from fetchers import curl, fetchmail, getmail, mpop, poplib_session
from world import ALICE, RealParts, message

DOTS = ".\r\n..\r\n.a dot first\r\nHello.\r\n"


class Programs:
    """The programs; the classes below choose the server for their logins."""

    user = ALICE
    first = message("first", "Dots:\r\n" + DOTS)

    def log_in_at(self, server, password, mailbox):
        self.server = server
        self.host, self.port, self.ca = server.host, server.pop3[self.security], server.ca
        self.password = password
        self.mailbox = mailbox
        mailbox.empty(self.user)
        mailbox.deliver(self.user, self.first, "1.test.localhost")
        mailbox.deliver(self.user, message("second"), "2.test.localhost")
        self.log_before = mailbox.log_position()

    def environment(self, **extra):
        """A program's whole environment: an empty home, and none of the tester's settings."""
        clean = {"HOME": self.work, "PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | extra
        return {name: str(value) for name, value in clean.items()}

    def subjects(self):
        """The messages in INBOX."""
        lines = [line for _, content in self.mailbox.messages(self.user) for line in content.splitlines()]
        return [line[9:].decode() for line in lines if line.startswith(b"Subject: ")]

    def assert_logged_out(self, how):
        self.mailbox.wait_for_log(how, since=self.log_before)

    def test_curl(self):
        curl.check(self)

    def test_poplib(self):
        poplib_session.check(self)

    def test_fetchmail(self):
        fetchmail.check(self)

    def test_mpop(self):
        mpop.check(self)


class ProgramsWithTls(Programs):
    security = "tls"

    # getmail has no STLS.
    def test_getmail(self):
        getmail.check(self)


class ProgramsWithStls(Programs):
    security = "starttls"


class StraightAtDovecot(RealParts):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.chosen = secrets.token_urlsafe(12)
        cls.control = cls.world.password_dovecot(cls.chosen)

    def setUp(self):
        super().setUp()
        self.log_in_at(self.control, self.chosen, self.control)


class StraightAtDovecotWithTls(ProgramsWithTls, StraightAtDovecot):
    pass


class StraightAtDovecotWithStls(ProgramsWithStls, StraightAtDovecot):
    pass


class ThroughTheProxy(RealParts):
    """The same security on both sides."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.proxy = cls.world.proxy(fetching=(cls.world.dovecot, cls.security))
        code, cls.client, words = cls.proxy.authorize(ALICE)
        assert code == 0, words
        cls.proxy.serve()

    def setUp(self):
        super().setUp()
        self.log_in_at(self.proxy, self.client["password"], self.dovecot)


class ThroughTheProxyWithTls(ProgramsWithTls, ThroughTheProxy):
    pass


class ThroughTheProxyWithStls(ProgramsWithStls, ThroughTheProxy):
    pass


if __name__ == "__main__":
    unittest.main()
