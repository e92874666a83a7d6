"""Starting and stopping a mock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import mock_capi
from mock_capi import MockCapi, MockCapiError

SEED = "orgs:\n- name: seeded\n"


def test_the_bundled_binary_is_used() -> None:
    package = Path(mock_capi.__file__).parent
    assert mock_capi.binary_path().parent == package / "bin"


def test_a_binary_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = mock_capi.binary_path()
    monkeypatch.setenv("MOCK_CAPI_BIN", "/nowhere/mock-capi")
    with pytest.raises(MockCapiError, match="/nowhere/mock-capi cannot be run"):
        MockCapi().start()
    with MockCapi(binary=bundled) as mock:
        assert mock.is_running


def test_the_command_is_the_binary() -> None:
    command = [sys.executable, "-m", "mock_capi", "--version"]
    assert subprocess.check_output(command, text=True).startswith("mock-capi ")


def test_flags_are_those_of_the_command(tmp_path: Path) -> None:
    seed = tmp_path / "seed.yml"
    seed.write_text(SEED)
    with MockCapi("--seed-file", str(seed), "--verbose") as mock:
        names = [org["name"] for org in mock.state()["organizations"]]
        assert names == ["seeded"]
        mock.request("GET", "/v3/info", token=mock.token())
        assert "GET /v3/info 200" in mock.log()


def test_tls_needs_no_setting() -> None:
    with MockCapi("--tls") as mock:
        assert mock.url.startswith("https://127.0.0.1:")
        assert mock.certificate is not None and Path(mock.certificate).exists()
        mock.request("GET", "/v3/organizations", token=mock.token())


def test_a_failed_start_has_a_reason() -> None:
    with pytest.raises(MockCapiError, match="did not start: .*--frobnicate"):
        MockCapi("--frobnicate").start()


def test_a_stopped_mock_raises_an_error() -> None:
    mock = MockCapi()
    with pytest.raises(MockCapiError, match="has not been started"):
        mock.url
    mock.start()
    url = mock.url
    mock.stop()
    mock.stop()
    assert not mock.is_running
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=5)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_mock_ends_with_a_process_that_is_killed() -> None:
    program = "from mock_capi import MockCapi; print(MockCapi().start().url, flush=True); input()"
    command = [sys.executable, "-c", program]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    urllib.request.urlopen(f"{url}/_mock/health", timeout=5).close()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/_mock/health", timeout=5).close()
        except OSError:
            return
        time.sleep(0.05)
    pytest.fail(f"the mock at {url} is still running")
