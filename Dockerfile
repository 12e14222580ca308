# A worker for compose.yaml: the engine, the example handlers, nothing to build with.
FROM python:3.13-slim

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY engine engine
COPY handlers handlers
COPY monitor monitor
RUN pip install --no-cache-dir -c constraints.txt ".[uvloop]" \
    && useradd --create-home warren \
    && mkdir .warren \
    && chown warren .warren
USER warren

# Ends with the worker's own drain: finish, commit, ack, close.
STOPSIGNAL SIGTERM
CMD ["warren", "worker"]
