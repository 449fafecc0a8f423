"""The demo: what it prints works as it is printed."""

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


if __name__ == "__main__":
    unittest.main()
