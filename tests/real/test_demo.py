"""The demo: its printed settings and commands work."""

import subprocess
import unittest

from parts.child import DEADLINE, Child
from parts.proxy import BINARY

DEMO = BINARY.parent / "examples/demo"


class Demo(unittest.TestCase):
    def test_the_curl_line_reads_mail_as_printed(self):
        demo = Child([DEMO])
        self.addCleanup(demo.kill)
        line = demo.out.wait_for(lambda line: line.startswith("  curl "))
        read = subprocess.run(["sh", "-c", line], capture_output=True, timeout=DEADLINE)
        self.assertEqual(read.returncode, 0, read.stderr)
        self.assertIn(b"Subject: Welcome", read.stdout)
        self.assertEqual(demo.stop(), 0)

    def test_the_line_that_sends_works_as_printed(self):
        demo = Child([DEMO])
        self.addCleanup(demo.kill)
        read = demo.out.wait_for(lambda line: line.startswith("  curl "))
        send = demo.out.wait_for(lambda line: line.startswith("  printf "))
        sent = subprocess.run(["sh", "-c", send], capture_output=True, timeout=DEADLINE)
        self.assertEqual(sent.returncode, 0, sent.stderr)
        # Three messages are there from the start.
        read = read.replace("MAILINDEX=1", "MAILINDEX=4")
        read = subprocess.run(["sh", "-c", read], capture_output=True, timeout=DEADLINE)
        self.assertIn(b"Subject: Hello", read.stdout)
        self.assertEqual(demo.stop(), 0)


if __name__ == "__main__":
    unittest.main()
