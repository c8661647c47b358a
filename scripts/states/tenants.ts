import { placeToRead } from "../../src/files/place.ts";
import { generation } from "../../src/ids.ts";
import type { PlannedChange, TenantEvent } from "../../src/tenant/events.ts";
import type { TenantRecord } from "../../src/tenant/record.ts";
import { statusOf } from "../../src/tenant/status.ts";
import { acted, always, answered, asked, claimed, type Decision, orNew, problem, taken } from "./answer.ts";
import { POOL, SPEC, STANDINGS, sealed } from "./standings.ts";
import { type Call, tableOf } from "./table.ts";

/** A call about a tenant; null: one never seen. */
export interface TenantCall extends Call<TenantRecord | null> {
  /** The body is a tar of the tenant's files. */
  tar?: true;
  /** A copy: of the tenant to another, or of another to the tenant. */
  copy?: "of it" | "to it";
}

const T = "/api/v1/tenants/{id}";
const FILE = { path: "a" };
const SAVED = { n: "1" };
/** Nobody waits: what takes time is 202. */
const AT_ONCE = "wait=0s";

const reads = (path: string, more: Partial<TenantCall> = {}): TenantCall => ({
  operation: `GET ${T}${path}`,
  ...more,
  decide: always(200),
});

/** Read where it is: in the container, in the vault where that does not answer, or as it was saved. */
const file: Decision = (record) => {
  if (!record) return problem("not_found");
  const place = placeToRead(statusOf(record, 0), { source: "auto", pinned: false, wake: false });
  return place.from === "nowhere" ? problem(place.failure.code) : answered(200);
};

const note = (kind: "write" | "delete" | "batch"): TenantEvent => ({ type: "files", note: { kind, paths: ["a"] } });

/** A batch has an answer of its own for each of its operations. */
const batch: Decision = (record) => {
  const { status } = taken(note("batch"), 200)(record);
  return record ? answered(status === 200 ? 200 : 207) : problem("not_found");
};

/** `has`: whether what is to be changed is there. */
const changes = (
  operation: string,
  change: PlannedChange,
  more: Partial<TenantCall>,
  has: (record: TenantRecord) => boolean = () => true,
): TenantCall => ({
  operation,
  ...more,
  decide: taken({ type: "change", change, ifMatch: null }, 200, (record) => (record && has(record) ? record : null)),
});

const acts = (name: string, action: Parameters<typeof acted>[0], body: object = {}, said?: string): TenantCall => ({
  operation: `POST ${T}/${name}`,
  ...(said === undefined ? {} : { with: said }),
  query: AT_ONCE,
  body,
  decide: acted(action),
});

const importing = (source: "tar" | "clone"): TenantEvent => ({
  type: "import",
  request: {
    source:
      source === "tar" ? { kind: "tar" } : { kind: "clone", tenantId: "other" as never, generation: generation(1) },
    force: source === "clone",
    token: "token",
  },
});

const claim: TenantEvent = { type: "claim", poolId: null, delivery: null, allowFresh: false };
const released = (request: { force?: boolean; sync?: boolean }) => asked({ type: "release", request });

