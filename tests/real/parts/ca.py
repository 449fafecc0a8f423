"""A certificate authority for one run, and a certificate for `localhost` and 127.0.0.1."""

from pathlib import Path

from .child import run

CONFIG = """
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


class Authority:
    """`ca` is the CA that clients trust; `certificate` and `key` are the server's."""

    def __init__(self, directory: Path):
        self.ca = directory / "ca.pem"
        self.certificate = directory / "server.pem"
        self.key = directory / "server.key"
        signing_key = directory / "ca.key"
        self._issue(directory, "ca", "Test CA", self.ca, signing_key)
        self._issue(directory, "server", "localhost", self.certificate, self.key, "-CA", self.ca, "-CAkey", signing_key)

    @staticmethod
    def _issue(directory, kind, name, certificate, key, *signer):
        config = directory / f"{kind}.cnf"
        config.write_text(CONFIG.format(name=name))
        run(
            ["openssl", "req", "-x509", "-config", config, "-extensions", kind, "-days", "7", "-nodes"]
            + ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", key, "-out", certificate]
            + list(signer)
        )
