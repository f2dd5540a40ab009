ARG BASE=debian:bookworm-slim
FROM ${BASE}
COPY minio /usr/local/bin/minio
ENTRYPOINT ["/usr/local/bin/minio"]
