"""Runs an app through its whole lifecycle with cloudfoundry-client, on the Cloud Controller
CF_API, as CF_USERNAME with CF_PASSWORD.

Each step asserts its result and prints a line. The first step that fails ends
the program with code 1.
"""

import base64
import io
import os
import sys
import tempfile
import time
import zipfile
from functools import partial
from pathlib import Path

from cloudfoundry_client.client import CloudFoundryClient
from cloudfoundry_client.errors import InvalidStatusCode
from cloudfoundry_client.operations.push.push import PushOperation
from cloudfoundry_client.v3.packages import PackageType

LIBRARY = "cloudfoundry-client"

MANIFEST = """
applications:
- name: pushed
  path: files
  memory: 64M
  instances: 2
  env:
    GREETING: hello
"""


def expect(what, actual, expected):
    if actual != expected:
        raise AssertionError(f"{what} is {actual!r}, not {expected!r}")


def refused(call, status):
    """The error of a call, which must be refused with this status."""
    try:
        call()
    except InvalidStatusCode as error:
        expect("the status", int(error.status_code), status)
        return error.body
    raise AssertionError(f"it was not refused with {status}")


def wait_for(look, wanted, failed=("FAILED",)):
    """Polls until the state is the wanted one, and returns the last response."""
    deadline = time.monotonic() + 60
    while True:
        seen = look()
        if seen["state"] == wanted:
            return seen
        if seen["state"] in failed or time.monotonic() > deadline:
            raise AssertionError(f"{seen.get('guid')} is {seen['state']}, not {wanted}")
        time.sleep(0.05)


