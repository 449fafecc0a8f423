"""What the packages hold, read by the tools of each system; nothing is installed."""

import json
import pathlib
import plistlib
import re
import subprocess
import tempfile
import unittest

from container import ROOT

DIST = ROOT / "target/dist"
USER = "imap-oauth-proxy"


def output(*words, **options):
    return subprocess.run(words, check=True, capture_output=True, text=True, **options).stdout


def only(pattern):
    (found,) = DIST.glob(pattern)
    return found


class Forms(unittest.TestCase):
    def test_deb_and_rpm_hold_the_same_files_for_the_same_places(self):
        listed = output("dpkg-deb", "--contents", only("*.deb")).splitlines()
        in_deb = {line.split()[-1].lstrip(".") for line in listed if line.startswith("-")}
        in_rpm = set(output("rpm", "-qlp", only("*.rpm")).split())
        for path in [
            "/usr/bin/imap-oauth-proxy",
            "/etc/imap-oauth-proxy/config.toml",
            "/usr/lib/systemd/system/imap-oauth-proxy.service",
            "/usr/lib/sysusers.d/imap-oauth-proxy.conf",
            "/usr/share/man/man1/imap-oauth-proxy-authorize.1.gz",
            "/usr/share/bash-completion/completions/imap-oauth-proxy",
            "/usr/share/fish/vendor_completions.d/imap-oauth-proxy.fish",
        ]:
            self.assertIn(path, in_deb)
            self.assertIn(path, in_rpm)
        man = {path for path in in_deb if "/man1/" in path}
        self.assertEqual(man, {path for path in in_rpm if "/man1/" in path})
        configuration = output("rpm", "-q", "--configfiles", "-p", only("*.rpm")).split()
        self.assertEqual(configuration, ["/etc/imap-oauth-proxy/config.toml"])
        owner = output("rpm", "-q", "--queryformat", "[%{FILENAMES} %{FILEGROUPNAME} %{FILEMODES:perms}\n]", "-p", only("*.rpm"))
        self.assertIn(f"/etc/imap-oauth-proxy/config.toml {USER} -rw-r-----", owner)

    def test_the_unit_of_the_packages_is_the_repositorys_with_their_path(self):
        with tempfile.TemporaryDirectory() as tree:
            subprocess.run(["dpkg-deb", "--extract", only("*.deb"), tree], check=True)
            unit = pathlib.Path(tree, "usr/lib/systemd/system/imap-oauth-proxy.service").read_text()
            config = pathlib.Path(tree, "etc/imap-oauth-proxy/config.toml").read_text()
        ours = (ROOT / "config/systemd/imap-oauth-proxy.service").read_text()
        self.assertEqual(unit, ours.replace("/usr/local/bin/", "/usr/bin/"))
        self.assertNotIn("/usr/local", unit)
        sample = (ROOT / "config/imap-oauth-proxy.toml").read_text()
        self.assertEqual(config, sample.replace("#state_directory =", "state_directory ="))

    def test_the_list_of_crates_is_complete_and_the_same_each_time(self):
        first, second = (output(ROOT / "scripts/sbom") for _ in range(2))
        self.assertEqual(first, second)
        sbom = json.loads(only("*.cdx.json").read_text())
        self.assertEqual((sbom["bomFormat"], sbom["metadata"]["component"]["name"]), ("CycloneDX", USER))
        names = {component["name"] for component in sbom["components"]}
        self.assertLessEqual({"rustls", "sqlx", "tokio", "oauth2"}, names)
        self.assertFalse(names & {"proptest", "divan", "imap-oauth-proxy-sandbox"}, "crates of the tests")
        known = {component["bom-ref"] for component in sbom["components"]} | {sbom["metadata"]["component"]["bom-ref"]}
        for dependency in sbom["dependencies"]:
            self.assertLessEqual(set(dependency["dependsOn"]), known)
        for component in sbom["components"]:
            self.assertTrue(component["hashes"][0]["content"] and component["licenses"], component)

    def test_the_checksums_hold(self):
        subprocess.run(["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"], cwd=DIST, check=True)
        self.assertEqual(len((DIST / "SHA256SUMS").read_text().splitlines()), len(list(DIST.iterdir())) - 1)

    def test_the_agent_for_macos(self):
        agent = plistlib.loads((ROOT / "packaging/launchd/imap-oauth-proxy.plist").read_bytes())
        shell, option, command = agent["ProgramArguments"]
        self.assertEqual((shell, option), ("/bin/sh", "-c"))
        self.assertTrue(command.startswith("exec /usr/local/bin/imap-oauth-proxy serve 2>>"), command)
        self.assertEqual((agent["Umask"], agent["RunAtLoad"]), (0o077, True))
        self.assertGreater(agent["ExitTimeOut"], 35, "longer than the drain")

    def test_the_container_has_no_root_and_asks_health(self):
        lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
        last = [line for line in lines if line.strip() and not line.startswith("#")]
        last = last[max(index for index, line in enumerate(last) if line.startswith("FROM")):]
        text = "\n".join(last)
        self.assertRegex(text, r"(?m)^USER 65532:65532$")
        self.assertRegex(text, r'(?m)^HEALTHCHECK .* CMD \["/usr/bin/imap-oauth-proxy", "--quiet", "health"\]$')
        self.assertIn('ENTRYPOINT ["/usr/bin/imap-oauth-proxy"]', text)
        self.assertFalse(re.search(r"(?m)^RUN", text), "the last image is made of copies alone")


if __name__ == "__main__":
    unittest.main()
