# syntax=docker/dockerfile:1
# Two stages: the first one installs the packages, the second one holds only what runs. Nothing is downloaded at run time.

FROM python:3.12.11-slim-bookworm AS packages
# `--build-arg REQUIREMENTS=deploy/requirements/chroma.txt` installs the packages of an optional part as well.
ARG REQUIREMENTS=requirements.txt
COPY requirements.txt /tmp/requirements.txt
COPY deploy/requirements /tmp/deploy/requirements
RUN python -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r /tmp/${REQUIREMENTS}

FROM python:3.12.11-slim-bookworm
LABEL org.opencontainers.image.title="Keepsake" \
      org.opencontainers.image.version="0.2.0" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin keepsake \
 && install --directory --owner keepsake --group keepsake --mode 0700 /data
WORKDIR /srv/keepsake
COPY --from=packages /opt/venv /opt/venv
COPY pyproject.toml pyproject.toml
COPY app app
COPY supabase/migrations supabase/migrations
COPY deploy/healthcheck.py deploy/healthcheck.py
RUN /opt/venv/bin/python -m compileall -q app

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    DATA_DIR=/data \
    HOST=0.0.0.0 \
    PORT=8000 \
    DEVELOPMENT=false \
    LOG_FORMAT=json
USER keepsake
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "deploy/healthcheck.py", "api"]
ENTRYPOINT ["python", "-m", "app"]
CMD ["serve"]
