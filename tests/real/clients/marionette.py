"""Marionette, Thunderbird's remote control: runs scripts with all of Thunderbird's rights.

The protocol is Mozilla's: in both directions a message is its length, a colon and a JSON
array. Thunderbird writes its port to a file of its profile.
"""

import itertools
import json
import socket

from parts.child import DEADLINE, Child, wait_for_file


class Thunderbird:
    """A running Thunderbird without a window."""

    def __init__(self, profile, env):
        port_file = profile / "MarionetteActivePort"
        self._child = Child(
            ["thunderbird", "--headless", "--no-remote", "--profile", profile]
            + ["--marionette", "--remote-allow-system-access"],
            env=env,
        )
        self._numbers = itertools.count(1)
        try:
            port = int(wait_for_file(port_file, self._child))
            self._socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
            self._stream = self._socket.makefile("rb")
            self._receive()
            self._command("WebDriver:NewSession", {})
            self._command("WebDriver:SetTimeouts", {"script": int(DEADLINE * 1000)})
            self._command("Marionette:SetContext", {"value": "chrome"})
        except BaseException:
            self._child.kill()
            raise

    def run(self, script, *arguments):
        """The value that an async function with the body `script` returns for `arguments`."""
        body = f"""
            const done = arguments[arguments.length - 1];
            (async (...args) => {{ {script} }})(...Array.prototype.slice.call(arguments, 0, -1))
                .then(value => done({{ value }}), error => done({{ error: `${{error}}\\n${{error.stack}}` }}));
        """
        parameters = {"script": body, "args": arguments, "sandbox": "system", "newSandbox": False}
        outcome = self._command("WebDriver:ExecuteAsyncScript", parameters)["value"]
        assert "error" not in outcome, outcome["error"]
        return outcome.get("value")

    def quit(self):
        """Quits Thunderbird as its menu would, and returns its exit code."""
        self._command("Marionette:Quit", {"flags": ["eAttemptQuit"]})
        return self._child.wait()

    def kill(self):
        """Kills Thunderbird if it still runs."""
        self._child.kill()
        self._stream.close()
        self._socket.close()

    def _command(self, name, parameters):
        number = next(self._numbers)
        message = json.dumps([0, number, name, parameters]).encode()
        self._socket.sendall(b"%d:%s" % (len(message), message))
        _kind, answered, error, result = self._receive()
        assert answered == number and error is None, f"{name}: {error}"
        return result

    def _receive(self):
        length = b""
        while (byte := self._stream.read(1)) != b":":
            assert byte, f"Thunderbird hung up:\n{self._child.err.text()}"
            length += byte
        return json.loads(self._stream.read(int(length)))
