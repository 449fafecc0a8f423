"""Moving over as a service: the steps of the documents as they are written, with two users.

The steps run as root in a mount namespace with its own /etc, /var/lib and /usr/local/bin, so that they change nothing of
this machine. Without root, and without sudo that asks for no password, there is no second user, so the test is skipped.
"""

import json
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from parts.child import free_port, run
from parts.proxy import BINARY

REPOSITORY = Path(__file__).resolve().parents[2]
AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
USER = "imap-oauth-proxy"

# Golden vector: opens with this password.
PASSWORD = "pässwörd 1"
CONFIG = """\
[IMAP-{port}]
server_address = 127.0.0.1
server_port = 1
local_address = 127.0.0.1

[a@corp.example]
permission_url = http://127.0.0.1:1/authorize
token_url = http://127.0.0.1:1/token
oauth2_scope = mail
client_id = x
client_secret = s3cret
token_salt = AAECAwQFBgcICQoLDA0ODw==
token_iterations = 870000
refresh_token = gAAAAABlU_EAEBESExQVFhcYGRobHB0eHxOMxsfM5eL-P7-Ww3C9sJDrqGodUfF3JjqIBBlllJ5gYCHvOtjNoLHpdxveUH5bEAFVjORJ-hvzSHzi3EqFBG0=

[app@corp.example]
token_url = http://127.0.0.1:1/token
oauth2_scope = mail
oauth2_flow = service_account
client_id = key
client_secret = {{
	"type": "service_account"
	}}
"""

# Changes of /etc, /var/lib and /usr/local/bin stay in this namespace.
NAMESPACE = """\
mount -t tmpfs -o mode=0755 tmpfs /mnt
cp -a /etc /mnt/etc
mkdir -m 0755 /mnt/lib /mnt/bin
mount --bind /mnt/etc /etc
mount --bind /mnt/lib /var/lib
mount --bind /mnt/bin /usr/local/bin
unset STATE_DIRECTORY XDG_CONFIG_HOME XDG_STATE_HOME
cd {directory}
"""


def may_be_root():
    tried = [[*AS_ROOT, "unshare", "--mount", "true"], ["sudo", "--non-interactive", "true"]]
    try:
        return all(subprocess.run(words, capture_output=True).returncode == 0 for words in tried)
    except FileNotFoundError:
        return False


def steps(page, heading):
    """The commands of a section's shell blocks, without those that need systemd and those that build."""
    text = (REPOSITORY / "docs" / page).read_text()
    section = re.search(rf"^## {heading}$(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL)[1]
    lines = "\n".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL)).splitlines()
    return [line for line in lines if "systemctl" not in line and not line.startswith(("cargo", "journalctl"))]


class AsAService(unittest.TestCase):
    def setUp(self):
        if not may_be_root():
            self.skipTest("needs sudo, and root or no password for it: the steps make a user and run as that user")

    def test_the_documented_steps_work_for_a_user_that_may_write_its_own_directory_only(self):
        directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        directory.chmod(0o700)
        port = free_port()
        for name, text in {
            "emailproxy.config": CONFIG.format(port=port),
            "passwords": f"a@corp.example:{PASSWORD}\napp@corp.example:long enough\n",
        }.items():
            (directory / name).write_text(text)
            (directory / name).chmod(0o600)
        # What the installation builds and has in its source.
        (directory / "target/release").mkdir(parents=True)
        (directory / "target/release/imap-oauth-proxy").symlink_to(BINARY)
        (directory / "config").symlink_to(REPOSITORY / "config")

        installing, moving = steps("operations.md", "As a service"), steps("from-email-oauth2-proxy.md", "As a service")
        self.assertTrue(any("useradd" in step for step in installing), installing)
        [importing] = [step for step in moving if "--apply" in step]
        # tokens list and import say with 3 that a person is needed: the provider does not exist.
        person = "|| test $? = 3"
        installing = [f"{step} {person}" if "tokens list" in step else step for step in installing]
        done = [
            NAMESPACE.format(directory=directory),
            # The state directory, which the page has one write by hand.
            *(step for step in installing if "tokens list" not in step and "systemd" not in step),
            "echo 'state_directory = \"/var/lib/imap-oauth-proxy\"' >/etc/imap-oauth-proxy/config.toml",
            *(f"{step} {person}" if step == importing else step for step in moving),
            f"stat --format '%a %U %n' /etc/imap-oauth-proxy/* /var/lib/{USER}/*.json >&2",
            f"sudo -u {USER} {USER} passwords list --json",
            # As the unit does it: listens, and ends when it is told to.
            f"coproc env HOME=/var/lib/{USER} setpriv --reuid {USER} --regid {USER} --clear-groups {USER} serve 2>&1",
            f"grep --max-count 1 '127.0.0.1:{port}' <&${{COPROC[0]}} >&2",
            "kill $COPROC_PID",
        ]
        script = "set -eux\n" + "\n".join(done)
        ran = run([*AS_ROOT, "unshare", "--mount", "--propagation", "private", "bash", "-c", script])
        out, err = ran.stdout.decode(), ran.stderr.decode()
        self.assertIn("a@corp.example at at-corp-example: it is here, and no access token came", out)
        names = json.loads(next(line for line in out.splitlines() if line.startswith("[{")))
        self.assertEqual([entry["account"] for entry in names], ["a@corp.example", "app@corp.example"])
        self.assertIn("/etc/imap-oauth-proxy/config.toml is right", err)
        self.assertIn("640 root /etc/imap-oauth-proxy/config.toml\n", err)
        self.assertIn("/etc/imap-oauth-proxy/config.toml~\n", err)
        self.assertIn(f"600 {USER} /var/lib/{USER}/at-corp-example-2-service-account.json", err)


if __name__ == "__main__":
    unittest.main()
