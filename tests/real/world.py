"""The servers of every test file: one OAuth server, one Dovecot with its sink, and proxies in front of them."""

import imaplib
import poplib
import shutil
import smtplib
import ssl
import sys
import tempfile
import unittest
from pathlib import Path

from parts.ca import Authority
from parts.child import DEADLINE
from parts.dovecot import Dovecot
from parts.oidc import Oidc
from parts.proxy import Proxy
from parts.sink import Sink
from parts.smtp_server import SmtpServer

ALICE = "alice@corp.example"
BOB = "bob@corp.example"


class World:
    """The real parts of one test class, in one temporary directory."""

    def __init__(self):
        self.root = Path(tempfile.mkdtemp(prefix="real-"))
        self.root.chmod(0o755)
        self._proxies = 0
        self._stops = [lambda: shutil.rmtree(self.root, ignore_errors=True)]
        try:
            self.authority = Authority(self.root)
            self.oidc = self._started(Oidc())
            self.sink = self._started(Sink())
            self.dovecot = self._started(
                Dovecot.with_tokens(self.root / "dovecot", self.authority, self.sink, self.oidc.introspection_url)
            )
        except BaseException:
            self.stop()
            raise

    def password_dovecot(self, password):
        return self._started(Dovecot.with_password(self.root / "control", self.authority, self.sink, password))

    def smtp_server(self):
        """Another provider's submission server: STARTTLS alone, XOAUTH2 alone."""
        directory = self.root / "smtp-server"
        return self._started(SmtpServer(directory, self.authority, self.oidc.introspection_url))

    def proxy(self, **options):
        """A proxy with an empty state directory, not started yet."""
        self._proxies += 1
        return self._started(Proxy(self.root / f"proxy{self._proxies}", self.oidc, self.dovecot, **options))

    def _started(self, part):
        self._stops.append(part.stop)
        return part

    def stop(self):
        while self._stops:
            self._stops.pop()()


class RealParts(unittest.TestCase):
    """A test with a world of its class and a directory of its own."""

    @classmethod
    def setUpClass(cls):
        cls.world = World()
        cls.addClassCleanup(cls.world.stop)

    def setUp(self):
        self.oidc = self.world.oidc
        self.dovecot = self.world.dovecot
        self.work = Path(tempfile.mkdtemp(dir=self.world.root))
        self.work.chmod(0o755)
        self.dovecot.empty(ALICE)
        self.dovecot.empty(BOB)
        self.world.sink.empty()

    def dial(self, server):
        """A connection of Python's imaplib, not yet logged in, closed at the end of the test."""
        trust = ssl.create_default_context(cafile=str(server.ca))
        client = imaplib.IMAP4_SSL(server.host, server.port, ssl_context=trust, timeout=DEADLINE)
        self.addCleanup(client.sock.close)
        return client

    def dial_submission(self, server, security, greet=True):
        """A connection of Python's smtplib with TLS, not yet logged in, closed at the end of the test."""
        trust = ssl.create_default_context(cafile=str(server.ca))
        port = server.submission[security]
        if security == "tls":
            client = smtplib.SMTP_SSL(server.host, port, context=trust, timeout=DEADLINE)
        else:
            client = smtplib.SMTP(server.host, port, timeout=DEADLINE)
            client.starttls(context=trust)
        self.addCleanup(client.close)
        if greet:
            client.ehlo()
        return client

    def dial_pop3(self, server, security="tls"):
        """A connection of Python's poplib with TLS, not yet logged in, closed at the end of the test."""
        trust = ssl.create_default_context(cafile=str(server.ca))
        port = server.pop3[security]
        if security == "tls":
            client = poplib.POP3_SSL(server.host, port, timeout=DEADLINE, context=trust)
        else:
            client = poplib.POP3(server.host, port, timeout=DEADLINE)
            client.stls(context=trust)
        self.addCleanup(client.close)
        return client

    def assert_refused(self, call, *expected):
        """`call` gets a tagged NO whose text contains each of `expected`; returns the text."""
        with self.assertRaises(imaplib.IMAP4.error) as refusal:
            call()
        text = str(refusal.exception)
        for part in expected:
            self.assertIn(part, text)
        return text


class BehindAProxy(RealParts):
    """A test with its own proxy: an empty state directory, not started yet."""

    proxy_options = {}

    def setUp(self):
        super().setUp()
        self.proxy = self.world.proxy(**self.proxy_options, sending=self.sends_through(), fetching=self.fetches_from())
        self.addCleanup(self.proxy.stop)
        self.oidc.revoke_grants(ALICE)
        self.oidc.revoke_grants(BOB)

    def sends_through(self):
        """The server to send through and the security there, for tests that send."""
        return None

    def fetches_from(self):
        """The POP3 server to fetch from and the security there, for tests that fetch."""
        return None

    def run(self, result=None):
        """Shows the proxy's output when a test fails."""
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            lines = "\n".join(self.proxy.logs).splitlines()
            print(f"\n--- {self.id()}: the end of the proxy's log", *lines[-40:], "---", sep="\n", file=sys.stderr)

    def authorize(self, account=ALICE, **options):
        """Authorises, which must succeed, and returns the command's result."""
        code, result, words = self.proxy.authorize(account, **options)
        self.assertEqual(code, 0, words)
        return result

    def authorize_and_serve(self):
        """Alice is authorised and the proxy serves; returns her app password."""
        password = self.authorize()["password"]
        self.proxy.serve()
        return password

    def log_in(self, password, user=ALICE):
        """A session that is logged in through the proxy."""
        client = self.dial(self.proxy)
        client.login(user, password)
        return client

    def assert_reads_mail(self, password, user=ALICE):
        """Logs in, selects INBOX and says goodbye."""
        client = self.log_in(password, user)
        self.assertEqual(client.select("INBOX")[0], "OK")
        client.logout()

    def assert_login_refused(self, password, *expected, user=ALICE):
        """A login on a new connection gets a NO with each of `expected`; returns its text."""
        client = self.dial(self.proxy)
        text = self.assert_refused(lambda: client.login(user, password), *expected)
        client.logout()
        return text

    def grant(self, account=ALICE):
        """The account's entry of `tokens list --json`."""
        return next(entry for entry in self.proxy.json("tokens", "list", check=False) if entry["account"] == account)


def message(subject, body="Hello.\r\n"):
    """A small message with CRLF line ends, as IMAP requires."""
    return (
        f"From: Bob <{BOB}>\r\nTo: Alice <{ALICE}>\r\nSubject: {subject}\r\n"
        "Date: Mon, 01 Jan 2024 12:00:00 +0000\r\n"
        f"Message-ID: <{subject.replace(' ', '.')}@corp.example>\r\n\r\n{body}"
    ).encode()
