"""Bundles the mock-capi binary into the wheel, which makes the wheel platform-specific."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BundledBinary(BuildHookInterface):  # type: ignore[type-arg]
    """Bundles the binary MOCK_CAPI_BIN, or the release build of this repository.

    MOCK_CAPI_WHEEL_PLATFORM is the platform of the wheel, such as
    manylinux_2_35_x86_64. The default is the platform of this Python.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        name = "mock-capi.exe" if os.name == "nt" else "mock-capi"
        built = Path(self.root, "../../../target/release", name)
        binary = Path(os.environ.get("MOCK_CAPI_BIN") or built).resolve()
        if not binary.is_file():
            raise FileNotFoundError(
                f"{binary} does not exist: run `cargo build --release --package mock-capi`, "
                "or set MOCK_CAPI_BIN to the binary to bundle"
            )
        platform = os.environ.get("MOCK_CAPI_WHEEL_PLATFORM") or sysconfig.get_platform()
        platform = platform.replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["force_include"][str(binary)] = f"mock_capi/bin/{name}"
