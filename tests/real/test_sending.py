"""Real programs that send: the same letter to Dovecot directly and through the proxy.

The direct sessions are the control group, as in test_clients.
"""

import os
import secrets
import unittest

from letter import ATTACHMENT, RECIPIENTS, SENDER, TEXT, letter, read
from senders import curl, msmtp, neomutt, postfix, scripts, smtplib_session, swaks, thunderbird
from world import ALICE, RealParts


class Programs:
    """The programs; the classes below choose the server for their logins, and the destination of the letter."""

    user = ALICE
    subject = "a scan"

    def log_in_at(self, server, password, arrived):
        self.host, self.port, self.ca = server.host, server.submission[self.security], server.ca
        self.password = password
        self.arrived = arrived
        arrived.empty()

    def environment(self, **extra):
        """A program's whole environment: an empty home, and none of the tester's settings."""
        clean = {"HOME": self.work, "PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | extra
        return {name: str(value) for name, value in clean.items()}

    def next_mail(self):
        mail = self.arrived.next()
        self.assertEqual((mail.sender, sorted(mail.recipients)), (SENDER, sorted(RECIPIENTS)))
        return mail

    def assert_arrived(self):
        """The letter arrived, byte for byte."""
        self.assertEqual(self.next_mail().as_sent(), letter(self.subject))

    def assert_arrived_as_written(self):
        """A message that the program itself wrote arrived, with all its parts."""
        content = self.next_mail().as_sent()
        subject, text, attachment = read(content)
        # Programs may or may not end the last line.
        self.assertEqual((subject, text.rstrip("\n")), (self.subject, TEXT.rstrip("\n")))
        self.assertTrue(attachment == ATTACHMENT, "the attachment was changed")
        self.assertNotIn(RECIPIENTS[1].encode(), content)

    def test_curl(self):
        curl.check(self)

    def test_msmtp(self):
        msmtp.check(self)

    def test_swaks(self):
        swaks.check(self)

    def test_smtplib(self):
        smtplib_session.check(self)

    def test_neomutt(self):
        neomutt.check(self)

    def test_postfix(self):
        postfix.check(self)

    def test_nodemailer(self):
        scripts.node(self)

    def test_phpmailer(self):
        scripts.php(self)

    def test_thunderbird(self):
        thunderbird.check(self)


class StraightAtDovecotWithTls(Programs, RealParts):
    security = "tls"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.chosen = secrets.token_urlsafe(12)
        cls.control = cls.world.password_dovecot(cls.chosen)

    def setUp(self):
        super().setUp()
        self.log_in_at(self.control, self.chosen, self.world.sink)


class StraightAtDovecotWithStarttls(StraightAtDovecotWithTls):
    security = "starttls"


class ThroughTheProxy(Programs):
    """The classes below choose the provider's server."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        server, security, cls.arriving = cls.provider()
        cls.proxy = cls.world.proxy(sending=(server, security))
        code, cls.client, words = cls.proxy.authorize(ALICE)
        assert code == 0, words
        cls.proxy.serve()

    def setUp(self):
        super().setUp()
        self.log_in_at(self.proxy, self.client["password"], self.arriving)


class ToDovecotWithTls(ThroughTheProxy, RealParts):
    """TLS on both sides."""

    security = "tls"

    @classmethod
    def provider(cls):
        return cls.world.dovecot, "tls", cls.world.sink


class ToDovecotWithStarttls(ThroughTheProxy, RealParts):
    """STARTTLS on both sides."""

    security = "starttls"

    @classmethod
    def provider(cls):
        return cls.world.dovecot, "starttls", cls.world.sink


class ToSmtpServerFromTls(ThroughTheProxy, RealParts):
    """A program with TLS, and a provider with only STARTTLS, such as Microsoft."""

    security = "tls"

    @classmethod
    def provider(cls):
        server = cls.world.smtp_server()
        return server, "starttls", server


if __name__ == "__main__":
    unittest.main()
