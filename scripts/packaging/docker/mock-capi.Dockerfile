# An image with mock-capi, which listens on port 8181 of all addresses. Build it in the
# root of the repository:
#
#   docker build --file scripts/packaging/docker/mock-capi.Dockerfile --tag mock-capi .
#   docker run --rm --publish 8181:8181 mock-capi
#
# Append flags, or set them as environment variables such as MOCK_CAPI_SEED_FILE. If a
# client uses the name of the container to reach /_mock/, set --allow-host NAME.
#
# No image has been built from this file yet. .ci/full runs its build stage
# (scripts/packaging/docker/build) and the health check without Docker.
FROM rust:1.95-slim-bookworm AS build
# Use the toolchain of the image instead of the one in rust-toolchain.toml.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /source
COPY . .
RUN scripts/packaging/docker/build mock-capi /out

FROM debian:bookworm-slim
COPY --from=build /out/ /
COPY --chmod=0755 scripts/packaging/docker/healthcheck /usr/local/bin/mock-capi-healthcheck
ENV MOCK_CAPI_LISTEN=0.0.0.0:8181
EXPOSE 8181
# The image has no user with this number, so the user owns no files.
USER 65532:65532
WORKDIR /tmp
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --start-interval=1s \
    CMD ["mock-capi-healthcheck"]
ENTRYPOINT ["mock-capi"]
