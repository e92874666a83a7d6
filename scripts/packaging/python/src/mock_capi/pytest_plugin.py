"""The pytest fixtures, which pytest finds automatically when the package is installed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

import pytest

from . import MockCapi


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the setting ``mock_capi_args``."""
    parser.addini("mock_capi_args", "flags of the mock-capi of the fixture `mock_capi`", default="")


@pytest.fixture(scope="session")
def mock_capi_args(pytestconfig: pytest.Config) -> Sequence[str]:
    """The flags of mock-capi. Override this, or set ``mock_capi_args`` in pytest's settings."""
    return shlex.split(str(pytestconfig.getini("mock_capi_args")))


@pytest.fixture(scope="session")
def _mock_capi_process(mock_capi_args: Sequence[str]) -> Iterator[MockCapi]:
    """One process for all tests; with pytest-xdist, one for each worker."""
    with MockCapi(*mock_capi_args) as mock:
        yield mock


@pytest.fixture
def mock_capi(_mock_capi_process: MockCapi) -> MockCapi:
    """A fake Cloud Controller in its initial state."""
    _mock_capi_process.reset()
    return _mock_capi_process
