"""The API against its own description: schemathesis makes the requests, a real `serve` answers them."""

import subprocess
import sys
import unittest
import urllib.request
from pathlib import Path

from world import ALICE, BOB, BehindAProxy

PROGRAM = Path(__file__).resolve().parents[2] / "target/schemathesis/bin/schemathesis"
PAGE = '\n[admin]\naddress = "127.0.0.1:0"\n'
# Every mistake of an answer that schemathesis knows: a status, a shape, a type or a header that the description does not
# have, an answer of 5xx, a wrong value that is accepted, a right one that is refused, and a request that needs no right.
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "ignored_auth",
]


class Api(BehindAProxy):
    proxy_options = {"more": PAGE}

    def setUp(self):
        super().setUp()
        self.authorize(ALICE)
        self.authorize(BOB)
        self.proxy.serve()
        self.token = self.proxy.json("admin", "token", "create", "schemathesis")["token"]

    def test_every_answer_is_as_the_description_says(self):
        base = self.proxy.ready["admin"] + "/api/v1"
        command = [PROGRAM, "run", base + "/openapi.json", "--url", base]
        command += ["--header", f"Authorization: Bearer {self.token}"]
        command += ["--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing", "--seed", "1"]
        command += ["--max-examples", "30", "--workers", "2", "--no-color", "--generation-database", "none"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=self.work, check=False)
        if done.returncode != 0:
            print(done.stdout[-12000:], done.stderr[-2000:], file=sys.stderr)
        self.assertEqual(done.returncode, 0, "schemathesis has found a mistake")
        # It was asked in earnest: the trail has what the requests did.
        events = self.proxy.json("events", "list")
        self.assertTrue(any(event["user"] == "token schemathesis" for event in events))

    def test_a_program_without_a_library_reads_it(self):
        request = urllib.request.Request(self.proxy.ready["admin"] + f"/api/v1/grants/{ALICE}")
        request.add_header("Authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            self.assertIn(b'"state":"ok"', answer.read())


if __name__ == "__main__":
    unittest.main()
