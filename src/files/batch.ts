import { z } from "zod";
import type { Failure } from "../outcome.ts";
import { sha256 } from "../sha256.ts";
import { type WriteCondition, writeCondition } from "./etag.ts";
import { type FilePath, parseText } from "./path.ts";

/** What a batch asks for, one operation after the other, and what is said of each. Pure. */

export const MAX_OPERATIONS = 50;
/** Of a listing within a batch. */
const MAX_LISTED = 1_000;

export type Todo =
  | { op: "read"; at: FilePath }
  | { op: "exists"; at: FilePath }
  | { op: "list"; at: FilePath; recursive: boolean; limit: number }
  | WriteTodo
  | { op: "delete"; at: FilePath; condition: WriteCondition };
export interface WriteTodo {
  op: "write";
  at: FilePath;
  content: Uint8Array<ArrayBuffer>;
  condition: WriteCondition;
}

/** `op` and `path` are what was sent, where that was text. */
export interface Item {
  index: number;
  op: string;
  path: string;
  parsed: { ok: true; todo: Todo } | { ok: false; failure: Failure };
}

/** `not_started`: its turn did not come. `not_applied`: of an atomic batch in which another failed. `skipped`: before `resumeFrom`. */
export type ItemStatus = "succeeded" | "failed" | "not_started" | "not_applied" | "skipped";
export interface ItemResult {
  index: number;
  op: string;
  path: string;
  status: ItemStatus;
  success: boolean;
  error?: { code: string; detail: string } & Record<string, unknown>;
  [field: string]: unknown;
}

const path = z.string();
const tag = z.string().max(200).optional();
const SCHEMAS = {
  read: z.strictObject({ op: z.literal("read"), path }),
  exists: z.strictObject({ op: z.literal("exists"), path }),
  list: z.strictObject({
    op: z.literal("list"),
    path: path.default(""),
    recursive: z.boolean().default(false),
    limit: z.int().min(1).max(MAX_LISTED).default(100),
  }),
  write: z.strictObject({
    op: z.literal("write"),
    path,
    content: z.string(),
    encoding: z.enum(["utf8", "base64"]).default("utf8"),
    ifMatch: tag,
    ifNoneMatch: z.literal("*").optional(),
  }),
  delete: z.strictObject({ op: z.literal("delete"), path, ifMatch: tag }),
};
export const OPERATIONS = Object.keys(SCHEMAS) as (keyof typeof SCHEMAS)[];

export function parseOperation(value: unknown, index: number): Item {
  const given = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const text = (name: string) => (typeof given[name] === "string" ? given[name] : "");
  return { index, op: text("op"), path: text("path"), parsed: parsed(value, given.op) };
}

function parsed(value: unknown, op: unknown): Item["parsed"] {
  const schema = OPERATIONS.find((known) => known === op);
  if (schema === undefined) {
    const detail = `There is no such operation; there are ${OPERATIONS.join(", ")}.`;
    return { ok: false, failure: { code: "bad_request", detail } };
  }
  const found = SCHEMAS[schema].safeParse(value);
  if (!found.success) {
    const details = found.error.issues.map(({ path: at, message }) =>
      [at.join("."), message].filter(Boolean).join(" "),
    );
    return { ok: false, failure: { code: "invalid", detail: details.join("; ") } };
  }
  return todoOf(found.data);
}

function todoOf(operation: z.output<(typeof SCHEMAS)[keyof typeof SCHEMAS]>): Item["parsed"] {
  const at = parseText(operation.path, operation.op === "list" ? "the state volume" : undefined);
  if (!at.ok) return bad(at.detail);
  switch (operation.op) {
    case "read":
    case "exists":
      return { ok: true, todo: { op: operation.op, at: at.value } };
    case "list":
      return { ok: true, todo: { ...operation, at: at.value } };
    case "write": {
      const content = contentOf(operation.content, operation.encoding);
      const condition = writeCondition(operation.ifMatch ?? null, operation.ifNoneMatch ?? null);
      if (!content) return bad("The content is not base64.");
      return condition ? { ok: true, todo: { op: "write", at: at.value, content, condition } } : bad(NO_TAG);
    }
    case "delete": {
      const condition = writeCondition(operation.ifMatch ?? null, null);
      return condition ? { ok: true, todo: { op: "delete", at: at.value, condition } } : bad(NO_TAG);
    }
  }
}

const NO_TAG = 'ifMatch must be one entity tag, as in "\\"3\\"", or *.';
const bad = (detail: string): Item["parsed"] => ({ ok: false, failure: { code: "bad_request", detail } });

/** Null for what is not base64. */
export function contentOf(content: string, encoding: "utf8" | "base64"): Uint8Array<ArrayBuffer> | null {
  if (encoding === "utf8") return Uint8Array.from(Buffer.from(content, "utf8"));
  if (content.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(content)) return null;
  return Uint8Array.from(Buffer.from(content, "base64"));
}

/** A write's own name in a batch that carries a token: the same operation at the same place, and only that, is the same write. */
export function nameOf(token: string, index: number, todo: Todo): string {
  const what = todo.op === "write" ? [todo.at, todo.condition, sha256(todo.content)] : [todo.at];
  return sha256(JSON.stringify([token, index, todo.op, what]));
}

export const changes = (todo: Todo): todo is WriteTodo | Extract<Todo, { op: "delete" }> =>
  todo.op === "write" || todo.op === "delete";

/** S1's words: `completed` were done, well or not. */
export function tally(results: readonly ItemResult[]) {
  const count = (status: ItemStatus) => results.filter((result) => result.status === status).length;
  const succeeded = count("succeeded");
  const failed = count("failed");
  const next = results.find(({ status }) => status === "not_started");
  return { completed: succeeded + failed, succeeded, failed, resumeFrom: next ? next.index : null };
}

export const isWhole = (results: readonly ItemResult[]): boolean =>
  results.every(({ status }) => status === "succeeded" || status === "skipped");
