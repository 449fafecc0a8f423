"""What the tests of an installed package have in common: a Debian with its own systemd, in which the service runs."""

import subprocess
import unittest

from container import Container

SERVICE = "imap-oauth-proxy.service"
USER = "imap-oauth-proxy"
STATE = "/var/lib/imap-oauth-proxy"
CONFIG = "/etc/imap-oauth-proxy/config.toml"


class Session:
    """A connection of a mail program that has read the greeting."""

    def __init__(self, container, port=1993):
        ca = container.path(f"{STATE}/ca.pem")
        words = ["openssl", "s_client", "-quiet", "-verify_quiet", "-verify_return_error", "-CAfile", ca]
        words += ["-servername", "localhost", "-connect", f"127.0.0.1:{port}"]
        self.child = container.on_its_network(*words)
        self.greeting = self.child.stdout.readline()

    def ask(self, line):
        self.child.stdin.write(line + "\r\n")
        self.child.stdin.flush()
        return self.child.stdout.readline()

    def close(self):
        self.child.kill()
        self.child.communicate()


class UnderSystemd(unittest.TestCase):
    # Packages that the system has besides the usual ones.
    HAS = ()

    def setUp(self):
        self.container = self.enterContext(Container(*self.HAS))

    def run_in(self, *words, check=True):
        return self.container.run(*words, check=check)

    def show(self, name):
        return self.run_in("systemctl", "show", "--property", name, "--value", SERVICE).stdout.strip()

    def is_active(self):
        return self.run_in("systemctl", "is-active", SERVICE, check=False).stdout.strip() == "active"

    def is_enabled(self):
        return self.run_in("systemctl", "is-enabled", SERVICE, check=False).stdout.strip() == "enabled"

    def as_service(self, *words, check=True):
        return self.run_in("runuser", "-u", USER, "--", "imap-oauth-proxy", *words, check=check)

    def session(self, port=1993):
        session = Session(self.container, port)
        self.addCleanup(session.close)
        return session

    def mode(self, path):
        return self.run_in("stat", "--format", "%a %U:%G", path).stdout.strip()

    def exists(self, path):
        return self.run_in("test", "-e", path, check=False).returncode == 0

    def assert_serves_as_its_user(self):
        # Type=notify: it is active once it accepts.
        self.assertTrue(self.is_active())
        # The process is not dumpable, so that only its status tells its user.
        status = self.run_in("grep", "^Uid:", f"/proc/{self.show('MainPID')}/status").stdout.split()
        self.assertEqual(status[1], self.run_in("id", "--user", USER).stdout.strip())
        self.assertTrue(self.session().greeting.startswith("* OK"))
        self.assertTrue(self.session(1465).greeting.startswith("220"))
        self.assertEqual(self.mode(CONFIG), f"640 root:{USER}")
        self.assertEqual(self.mode("/etc/imap-oauth-proxy"), f"750 root:{USER}")
        self.assertEqual(self.mode(STATE), f"700 {USER}:{USER}")
        self.assertEqual(self.as_service("config", "path").stdout.strip(), CONFIG)
        self.as_service("health")
        self.assertIn("no account", self.as_service("tokens", "list").stderr)
        # As another user the commands say so, and make nothing.
        as_root = self.run_in("imap-oauth-proxy", "tokens", "list", check=False)
        self.assertNotEqual(as_root.returncode, 0)
        self.assertIn(f"sudo -u {USER}", as_root.stderr)

    def assert_takes_over(self, upgrade):
        """What the administrator wrote outlives an upgrade, and so does a connection."""
        self.run_in("sh", "-c", f"echo '# of the administrator' >> {CONFIG}")
        session, before = self.session(), self.show("MainPID")
        upgrade()
        self.assertTrue(self.is_active())
        self.assertNotEqual(self.show("MainPID"), before, "the new program has taken over")
        self.assertEqual(self.show("NRestarts"), "0")
        self.assertIn("a OK", session.ask("a NOOP"), "the old process goes on with its connection")
        self.assertTrue(self.session().greeting.startswith("* OK"))
        self.assertIn("of the administrator", self.run_in("cat", CONFIG).stdout)
        self.assertEqual(self.mode(CONFIG), f"640 root:{USER}")
        session.close()
