"""Moving from email-oauth2-proxy: a configuration of the real program, and the same mail programs before and after."""

import imaplib
import json
import os
import pty
import secrets
import smtplib
import ssl
import tomllib
import unittest
from concurrent.futures import ThreadPoolExecutor

from clients import curl, mbsync
from letter import RECIPIENTS, SENDER, letter
from parts.child import DEADLINE, Child, free_port, run, wait_for_file
from parts.emailproxy import PROGRAM, REPOSITORY, EmailProxy
from parts.oidc import consent
from parts.proxy import BINARY
from world import ALICE, RealParts, message

STATE = ".local/state/imap-oauth-proxy"
CONFIG = ".config/imap-oauth-proxy/config.toml"


class Moving(RealParts):
    def setUp(self):
        super().setUp()
        self.oidc.revoke_grants(ALICE)
        # email-oauth2-proxy has no option for a prompt.
        self.oidc.settings(offlineUnasked=True)
        self.user, self.host = ALICE, "localhost"
        self.password = secrets.token_urlsafe(12)
        self.port, self.smtp_port, self.redirect_port = free_port(), free_port(), free_port()
        self.ca = self.world.authority.ca
        self.mailbox = self.dovecot
        self.home = self.work / "home"
        self.home.mkdir()
        self._serve = None

    def environment(self, **extra):
        """A program's whole environment: an empty home, and none of the tester's settings."""
        clean = {"HOME": self.work, "PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | extra
        return {name: str(value) for name, value in clean.items()}

    def old(self, *arguments, client="", secret=""):
        """email-oauth2-proxy with one account, not yet running."""
        old = EmailProxy(
            self.work,
            self.world.authority,
            *arguments,
            oidc=self.oidc,
            dovecot=self.dovecot,
            account=ALICE,
            imap_port=self.port,
            smtp_port=self.smtp_port,
            submission_port=self.dovecot.submission["tls"],
            redirect_port=self.redirect_port,
            client_id=f"{self.oidc.client_id}{client}",
            secret=secret,
            globals="encrypt_client_secret_on_first_use = True" if secret else "",
        )
        self.addCleanup(old.stop)
        return old

    def used(self, old):
        """Authorises its account at the first login, as email-oauth2-proxy does."""
        old.serve()
        with ThreadPoolExecutor(1) as pool:
            login = pool.submit(self.log_in)
            old.consent_of(ALICE)
            login.result().logout()

    def log_in(self):
        trust = ssl.create_default_context(cafile=str(self.ca))
        client = imaplib.IMAP4_SSL(self.host, self.port, ssl_context=trust, timeout=DEADLINE)
        self.addCleanup(client.sock.close)
        client.login(ALICE, self.password)
        return client

    def the_same_mail_programs(self):
        """Two programs that read over TLS, and one that sends in cleartext on this machine."""
        for check in (curl, mbsync):
            with self.subTest(check.__name__):
                self.mailbox.empty(ALICE)
                for number, subject in enumerate(("first", "second"), 1):
                    self.mailbox.deliver(ALICE, message(subject), f"{number}.test.localhost")
                self.log_before = self.mailbox.log_position()
                check.check(self)
                run(["rm", "-rf", self.work / "mail", self.work / "draft.eml"])
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=DEADLINE) as client:
            client.login(ALICE, self.password)
            client.sendmail(SENDER, RECIPIENTS, letter(), ["BODY=8BITMIME"])
        self.assertEqual(self.world.sink.next().as_sent(), letter())

    def subjects(self):
        found = {}
        for flags, content in self.mailbox.messages(ALICE):
            subject = next(line for line in content.splitlines() if line.startswith(b"Subject: "))
            found[subject[9:].decode()] = flags
        return found

    def assert_all_done(self, how="Logged out"):
        self.mailbox.wait_for_log(how, since=self.log_before)
        subjects = self.subjects()
        self.assertIn("written", subjects)
        self.assertNotIn("second", subjects)
        self.assertIn("F", subjects["first"])

    def proxy_environment(self):
        """Trusts the CA of the test's mail server like one of the system's."""
        return self.environment(HOME=self.home, SSL_CERT_FILE=self.ca)

    def command(self, *arguments, check=True):
        return run([BINARY, *map(str, arguments)], env=self.proxy_environment(), check=check)

    def passwords(self, password=None):
        file = self.work / "passwords"
        file.write_text(f"# of mail programs\n{ALICE}:{password or self.password}\n")
        return file

    def serve(self):
        ready = self.work / "ready.json"
        self._serve = Child([BINARY, "serve", "--ready-file", ready], env=self.proxy_environment())
        self.addCleanup(self._serve.kill)
        return json.loads(wait_for_file(ready, self._serve))

    def test_mail_programs_go_on_as_they_are(self):
        old = self.old(client="-post", secret=f"client_secret = {self.oidc.client_secret}")
        self.used(old)
        self.the_same_mail_programs()
        old.stop()
        before = old.config.read_text()
        self.assertIn("refresh_token", before)
        self.assertIn("client_secret_encrypted", before)

        # Without --apply nothing is written and no provider is asked.
        refreshed = self.oidc.refreshed()
        said = self.command("import", "email-oauth2-proxy", old.config, "--passwords", self.passwords()).stdout.decode()
        self.assertIn(f"{ALICE} at at-corp-example: its refresh token opens with its password", said)
        self.assertIn('client_secret = "(kept)"', said)
        self.assertNotIn(self.oidc.client_secret, said)
        self.assertEqual(self.oidc.refreshed(), refreshed)
        self.assertEqual(list(self.home.iterdir()), [])

        done = self.command("import", "email-oauth2-proxy", old.config, "--passwords", self.passwords(), "--apply")
        self.assertIn("IMAP opened", done.stdout.decode())
        self.assertIn("SMTP submission: the login works", done.stdout.decode())
        self.assertTrue(done.stderr.decode().endswith("both refreshing may invalidate each other's tokens.\n"))
        self.assertEqual(self.oidc.refreshed(), refreshed + 1)
        self.assertEqual(old.config.read_text(), before)
        config = self.home / CONFIG
        self.assertEqual(config.stat().st_mode & 0o777, 0o600)
        written = tomllib.loads(config.read_text())
        self.assertEqual(written["providers"]["at-corp-example"]["scopes"], ["openid", "email", "offline_access", "mail"])
        self.assertEqual(written["providers"]["at-corp-example"]["client_secret"], self.oidc.client_secret)

        self.serve()
        self.the_same_mail_programs()
        [account] = json.loads(self.command("tokens", "list", "--json").stdout)
        self.assertEqual((account["account"], account["state"]), (ALICE, "ok"))

        # A second run has nothing to move, and writes nothing.
        again = self.command("import", "email-oauth2-proxy", old.config, "--passwords", self.passwords(), "--apply")
        self.assertIn(f"{ALICE}: it is here already, and was not touched", again.stdout.decode())
        self.assertFalse((config.parent / "from-email-oauth2-proxy.toml").exists())

    def test_tokens_in_a_file_of_their_own_move_too(self):
        cache = self.work / "cache.config"
        old = self.old("--cache-store", cache)
        self.used(old)
        old.stop()
        self.assertNotIn("refresh_token", old.config.read_text())
        arguments = ["import", "email-oauth2-proxy", old.config, "--passwords", self.passwords()]
        self.assertIn("it has no refresh token", self.command(*arguments).stdout.decode())
        self.command(*arguments, "--cache-store", cache, "--apply")
        self.serve()
        self.the_same_mail_programs()

    def test_the_real_program_reads_the_same_sections_as_the_import(self):
        strange = self.work / "strange.config"
        strange.write_bytes((REPOSITORY / "tests/configs/emailproxy/strange.config").read_bytes())
        script = (
            "import sys, json; config = sys.argv.pop(); sys.argv = sys.argv[:1]; import emailproxy\n"
            "emailproxy.CONFIG_FILE_PATH = emailproxy.CACHE_STORE = config\n"
            "print(json.dumps([emailproxy.AppConfig.servers(), emailproxy.AppConfig.accounts()]))"
        )
        python = PROGRAM.with_name("python")
        read = run([python, "-c", script, strange], env=self.environment()).stdout.splitlines()[-1]
        servers, accounts = json.loads(read)
        self.assertGreater(min(len(servers), len(accounts)), 5)
        said = self.command("import", "email-oauth2-proxy", strange, check=False).stdout.decode()
        for section in servers:
            self.assertTrue(f"# [{section}]\n" in said or f"  [{section}] in line " in said, section)
        for account in accounts:
            self.assertTrue(f"\n  {account} at " in said or f"  [{account}] in line " in said, account)

    def test_on_a_terminal_the_password_is_asked_for_until_it_opens(self):
        old = self.old()
        self.used(old)
        old.stop()
        process, terminal = pty.fork()
        if process == 0:
            arguments = [BINARY, "import", "email-oauth2-proxy", old.config, "--apply"]
            os.execve(BINARY, [str(argument) for argument in arguments], self.proxy_environment())
        said = b""

        def until(text):
            nonlocal said
            while text not in said:
                read = os.read(terminal, 4096)
                self.assertTrue(read, said)
                said += read
            said = said.partition(text)[2]

        prompt = f"Password that the mail program sends for {ALICE} (empty: leave it out): ".encode()
        until(prompt)
        os.write(terminal, b"wrong\n")
        until(b"It does not open what email-oauth2-proxy keeps")
        until(prompt)
        os.write(terminal, self.password.encode() + b"\n")
        until(b"IMAP opened")
        self.assertNotIn(self.password.encode(), said)
        until(b"both refreshing may invalidate each other's tokens.")
        self.assertEqual(os.waitpid(process, 0)[1], 0)
        os.close(terminal)
        self.serve()
        self.the_same_mail_programs()

    def test_with_a_wrong_password_the_account_waits_and_a_consent_opens_it(self):
        old = self.old()
        self.used(old)
        old.stop()
        # Its own receiver of redirects leaves the port unusable for a minute (TIME_WAIT without SO_REUSEADDR).
        old.config.write_text(old.config.read_text().replace(str(self.redirect_port), str(free_port())))
        arguments = ["import", "email-oauth2-proxy", old.config, "--passwords", self.passwords("wrong"), "--apply"]
        done = self.command(*arguments, check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("the password that was given does not open its token", done.stdout.decode())
        authorize = f"imap-oauth-proxy authorize {ALICE} --provider at-corp-example"
        self.assertIn(authorize, done.stderr.decode())
        [account] = json.loads(self.command("tokens", "list", "--json", check=False).stdout)
        self.assertEqual((account["provider"], account["state"]), ("at-corp-example", "needs_authorization"))

        child = Child(
            [BINARY, *authorize.split()[1:], "--no-browser", "--json"],
            env=self.proxy_environment(),
        )
        self.addCleanup(child.kill)
        consent(child.first_line(), ALICE)
        self.assertEqual(child.wait(), 0, child.err.drained())
        self.password = json.loads(child.out.drained().splitlines()[1])["password"]
        self.serve()
        self.the_same_mail_programs()


if __name__ == "__main__":
    unittest.main()
