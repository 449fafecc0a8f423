"""A full disk under the store: a command fails with a message and changes nothing, and logins work."""

import os
import subprocess
import unittest

from world import ALICE, BehindAProxy

AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]


class FullDisk(BehindAProxy):
    def setUp(self):
        super().setUp()
        self.state = self.proxy.config.parent / "state"
        self.state.mkdir(mode=0o700)
        options = f"size=4m,mode=0700,uid={os.getuid()},gid={os.getgid()}"
        subprocess.run([*AS_ROOT, "mount", "-t", "tmpfs", "-o", options, "tmpfs", self.state], check=True)
        # Unmounts lazily, because the proxy is stopped after this.
        self.addCleanup(subprocess.run, [*AS_ROOT, "umount", "--lazy", self.state], check=True)

    def fill(self):
        """Fills the disk, and returns the file that fills it."""
        filler = self.state / "filler"
        with filler.open("wb", buffering=0) as file, self.assertRaises(OSError):
            while True:
                file.write(bytes(4096))
        return filler

    def created(self):
        """The existing app passwords, and those whose creation is in the audit trail."""
        passwords = {entry["name"] for entry in self.proxy.json("passwords", "list", ALICE)}
        trail = self.proxy.json("events", "list")
        return passwords, {entry["about"] for entry in trail if entry["event"] == "password_created"}

    def test_a_command_changes_nothing_and_logins_go_on(self):
        password = self.authorize_and_serve()
        self.assert_reads_mail(password)
        filler = self.fill()
        # First SQLite uses the room in its log.
        for number in range(100):
            done = self.proxy.run("passwords", "create", ALICE, "--name", f"p{number}", check=False)
            if done.returncode != 0:
                break
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("the disk that the store is on is full, and nothing was written", done.stderr.decode())
        passwords, entries = self.created()
        self.assertEqual(passwords, entries)
        self.assertNotIn(f"p{number}", passwords)
        for _ in range(3):
            self.assert_reads_mail(password)

        filler.unlink()
        self.proxy.run("passwords", "create", ALICE, "--name", "again")
        passwords, entries = self.created()
        self.assertEqual(passwords, entries)
        self.assertIn("again", passwords)


if __name__ == "__main__":
    unittest.main()
