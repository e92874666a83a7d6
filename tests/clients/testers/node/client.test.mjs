// A Cloud Foundry client, tested against mock-capi.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";

const seed = fileURLToPath(new URL("../seed.yml", import.meta.url));
let mock, api, token;

const send = (method, path, body) => fetch(api + path, {
  method,
  body: body === undefined ? undefined : JSON.stringify(body),
  headers: token === undefined ? {} : { Authorization: `bearer ${token}` },
  signal: AbortSignal.timeout(10_000),
});

before(async () => {
  const program = process.env.MOCK_CAPI_BIN ?? "mock-capi";
  mock = spawn(program, ["--listen", "127.0.0.1:0", "--seed-file", seed], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(createInterface(mock.stdout), "line");
  api = line.split(" ").at(-1);
  const answer = await fetch(`${api}/uaa/oauth/token`, {
    method: "POST",
    body: new URLSearchParams({ grant_type: "password", username: "admin", password: "admin" }),
    headers: { Authorization: `Basic ${btoa("cf:")}` },
  });
  token = (await answer.json()).access_token;
});

after(async () => {
  mock.kill();
  await once(mock, "exit");
});

beforeEach(() => send("POST", "/_mock/reset"));

test("the app of the seed file runs", async () => {
  const apps = await (await send("GET", "/v3/apps?names=web")).json();
  assert.equal(apps.resources[0].state, "STARTED");
});

test("a stub answers once", async () => {
  await send("PUT", "/_mock/stubs", [{ path: "/v3/apps", status: 502, body: {}, times: 1 }]);
  assert.equal((await send("GET", "/v3/apps")).status, 502);
  assert.equal((await send("GET", "/v3/apps")).status, 200);
});

test("a fault refuses one request", async () => {
  const fault = { fault: "answer", method: "GET", path: "/v3/apps", status: 503, times: 1 };
  await send("PUT", "/_mock/faults", [fault]);
  assert.equal((await send("GET", "/v3/apps")).status, 503);
  assert.equal((await send("GET", "/v3/apps")).status, 200);
});

test("the apps were listed exactly once", async () => {
  await send("GET", "/v3/apps?names=web");
  const expected = { request: { method: "GET", path: "/v3/apps" }, count: 1 };
  const answer = await send("POST", "/_mock/verify", expected);
  assert.equal(answer.status, 200, await answer.text());
});
