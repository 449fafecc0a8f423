# The proxy as a container: no root, nothing to write but its state, and no shell. docs/install.md says how to run it.
#
#   docker build --tag imap-oauth-proxy .
#
# Both images can be replaced, by a mirror or by one of your own that has glibc 2.34 and CA certificates.
ARG BUILD=docker.io/library/rust:1.95-bookworm
ARG BASE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILD} AS build
WORKDIR /src
COPY . .
RUN CARGO_PROFILE_RELEASE_DEBUG=false CARGO_PROFILE_RELEASE_STRIP=symbols \
    cargo build --release --locked --bin imap-oauth-proxy \
    && install -d -m 0700 /state/imap-oauth-proxy

FROM ${BASE}
COPY --from=build /src/target/release/imap-oauth-proxy /usr/bin/imap-oauth-proxy
# The directory of a new volume takes owner and mode from the image.
COPY --from=build --chown=65532:65532 /state /var/lib
ENV STATE_DIRECTORY=/var/lib/imap-oauth-proxy
USER 65532:65532
VOLUME /var/lib/imap-oauth-proxy
EXPOSE 1993 1465
# Goodbyes in the protocol, then `docker stop --time 60`.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s CMD ["/usr/bin/imap-oauth-proxy", "--quiet", "health"]
ENTRYPOINT ["/usr/bin/imap-oauth-proxy"]
CMD ["serve"]
