# docker build -t dltools . && mkdir -p runs && docker run --rm --user "$(id -u)" -v "$PWD/runs:/home/dltools/runs" dltools
FROM python:3.11-slim AS build
WORKDIR /src
# The CPU builds of torch, say; empty for the default index.
ARG PIP_EXTRA_INDEX_URL=""
RUN python -m venv /venv
COPY requirements.txt ./
RUN /venv/bin/pip install --no-cache-dir "$(grep '^torch==' requirements.txt)"
COPY pyproject.toml setup.py README.md LICENSE ./
COPY dltools dltools
RUN /venv/bin/pip install --no-cache-dir '.[augs,data,plot,tensorboard]'

FROM python:3.11-slim
COPY --from=build /venv /venv
RUN useradd --create-home --uid 1000 dltools
USER 1000
WORKDIR /home/dltools
ENTRYPOINT ["/venv/bin/dltools"]
CMD ["run", "classification", "out=runs/digits"]
