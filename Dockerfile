# Doorman on its own, with SQLite: docker build -t doorman . && docker run -p 127.0.0.1:5000:5000 -v doorman:/data doorman
# With MongoDB: docker-compose.yml. It needs no writable root: add --read-only --tmpfs /tmp.

ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# The dependencies change less often than the code, so theirs is the earlier layer. Wheels alone, each with its hash:
# no package's own build code runs here.
COPY requirements.lock ./
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --no-cache-dir --require-hashes --only-binary :all: \
        --requirement requirements.lock
COPY LICENSE README.md app.py pyproject.toml ./
COPY api api
COPY models models
RUN pip --python /opt/venv/bin/python install --no-cache-dir --no-deps .

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="Doorman" \
      org.opencontainers.image.description="A self-hosted users service: one store of accounts behind a documented HTTP API" \
      org.opencontainers.image.licenses="MIT"
# Nothing is installed in a running container, so there is nothing to do it with.
RUN pip uninstall --yes --root-user-action ignore pip \
    && rm -rf /usr/local/lib/python3.*/ensurepip \
    && groupadd --gid 10001 doorman \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin doorman \
    && install -d -m 0700 -o 10001 -g 10001 /data
COPY --from=builder /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    DATABASE_URL=sqlite:////data/doorman.db
# By number, so that an orchestrator can tell that it is not root.
USER 10001:10001
VOLUME /data
EXPOSE 5000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["doorman", "health"]
ENTRYPOINT ["doorman"]
CMD ["serve"]
