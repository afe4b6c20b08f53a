// The official npm clients, unmodified, against our gateway:
//   node run.mjs <openclaw binary> <fake-provider binary>
// Every frame that reaches the client is held against the published schema; a test fails on the first that does not fit.

import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { resolve } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { GatewayClient } from "@openclaw/gateway-client";
import OpenAI from "openai";

import { FakeProvider, Gateway, TOKEN, eventually } from "./processes.mjs";
import { seen, takeViolations } from "./published-schema.mjs";

const ANSWER = "Hello from the fake provider.";
const [gatewayBinary, providerBinary] = process.argv.slice(2).map((path) => resolve(path));
/** A session of its own for every test: one that fails must not disturb the next. */
let session;
let sessions = 0;
let fake;
let gateway;
const open = [];

before(async () => {
  assert.ok(gatewayBinary && providerBinary, "usage: node run.mjs <openclaw binary> <fake-provider binary>");
  fake = await FakeProvider.start(providerBinary);
  gateway = await Gateway.start(gatewayBinary, fake.url);
});

beforeEach(() => {
  sessions += 1;
  session = `agent:main:compat-${sessions}`;
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((client) => client.stopAndWait()));
  assert.deepEqual(takeViolations(), [], "frames that do not fit the published schema");
});

after(() => {
  gateway?.stop();
  fake?.stop();
});

/** A client with what happened to it. `ready` settles with hello-ok or with the first refusal. */
function connect(options = {}) {
  const events = [];
  const gaps = [];
  const hellos = [];
  const { promise: ready, resolve, reject } = Promise.withResolvers();
  ready.catch(() => {}); // a test that expects a refusal awaits it
  const client = new GatewayClient({
    url: gateway.ws,
    token: TOKEN,
    scopes: ["operator.admin", "operator.read", "operator.write", "operator.approvals", "operator.pairing"],
    caps: ["tool-events"],
    onEvent: (event) => events.push(event),
    onGap: (gap) => gaps.push(gap),
    onHelloOk: (hello) => {
      hellos.push(hello);
      resolve(hello);
    },
    onConnectError: reject,
    ...options,
  });
  open.push(client);
  client.start();
  return { client, events, gaps, hellos, ready };
}

/** Sends a message; gives its run id once it is acknowledged. */
async function send(client, message) {
  const runId = randomUUID();
  const answer = await client.request("chat.send", { sessionKey: session, message, idempotencyKey: runId });
  assert.deepEqual(answer, { runId, status: "started" });
  return runId;
}

const isEnd = (runId) => (event) =>
  event.event === "chat" && event.payload.runId === runId && ["final", "aborted", "error"].includes(event.payload.state);

async function endOf(events, runId) {
  return (await eventually(`the end of ${runId}`, () => events.find(isEnd(runId)))).payload;
}

const textOf = (message) => message.content.map((part) => part.text ?? "").join("");

test("the client connects and is told what it needs", async () => {
  const { ready } = connect();
  const hello = await ready;
  assert.equal(hello.protocol, 4);
  assert.equal(hello.auth.role, "operator");
  assert.ok(hello.features.methods.includes("chat.send"));
});

test("a wrong token stops the client instead of letting it try forever", async () => {
  const paused = Promise.withResolvers();
  const { ready } = connect({ token: "wrong", onReconnectPaused: paused.resolve });
  await assert.rejects(ready, (error) => error.details.code === "AUTH_TOKEN_MISMATCH");
  assert.equal((await paused.promise).detailCode, "AUTH_TOKEN_MISMATCH");
});

test("a message is streamed and finished, and the numbering has no gap", async () => {
  const { client, events, gaps, ready } = connect();
  await ready;
  const runId = await send(client, "[[script:slow]] count");
  const end = await endOf(events, runId);
  assert.equal(end.state, "final");
  const deltas = events.filter((event) => event.event === "chat" && event.payload.state === "delta");
  assert.ok(deltas.length >= 2);
  assert.equal(deltas.map((event) => event.payload.deltaText).join(""), textOf(end.message));
  assert.deepEqual(gaps, []);
});

