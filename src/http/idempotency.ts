import { createHash } from "node:crypto";
import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import { configOf } from "../config.ts";
import { within } from "../durable/deadline.ts";
import { ERROR_CODES, entryOf } from "../errors/codes.ts";
import { invalid, Problem } from "../errors/problem.ts";
import { log } from "../log.ts";
import { openUnder, sealUnder } from "../secrets/envelope.ts";
import { collect, readBytes } from "./body.ts";
import type { AppEnv } from "./context.ts";
import { finish, forget, type KeptAnswer, type Row, take } from "./idempotency-store.ts";

/**
 * `Idempotency-Key` on mutations (F149): the first request under a key runs, and every later one gets its answer. A key is
 * its sender's, for one method and path; under it goes one body. What certainly did not happen is not kept, so that the
 * same key may try again. Without the header nothing is asked or stored.
 */
const KEY = /^[\x20-\x7e]{1,255}$/;
const KEPT_MS = 24 * 3_600_000;
/** More than the longest `?wait`: whoever has not ended by then has died, and its result is not known. */
const DIED_AFTER_MS = 330_000;
const DATABASE_MS = 10_000;
/** D1 keeps 2 MB in a row; sealed text is a third longer than its bytes. */
const MAX_ANSWER_BYTES = 1_000_000;
const KEPT_HEADERS = ["content-type", "location", "etag", "retry-after"];

/** `streamed`: the body is larger than what is kept in memory, and its headers stand for it. A number: read, up to so many bytes. */
export type BodyKind = "read" | "streamed" | number;

export const idempotent = (body: BodyKind) =>
  createMiddleware<AppEnv>(async (c, next) => {
    const key = c.req.header("idempotency-key");
    if (key === undefined) return next();
    if (!KEY.test(key)) {
      throw invalid([{ pointer: "/header/idempotency-key", detail: "must be 1 to 255 printable ASCII characters" }]);
    }
    // A client that goes away does not end it: it will ask again, by the same key, what came of it.
    const work = once(c, key, body, next);
    c.executionCtx.waitUntil(work.catch(() => {}));
    return work;
  });

/** Runs the request if it is the first of its key; else answers for the first. */
async function once(
  c: Context<AppEnv>,
  key: string,
  body: BodyKind,
  next: () => Promise<void>,
): Promise<Response | undefined> {
  const { id, fingerprint } = await named(c, key, body);
  const attempt = crypto.randomUUID();
  const row = await taken(c, id, attempt, fingerprint);
  switch (standing(row, attempt, fingerprint, Date.now())) {
    case "first":
      await next();
      return ended(c, id, attempt);
    case "answered":
      return replayed(c, id, row.answer);
    case "mismatch":
      throw new Problem("idempotency_mismatch", "This Idempotency-Key was used with another body.");
    case "in-flight":
      throw new Problem("idempotency_in_flight", "The first request with this Idempotency-Key has not ended.", {
        retryAfterMs: 1_000,
      });
    case "interrupted":
      throw new Problem("operation_interrupted", "The first request with this Idempotency-Key ended without a result.");
  }
}

/** Where a request stands among those of its key. Pure; exported for tests. */
export function standing(
  row: Row,
  attempt: string,
  fingerprint: string,
  now: number,
): "first" | "mismatch" | "in-flight" | "interrupted" | "answered" {
  if (row.attempt === attempt) return "first";
  if (row.fingerprint !== fingerprint) return "mismatch";
  if (row.answer !== null) return "answered";
  return now - row.startedAt > DIED_AFTER_MS ? "interrupted" : "in-flight";
}

/** Whether an answer says that nothing happened, so that the same request may come again. Pure; exported for tests. */
export function didNotHappen(status: number, code: string | null): boolean {
  if (status === 401 || status === 403 || status === 429) return true;
  const known = ERROR_CODES.find((one) => one === code);
  return known !== undefined && entryOf(known).retry;
}

