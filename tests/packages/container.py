"""A Debian with systemd as its first process, in namespaces of its own: no port, user or service of this machine is touched.

debootstrap makes a system once, in target/; each container is a copy that vanishes with the test. Needs root.
"""

import pathlib
import re
import shutil
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASES = ROOT / "target" / "packages"
# Enough for a service manager; the rest of the program's needs is what its package depends on.
INCLUDE = "systemd,systemd-sysv,dbus,ca-certificates"
# A loaded machine boots slowly.
PATIENCE = 180


def base(*packages):
    """The directory of a system that has these packages, too."""
    found = BASES / "-".join(["bookworm", *packages])
    if not found.is_dir():
        making = found.with_suffix(".making")
        shutil.rmtree(making, ignore_errors=True)
        making.parent.mkdir(parents=True, exist_ok=True)
        include = ",".join([INCLUDE, *packages])
        words = ["debootstrap", "--variant=minbase", f"--include={include}", "bookworm", making]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        making.rename(found)
    return found


class Container:
    def __init__(self, *packages):
        self.packages = packages

    def __enter__(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="packages-"))
        self.root = self.home / "root"
        subprocess.run(["cp", "--archive", "--reflink=auto", base(*self.packages), self.root], check=True)
        words = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "--boot", "--directory"]
        self.log = (self.home / "boot.log").open("w")
        self.nspawn = subprocess.Popen([*words, self.root], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.leader = None
        try:
            self.boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def first_process(self):
        """The process that is number 1 inside; systemd-nspawn has another child before it, which vanishes."""
        children = pathlib.Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children")
        for child in children.read_text().split():
            try:
                status = pathlib.Path(f"/proc/{child}/status").read_text()
            except OSError:
                continue
            if re.search(r"(?m)^NSpid:\t\d+\t(?:\d+\t)*1$", status):
                return child
        return None

    def boot(self):
        deadline = time.monotonic() + PATIENCE
        while (first := self.first_process()) is None:
            if self.nspawn.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the container does not boot: {(self.home / 'boot.log').read_text()}")
            time.sleep(0.1)
        self.leader = first
        waiting = "for i in $(seq 1800); do systemctl is-system-running --wait 2>/dev/null | grep -qE 'running|degraded' && exit; sleep 0.1; done; exit 1"
        self.run("sh", "-c", waiting)

    def run(self, *words, check=True):
        """Runs a command in the container, as root."""
        inside = ["nsenter", "--target", self.leader, "--mount", "--uts", "--ipc", "--net", "--pid"]
        done = subprocess.run([*inside, *words], capture_output=True, text=True, timeout=PATIENCE)
        if check and done.returncode != 0:
            journal = subprocess.run(
                [*inside, "journalctl", "-n", "40", "--no-pager"], capture_output=True, text=True, timeout=PATIENCE
            )
            raise AssertionError(f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}\n{journal.stdout}")
        return done

    def on_its_network(self, *words):
        """Starts a program of this machine on the container's network."""
        inside = ["nsenter", "--target", self.leader, "--net"]
        pipe = subprocess.PIPE
        return subprocess.Popen([*inside, *words], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)

    def path(self, name):
        return self.root / name.lstrip("/")

    def __exit__(self, *_):
        # Systemd as the first process halts at this signal.
        self.nspawn.terminate()
        try:
            self.nspawn.wait(60)
        except subprocess.TimeoutExpired:
            self.nspawn.kill()
            self.nspawn.wait()
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)
