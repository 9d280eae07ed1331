# The image: `docker build -t gateway .`; docs/deployment.md says how to run it.
#
# The second stage has no pip and no compiler; it runs as a numeric user on a read-only file system, without
# capabilities and without the internet: the encodings are in the package.
# Another base, or this one by its digest.
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
RUN python3 -m venv /build && python3 -m venv --without-pip /opt/gateway
COPY requirements/image.txt requirements/build.txt requirements/
# Wheels alone, by their hashes: nothing is compiled, nothing unknown comes in.
RUN /build/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements/build.txt \
    && /build/bin/pip --python /opt/gateway/bin/python install --no-cache-dir --require-hashes \
        --only-binary :all: -r requirements/image.txt
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
RUN /build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist . \
    && /build/bin/pip --python /opt/gateway/bin/python install --no-cache-dir --no-deps dist/*.whl

FROM ${PYTHON_IMAGE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="gateway" \
      org.opencontainers.image.description="An OpenAI-compatible local gateway" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:$PATH \
    GATEWAY_LISTEN=0.0.0.0:4000 \
    GATEWAY_ADMIN_LISTEN=0.0.0.0:9464
# The base image comes without bytecode, and a read-only file system never gets any: a first start as root, here,
# leaves that of all it imports.
RUN rm -rf /usr/local/lib/python3.*/site-packages/pip* /usr/local/lib/python3.*/ensurepip /usr/local/bin/pip* \
    && gateway --version
WORKDIR /var/lib/gateway
RUN chown 10001:10001 /var/lib/gateway
USER 10001:10001
EXPOSE 4000 9464
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["gateway", "healthcheck"]
ENTRYPOINT ["gateway"]
CMD ["serve"]
