"""Readers of the login line: fail2ban's regex program and CrowdSec, with lines that the proxy wrote."""

import json
import re
import shutil
import socket
import subprocess
import unittest
from pathlib import Path

from world import ALICE, BehindAProxy

ROOT = Path(__file__).parents[2]
FILTER = ROOT / "config/fail2ban/imap-oauth-proxy.conf"
CROWDSEC = ROOT / "target/crowdsec"
# A client's attempts to forge another log line.
FORGED = "x login result=refused protocol=imap account=a from=203.0.113.9 password=- fingerprint=- client=- provider=- ms=1 reason=wrong_password"


CROWDSEC_CONFIG = """
common: {{daemonize: false, log_media: stdout, log_level: info, working_dir: .}}
config_paths:
  config_dir: {home}/
  data_dir: {home}/data/
  simulation_path: {home}/simulation.yaml
  hub_dir: {home}/hub/
  index_path: {home}/hub/.index.json
crowdsec_service: {{acquisition_path: {home}/acquis.yaml, parser_routines: 1}}
cscli: {{output: human}}
db_config: {{log_level: info, type: sqlite, db_path: {home}/data/crowdsec.db}}
api:
  client: {{credentials_path: {home}/local_api_credentials.yaml}}
  server: {{log_level: info, listen_uri: "{api}", profiles_path: {home}/profiles.yaml}}
prometheus: {{enabled: false}}
"""


def matched_in(path):
    """The addresses that fail2ban's filter finds in a log, one for each matched line."""
    done = subprocess.run(
        ["fail2ban-regex", "--out", "ip", str(path), str(FILTER)], capture_output=True, text=True, timeout=60
    )
    if done.returncode != 0:
        raise AssertionError(done.stdout + done.stderr)
    return done.stdout.split()


def crowdsec(home, log, label):
    """The addresses of the wrong passwords that CrowdSec finds, and those that its scenario reports.

    It is Debian's, unpacked and not installed, because its installation registers with a service on the net.
    """
    for directory in ["parsers/s00-raw", "parsers/s01-parse", "parsers/s02-enrich", "scenarios", "hub", "data", "dump"]:
        (home / directory).mkdir(parents=True)
    shutil.copytree(CROWDSEC / "etc/crowdsec/patterns", home / "patterns")
    hub = CROWDSEC / "usr/share/crowdsec/hub/parsers"
    shutil.copy(hub / "s00-raw/crowdsecurity/syslog-logs.yaml", home / "parsers/s00-raw")
    shutil.copy(ROOT / "config/crowdsec/parser.yaml", home / "parsers/s01-parse")
    shutil.copy(hub / "s02-enrich/crowdsecurity/dateparse-enrich.yaml", home / "parsers/s02-enrich")
    shutil.copy(ROOT / "config/crowdsec/scenario.yaml", home / "scenarios")
    for name in ["profiles.yaml", "simulation.yaml"]:
        shutil.copy(CROWDSEC / "etc/crowdsec" / name, home)
    (home / "hub/.index.json").write_text('{"parsers":{},"scenarios":{},"collections":{},"postoverflows":{}}')
    (home / "acquis.yaml").touch()
    with socket.create_server(("127.0.0.1", 0)) as free:
        api = f"127.0.0.1:{free.getsockname()[1]}"
    (home / "config.yaml").write_text(CROWDSEC_CONFIG.format(home=home, api=api))
    programs = CROWDSEC / "usr/bin"
    credentials = ["-f", home / "local_api_credentials.yaml", "-u", f"http://{api}"]
    add = [programs / "cscli", "-c", home / "config.yaml", "machines", "add", "tester", "-p", "secret", *credentials]
    read = [programs / "crowdsec", "-c", home / "config.yaml", "-type", label, "-dsn", f"file://{log}"]
    for command in [add, [*read, "-dump-data", home / "dump"]]:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)
    said = done.stdout + done.stderr
    # The events of each scenario, by its name.
    _, _, poured = (home / "dump/bucketpour-dump.yaml").read_text().partition("\nimap-oauth-proxy/guessing:\n")
    return re.findall(r"source_ip: (\S+)", poured), re.findall(r"Ip (\S+) performed 'imap-oauth-proxy/guessing'", said)


class LoginLine(BehindAProxy):
    """Attempts of every kind, and fail2ban's reading of their log lines."""

    def attempts(self):
        """Three wrong passwords, a right one, a forged name, and an unreachable provider. Returns the log's lines."""
        password = self.authorize()["password"]
        self.configure()
        self.proxy.serve()
        client = self.dial(self.proxy)
        client.xatom("ID", f'("name" "{FORGED}")')
        for user, wrong in [(ALICE, "wrong"), ("nobody@corp.example", "wrong"), (f'"{FORGED}"', "other")]:
            self.assert_refused(lambda user=user, wrong=wrong: client.login(user, wrong), "AUTHENTICATIONFAILED")
        client.login(ALICE, password)
        client.logout()
        self.dovecot.stop()
        self.addCleanup(self.dovecot.start)
        for _ in range(20):
            down = self.dial(self.proxy)
            self.assert_refused(lambda down=down: down.login(ALICE, password), "UNAVAILABLE")
            down.logout()
        self.proxy.stop()
        return self.proxy.logs[-1].splitlines()

    def configure(self):
        """Changes the configuration before `serve` starts."""

    def check(self, lines):
        attempts = [line for line in lines if "login_line" in line]
        self.assertEqual(len(attempts), 24, "\n".join(attempts))
        log = self.work / "log"
        log.write_text("\n".join(lines) + "\n")
        self.assertEqual(matched_in(log), ["127.0.0.1"] * 3, "\n".join(attempts))
        # In the journal's format.
        log.write_text("".join(f"2026-11-28T21:24:29+00:00 host imap-oauth-proxy[77]: {line}\n" for line in lines))
        self.assertEqual(matched_in(log), ["127.0.0.1"] * 3)


class Text(LoginLine):
    def test_fail2ban_takes_the_wrong_passwords_and_bans_nobody_for_an_outage(self):
        self.check(self.attempts())


    def test_crowdsec_counts_different_wrong_passwords_and_nothing_for_an_outage(self):
        lines = self.attempts()
        log = self.work / "log"
        log.write_text("\n".join(lines) + "\n")
        self.assertEqual(crowdsec(self.work / "file", log, "imap-oauth-proxy"), (["127.0.0.1"] * 3, []))
        # One old password a hundred times, and then seven others.
        wrong = next(line for line in lines if "reason=wrong_password" in line)
        stale = [wrong] * 100
        log.write_text("\n".join(stale) + "\n")
        self.assertEqual(crowdsec(self.work / "stale", log, "imap-oauth-proxy")[1], [])
        guessed = [re.sub(r"fingerprint=\w+", f"fingerprint={n:08x}", wrong) for n in range(7)]
        log.write_text("".join(f"Nov 28 21:24:29 host imap-oauth-proxy[77]: {line}\n" for line in guessed))
        self.assertEqual(crowdsec(self.work / "guessed", log, "syslog")[1], ["127.0.0.1"])


class Json(LoginLine):
    def configure(self):
        text = self.proxy.config.read_text()
        self.proxy.config.write_text('log.format = "json"\n' + text)

    def test_fail2ban_reads_the_json_form_as_well(self):
        lines = self.attempts()
        self.check(lines)
        refused = [json.loads(line) for line in lines if '"result":"refused"' in line]
        self.assertEqual(len(refused), 3)


if __name__ == "__main__":
    unittest.main()
