"""A program started by the tests: its output line by line, and its guaranteed end.

No test sleeps for a fixed time. After a start it waits for the line, the
file or the exit that signals readiness, with a deadline that only a defect exceeds.
"""

import atexit
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

# Far more than a slow machine needs; exceeded only if something hangs.
DEADLINE = 60.0


class Output:
    """One output stream of a child, read by a thread so that the child never blocks."""

    def __init__(self, stream):
        self._lines = []
        self._ended = False
        self._news = threading.Condition()
        threading.Thread(target=self._gather, args=(stream,), daemon=True).start()

    def _gather(self, stream):
        with stream:
            for raw in stream:
                with self._news:
                    self._lines.append(raw.decode("utf-8", "replace").rstrip("\n"))
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def text(self):
        with self._news:
            return "\n".join(self._lines)

    def count(self):
        with self._news:
            return len(self._lines)

    def wait_for(self, matches, since=0):
        """The first line from number `since` on for which `matches(line)` is true."""
        end = time.monotonic() + DEADLINE
        with self._news:
            seen = since
            while True:
                for line in self._lines[seen:]:
                    if matches(line):
                        return line
                seen = max(seen, len(self._lines))
                left = end - time.monotonic()
                if self._ended or left <= 0:
                    why = "the stream ended" if self._ended else f"nothing for {DEADLINE:.0f} s"
                    raise AssertionError(f"the expected line never came ({why}); there was:\n" + "\n".join(self._lines))
                self._news.wait(left)

    def line(self, number):
        """Waits for line `number`, counted from 0."""
        return self.wait_for(lambda _line: True, since=number)

    def drained(self):
        """The whole text, after the end of the stream."""
        with self._news:
            self._news.wait_for(lambda: self._ended, DEADLINE)
        return self.text()


class Child:
    """A running program in a process group of its own, killed at the latest when the tests end."""

    def __init__(self, argv, env=None, cwd=None):
        self.argv = [str(part) for part in argv]
        self._process = subprocess.Popen(
            self.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self.out = Output(self._process.stdout)
        self.err = Output(self._process.stderr)
        atexit.register(self.kill)

    def running(self):
        return self._process.poll() is None

    def first_line(self):
        """The first line on standard output; without one, the failure also shows standard error."""
        try:
            return self.out.line(0)
        except AssertionError as silence:
            self.kill()
            raise AssertionError(f"{' '.join(self.argv)} said nothing:\n{self.err.drained()}") from silence

    def wait(self):
        """Waits for the exit code."""
        return self._process.wait(DEADLINE)

    def stop(self):
        """Sends SIGTERM to the program only; returns its exit code."""
        if self.running():
            self._process.terminate()
        try:
            code = self.wait()
        finally:
            self.kill()
        return code

    def kill(self):
        """Sends SIGKILL to the whole group; harmless if the group has ended."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        self._process.stdin.close()
        atexit.unregister(self.kill)


def run(argv, stdin=b"", env=None, cwd=None, check=True):
    """Runs a program to its end. If the program fails, the test fails with its output."""
    argv = [str(part) for part in argv]
    done = subprocess.run(argv, input=stdin, capture_output=True, env=env, cwd=cwd, timeout=DEADLINE)
    if check and done.returncode != 0:
        raise AssertionError(
            f"{' '.join(argv)} ended with {done.returncode}\n"
            f"{done.stdout.decode('utf-8', 'replace')}{done.stderr.decode('utf-8', 'replace')}"
        )
    return done


def free_port():
    """A port that was free a moment ago, for programs that can't choose one themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_file(path, child):
    """Waits for the text of a file; fails if the child ends first."""
    end = time.monotonic() + DEADLINE
    # Thunderbird creates its file empty before it writes the text.
    while not (Path(path).exists() and (text := Path(path).read_text())):
        if not child.running():
            raise AssertionError(f"{child.argv[0]} ended before it was ready:\n{child.err.drained()}")
        if time.monotonic() > end:
            raise AssertionError(f"{child.argv[0]} is not ready after {DEADLINE:.0f} s:\n{child.err.text()}")
        time.sleep(0.01)
    return text
