"""The .rpm under a real systemd: installed, started, upgraded and removed by rpm.

The system is a Debian that has rpm, since a Fedora cannot be made from Debian's packages. So the packages that the .rpm
names are not looked for (--nodeps), and Debian's rpm wants to be told that it is meant (--force-debian); files, users,
modes and scripts are as on a Fedora.
"""

import shutil
import unittest

from container import ROOT
from service import CONFIG, SERVICE, STATE, USER, UnderSystemd


def package():
    (found,) = (ROOT / "target/dist").glob("*.rpm")
    return found


class Rpm(UnderSystemd):
    HAS = ("rpm",)

    def rpm(self, *words):
        done = self.run_in("rpm", "--force-debian", *words)
        # To rpm itself a script that fails may be no failure.
        self.assertNotIn("scriptlet failed", done.stderr)
        return done.stdout

    def bring(self, file):
        shutil.copy(file, self.container.path("/root/package.rpm"))
        return "/root/package.rpm"

    def upgrade(self):
        self.rpm("--upgrade", "--nodeps", self.bring(ROOT / "target/stage/next.rpm"))

    def test_the_package_from_its_installation_to_its_removal(self):
        self.rpm("--install", "--nodeps", self.bring(package()))
        self.assertIn("nologin", self.run_in("getent", "passwd", USER).stdout)
        self.assertFalse(self.is_active(), "on such systems the administrator starts a service")
        self.run_in("systemctl", "enable", "--now", SERVICE)
        self.assert_serves_as_its_user()
        # Each file is as the package has it: bytes, owner and mode.
        self.assertEqual(self.rpm("--verify", "--nodeps", "imap-oauth-proxy"), "")

        self.assert_takes_over(self.upgrade)
        self.assertEqual(self.rpm("--query", "imap-oauth-proxy").strip(), "imap-oauth-proxy-9.9.9-1.x86_64")
        self.assertTrue(self.is_enabled())

        self.rpm("--erase", "imap-oauth-proxy")
        self.assertFalse(self.is_active())
        self.assertFalse(self.is_enabled())
        self.assertFalse(self.exists("/usr/bin/imap-oauth-proxy"))
        # What the administrator and the service wrote stays.
        for path in [f"{CONFIG}.rpmsave", f"{STATE}/store.sqlite", f"{STATE}/master.key"]:
            self.assertTrue(self.exists(path), path)

    def test_an_upgrade_of_a_service_that_is_not_running_starts_nothing(self):
        self.rpm("--install", "--nodeps", self.bring(package()))
        self.upgrade()
        self.assertFalse(self.is_active())
        self.assertFalse(self.is_enabled())


if __name__ == "__main__":
    unittest.main()
