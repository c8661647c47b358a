/**
 * One right body for each operation whose fields depend on each other or on what exists: a schema's words alone would
 * almost never make one, and nothing behind the schema would ever be reached. Spoilt, they reach it.
 */
const workload = {
  name: "Fuzz",
  image: "sandbox",
  ports: [{ port: 8080, name: "http", protocol: "http" }],
  volumes: { state: { containerPath: "/data" }, secrets: { containerPath: "/run/own" } },
  environment: { MODE: "fuzz", WHO: `$${"{tenantId}"}` },
  start: "on-claim",
  command: ["node", "server.js"],
  user: "node",
  readiness: { path: "/healthz", expectJson: { ok: true } },
  healthCheck: { http: { path: "/healthz" }, intervalMs: 30_000, timeoutMs: 5_000, retries: 3 },
  preSave: ["sync"],
  exclude: ["*.tmp"],
  configSchema: { type: "object", properties: { model: { type: "string" } } },
  network: "restricted",
  egress: [{ host: "api.example.com", allow: true }],
  resources: { tier: "lite" },
  selfService: true,
  lifecycle: { idleTimeoutMs: 600_000 },
};
const mappings = [
  { containerPath: "/data/out", sinkPath: "out/", direction: "upload", mode: "copy", exclude: ["*.tmp"] },
];
const sink = { type: "r2", prefix: `fuzz/$${"{tenantId}"}/` };

export const BODIES: Readonly<Record<string, object>> = {
  "POST /api/v1/workloads": { id: "fuzz-more", ...workload },
  "PUT /api/v1/workloads/{id}": workload,
  "POST /api/v1/pools": { id: "fuzz-more", workloadId: "fuzz", minSize: 0, maxSize: 2, idleTimeoutMs: 60_000 },
  "PUT /api/v1/pools/{id}": { minSize: 0, maxSize: 3, idleTimeoutMs: 60_000, tier: "lite" },
  "POST /api/v1/sync-specs": { id: "fuzz-more", poolId: "fuzz", mappings, sink },
  "PUT /api/v1/sync-specs/{id}": { poolId: "fuzz", mappings, sink },
  "POST /api/v1/domains": { host: "more.example.com", tenantId: "fuzz-tenant" },
  "POST /api/v1/keys": { name: "fuzz", role: "tenant", tenantId: "fuzz-tenant", expiresAt: "2099-01-01T00:00:00Z" },
  "POST /api/v1/tenants/{id}/claim": { poolId: "fuzz", config: { model: "a" }, secrets: { TOKEN: "b" } },
  "PUT /api/v1/tenants/{id}/config": { model: "b" },
  "PUT /api/v1/tenants/{id}/secrets": { TOKEN: "c" },
  "PUT /api/v1/tenants/{id}/secrets/{name}": { value: "d" },
  "PUT /api/v1/tenants/{id}/files/{path}": { content: "aGVsbG8=", encoding: "base64" },
  "POST /api/v1/tenants/{id}/files/batch": {
    operations: [
      { op: "write", path: "fuzz/a", content: "x", ifMatch: "*" },
      { op: "read", path: "/data/fuzz/a" },
      { op: "list", path: "", recursive: true, limit: 5 },
      { op: "delete", path: "fuzz/a" },
      { op: "exists", path: "fuzz/a" },
    ],
    token: "fuzz",
    resumeFrom: 0,
    timeoutMs: 1_000,
  },
  "PUT /api/v1/tenants/{id}/lifecycle": { mode: "scheduled", wakeTimes: ["08:00"], idleTimeoutMs: 60_000 },
};
