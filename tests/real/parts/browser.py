"""A person's browser: Chromium, driven by browser/driver.mjs."""

import json
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent


class Browser:
    """Each method is what a person does or sees; `click` names a button or a link by its words."""

    def __init__(self):
        command = ["node", HERE / "browser" / "driver.mjs"]
        self._node = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def stop(self):
        self._node.stdin.close()
        try:
            self._node.wait(20)
        except subprocess.TimeoutExpired:
            self._node.kill()
            self._node.wait()
        self._node.stdout.close()

    def __getattr__(self, verb):
        def ask(**arguments):
            self._node.stdin.write(json.dumps({"do": verb} | arguments) + "\n")
            self._node.stdin.flush()
            line = self._node.stdout.readline()
            answer = json.loads(line) if line else {"error": "the browser has ended"}
            if "error" in answer:
                raise AssertionError(f"{verb} {arguments}: {answer['error']}")
            return answer["value"]

        return ask
