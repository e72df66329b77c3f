# The server alone: config, secrets and host keys come from outside.
#
#     docker build -t wharfinger .
#     docker run -p 2222:2222 -v ./config:/etc/wharfinger:ro -v host-keys:/var/lib/wharfinger/keys \
#         -v ledger:/var/lib/wharfinger/ledger wharfinger
#
# The config names what is kept: directory = "/var/lib/wharfinger/keys" in [ssh.host_keys], and
# url = "sqlite:/var/lib/wharfinger/ledger/ledger.db" in [ledger].

FROM rust:1.95-slim-trixie AS build
# russh is patched while it is built, and jemalloc is built with make.
RUN apt-get update && apt-get install -y --no-install-recommends make patch && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock build.rs ./
COPY .cargo .cargo
COPY scripts/rustc-patched scripts/rustc-patched
COPY patches patches
COPY crates crates
COPY src src
# The release has no demo.
RUN cargo build --release --locked --no-default-features

FROM debian:trixie-slim
# For TLS to S3.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --home-dir /var/lib/wharfinger --shell /usr/sbin/nologin wharfinger \
    && install -d -o wharfinger -g wharfinger -m 0700 /var/lib/wharfinger/keys /var/lib/wharfinger/ledger /run/wharfinger
COPY --from=build /build/target/release/wharfinger /usr/local/bin/wharfinger
USER wharfinger
EXPOSE 2222
VOLUME /var/lib/wharfinger/keys /var/lib/wharfinger/ledger
STOPSIGNAL SIGTERM
ENTRYPOINT ["wharfinger"]
CMD ["serve", "--config", "/etc/wharfinger/wharfinger.toml"]
