"""email-oauth2-proxy, from PyPI: the program from which an installation moves."""

import os
import re
from pathlib import Path

from .child import Child
from .oidc import consent

REPOSITORY = Path(__file__).resolve().parents[3]
PROGRAM = REPOSITORY / "target/emailproxy/bin/emailproxy"

CONFIG = """\
[Server setup]
documentation = As the program's own sample has it:
	values may go on in indented lines.

[IMAP-{imap_port}]
server_address = localhost
server_port = {dovecot.port}
local_address = localhost
local_certificate_path = {authority.certificate}
local_key_path = {authority.key}

[SMTP-{smtp_port}]
server_address = localhost
server_port = {submission_port}
local_address = 127.0.0.1

[Account setup]

[{account}]
permission_url = {oidc.authorize_url}
token_url = {oidc.token_url}
oauth2_scope = openid email offline_access mail
redirect_uri = http://127.0.0.1:{redirect_port}/callback
client_id = {client_id}
{secret}
use_pkce = True

[{app}]
delete_account_token_on_password_error = False
{globals}
"""

APP = "emailproxy"


class EmailProxy:
    """One configuration of the program, and at most one running instance of it."""

    def __init__(self, root: Path, authority, *arguments, **values):
        self.config = root / "emailproxy.config"
        self.config.write_text(CONFIG.format(authority=authority, app=APP, **values))
        self._argv = [PROGRAM, "--no-gui", "--local-server-auth", "--config-file", self.config, *arguments]
        # Otherwise it would write to the system's log.
        self._argv += ["--log-file", root / "emailproxy.log"]
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "SSL_CERT_FILE": str(authority.ca),
            "PYTHONUNBUFFERED": "1",
        }
        self._child = None

    def serve(self):
        """Starts the program, and waits until it listens on all its ports."""
        self._child = Child(self._argv, env=self._env)
        self._child.out.wait_for(lambda line: "Initialised" in line)

    def consent_of(self, account):
        """Waits until the program asks for a consent, and gives the consent of `account`."""
        line = self._child.out.wait_for(lambda line: re.search(r"https?://\S+client_id=", line))
        consent(re.search(r"https?://\S+client_id=\S+", line)[0], account)

    def log(self):
        return self._child.out.text()

    def stop(self):
        """Ends the program, which then has written its accounts to its file."""
        if self._child is not None:
            self._child.stop()
            self._child = None
