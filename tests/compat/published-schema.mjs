// Holds every frame that the official client receives against the schema that its makers published.
// It listens inside the client's own WebSocket library, so that it sees what the client sees, before the client drops anything.

import { ProtocolSchemas as schemas } from "@openclaw/gateway-protocol/schema";
import { Compile } from "typebox/compile";
import { WebSocket } from "ws";

/** Payload schema of an event, by its name. */
const EVENTS = {
  agent: schemas.AgentEvent,
  chat: schemas.ChatEvent,
  health: schemas.Snapshot.properties.health,
  presence: { type: "object", required: ["presence"], properties: { presence: schemas.Snapshot.properties.presence } },
  shutdown: schemas.ShutdownEvent,
  tick: schemas.TickEvent,
};

/** Payload schema of a successful answer, by the method asked. */
const RESULTS = {
  "agent.identity.get": schemas.AgentIdentityResult,
  "agents.files.get": schemas.AgentsFilesGetResult,
  "agents.files.list": schemas.AgentsFilesListResult,
  "agents.list": schemas.AgentsListResult,
  "channels.status": schemas.ChannelsStatusResult,
  "commands.list": schemas.CommandsListResult,
  "config.schema": schemas.ConfigSchemaResponse,
  "config.schema.lookup": schemas.ConfigSchemaLookupResult,
  connect: schemas.HelloOk,
  health: schemas.Snapshot.properties.health,
  "logs.tail": schemas.LogsTailResult,
  "models.list": schemas.ModelsListResult,
  "plugins.uiDescriptors": schemas.PluginsUiDescriptorsResult,
  "sessions.create": schemas.SessionsCreateResult,
  "sessions.delete": schemas.SessionsDeleteResult,
  "sessions.resolve": schemas.SessionsResolveResult,
  "system-presence": schemas.Snapshot.properties.presence,
  "tasks.list": schemas.TasksListResult,
  "tools.catalog": schemas.ToolsCatalogResult,
  "tools.effective": schemas.ToolsEffectiveResult,
  "update.status": schemas.UpdateStatusResult,
};

/** What every generation of the gateway sends and the published schema nevertheless leaves out. */
const KNOWN_EXTRAS = {
  // the session of a run, and for tool events the session's row beside it
  agent: ({ runId, seq, stream, ts, spawnedBy, isHeartbeat, data }) =>
    withoutUndefined({ runId, seq, stream, ts, spawnedBy, isHeartbeat, data }),
  // null when no restart is expected
  shutdown: ({ restartExpectedMs, ...rest }) => (restartExpectedMs === null ? rest : { ...rest, restartExpectedMs }),
};

const compiled = new Map();
const counts = { frames: 0, payloads: new Map() };
const violations = [];
const methods = new Map();

function withoutUndefined(object) {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

function check(what, schema, value) {
  if (!compiled.has(schema)) compiled.set(schema, Compile(schema));
  const validator = compiled.get(schema);
  if (validator.Check(value)) return;
  const reasons = [...validator.Errors(value)].slice(0, 5).map((error) => `${error.instancePath} ${error.message} ${JSON.stringify(error.params)}`);
  violations.push(`${what}: ${reasons.join("; ")} in ${JSON.stringify(value).slice(0, 600)}`);
}

function received(text) {
  const frame = JSON.parse(text);
  counts.frames += 1;
  if (frame.type === "event") {
    check(`event ${frame.event}`, schemas.EventFrame, frame);
    payload(`event ${frame.event}`, EVENTS[frame.event], (KNOWN_EXTRAS[frame.event] ?? ((same) => same))(frame.payload));
  } else {
    const method = methods.get(frame.id);
    check(`answer to ${method}`, schemas.ResponseFrame, frame);
    if (frame.ok) payload(`answer to ${method}`, RESULTS[method], frame.payload);
  }
}

function payload(what, schema, value) {
  if (schema === undefined) return;
  counts.payloads.set(what, (counts.payloads.get(what) ?? 0) + 1);
  check(what, schema, value);
}

const { emit, send } = WebSocket.prototype;
WebSocket.prototype.emit = function (event, data, ...rest) {
  if (event === "message") received(data.toString());
  return emit.call(this, event, data, ...rest);
};
WebSocket.prototype.send = function (data, ...rest) {
  const frame = JSON.parse(data.toString());
  if (frame.type === "req") methods.set(frame.id, frame.method);
  return send.call(this, data, ...rest);
};

/** Frames seen so far, and how many payloads of which kind were held against a schema. */
export const seen = counts;

/** The violations since the last call. */
export function takeViolations() {
  return violations.splice(0);
}
