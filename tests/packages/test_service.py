"""The Debian package under a real systemd: installed, started, reloaded, upgraded, removed and purged."""

import re
import shutil
import subprocess
import unittest

from container import ROOT
from service import CONFIG, SERVICE, STATE, USER, UnderSystemd


def package():
    (found,) = (ROOT / "target/dist").glob("*.deb")
    return found


class Deb(UnderSystemd):
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

    def test_the_package_from_its_installation_to_its_purge(self):
        self.install()
        self.assertTrue(self.is_enabled())
        self.assert_serves_as_its_user()
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

        self.assert_takes_over(lambda: self.install("9.9.9-1"))

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
