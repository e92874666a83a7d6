# An image with cf-pusher. Build it in the root of the repository:
#
#   docker build --file scripts/packaging/docker/cf-pusher.Dockerfile --tag cf-pusher .
#   docker run --rm --volume "$PWD:/work" --env CF_API --env CF_USERNAME --env CF_PASSWORD \
#       cf-pusher converge --config scale-test.json
#
# No image has been built from this file yet. .ci/full runs its build stage
# (scripts/packaging/docker/build) without Docker.
FROM rust:1.95-slim-bookworm AS build
# Use the toolchain of the image instead of the one in rust-toolchain.toml.
ENV RUSTUP_TOOLCHAIN=1.95.0
# For --version, with `--build-arg CF_PUSHER_COMMIT=$(git rev-parse --short=12 HEAD)`.
ARG CF_PUSHER_COMMIT=
WORKDIR /source
COPY . .
RUN scripts/packaging/docker/build cf-pusher /out

FROM debian:bookworm-slim
# The certificates of public authorities, one of which may have signed a foundation's.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/ /
# The image has no user with this number, so the user owns no files.
USER 65532:65532
WORKDIR /work
ENTRYPOINT ["cf-pusher"]
