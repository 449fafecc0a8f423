"""The page on a Unix socket: its owner's, and the web server's group; no other user's."""

import os
import subprocess
import unittest

from world import ALICE, BehindAProxy

AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
# Debian's user that owns nothing.
NOBODY, NOGROUP = 65534, 65534


class PageOnASocket(BehindAProxy):
    proxy_options = {"more": '\n[admin]\naddress = "unix:admin.sock"\n'}

    def setUp(self):
        super().setUp()
        self.authorize(ALICE)
        self.proxy.serve()
        self.token = self.proxy.json("admin", "token", "create", "web")["token"]
        self.socket = self.proxy.config.parent / "admin.sock"
        # Every user may go through the directories, so that the socket alone decides.
        self.proxy.config.parent.chmod(0o755)

    def ask(self, *prefix):
        """What a user gets, with a right token at that."""
        header = f"Authorization: Bearer {self.token}"
        command = [*prefix, "curl", "--silent", "--max-time", "10", "--unix-socket", self.socket, "--header", header]
        return subprocess.run([*command, "http://localhost/api/v1/accounts"], capture_output=True, text=True, check=False)

    def as_nobody(self, group=NOGROUP):
        return [*AS_ROOT, "setpriv", f"--reuid={NOBODY}", f"--regid={group}", "--clear-groups"]

    def test_its_owner_and_a_web_server_of_its_group_are_served(self):
        self.assertIn(ALICE, self.ask().stdout)
        self.assertIn(ALICE, self.ask(*self.as_nobody(group=self.socket.stat().st_gid)).stdout)

    def test_another_user_is_not_even_where_the_files_mode_lets_everyone_in(self):
        for mode in (0o660, 0o666, 0o662):
            self.socket.chmod(mode)
            done = self.ask(*self.as_nobody())
            self.assertNotEqual(done.returncode, 0, f"{mode:o}")
            self.assertEqual(done.stdout, "", f"{mode:o}")
        self.proxy.wait_for_log("may not use the page's socket")


if __name__ == "__main__":
    unittest.main()
