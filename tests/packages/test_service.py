"""The Debian package under a real systemd: installed, started, reloaded, upgraded, removed and purged."""

import re
import shutil
import subprocess
import unittest

from container import ROOT, Container

SERVICE = "imap-oauth-proxy.service"
USER = "imap-oauth-proxy"
STATE = "/var/lib/imap-oauth-proxy"
CONFIG = "/etc/imap-oauth-proxy/config.toml"


def package():
    (found,) = (ROOT / "target/dist").glob("*.deb")
    return found


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
    def setUp(self):
        self.container = self.enterContext(Container())

    def run_in(self, *words, check=True):
        return self.container.run(*words, check=check)

    def install(self, version=None):
        """Installs the package, with another version where one is given."""
        target = self.container.path("/root/package.deb")
        if version is None:
            shutil.copy(package(), target)
        else:
            tree = self.container.home / "tree"
            subprocess.run(["dpkg-deb", "--raw-extract", package(), tree], check=True)
            control = tree / "DEBIAN/control"
            control.write_text(re.sub(r"(?m)^Version: .*", f"Version: {version}", control.read_text()))
            subprocess.run(["dpkg-deb", "--build", "-Zgzip", "-z1", tree, target], check=True, stdout=subprocess.DEVNULL)
            shutil.rmtree(tree)
        return self.run_in("dpkg", "--install", "/root/package.deb")

    def show(self, name):
        return self.run_in("systemctl", "show", "--property", name, "--value", SERVICE).stdout.strip()

    def is_active(self):
        return self.run_in("systemctl", "is-active", SERVICE, check=False).stdout.strip() == "active"

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

    def test_the_package_from_its_installation_to_its_purge(self):
        self.install()
        # Type=notify: it is active once it accepts.
        self.assertTrue(self.is_active())
        self.assertEqual(self.run_in("systemctl", "is-enabled", SERVICE).stdout.strip(), "enabled")
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
        for path in [
            "/usr/share/man/man1/imap-oauth-proxy.1.gz",
            "/usr/share/bash-completion/completions/imap-oauth-proxy",
            "/usr/share/zsh/vendor-completions/_imap-oauth-proxy",
            "/usr/share/fish/vendor_completions.d/imap-oauth-proxy.fish",
            "/usr/share/doc/imap-oauth-proxy/copyright",
            "/usr/share/doc/imap-oauth-proxy/examples/fail2ban/imap-oauth-proxy.conf",
            "/usr/share/doc/imap-oauth-proxy/examples/prometheus/alerts.yml",
        ]:
            self.assertTrue(self.exists(path), path)

        # What the administrator wrote outlives an upgrade, and so does a connection.
        self.run_in("sh", "-c", f"echo '# of the administrator' >> {CONFIG}")
        session, before = self.session(), self.show("MainPID")
        self.install("9.9.9-1")
        self.assertTrue(self.is_active())
        self.assertNotEqual(self.show("MainPID"), before, "the new program has taken over")
        self.assertEqual(self.show("NRestarts"), "0")
        self.assertIn("a OK", session.ask("a NOOP"), "the old process goes on with its connection")
        self.assertTrue(self.session().greeting.startswith("* OK"))
        self.assertIn("of the administrator", self.run_in("cat", CONFIG).stdout)
        self.assertEqual(self.mode(CONFIG), f"640 root:{USER}")
        session.close()

        self.run_in("dpkg", "--remove", "imap-oauth-proxy")
        self.assertFalse(self.is_active())
        self.assertFalse(self.exists("/usr/bin/imap-oauth-proxy"))
        for path in [CONFIG, f"{STATE}/store.sqlite", f"{STATE}/master.key"]:
            self.assertTrue(self.exists(path), path)

        self.run_in("dpkg", "--purge", "imap-oauth-proxy")
        self.assertFalse(self.exists(STATE))
        self.assertFalse(self.exists("/etc/imap-oauth-proxy"))
        self.assertIn("nologin", self.run_in("getent", "passwd", USER).stdout, "users stay, as files may be theirs")

    def test_reload_takeover_by_signal_and_a_start_that_fails(self):
        self.install()
        main = self.show("MainPID")
        self.run_in("sh", "-c", f"printf '[limits]\\nfailed_logins = 2\\n' > {CONFIG}.new && cat {CONFIG}.new > {CONFIG}")
        # The file lost state_directory, which STATE_DIRECTORY of the unit still gives.
        self.run_in("systemctl", "reload", SERVICE)
        self.assertEqual(self.show("MainPID"), main)
        self.run_in("sh", "-c", f"echo 'nonsense = 1' >> {CONFIG}")
        self.assertNotEqual(self.run_in("systemctl", "reload", SERVICE, check=False).returncode, 0)
        self.assertTrue(self.is_active(), "a mistake changes nothing")
        self.run_in("sh", "-c", f"cat {CONFIG}.new > {CONFIG}")

        session = self.session()
        self.run_in("systemctl", "kill", "--kill-whom=main", "--signal=SIGUSR2", SERVICE)
        # The new process is the main one once systemd has its message.
        waiting = f'for i in $(seq 600); do m=$(systemctl show -p MainPID --value {SERVICE}); [ "$m" != {main} ] && exit; sleep 0.1; done; exit 1'
        self.run_in("sh", "-c", waiting)
        self.assertTrue(self.is_active())
        self.assertIn("a OK", session.ask("a NOOP"))
        self.assertTrue(self.session().greeting.startswith("* OK"))

        # Exit 2 is a mistake that needs a person: systemd does not try again.
        self.run_in("sh", "-c", f"echo 'nonsense = 1' >> {CONFIG}")
        self.assertNotEqual(self.run_in("systemctl", "restart", SERVICE, check=False).returncode, 0)
        self.assertEqual(self.show("ActiveState"), "failed")
        self.assertEqual(self.show("NRestarts"), "0")

    def test_systemd_opens_the_ports_and_starts_the_service_at_the_first_connection(self):
        self.install()
        self.run_in("systemctl", "disable", "--now", SERVICE)
        example = "/usr/share/doc/imap-oauth-proxy/examples/imap-oauth-proxy.socket"
        self.run_in("cp", example, "/etc/systemd/system/imap-oauth-proxy.socket")
        self.run_in("systemctl", "daemon-reload")
        self.run_in("systemctl", "enable", "--now", "imap-oauth-proxy.socket")
        self.assertFalse(self.is_active())
        self.assertTrue(self.session().greeting.startswith("* OK"))
        self.assertTrue(self.is_active())
        # A client that connects during a restart waits, and is not refused.
        self.run_in("systemctl", "stop", SERVICE)
        self.assertTrue(self.session(1465).greeting.startswith("220"))


if __name__ == "__main__":
    unittest.main()