test("an agent run is accepted first and answered later", async () => {
  const { client, ready } = connect();
  await ready;
  let accepted;
  const runId = randomUUID();
  const params = { message: "hello", sessionKey: session, idempotencyKey: runId };
  const done = await client.request("agent", params, { expectFinal: true, onAccepted: (payload) => (accepted = payload) });
  assert.equal(accepted.status, "accepted");
  assert.equal(done.status, "ok");
  assert.equal(done.result.payloads[0].text, ANSWER);
});

test("a tool call is shown while it happens", async () => {
  const { client, events, ready } = connect();
  await ready;
  const runId = await send(client, "[[script:tool]] status");
  assert.equal((await endOf(events, runId)).state, "final");
  const tool = events.filter((event) => event.event === "agent" && event.payload.stream === "tool");
  assert.deepEqual(tool.map((event) => event.payload.data.phase), ["start", "result"]);
});

test("a run is aborted once", async () => {
  const { client, events, ready } = connect();
  await ready;
  const runId = await send(client, "[[script:endless]] talk");
  await eventually("a delta", () => events.find((event) => event.payload?.runId === runId && event.payload.state === "delta"));
  const answer = await client.request("chat.abort", { sessionKey: session, runId });
  assert.deepEqual(answer, { ok: true, aborted: true, runIds: [runId] });
  assert.equal((await endOf(events, runId)).state, "aborted");
  await sleep(500);
  assert.equal(events.filter(isEnd(runId)).length, 1);
});

test("a failed run is an error event and a failed request", async () => {
  const { client, events, ready } = connect();
  await ready;
  const runId = await send(client, "[[script:error-401]]");
  assert.equal((await endOf(events, runId)).state, "error");
  const params = { message: "[[script:error-401]]", sessionKey: session, idempotencyKey: randomUUID() };
  await assert.rejects(client.request("agent", params, { expectFinal: true }), (error) => error.gatewayCode === "UNAVAILABLE");
});

test("the history is read back", async () => {
  const { client, events, ready } = connect();
  await ready;
  const runId = await send(client, "remember the fish");
  await endOf(events, runId);
  const { messages } = await client.request("chat.history", { sessionKey: session, limit: 2 });
  assert.deepEqual(messages.map((message) => message.role), ["user", "assistant"]);
  assert.match(textOf(messages[0]), /remember the fish/);
  assert.equal(textOf(messages[1]), ANSWER);
  const list = await client.request("sessions.list", {});
  assert.ok(list.sessions.some((row) => row.key === session));
});

test("what a client reads at its start fits the schema", async () => {
  const { client, events, ready } = connect();
  await ready;
  await endOf(events, await send(client, "so that there is a session"));
  const reads = [
    ["health"],
    ["status"],
    ["system-presence"],
    ["agents.list"],
    ["agent.identity.get", { sessionKey: session }],
    ["models.list", { view: "configured" }],
    ["commands.list", {}],
    ["tools.catalog", {}],
    ["tools.effective", { sessionKey: session }],
    ["channels.status", { probe: false }],
    ["config.schema"],
    ["config.schema.lookup", { path: "gateway" }],
    ["logs.tail", { limit: 50 }],
    ["last-heartbeat"],
    ["sessions.resolve", { key: session }],
    ["sessions.create", { agentId: "main", label: "compat" }],
  ];
  const missing = [];
  for (const [method, params = {}] of reads) {
    await client.request(method, params).catch((error) => missing.push(`${method}: ${error.message}`));
  }
  assert.deepEqual(missing, []);
});

test("the configuration is edited with the hash that was read", async () => {
  const { client, ready } = connect();
  await ready;
  const { hash, valid } = await client.request("config.get", {});
  assert.equal(valid, true);
  const raw = JSON.stringify({ agents: { list: [{ id: "main", default: true }, { id: "ops" }] } });
  await assert.rejects(client.request("config.patch", { raw }), /config base hash required/);
  const done = await client.request("config.patch", { raw, baseHash: hash });
  assert.equal(done.ok, true);
  await eventually("the new agent", async () => {
    const { agents } = await client.request("agents.list", {});
    return agents.some((agent) => agent.id === "ops");
  });
  await assert.rejects(client.request("config.patch", { raw, baseHash: hash }), /config changed since last load/);
});

