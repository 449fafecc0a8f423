"""The Dockerfile, built by buildah, and its image run as a container that may write nothing but its volume.

No registry is needed: the base is the Debian of the service's test instead of the Dockerfile's, and the image that builds
has a `cargo` that hands out the binary at hand, so that only the compilation is left out. Needs root.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest

from container import PATIENCE, ROOT, base

BINARY = pathlib.Path(os.environ.get("IMAP_OAUTH_PROXY", ROOT / "target/debug/imap-oauth-proxy"))
CARGO = """#!/bin/sh
[ "$*" = "build --release --locked --bin imap-oauth-proxy" ] || exit 1
mkdir -p target/release && cp /built target/release/imap-oauth-proxy
"""
CONFIG = '[[listeners]]\naddresses = ["0.0.0.0:1993"]\n'


class Image(unittest.TestCase):
    def setUp(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="image-"))
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        storage = ["--storage-driver", "vfs", "--root", self.home / "storage", "--runroot", self.home / "run"]
        self.options = ["buildah", *storage]

    def buildah(self, *words):
        done = subprocess.run([*self.options, *words], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, f"{words}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def image(self, name, *added):
        """An image of the files that are added: pairs of a path here and one there."""
        container = self.buildah("from", "scratch")
        for here, there in added:
            self.buildah("add", "--quiet", container, here, there)
        self.buildah("commit", "--quiet", container, name)
        self.buildah("rm", container)

    def build(self):
        self.image("localhost/base", (base(), "/"))
        cargo, binary = self.home / "cargo", self.home / "built"
        cargo.write_text(CARGO)
        cargo.chmod(0o755)
        subprocess.run(["strip", "-o", binary, BINARY], check=True)
        self.image("localhost/build", (base(), "/"), (cargo, "/usr/bin/cargo"), (binary, "/built"))
        context = self.home / "context"
        context.mkdir()
        shutil.copy(ROOT / "Dockerfile", context)
        arguments = ["--build-arg", "BUILD=localhost/build", "--build-arg", "BASE=localhost/base"]
        self.buildah("build", "--format", "docker", "--isolation", "chroot", *arguments, "--tag", "proxy", context)
        container = self.buildah("from", "proxy")
        return pathlib.Path(self.buildah("mount", container))

    def test_the_image_serves_without_root_on_a_read_only_root_and_is_healthy(self):
        root = self.build()
        owner = (root / "var/lib/imap-oauth-proxy").stat()
        self.assertEqual((owner.st_uid, owner.st_mode & 0o777), (65532, 0o700))
        inspected = self.buildah("inspect", "--type", "image", "proxy")
        self.assertIn('"User": "65532:65532"', inspected)
        self.assertIn('"Healthcheck"', inspected)

        config, state, ready = self.home / "config.toml", self.home / "state", self.home / "state/ready.json"
        config.write_text(CONFIG)
        state.mkdir(mode=0o700)
        os.chown(state, 65532, 65532)
        (root / "etc/imap-oauth-proxy").mkdir()
        for path in [self.home, config]:
            path.chmod(0o755)
        # No service manager here: the program is the first process of namespaces of its own.
        script = (
            f"mount --bind {root} {root} && mount -o remount,bind,ro {root}"
            f" && mount --bind {state} {root}/var/lib/imap-oauth-proxy && mount -t proc proc {root}/proc"
            f" && mount -t tmpfs tmpfs {root}/etc/imap-oauth-proxy && cp {config} {root}/etc/imap-oauth-proxy/"
            f" && ip link set lo up && cd {root} && exec chroot --userspec=65532:65532 {root}"
            " env -i HOME=/ STATE_DIRECTORY=/var/lib/imap-oauth-proxy /usr/bin/imap-oauth-proxy"
            " serve --ready-file /var/lib/imap-oauth-proxy/ready.json"
        )
        words = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", script]
        log = (self.home / "log").open("w+")
        self.addCleanup(log.close)
        serving = subprocess.Popen(words, stdout=log, stderr=log)
        self.addCleanup(serving.wait)
        self.addCleanup(serving.kill)
        deadline = time.monotonic() + PATIENCE
        while not ready.exists():
            log.seek(0)
            self.assertIsNone(serving.poll(), log.read())
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        main = pathlib.Path(f"/proc/{serving.pid}/task/{serving.pid}/children").read_text().split()[0]

        def inside(*command):
            enter = ["nsenter", "--target", main, "--mount", "--net", "--pid", "--root", "--setuid", "65532", "--setgid", "65532"]
            environment = {"HOME": "/", "STATE_DIRECTORY": "/var/lib/imap-oauth-proxy", "PATH": "/usr/bin:/bin"}
            return subprocess.run([*enter, *command], env=environment, capture_output=True, text=True, check=False)

        healthy = inside("/usr/bin/imap-oauth-proxy", "health")
        self.assertEqual((healthy.returncode, healthy.stderr), (0, "Logins can succeed.\n"))
        self.assertNotEqual(inside("touch", "/usr/bin/x").returncode, 0)
        self.assertIn("Uid:\t65532", pathlib.Path(f"/proc/{main}/status").read_text())


if __name__ == "__main__":
    unittest.main()
