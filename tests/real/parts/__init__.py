"""The parts that the tests put together: real programs as children, each with a free port.

`child`    a program started by the tests: its output by line, and its guaranteed end
`ca`       the test CA that signs the mail server's certificate
`oidc`     oidc-provider, and the person in front of the consent page
`dovecot`  Dovecot that accepts only tokens, and another that accepts a password
`proxy`    the imap-oauth-proxy binary: its commands, its `serve`, its configuration
"""
