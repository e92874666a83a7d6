"""mock-capi, a fake Cloud Foundry Cloud Controller, for tests in Python.

The pytest fixture ``mock_capi`` is a running mock, reset for each test. Outside of
pytest, :class:`MockCapi` starts one::

    with MockCapi("--seed-file", "seed.yml") as mock:
        client = MyClient(mock.url, mock.token())
"""

from ._mock import MockCapi, MockCapiError, binary_path

__all__ = ["MockCapi", "MockCapiError", "binary_path"]
