"""Starts mock-capi, and sends requests to it."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import IO, Any

#: The maximum time, in seconds, that a mock may take to start, to stop, and to respond.
DEADLINE = 30.0


class MockCapiError(Exception):
    """mock-capi did not start, or refused a request."""


def binary_path() -> Path:
    """The binary to run: ``MOCK_CAPI_BIN``, or else the bundled one, or else one in ``PATH``."""
    chosen = os.environ.get("MOCK_CAPI_BIN")
    if chosen:
        return Path(chosen)
    name = "mock-capi.exe" if os.name == "nt" else "mock-capi"
    bundled = Path(__file__).with_name("bin") / name
    if bundled.is_file():
        return bundled
    found = shutil.which(name)
    if found is None:
        raise MockCapiError(
            "mock-capi was not found: install a wheel of this package, put mock-capi into "
            "PATH, or set MOCK_CAPI_BIN"
        )
    return Path(found)


def _after(prefix: str, line: str) -> str:
    return line[len(prefix) :].strip() if line.startswith(prefix) else ""


class MockCapi:
    """A fake Cloud Controller on a free port of 127.0.0.1, from ``start`` to ``stop``.

    The arguments are flags of mock-capi (see ``mock-capi --help``) other than ``--listen``. Every
    flag is also an environment variable. The mock stops with this process, even if this
    process is killed.
    """

    def __init__(self, *arguments: str, binary: str | os.PathLike[str] | None = None) -> None:
        self._arguments = arguments
        self._binary = binary
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[str] | None = None
        self._url = ""
        self._opener = urllib.request.build_opener()
        #: The file with the certificate of ``--tls``.
        self.certificate: str | None = None

    def __enter__(self) -> MockCapi:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> MockCapi:
        """Starts the mock, and waits until it listens."""
        if self._process is not None:
            raise MockCapiError("the mock has already been started")
        binary = os.fspath(self._binary or binary_path())
        command = [binary, *self._arguments, "--until-eof", "--listen", "127.0.0.1:0"]
        self._log = tempfile.TemporaryFile(mode="w+", prefix="mock-capi-")
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
            )
        except OSError as error:
            self._log.close()
            raise MockCapiError(f"{binary} cannot be run: {error}") from error
        try:
            self._read_addresses(self._process)
        except BaseException:
            self.stop()
            raise
        return self

    def _read_addresses(self, process: subprocess.Popen[str]) -> None:
        # A mock that prints nothing is killed, which ends its output.
        too_late = threading.Timer(DEADLINE, process.kill)
        too_late.start()
        try:
            assert process.stdout is not None
            url = _after("mock-capi listening on ", process.stdout.readline())
            if not url:
                process.wait(DEADLINE)
                raise MockCapiError(f"mock-capi did not start: {self.log().strip()}")
            # The address is local, so no proxy is used.
            handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
            if url.startswith("https:"):
                line = process.stdout.readline()
                self.certificate = _after("mock-capi certificate in ", line)
                context = ssl.create_default_context(cafile=self.certificate)
                handlers.append(urllib.request.HTTPSHandler(context=context))
            self._url = url
            self._opener = urllib.request.build_opener(*handlers)
        finally:
            too_late.cancel()

    def stop(self) -> None:
        """Stops the mock. Does nothing if the mock is not running."""
        process, self._process = self._process, None
        if process is None:
            return
        # mock-capi stops at the end of its standard input.
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._log is not None:
            self._log.close()
            self._log = None

    @property
    def is_running(self) -> bool:
        """Whether the process of the mock is running."""
        return self._process is not None and self._process.poll() is None

    @property
    def url(self) -> str:
        """The URL of the API, such as ``http://127.0.0.1:40213``."""
        if not self._url:
            raise MockCapiError("the mock has not been started")
        return self._url

    def log(self) -> str:
        """The log of the mock so far. With ``--verbose``, it has a line for each request."""
        if self._log is None:
            return ""
        self._log.seek(0)
        return self._log.read()

    def request(
        self, method: str, path: str, body: Any = None, *, token: str | None = None
    ) -> Any:
        """Sends a request, with an optional JSON body.

        Returns the body as JSON, as text if it is not JSON, or None if it is
        empty. Raises :class:`MockCapiError` for a status of 400 or more.
        """
        headers = {"Accept": "application/json"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        if token is not None:
            headers["Authorization"] = f"bearer {token}"
        return self._send(urllib.request.Request(self.url + path, data, headers, method=method))

    def _send(self, request: urllib.request.Request) -> Any:
        try:
            with self._opener.open(request, timeout=DEADLINE) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                said = error.read().decode(errors="replace")
            what = f"{request.get_method()} {request.selector}"
            raise MockCapiError(f"{what} failed with status {error.code}: {said}") from error
        if not text:
            return None
        try:
            return json.loads(text)
        except ValueError:
            return text

    def token(self, user: str = "admin", password: str | None = None) -> str:
        """Logs a user in, and returns an access token.

        The default password is the user's name, as for the administrator.
        """
        form = {
            "grant_type": "password",
            "username": user,
            "password": user if password is None else password,
        }
        # The client `cf` with its empty secret.
        headers = {"Authorization": "Basic Y2Y6"}
        data = urllib.parse.urlencode(form).encode()
        login = urllib.request.Request(f"{self.url}/uaa/oauth/token", data, headers)
        return str(self._send(login)["access_token"])

    def reset(self) -> None:
        """Restores the initial state of the mock. Tokens stay valid."""
        self.request("POST", "/_mock/reset")

    def set_faults(self, *faults: Mapping[str, Any]) -> None:
        """Replaces all faults; docs/mock-capi.md lists them. Without arguments, removes them.

        >>> mock.set_faults({"fault": "answer", "method": "POST", "path": "/v3/apps",
        ...                  "status": 503, "times": 2})
        """
        self.request("PUT", "/_mock/faults", list(faults))

    def faults(self) -> list[dict[str, Any]]:
        """The faults. ``matched`` and ``applied`` count the events of each."""
        return list(self.request("GET", "/_mock/faults"))

    def set_stubs(self, *stubs: Mapping[str, Any]) -> None:
        """Replaces all stubs, which are responses that replace the fake's."""
        self.request("PUT", "/_mock/stubs", list(stubs))

    def set_times(self, **times: str | float) -> None:
        """Sets durations: ``set_times(latency="20ms", staging="3s", jitter=0.2)``."""
        self.request("PUT", "/_mock/times", times)

    def advance(self, time: timedelta) -> None:
        """Advances the clock of the mock without waiting."""
        milliseconds = time // timedelta(milliseconds=1)
        self.request("POST", "/_mock/advance", {"by": f"{milliseconds}ms"})

    def expire_tokens(self) -> None:
        """Expires all access tokens, so that clients must refresh them."""
        self.request("POST", "/_mock/expire_tokens")

    def state(self) -> dict[str, Any]:
        """All resources, as a list for each kind."""
        return dict(self.request("GET", "/_mock/state"))

    def stats(self) -> dict[str, Any]:
        """Statistics, such as the number of requests by route."""
        return dict(self.request("GET", "/_mock/stats"))

    def requests(self, **filters: str | int) -> list[dict[str, Any]]:
        """The latest requests: ``requests(method="POST", path="/v3/apps", status=201)``."""
        query = urllib.parse.urlencode(filters)
        return list(self.request("GET", f"/_mock/requests?{query}"))

    def verify(self, request: Mapping[str, Any], **expectation: int) -> None:
        """Checks that a matching request was sent, at least once or the expected number of times.

        Otherwise, raises AssertionError with the near misses.

        >>> mock.verify({"method": "POST", "path": "/v3/apps", "body": {"name": "web"}}, count=1)
        """
        try:
            self.request("POST", "/_mock/verify", {"request": dict(request), **expectation})
        except MockCapiError as error:
            if "failed with status 409" not in str(error):
                raise
            raise AssertionError(str(error).partition("409: ")[2]) from None
