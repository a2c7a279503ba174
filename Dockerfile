# The program in an image of its own, for a machine that serves it: nights, dashboard, alerts (compose.yml, docs/containers.md).
# It was never built by an engine where it was written: `make image-check` runs these very steps in a Debian made from nothing.

# No digest: none can be looked up without a registry, and one that nobody has compared is worse than none. Pin it where you build:
#   docker build --build-arg BASE=python:3.11.13-slim-bookworm@sha256:… .
ARG BASE=python:3.11.13-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
COPY requirements-server.txt ./
RUN python3 -m venv /opt/exo && /opt/exo/bin/python -m pip install --no-cache-dir --require-hashes -r requirements-server.txt
COPY pyproject.toml README.md LICENSE ./
COPY config ./config
COPY dags ./dags
COPY mech_exo ./mech_exo
# The repository's tags stay outside the image: hand the version over, --build-arg VERSION="$(python -m hatchling version)".
ARG VERSION=0.0
RUN SETUPTOOLS_SCM_PRETEND_VERSION_FOR_MECH_EXO="${VERSION}" /opt/exo/bin/python -m pip install --no-cache-dir --no-deps --no-build-isolation .

FROM ${BASE}
RUN groupadd --gid 10001 exo && useradd --uid 10001 --gid exo --no-log-init --create-home exo \
    && install -d -o exo -g exo /workspace /var/cache/exo
COPY --from=build /opt/exo /opt/exo
ENV PATH=/opt/exo/bin:/usr/local/bin:/usr/bin:/bin \
    EXO_HOME=/workspace \
    XDG_CACHE_HOME=/var/cache/exo \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /workspace
EXPOSE 8050
ENTRYPOINT ["exo"]
CMD ["--help"]