def archive():
    """The bits of a small app."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as bits:
        bits.writestr("index.html", "<h1>hello</h1>\n" * 100)
        bits.writestr("Staticfile", "root: .\n")
    return data.getvalue()


class Life:
    """The results that steps pass to later steps."""

    def __init__(self):
        self.api = os.environ["CF_API"]
        self.user = os.environ["CF_USERNAME"]
        self.password = os.environ["CF_PASSWORD"]
        self.name = f"python-{os.getpid()}"
        self.cf = None
        self.org = self.space = self.domain = None
        self.app = self.droplet = self.clone = self.pushed = self.route = None

    def client(self, password):
        client = CloudFoundryClient(self.api)
        client.init_with_user_credentials(self.user, password)
        return client

    def url(self, path):
        return f"{self.cf.info.api_endpoint}{path}"

    def log_in(self):
        self.cf = self.client(self.password)
        next(iter(self.cf.v3.organizations.list()), None)

    def refuse_a_wrong_password(self):
        try:
            self.client(self.password + "-wrong")
        except Exception as error:  # the library that logs in has its own
            expect("the status", getattr(error, "status_code", None), 401)
        else:
            raise AssertionError("a wrong password logs in")

    def create_an_organization(self):
        organizations = self.cf.v3.organizations
        self.org = organizations.create(self.name, suspended=False)["guid"]
        body = refused(lambda: organizations.create(self.name, suspended=False), 422)
        expect("the error", body["errors"][0]["title"], "CF-UnprocessableEntity")
        found = organizations.get_first(names=self.name)
        expect("the organization with its name", found["guid"], self.org)
        self.domain = organizations.get_default_domain(self.org)["guid"]

    def create_a_space(self):
        space = self.cf.v3.spaces.create("space", self.org)
        self.space = space["guid"]
        expect("its organization", space.organization()["guid"], self.org)
        listed = self.cf.v3.spaces.list(organization_guids=self.org, include="organization")
        expect("the organization of the list", next(listed).organization()["name"], self.name)

    def new_app(self, name):
        body = {"name": name, "relationships": {"space": {"data": {"guid": self.space}}}}
        return self.cf.post(self.url("/v3/apps"), json=body).json()["guid"]

    def create_an_app(self):
        self.app = self.new_app("app")
        app = self.cf.v3.apps.get(self.app)
        expect("its state", app["state"], "STOPPED")
        expect("its space", app.space()["guid"], self.space)

    def set_its_environment(self):
        url = self.url(f"/v3/apps/{self.app}/environment_variables")
        self.cf.patch(url, json={"var": {"GREETING": "hello", "GONE": "x"}})
        self.cf.patch(url, json={"var": {"GONE": None}})
        variables = self.cf.v3.apps.get_env(self.app)["environment_variables"]
        expect("its environment", variables, {"GREETING": "hello"})

    def upload_and_stage_its_bits(self):
        package = self.cf.v3.packages.create(self.app, PackageType.BITS)
        expect("the state of a new package", package["state"], "AWAITING_UPLOAD")
        package.upload(files={"bits": ("bits.zip", archive(), "application/zip")})
        package = wait_for(partial(self.cf.v3.packages.get, package["guid"]), "READY")
        build = self.cf.post(
            self.url("/v3/builds"), json={"package": {"guid": package["guid"]}}
        ).json()
        build = wait_for(lambda: self.cf.get(build["links"]["self"]["href"]).json(), "STAGED")
        self.droplet = build["droplet"]["guid"]
        droplet = self.cf.v3.droplets.get(self.droplet)
        expect("the state of the droplet", droplet["state"], "STAGED")
        expect("its app", droplet.app()["guid"], self.app)
        of_package = self.cf.v3.packages.list_droplets(package["guid"])
        expect("droplets of the package", [d["guid"] for d in of_package], [self.droplet])
        self.assign(self.app, self.droplet)

    def assign(self, app, droplet):
        url = self.url(f"/v3/apps/{app}/relationships/current_droplet")
        self.cf.patch(url, json={"data": {"guid": droplet}})

    def web(self, app):
        return self.cf.v3.processes.get_first(app_guids=app, types="web")

    def running(self, app, instances):
        """Waits until this number of instances run."""

        def look():
            states = [stats["state"] for stats in self.web(app).stats()]
            done = states == ["RUNNING"] * instances
            return {"guid": app, "state": "RUNNING" if done else ",".join(states)}

        wait_for(look, "RUNNING", failed=("CRASHED",))

    def start_it(self):
        started = self.cf.v3.apps.get(self.app).start()
        expect("its state", started["state"], "STARTED")
        self.running(self.app, 1)

    def push_another(self):
        """Pushes a folder with the library, which uses v2."""
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "manifest.yml").write_text(MANIFEST)
            Path(folder, "files").mkdir()
            Path(folder, "files", "index.html").write_text("<h1>pushed</h1>\n" * 100)
            manifest = str(Path(folder, "manifest.yml"))
            for _ in range(2):
                PushOperation(self.cf).push(self.space, manifest)
        pushed = self.cf.v2.apps.get_first(name="pushed", space_guid=self.space)
        self.pushed = pushed["metadata"]["guid"]
        entity = pushed["entity"]
        expect("its package", entity["package_state"], "STAGED")
        expect("its environment", entity["environment_json"], {"GREETING": "hello"})
        expect("its memory", entity["memory"], 64)
        states = [instance["state"] for instance in pushed.instances().values()]
        expect("its instances", states, ["RUNNING"] * 2)
        expect("its statistics", sorted(pushed.stats()), ["0", "1"])
        routes = [route["entity"]["host"] for route in pushed.routes()]
        expect("its routes", routes, ["pushed"])

    def stop_the_other(self):
        self.cf.v2.apps.update(self.pushed, instances=1)
        expect("its instances", self.cf.v2.apps.get_summary(self.pushed)["instances"], 1)
        # The library waits until no instances are listed, but v2 refuses to list them.
        self.cf.v2.apps.stop(self.pushed)
        refused(lambda: self.cf.v2.apps.get_stats(self.pushed), 400)

    def scale_it(self):
        process = self.web(self.app).scale(data={"instances": 3, "memory_in_mb": 64})
        expect("its instances", (process["instances"], process["memory_in_mb"]), (3, 64))
        self.running(self.app, 3)
        for stats in self.web(self.app).stats():
            expect("an instance's memory", stats["mem_quota"], 64 * 1024 * 1024)

    def map_a_route(self):
        self.route = self.cf.v3.routes.create(self.space, self.domain, host=self.name)["guid"]
        url = self.url(f"/v3/routes/{self.route}/destinations")
        self.cf.post(url, json={"destinations": [{"app": {"guid": self.app}}]})
        routes = list(self.cf.v3.apps.list_routes(self.app))
        expect("its routes", [route["guid"] for route in routes], [self.route])
        expect("the destination", routes[0]["destinations"][0]["app"]["guid"], self.app)

    def read_its_log(self):
        link = self.cf.get(self.url("/")).json()["links"]["log_cache"]["href"]
        query = {"envelope_types": "LOG", "limit": 1000, "descending": "true"}
        answer = self.cf.get(f"{link}/api/v1/read/{self.app}", params=query).json()
        batch = answer["envelopes"]["batch"]
        texts = [base64.b64decode(envelope["log"]["payload"]).decode() for envelope in batch]
        if not any(text.startswith("Starting app with guid") for text in texts):
            raise AssertionError(f"the log does not contain the start: {texts}")
        times = [int(envelope["timestamp"]) for envelope in batch]
        expect("the order of its lines", times, sorted(times, reverse=True))

    def clone_it_by_its_droplet(self):
        self.clone = self.new_app("clone")
        copy = self.cf.v3.droplets.copy(self.droplet, self.clone)
        copy = wait_for(partial(self.cf.v3.droplets.get, copy["guid"]), "STAGED")
        checksum = self.cf.v3.droplets.get(self.droplet)["checksum"]
        expect("the checksum of the copy", copy["checksum"], checksum)
        self.assign(self.clone, copy["guid"])
        self.cf.v3.apps.get(self.clone).start()
        self.running(self.clone, 1)

    def run_a_task(self):
        task = self.cf.v3.tasks.create(self.app, "rake db:migrate", name="migrate")
        expect("its name", task["name"], "migrate")
        wait_for(partial(self.cf.v3.tasks.get, task["guid"]), "SUCCEEDED")
        tasks = [found["guid"] for found in self.cf.v3.apps.get(self.app).tasks()]
        expect("tasks of the app", tasks, [task["guid"]])
        body = refused(lambda: self.cf.v3.tasks.cancel(task["guid"]), 422)
        expect("the error", body["errors"][0]["code"], 10008)

    def set_labels(self):
        self.cf.v3.droplets.update(self.droplet, meta_labels={"stage": "test"})
        found = self.cf.v3.droplets.list(label_selector="stage=test")
        expect("droplets with the label", [droplet["guid"] for droplet in found], [self.droplet])

    def list_in_pages(self):
        apps = self.cf.v3.apps.list(space_guids=self.space, order_by="name", per_page=1)
        expect("the number of apps", apps.total_results, 3)
        expect("apps by name", [app["name"] for app in apps], ["app", "clone", "pushed"])

    def delete_a_route(self):
        self.cf.v3.routes.remove(self.route)
        look = partial(self.cf.v3.routes.get, self.route)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                look()
            except InvalidStatusCode:
                break
            time.sleep(0.05)
        refused(look, 404)

    def delete_an_app(self):
        self.cf.v3.apps.remove(self.clone, asynchronous=False)
        refused(lambda: self.cf.v3.apps.get(self.clone), 404)

    def delete_the_organization(self):
        self.cf.v3.organizations.remove(self.org, asynchronous=False)
        refused(lambda: self.cf.v3.spaces.get(self.space), 404)
        refused(lambda: self.cf.v3.apps.get(self.app), 404)


STEPS = [
    Life.log_in,
    Life.refuse_a_wrong_password,
    Life.create_an_organization,
    Life.create_a_space,
    Life.create_an_app,
    Life.set_its_environment,
    Life.upload_and_stage_its_bits,
    Life.start_it,
    Life.push_another,
    Life.stop_the_other,
    Life.scale_it,
    Life.map_a_route,
    Life.read_its_log,
    Life.clone_it_by_its_droplet,
    Life.run_a_task,
    Life.set_labels,
    Life.list_in_pages,
    Life.delete_a_route,
    Life.delete_an_app,
    Life.delete_the_organization,
]


def main():
    life = Life()
    for step in STEPS:
        name = step.__name__.replace("_", " ")
        try:
            step(life)
        except Exception as error:  # any exception fails the step
            print(f"FAIL  {LIBRARY}  {name}: {error!r}", flush=True)
            sys.exit(1)
        print(f"ok  {LIBRARY}  {name}", flush=True)


if __name__ == "__main__":
    main()