/** What a request is called. The body is read for it, within its limits, and stays readable for the route. */
async function named(c: Context<AppEnv>, key: string, how: BodyKind): Promise<{ id: string; fingerprint: string }> {
  const { raw, path } = c.req;
  const { actor, tenantId } = c.get("principal");
  const id = sha256(JSON.stringify([actor, tenantId, raw.method, path, key]));
  if (how === "streamed") {
    const told = ["content-type", "content-length", "content-md5"].map((name) => raw.headers.get(name));
    return { id, fingerprint: sha256(key, "\0", JSON.stringify(told)) };
  }
  const body = await (how === "read" ? readBytes(raw) : readBytes(raw, how));
  // Without the client's signal, which would end what shall go on.
  c.req.raw = new Request(raw.url, {
    method: raw.method,
    headers: raw.headers,
    ...(body.length > 0 ? { body } : {}),
  });
  return {
    id,
    // With the key, which is not stored: by itself the hash of a short body would tell the body.
    fingerprint: sha256(key, "\0", body),
  };
}

async function taken(c: Context<AppEnv>, id: string, attempt: string, fingerprint: string): Promise<Row> {
  const now = Date.now();
  const wanted = { fingerprint, attempt, now, expiresAt: now + KEPT_MS };
  try {
    return await within(DATABASE_MS, "taking an Idempotency-Key", take(c.env.DB, id, wanted));
  } catch (error) {
    log.error("an Idempotency-Key was not taken", { requestId: c.get("requestId"), error: String(error) });
    // It may have been taken all the same, for a request that does not run.
    c.executionCtx.waitUntil(forget(c.env.DB, id, attempt).catch(() => {}));
    throw new Problem("database_unavailable", "The database did not answer; nothing was done.");
  }
}

/** Keeps the answer before it is given. If that fails the answer is true all the same, and later requests are told that it is unknown. */
async function ended(c: Context<AppEnv>, id: string, attempt: string): Promise<undefined> {
  try {
    await within(DATABASE_MS, "keeping an answer", keep(c, id, attempt));
  } catch (error) {
    log.error("an answer was not kept for its Idempotency-Key", {
      requestId: c.get("requestId"),
      error: String(error),
    });
  }
}

async function keep(c: Context<AppEnv>, id: string, attempt: string): Promise<void> {
  const { status, headers } = c.res;
  const bytes = await collect(c.res.clone().body, MAX_ANSWER_BYTES);
  if (didNotHappen(status, codeOf(headers, bytes))) return forget(c.env.DB, id, attempt);
  const answer: KeptAnswer = {
    status,
    headers: Object.fromEntries(KEPT_HEADERS.flatMap((name) => pairOf(headers, name))),
    body: bytes && (await sealUnder(configOf(c.env), aadOf(id), Buffer.from(bytes).toString("latin1"))),
  };
  await finish(c.env.DB, id, attempt, answer, Date.now());
}

async function replayed(c: Context<AppEnv>, id: string, answer: KeptAnswer | null): Promise<Response> {
  if (answer === null || answer.body === null) {
    throw new Problem("operation_interrupted", "The first request ended, and its answer was too large to be kept.");
  }
  const body = Buffer.from(await openUnder(configOf(c.env), aadOf(id), answer.body), "latin1");
  const headers = { ...answer.headers, "idempotency-replayed": "true" };
  return new Response(body.length > 0 ? body : null, { status: answer.status, headers });
}

const aadOf = (id: string): string => `idempotency\0${id}`;

const pairOf = (headers: Headers, name: string): [string, string][] => {
  const value = headers.get(name);
  return value === null ? [] : [[name, value]];
};

function codeOf(headers: Headers, bytes: Uint8Array | null): string | null {
  if (bytes === null || headers.get("content-type") !== "application/problem+json") return null;
  return (JSON.parse(new TextDecoder().decode(bytes)) as { code: string }).code;
}

function sha256(...parts: (string | Uint8Array)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}
