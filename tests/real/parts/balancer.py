"""HAProxy and nginx in front of the proxy, on free ports."""

import socket
import time
from pathlib import Path

from .child import DEADLINE, Child, free_port

HAPROXY = """
global
    maxconn 100
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    unique-id-format %{{+X}}o\\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid
frontend mail
    bind 127.0.0.1:{port}
    default_backend proxy
backend proxy
    server proxy 127.0.0.1:{behind} {options}
"""

NGINX = """
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
master_process off;
pid {root}/nginx.pid;
error_log stderr;
events {{}}
stream {{
    server {{
        listen 127.0.0.1:{port};
        proxy_pass 127.0.0.1:{behind};
        proxy_protocol {header};
    }}
}}
"""


class Balancer:
    """`host` and `port` are for clients; their bytes go to the proxy's port."""

    host = "localhost"

    @classmethod
    def haproxy(cls, root: Path, behind, options):
        """`options` of the `server` line, such as `send-proxy-v2`."""
        config = root / "haproxy.cfg"
        return cls(lambda port: _write(config, HAPROXY, port=port, behind=behind, options=options), ["haproxy", "-db", "-f", config])

    @classmethod
    def of_compose(cls, root: Path, behind, ready):
        """packaging/compose/haproxy.cfg, with one instance in place of the containers; `ready` is the port of its /readyz."""
        config = root / "haproxy.cfg"
        shipped = Path(__file__).parents[3] / "packaging/compose/haproxy.cfg"

        def write(port):
            text = shipped.read_text()
            for theirs, ours in (
                ("bind :1993", f"bind 127.0.0.1:{port}"),
                ("bind :1465", f"bind 127.0.0.1:{free_port()}"),
                ("server-template proxy 8 proxy:1993", f"server one 127.0.0.1:{behind}"),
                ("server-template proxy 8 proxy:1465", f"server one 127.0.0.1:{behind}"),
                ("check port 9993 inter 2s", f"check port {ready} inter 50ms"),
                (" resolvers docker init-addr none", ""),
                ("maxconn 20000", "maxconn 100"),
            ):
                assert theirs in text, theirs
                text = text.replace(theirs, ours)
            config.write_text(text)

        return cls(write, ["haproxy", "-db", "-f", config])

    @classmethod
    def nginx(cls, root: Path, behind, header="on"):
        config = root / "nginx.conf"
        write = lambda port: _write(config, NGINX, root=root, port=port, behind=behind, header=header)
        return cls(write, ["nginx", "-p", root, "-c", config])

    def __init__(self, write, argv):
        self.port = free_port()
        write(self.port)
        self._child = Child(argv)
        end = time.monotonic() + DEADLINE
        while True:
            try:
                # The probe goes on to the proxy, as every connection does.
                socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE).close()
                return
            except OSError:
                if time.monotonic() > end or not self._child.running():
                    raise AssertionError("it does not listen:\n" + self._child.err.text()) from None
                time.sleep(0.02)

    def stop(self):
        self._child.kill()


def _write(path, template, **values):
    path.write_text(template.format(**values))