test("errors arrive with their codes", async () => {
  const owner = connect();
  await owner.ready;
  await assert.rejects(owner.client.request("no.such.method", {}), /unknown method: no\.such\.method/);
  const { client, ready } = connect({ scopes: ["operator.read"] });
  await ready;
  await assert.rejects(client.request("config.set", { raw: "{}" }), (error) => error.details.code === "MISSING_SCOPE");
});

test("a device is paired, gets a token and comes back with it alone", async () => {
  const identity = newDevice();
  let stored;
  const hostDeps = { ...signing, storeDeviceAuthToken: (record) => (stored = record), loadDeviceAuthToken: () => stored ?? null };
  const cli = { clientName: "cli", mode: "cli", deviceIdentity: identity, hostDeps, scopes: ["operator.read"] };
  await connect(cli).ready;
  assert.equal(stored.deviceId, identity.deviceId);
  const { client, ready } = connect({ ...cli, token: undefined, deviceToken: stored.token });
  await ready;
  await client.request("status", {});
});

const signing = {
  signDevicePayload: (privateKeyPem, payload) => sign(null, Buffer.from(payload), privateKeyPem).toString("base64url"),
  publicKeyRawBase64UrlFromPem: (pem) => rawKey(pem).toString("base64url"),
};

/** The 32 bytes at the end of an Ed25519 SubjectPublicKeyInfo. */
function rawKey(pem) {
  return Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ""), "base64").subarray(-32);
}

function newDevice() {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const publicKeyPem = publicKey.export({ type: "spki", format: "pem" });
  const privateKeyPem = privateKey.export({ type: "pkcs8", format: "pem" });
  const deviceId = createHash("sha256").update(rawKey(publicKeyPem)).digest("hex");
  return { deviceId, privateKeyPem, publicKeyPem };
}

test("a restart is announced and the client finds its way back", async () => {
  const { events, hellos, ready } = connect();
  await ready;
  assert.equal(await gateway.terminate(), 0);
  assert.equal((await eventually("the shutdown event", () => events.find((event) => event.event === "shutdown"))).payload.reason, "gateway stopping");
  await gateway.launch();
  await eventually("a second hello", () => hellos.length === 2, 30_000);
});

test("the OpenAI SDK completes, streams and lists", async () => {
  const openai = new OpenAI({ baseURL: `${gateway.http}/v1`, apiKey: TOKEN, maxRetries: 0 });
  const request = { model: "openclaw", messages: [{ role: "user", content: "hi" }] };
  const whole = await openai.chat.completions.create(request);
  assert.equal(whole.choices[0].message.content, ANSWER);
  assert.equal(whole.choices[0].finish_reason, "stop");
  let text = "";
  let usage;
  const stream = await openai.chat.completions.create({ ...request, stream: true, stream_options: { include_usage: true } });
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, ANSWER);
  assert.equal(usage.completion_tokens, 6);
  const models = [];
  for await (const model of openai.models.list()) models.push(model.id);
  assert.ok(models.includes("openclaw") && models.includes("openclaw/main"), models.join());
});

test("the OpenAI SDK understands our refusals", async () => {
  const stranger = new OpenAI({ baseURL: `${gateway.http}/v1`, apiKey: "wrong", maxRetries: 0 });
  const request = { model: "openclaw", messages: [{ role: "user", content: "hi" }] };
  await assert.rejects(stranger.chat.completions.create(request), OpenAI.AuthenticationError);
  const openai = new OpenAI({ baseURL: `${gateway.http}/v1`, apiKey: TOKEN, maxRetries: 0 });
  await assert.rejects(openai.chat.completions.create({ ...request, model: "gpt-5" }), OpenAI.BadRequestError);
});

test("frames and payloads were really held against the schema", () => {
  assert.ok(seen.frames > 100, `only ${seen.frames} frames`);
  for (const kind of ["answer to connect", "event chat", "event agent", "event health", "event shutdown"]) {
    assert.ok(seen.payloads.get(kind) > 0, `no ${kind} was checked`);
  }
});
