"""Debian's Prometheus with our metrics: the format, a scrape, the alert rules, and the dashboard's queries."""

import json
import re
import shutil
import socket
import subprocess
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from parts.child import DEADLINE, Child
from world import ALICE, BehindAProxy

ROOT = Path(__file__).parents[2]
RULES = ROOT / "config/prometheus"
DASHBOARD = ROOT / "config/grafana/imap-oauth-proxy.json"

CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
scrape_configs:
  - job_name: imap-oauth-proxy
    static_configs: [{{targets: ["{target}"]}}]
rule_files: [{rules}]
"""


def promtool(*arguments, stdin=None):
    done = subprocess.run(["promtool", *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise AssertionError(done.stdout + done.stderr)
    return done.stdout + done.stderr


class Rules(unittest.TestCase):
    def test_the_alert_rules_are_sound_and_each_fires_when_it_should(self):
        self.assertIn("SUCCESS", promtool("check", "rules", RULES / "alerts.yml"))
        self.assertIn("SUCCESS", promtool("test", "rules", RULES / "alerts_test.yml"))
        alerts = re.findall(r"alert: (\w+)", (RULES / "alerts.yml").read_text())
        tried = (RULES / "alerts_test.yml").read_text()
        page = (ROOT / "docs/operations.md").read_text()
        for alert in alerts:
            self.assertRegex(tried, rf"alertname: {alert}\n +exp_alerts", f"{alert} is not seen firing")
            self.assertIn(f"| `{alert}` |", page)


class Prometheus(BehindAProxy):
    def setUp(self):
        super().setUp()
        text = self.proxy.config.read_text()
        self.proxy.config.write_text('metrics.address = "127.0.0.1:0"\n' + text)
        self.password = self.authorize_and_serve()
        self.target = self.proxy.ready["metrics"].removeprefix("http://").split("/")[0]

    def start(self):
        """A Prometheus that scrapes the proxy each second."""
        home = self.work / "prometheus"
        home.mkdir()
        shutil.copy(RULES / "alerts.yml", home)
        (home / "prometheus.yml").write_text(CONFIG.format(target=self.target, rules=home / "alerts.yml"))
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        arguments = [f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/data"]
        child = Child(["prometheus", *arguments, f"--web.listen-address={address}"])
        self.addCleanup(child.kill)
        self.api = f"http://{address}/api/v1"

    def ask(self, path, **query):
        url = f"{self.api}/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=DEADLINE) as answer:
            return json.load(answer)["data"]

    def wait_for(self, expression, value):
        """Waits until a query has this value."""
        end, result = time.monotonic() + DEADLINE, None
        while time.monotonic() < end:
            try:
                result = self.ask("query", query=expression)["result"]
                if [float(series["value"][1]) for series in result] == [value]:
                    return
            except urllib.error.URLError:
                pass
            time.sleep(0.2)
        self.fail(f"{expression} is not {value}: {result}")

    def test_the_text_is_in_prometheus_form(self):
        with urllib.request.urlopen(f"http://{self.target}/metrics", timeout=DEADLINE) as answer:
            text = answer.read().decode()
        # promtool reads the older format, in which comments contain a counter's whole name.
        comments = r"^# HELP (\S+) (.*)\n# TYPE \1 counter$"
        older = re.sub(comments, r"# HELP \1_total \2\n# TYPE \1_total counter", text, flags=re.M)
        older = older.replace("# EOF\n", "")
        promtool("check", "metrics", stdin=older)
        self.assertNotIn(ALICE, text)

    def test_a_prometheus_sees_a_session_come_and_go_and_the_dashboard_asks_what_there_is(self):
        self.start()
        self.wait_for('up{job="imap-oauth-proxy"}', 1)
        self.wait_for("imap_oauth_proxy_store_up", 1)
        client = self.log_in(self.password)
        self.wait_for('sum(imap_oauth_proxy_sessions{protocol="imap"})', 1)
        self.wait_for('sum(imap_oauth_proxy_logins_total{outcome="ok"})', 1)
        client.logout()
        client.sock.close()
        self.wait_for('sum(imap_oauth_proxy_sessions{protocol="imap"})', 0)
        self.assert_login_refused("wrong", "AUTHENTICATIONFAILED")
        self.wait_for('imap_oauth_proxy_logins_total{protocol="imap",provider="-",outcome="refused"}', 1)
        rules = self.ask("rules")["groups"][0]["rules"]
        self.assertEqual({rule["health"] for rule in rules} - {"unknown"}, {"ok"})
        for panel in json.loads(DASHBOARD.read_text())["panels"]:
            for target in panel["targets"]:
                query = target["expr"].replace("$instance", ".*").replace("$__rate_interval", "5s")
                self.ask("query", query=query)

    def test_an_alert_fires_when_a_reload_fails_and_ends_with_a_good_one(self):
        self.start()
        self.wait_for("imap_oauth_proxy_config_last_reload_successful", 1)
        good = self.proxy.config.read_text()
        self.proxy.config.write_text("nonsense = 1\n" + good)
        self.assertNotEqual(self.proxy.run("reload", check=False).returncode, 0)
        self.wait_for('ALERTS{alertname="MailProxyReloadFailed",alertstate="firing"}', 1)
        self.proxy.config.write_text(good)
        self.assertEqual(self.proxy.run("reload", check=False).returncode, 0)
        self.wait_for("imap_oauth_proxy_config_last_reload_successful", 1)


if __name__ == "__main__":
    unittest.main()