/** Every operation with a tenant's id in it, and those of sync specs that name one; some with more than one body. */
const CALLS: readonly TenantCall[] = [
  {
    operation: `POST ${T}/claim`,
    query: AT_ONCE,
    body: { poolId: POOL },
    decide: claimed({ ...claim, poolId: POOL }),
  },
  { operation: `POST ${T}/release`, query: AT_ONCE, body: {}, decide: released({}) },
  {
    operation: `POST ${T}/release`,
    with: "force",
    query: AT_ONCE,
    body: { force: true },
    decide: released({ force: true }),
  },
  {
    operation: `POST ${T}/release`,
    with: "sync: false",
    query: AT_ONCE,
    body: { sync: false },
    decide: released({ sync: false }),
  },
  acts("start", { kind: "start" }),
  acts("stop", { kind: "stop" }),
  acts("stop", { kind: "stop", force: true }, { force: true }, "force"),
  acts("restart", { kind: "restart", scope: "container" }),
  acts("restart", { kind: "restart", scope: "container", force: true }, { force: true }, "force"),
  acts("restart", { kind: "restart", scope: "image", minWorkloadVersion: 1 }, { scope: "image" }, "scope: image"),
  acts("restart", { kind: "restart", scope: "process" }, { scope: "process" }, "scope: process"),
  acts("sync", { kind: "sync", direction: "outward" }, { direction: "outward" }, "outward"),
  acts("sync", { kind: "sync", direction: "inward" }, { direction: "inward" }, "inward"),
  acts("sync", { kind: "sync", direction: "both" }, { direction: "both" }, "both"),
  acts("restore", { kind: "restore", generation: generation(1) }, { generation: 1 }),
  acts("suspend", { kind: "suspend" }),
  acts("resume", { kind: "resume" }),
  acts("destroy", { kind: "destroy", deleteData: false }),
  acts("destroy", { kind: "destroy", deleteData: true }, { deleteData: true }, "deleteData"),
  { operation: `DELETE ${T}`, query: AT_ONCE, decide: acted({ kind: "destroy", deleteData: false }) },
  {
    operation: "POST /api/v1/sync-specs/{id}/trigger",
    with: "tenantId",
    query: AT_ONCE,
    decide: acted({ kind: "sync", direction: "outward", spec: SPEC.id }),
  },
  {
    operation: "POST /api/v1/sync-specs/{id}/cancel",
    with: "tenantId",
    decide: taken({ type: "cancel_sync", specId: SPEC.id }, 200),
  },
  { operation: `POST ${T}/import`, tar: true, decide: taken(importing("tar"), 200, orNew) },
  { operation: `POST ${T}/import`, with: "dryRun", query: "dryRun=true", tar: true, decide: () => answered(200) },
  { operation: `POST ${T}/clone`, with: "of it", copy: "of it", decide: always(200) },
  { operation: `POST ${T}/clone`, with: "to it, force", copy: "to it", decide: taken(importing("clone"), 200, orNew) },
  reads("/status"),
  reads(""),
  changes(`PUT ${T}/tier`, { kind: "tier", tier: "basic" }, { body: { tier: "basic" } }),
  changes(
    `PUT ${T}/lifecycle`,
    { kind: "lifecycle", lifecycle: { mode: "always-on" } },
    { body: { mode: "always-on" } },
  ),
  {
    operation: `GET ${T}/config`,
    decide: (record) => (record?.delivery.config ? answered(200) : problem("not_found")),
  },
  changes(`PUT ${T}/config`, { kind: "config", config: { a: 2 } }, { body: { a: 2 } }),
  reads("/config/versions"),
  changes(
    `POST ${T}/config/rollback`,
    { kind: "config", config: { a: 1 } },
    { body: { version: 1 } },
    ({ delivery }) => delivery.config !== undefined,
  ),
  reads("/secrets"),
  changes(`PUT ${T}/secrets`, { kind: "secrets", sealed }, { body: { TOKEN: "b" } }),
  changes(`PUT ${T}/secrets/{name}`, { kind: "secrets", sealed }, { path: { name: "OTHER" }, body: { value: "c" } }),
  changes(
    `DELETE ${T}/secrets/{name}`,
    { kind: "secrets", sealed },
    { path: { name: "TOKEN" } },
    ({ secrets }) => secrets !== null,
  ),
  changes(`POST ${T}/revoke-tokens`, { kind: "revoke-tokens" }, {}),
  { operation: `POST ${T}/access-codes`, body: {}, decide: always(201) },
  { operation: `POST ${T}/tickets`, body: {}, decide: always(201) },
  { operation: `GET ${T}/files`, decide: file },
  { operation: `GET ${T}/files/{path}`, path: FILE, decide: file },
  { operation: `PUT ${T}/files/{path}`, path: FILE, body: { content: "b" }, decide: taken(note("write"), 200) },
  {
    operation: `POST ${T}/files/batch`,
    with: "reads",
    body: { operations: [{ op: "read", path: "a" }] },
    decide: file,
  },
  {
    operation: `POST ${T}/files/batch`,
    with: "writes",
    body: { operations: [{ op: "write", path: "a", content: "b" }] },
    decide: batch,
  },
  { operation: `DELETE ${T}/files/{path}`, path: FILE, decide: taken(note("delete"), 204) },
  reads("/generations"),
  reads("/generations/{n}", { path: SAVED }),
  { operation: `POST ${T}/generations/{n}/pin`, path: SAVED, decide: always(200) },
  { operation: `DELETE ${T}/generations/{n}/pin`, path: SAVED, decide: always(200) },
  reads("/generations/{n}/diff", { path: SAVED }),
  reads("/export"),
  { operation: `POST ${T}/fsck`, body: {}, decide: always(200) },
];

export const tenants = tableOf(
  T,
  STANDINGS.map(({ name, record }) => ({ name, standing: record })),
  CALLS,
);
