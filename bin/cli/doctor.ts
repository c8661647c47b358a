import manifest from "../../package.json" with { type: "json" };
import { type Boilerhouse, BoilerhouseError } from "../../src/client/index.ts";
import { ROUTES } from "./commands.ts";
import { type Connection, clientOf } from "./connection.ts";
import { EXIT, exitCodeOf } from "./exit.ts";
import type { Io } from "./io.ts";

export interface Finding {
  readonly check: string;
  readonly state: "ok" | "warning" | "failed" | "unknown";
  readonly detail: string;
  /** How the command ends because of it. */
  readonly exit: number;
}

type Judged = Omit<Finding, "check" | "exit"> & { readonly exit?: number };

const SKEW_WARNING_MS = 5_000;
/** Tokens are refused from here on. */
const SKEW_FAILED_MS = 60_000;

/** Looks at everything that a command needs, one after the other, and ends as the first thing that failed. */
export async function doctor(connection: Connection, report: "json" | "text", io: Io): Promise<number> {
  const findings: Finding[] = [];
  const look = async (check: string, judge: () => Promise<Judged>) => {
    const judged = await judge().catch(failed);
    findings.push({ check, exit: EXIT.ok, ...judged });
    return judged;
  };
  const health = await look("reachable", () => reachable(connection, io));
  if (health.state === "ok") {
    await look("clock", () => clock(connection, io));
    await look("ready", () => ready(connection, io));
    await look("version", () => version(connection, io));
    const { state } = await look("key", async () => key(clientOf(connection, io)));
    if (state === "ok") await look("pools", async () => pools(clientOf(connection, io)));
  }
  if (report === "json") io.stdout(`${JSON.stringify({ url: connection.url, findings })}\n`);
  else io.stdout(findings.map(line).join(""));
  return findings.find(({ state }) => state === "failed")?.exit ?? EXIT.ok;
}

const MARKS: Record<Finding["state"], string> = { ok: "✓", warning: "!", failed: "✗", unknown: "?" };
const line = ({ check, state, detail }: Finding): string => `${MARKS[state]} ${check.padEnd(9)}  ${detail}\n`;

function failed(problem: unknown): Judged {
  const detail =
    problem instanceof BoilerhouseError ? [problem.message, problem.suggestion ?? ""].join(" ") : `${problem}`;
  return { state: "failed", detail: detail.trim(), exit: exitCodeOf(problem) };
}

async function reachable({ url }: Connection, io: Io): Promise<Judged> {
  const startedAt = io.now();
  const { status } = await open(`${url}/health`, io);
  const detail = `${url} answers ${status} in ${io.now() - startedAt} ms`;
  return status === 200 ? { state: "ok", detail } : { state: "failed", detail, exit: EXIT.unavailable };
}

/** Tokens and expiries are compared with the API's clock. */
async function clock({ url }: Connection, io: Io): Promise<Judged> {
  const startedAt = io.now();
  const { headers } = await open(`${url}/health`, io);
  const theirs = Date.parse(headers.get("date") ?? "");
  if (Number.isNaN(theirs)) return { state: "unknown", detail: "its answers carry no date" };
  return judgeSkew((startedAt + io.now()) / 2, theirs);
}

/** `Date` has no fraction: half a second is its middle. Pure; exported for tests. */
export function judgeSkew(ours: number, theirs: number): Judged {
  const skewMs = Math.round(ours - (theirs + 500));
  const apart = Math.abs(skewMs);
  const detail = `this machine is ${(apart / 1_000).toFixed(1)} s ${skewMs < 0 ? "behind" : "ahead"}`;
  if (apart >= SKEW_FAILED_MS) return { state: "failed", detail: `${detail}: set its clock`, exit: EXIT.refused };
  return { state: apart >= SKEW_WARNING_MS ? "warning" : "ok", detail };
}

async function ready({ url }: Connection, io: Io): Promise<Judged> {
  const answer = (await (await open(`${url}/ready`, io)).json()) as {
    ready?: boolean;
    runtime?: string;
    missing?: string[];
  };
  const runtime = `containers: ${answer.runtime ?? "unknown"}`;
  if (answer.ready) return { state: "ok", detail: runtime };
  const missing = answer.missing?.join(", ") || "nothing, but its demo pool is not warm yet";
  return { state: "failed", detail: `missing: ${missing}; ${runtime}`, exit: EXIT.unavailable };
}

/** Whether the API has every route that this command knows. */
async function version({ url }: Connection, io: Io): Promise<Judged> {
  const document = (await (await open(`${url}/openapi.json`, io)).json()) as {
    info?: { version?: string };
    paths?: Record<string, Record<string, unknown>>;
  };
  const missing = ROUTES.filter(({ method, path }) => !document.paths?.[path]?.[method.toLowerCase()]);
  const detail = `command ${manifest.version}, API ${document.info?.version ?? "unknown"}`;
  if (missing.length === 0) return { state: "ok", detail };
  const words = [...new Set(missing.map((command) => command.words))].join(", ");
  return { state: "warning", detail: `${detail}; the API has no route for: ${words}` };
}

async function key({ api }: Boilerhouse): Promise<Judged> {
  const { data } = await api.GET("/api/v1/whoami");
  if (!data) throw new BoilerhouseError("unexpected_answer", "The answer has no body.");
  const { role, actor, expiresAt } = data;
  return { state: "ok", detail: `${actor}, role ${role}${expiresAt ? `, until ${expiresAt}` : ""}` };
}

async function pools({ api }: Boilerhouse): Promise<Judged> {
  try {
    const { data } = await api.GET("/api/v1/pools");
    return judgePools(data?.items ?? []);
  } catch (problem) {
    if (!(problem instanceof BoilerhouseError) || problem.status !== 403) throw problem;
    return { state: "unknown", detail: "this key may not see pools" };
  }
}

/** Pure; exported for tests. */
export function judgePools(items: readonly { id: string; warm: number; minSize: number; status: string }[]): Judged {
  if (items.length === 0)
    return { state: "warning", detail: "there is no pool: `boilerhouse pools create -f pool.json`" };
  const warm = items.filter((pool) => pool.warm > 0).length;
  const cold = items.filter((pool) => pool.warm < pool.minSize || pool.status === "error").map(({ id }) => id);
  if (cold.length > 0) return { state: "warning", detail: `not at their minimum: ${cold.join(", ")}` };
  if (warm === 0) return { state: "warning", detail: "no pool keeps a warm slot: every claim starts cold" };
  return { state: "ok", detail: `${warm} of ${items.length} with warm slots` };
}

/** A route that needs no key. @throws BoilerhouseError */
async function open(url: string, io: Io): Promise<Response> {
  try {
    return await io.fetch(new Request(url, { signal: AbortSignal.timeout(10_000) }));
  } catch (cause) {
    const timedOut = cause instanceof Error && cause.name === "TimeoutError";
    const detail = timedOut ? `${url} did not answer within 10 s.` : `${new URL(url).origin} cannot be reached.`;
    throw new BoilerhouseError(timedOut ? "timed_out" : "no_connection", detail, { cause });
  }
}
