"""A Cloud Foundry client, tested against mock-capi."""

import json
import os
import subprocess
import unittest
from base64 import b64encode
from urllib.error import HTTPError
from urllib.request import Request, urlopen

SEED = os.path.join(os.path.dirname(__file__), "..", "seed.yml")


def send(method, url, body=None, headers={}):
    """Returns the status and the JSON of a response."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urlopen(Request(url, data, headers, method=method), timeout=10) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except HTTPError as error:
        return error.code, json.loads(error.read() or "null")


class ClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        program = os.environ.get("MOCK_CAPI_BIN", "mock-capi")
        command = [program, "--listen", "127.0.0.1:0", "--seed-file", SEED]
        cls.mock = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        cls.api = cls.mock.stdout.readline().split()[-1]
        login = b"grant_type=password&username=admin&password=admin"
        client = {"Authorization": "Basic " + b64encode(b"cf:").decode()}
        _, token = send("POST", cls.api + "/uaa/oauth/token", login, client)
        cls.token = {"Authorization": "bearer " + token["access_token"]}

    @classmethod
    def tearDownClass(cls):
        cls.mock.terminate()
        cls.mock.wait()
        cls.mock.stdout.close()

    def setUp(self):
        send("POST", self.api + "/_mock/reset")

    def get(self, path):
        return send("GET", self.api + path, headers=self.token)

    def test_the_app_of_the_seed_file_runs(self):
        _, apps = self.get("/v3/apps?names=web")
        self.assertEqual(apps["resources"][0]["state"], "STARTED")

    def test_a_stub_answers_once(self):
        stub = {"path": "/v3/apps", "status": 502, "body": {}, "times": 1}
        send("PUT", self.api + "/_mock/stubs", [stub])
        self.assertEqual([self.get("/v3/apps")[0] for _ in range(2)], [502, 200])

    def test_a_fault_refuses_the_second_request(self):
        fault = {"fault": "answer", "method": "GET", "path": "/v3/apps", "status": 503, "times": 1}
        self.assertEqual(self.get("/v3/apps")[0], 200)
        send("PUT", self.api + "/_mock/faults", [fault])
        self.assertEqual([self.get("/v3/apps")[0] for _ in range(2)], [503, 200])

    def test_the_apps_were_listed_exactly_once(self):
        self.get("/v3/apps?names=web")
        expected = {"request": {"method": "GET", "path": "/v3/apps"}, "count": 1}
        status, answer = send("POST", self.api + "/_mock/verify", expected)
        self.assertEqual(status, 200, answer)


if __name__ == "__main__":
    unittest.main()
