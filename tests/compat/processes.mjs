// The two programs under test: the gateway with a home of its own, and the fake provider. Both on free loopback ports.
// Nothing of the machine's own configuration gets in, and nothing outlives this process.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

export const TOKEN = "compat-4f1c0d5be0a94f5f9b7e2f3c";

/** A loopback port that nobody holds at this moment. */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Waits until `probe` gives something; throws with `what` after `limitMs`. */
export async function eventually(what, probe, limitMs = 15_000) {
  const until = Date.now() + limitMs;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > until) throw new Error(`not within ${limitMs} ms: ${what}`);
    await sleep(20);
  }
}

export class FakeProvider {
  static async start(binary) {
    const child = spawn(binary, { stdio: ["pipe", "pipe", "inherit"] });
    const [line] = await once(createInterface({ input: child.stdout }), "line");
    return Object.assign(new FakeProvider(), { child, url: JSON.parse(line).url });
  }

  async push(...scripts) {
    const response = await fetch(`${this.url}/script`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(scripts),
    });
    if (!response.ok) throw new Error(await response.text());
  }

  async requests() {
    return (await fetch(`${this.url}/requests`)).json();
  }

  stop() {
    this.child.stdin.end();
  }
}

export class Gateway {
  static async start(binary, providerUrl) {
    const root = mkdtempSync(join(tmpdir(), "openclaw-compat-"));
    for (const part of ["home", "state", "tmp", "workspace"]) mkdirSync(join(root, part));
    const gateway = Object.assign(new Gateway(), { binary, root, port: await freePort(), stderr: "" });
    const text = JSON.stringify(config(root, gateway.port, providerUrl), null, 2);
    writeFileSync(join(root, "state", "openclaw.json"), text, { mode: 0o600 });
    await gateway.launch();
    return gateway;
  }

  get ws() {
    return `ws://127.0.0.1:${this.port}/`;
  }

  get http() {
    return `http://127.0.0.1:${this.port}`;
  }

  async launch() {
    const env = {
      PATH: process.env.PATH,
      HOME: join(this.root, "home"),
      TMPDIR: join(this.root, "tmp"),
      OPENCLAW_STATE_DIR: join(this.root, "state"),
      OPENCLAW_DISABLE_BONJOUR: "1",
    };
    const stdio = ["ignore", "ignore", "pipe"];
    this.child = spawn(this.binary, ["gateway", "run"], { env, stdio, cwd: this.root });
    this.child.stderr.on("data", (piece) => (this.stderr += piece));
    const isHealthy = async () => {
      if (this.child.exitCode !== null) throw new Error(`the gateway ended: ${this.stderr}`);
      const response = await fetch(`${this.http}/health`).catch(() => undefined);
      await response?.text();
      return response?.ok;
    };
    await eventually("the gateway answers /health", isHealthy);
  }

  /** SIGTERM; gives the exit code. */
  async terminate() {
    this.child.kill("SIGTERM");
    const [code] = this.child.exitCode === null ? await once(this.child, "exit") : [this.child.exitCode];
    return code;
  }

  stop() {
    this.child.kill("SIGKILL");
    rmSync(this.root, { recursive: true, force: true, maxRetries: 5 });
  }
}

function config(root, port, providerUrl) {
  const model = { id: "fake-1", name: "Fake 1", contextWindow: 200_000, maxTokens: 8192 };
  return {
    gateway: {
      mode: "local",
      port,
      bind: "loopback",
      auth: { mode: "token", token: TOKEN },
      http: { endpoints: { chatCompletions: { enabled: true } } },
    },
    agents: {
      defaults: {
        workspace: join(root, "workspace"),
        skipBootstrap: true,
        model: { primary: "fake/fake-1" },
        heartbeat: { every: "0m" },
      },
    },
    models: {
      mode: "replace",
      providers: {
        fake: { baseUrl: `${providerUrl}/v1`, apiKey: "fake-key", api: "openai-completions", models: [model] },
      },
    },
    logging: { file: join(root, "gateway.log") },
  };
}
