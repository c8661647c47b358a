import { HTTPException } from "hono/http-exception";
import { authenticate } from "./auth/authenticate.ts";
import { configOf } from "./config.ts";
import { failureOf, notConfigured, Problem, problemResponse } from "./errors/problem.ts";
import { access } from "./http/access.ts";
import { admin } from "./http/admin.ts";
import { audit } from "./http/audit.ts";
import { containerExec } from "./http/container-exec.ts";
import { containers } from "./http/containers.ts";
import { resource } from "./http/context.ts";
import { cors } from "./http/cors.ts";
import { docs } from "./http/docs.ts";
import { domains } from "./http/domains.ts";
import { events } from "./http/events.ts";
import { files } from "./http/files.ts";
import { filesBatch } from "./http/files-batch.ts";
import { healthRoutes } from "./http/health.ts";
import { keys } from "./http/keys.ts";
import { allowedMethods } from "./http/methods.ts";
import { completed, INFO, SECURITY_SCHEMES } from "./http/openapi.ts";
import { operations } from "./http/operations.ts";
import { poolActions } from "./http/pool-actions.ts";
import { pools } from "./http/pools.ts";
import { requestIdOf } from "./http/request-id.ts";
import { secure } from "./http/security-headers.ts";
import { self } from "./http/self.ts";
import { statistics } from "./http/stats.ts";
import { sweeps } from "./http/sweep.ts";
import { syncActions } from "./http/sync-actions.ts";
import { syncSpecs } from "./http/sync-specs.ts";
import { tenantActions } from "./http/tenant-actions.ts";
import { tenantList } from "./http/tenant-list.ts";
import { tenantRepair } from "./http/tenant-repair.ts";
import { tenantSettings } from "./http/tenant-settings.ts";
import { tenantState } from "./http/tenant-state.ts";
import { tenantTransfer } from "./http/tenant-transfer.ts";
import { tenants } from "./http/tenants.ts";
import { tiers } from "./http/tiers.ts";
import { workloadVersions } from "./http/workload-versions.ts";
import { workloads } from "./http/workloads.ts";
import { spend } from "./limits/limit.ts";
import { log } from "./log.ts";

/** The API as one Hono app: open routes, the two doors (configured? authenticated?), and the resources behind them. */
export const app = resource();

app.use(async (c, next) => {
  const requestId = requestIdOf(c.req.raw.headers);
  c.set("requestId", requestId);
  await next();
  c.res.headers.set("x-request-id", requestId);
  secure(c.res.headers, c.req.url);
});

app.use(cors);

app.route("/", healthRoutes);

app.use(async (c, next) => {
  const { missing } = configOf(c.env);
  if (missing.length > 0) throw Problem.of(notConfigured(missing));
  await next();
});

// The API's shape is no secret: readable without a key.
app.get("/openapi.json", (c) => c.json(openApiDocument()));
app.route("/", docs);

app.use(async (c, next) => {
  const principal = await authenticate(c.req.raw, c.env, (work) => c.executionCtx.waitUntil(work));
  c.set("principal", principal);
  const { refusal, headers } = await spend(principal, c.env);
  if (refusal) return problemResponse(refusal, c.get("requestId"), headers);
  await next();
  for (const [name, value] of Object.entries(headers)) c.res.headers.set(name, value);
});

app.route("/", self);
app.route("/", keys);
app.route("/", tiers);
app.route("/", workloads);
app.route("/", sweeps);
app.route("/", workloadVersions);
app.route("/", pools);
app.route("/", poolActions);
app.route("/", syncSpecs).route("/", syncActions);
app.route("/", domains);
app.route("/", tenantList);
app.route("/", tenants);
app.route("/", tenantActions);
app.route("/", tenantSettings);
app.route("/", tenantState);
app.route("/", tenantTransfer);
app.route("/", files);
app.route("/", filesBatch);
app.route("/", tenantRepair);
app.route("/", access);
app.route("/", operations);
app.route("/", containers);
app.route("/", containerExec);
app.route("/", statistics);
app.route("/", audit);
app.route("/", events);
app.route("/", admin);

app.notFound((c) => {
  const allowed = allowedMethods(app.routes, c.req.path);
  if (allowed.length === 0) {
    return problemResponse({ code: "not_found", detail: `There is nothing at ${c.req.path}.` }, c.get("requestId"));
  }
  const detail = `${c.req.path} answers to ${allowed.join(", ")} only.`;
  return problemResponse({ code: "method_not_allowed", detail }, c.get("requestId"), { allow: allowed.join(", ") });
});

app.onError((error, c) => {
  const requestId = c.get("requestId");
  if (error instanceof HTTPException && error.status < 500) {
    return problemResponse({ code: "malformed_json", detail: error.message }, requestId);
  }
  const failure = failureOf(error);
  if (failure.code === "internal") log.error("request failed", { requestId, error: error.stack });
  return problemResponse(failure, requestId);
});

for (const [name, scheme] of Object.entries(SECURITY_SCHEMES)) {
  app.openAPIRegistry.registerComponent("securitySchemes", name, scheme);
}

let document: ReturnType<typeof completed> | undefined;

/** What `docs/openapi.json` holds; `npm run check` compares the two. Made once, when it is first asked for. */
export function openApiDocument() {
  document ??= completed(app.getOpenAPI31Document(INFO));
  return document;
}
