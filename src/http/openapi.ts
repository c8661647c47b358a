import type { OpenAPIHono } from "@hono/zod-openapi";
import { ERROR_CODES, entryOf } from "../errors/codes.ts";
import { operationIdOf } from "./operation-id.ts";

type Document = ReturnType<OpenAPIHono["getOpenAPI31Document"]>;
type Paths = NonNullable<Document["paths"]>;
type Operation = NonNullable<Paths[string]["get"]>;
type Parameter = NonNullable<Operation["parameters"]>[number];

/** What the document says beside its routes; every tag that a route names is here. */
export const TAGS: Readonly<Record<string, string>> = {
  health: "Whether it runs. No key is needed.",
  registry:
    "Workloads (what to run), pools (a workload at a size, with warm containers), and where files are mirrored.",
  tenants: "Whoever owns state and, for a while, a container.",
  files: "What lies in a tenant's volumes: in its container, or as it was saved.",
  operations: "Actions that take longer than their request.",
  containers: "What runs now; each serves at most one tenant in its life.",
  keys: "Who may come in.",
  audit: "Every change, once, in a chain of hashes.",
  events: "What happened.",
  platform: "The deployment itself.",
};

export const INFO = {
  openapi: "3.1.0",
  info: {
    title: "Boilerhouse",
    version: "1",
    description: `A container for every tenant, on Cloudflare: claimed in milliseconds, asleep when idle, healed when it crashes.

- JSON in UTF-8; times are ISO 8601 in UTC, durations integers of milliseconds whose names end in \`Ms\`.
- Whatever may take longer than its request takes \`?wait=30s\`; when that is over, the answer is 202 and \`Location\` is the operation.
- A mutation may carry an \`Idempotency-Key\`: sent again within a day it happens once, and the first answer comes again.
- A refusal is \`application/problem+json\`; \`code\` names it, \`type\` is its page, and every problem is listed at [/docs/errors](/docs/errors).
- \`X-Request-Id\` is taken from the request where it is well-formed, and is in every answer, problem and record.`,
    license: { name: "Apache-2.0", identifier: "Apache-2.0" },
  },
  servers: [{ url: "/", description: "The deployment that serves this document" }],
  security: [{ bearer: [] }, { access: [] }],
  tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
};

export const SECURITY_SCHEMES = {
  bearer: { type: "http", scheme: "bearer", description: "An API key, or a tenant's token (JWT)." },
  access: {
    type: "apiKey",
    in: "header",
    name: "Cf-Access-Jwt-Assertion",
    description: "Set by Cloudflare Access for the people whom it lets in.",
  },
} as const;

/** What all routes of a kind have in common, so that no route can forget to say it: id, key, refusals. */
export function completed(document: Document): Document {
  withoutFlags(document);
  withoutPatterns(document);
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    for (const method of ["get", "put", "post", "delete", "patch"] as const) {
      const operation = item[method];
      if (operation) item[method] = completedOperation(method, path, operation);
    }
  }
  const used = STATUSES.filter((status) => JSON.stringify(document.paths).includes(`"${refOf(status)}"`));
  const responses = Object.fromEntries(used.map((status) => [nameOf(status), problemResponse(status)]));
  const parameters = { IdempotencyKey: IDEMPOTENCY_KEY };
  document.components = { ...document.components, responses, parameters };
  return document;
}

/** A pattern is the words of a regular expression; the generator leaves the end of one with flags, as in `a+/u`. */
function withoutFlags(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  if ("pattern" in value && typeof value.pattern === "string") {
    value.pattern = value.pattern.replace(/\/[dgimsuvy]+$/, "");
  }
  for (const child of Object.values(value)) withoutFlags(child);
}

/** `{path}{[^]*}` is how a route says that a parameter takes slashes too; a path of OpenAPI cannot. */
function withoutPatterns(document: Document): void {
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    const plain = path.replace(/\}\{[^}]*\}/g, "}");
    if (plain === path || !document.paths) continue;
    delete document.paths[path];
    document.paths[plain] = item;
  }
}

function completedOperation(method: string, path: string, operation: Operation): Operation {
  const guarded = operation.security?.length !== 0;
  const parameters = [...(operation.parameters ?? [])];
  const statuses = refusalsOf(method, parameters, operation.requestBody !== undefined, guarded);
  if (guarded && method !== "get") parameters.push({ $ref: "#/components/parameters/IdempotencyKey" });
  const { responses = {} } = operation;
  const refusals = Object.fromEntries(
    statuses.filter((status) => !(status in responses)).map((status) => [String(status), { $ref: refOf(status) }]),
  );
  return {
    operationId: operationIdOf(method, path),
    ...operation,
    ...(parameters.length > 0 ? { parameters } : {}),
    responses: { ...responses, ...refusals },
  };
}

/** Which statuses of the catalogue a route of this kind can answer with; `default` covers what is its own. */
function refusalsOf(method: string, parameters: readonly Parameter[], hasBody: boolean, guarded: boolean): number[] {
  const places = new Set(parameters.flatMap((parameter) => ("in" in parameter ? [parameter.in] : [])));
  const ifMatch = parameters.some((parameter) => "name" in parameter && parameter.name.toLowerCase() === "if-match");
  const statuses = new Set<number>();
  const add = (applies: unknown, ...more: number[]) => {
    if (applies) for (const status of more) statuses.add(status);
  };
  add(guarded, 401, 403, 429, 503);
  add(guarded && method !== "get", 409, 422);
  add(places.has("path"), 404);
  add(places.size > 0, 422);
  add(hasBody, 400, 413, 415, 422);
  add(ifMatch, 412);
  return [...statuses].sort();
}

const STATUSES = [...new Set(ERROR_CODES.map((code) => entryOf(code).status))].sort();

const nameOf = (status: number): string => `Problem${status}`;
const refOf = (status: number): string => `#/components/responses/${nameOf(status)}`;

function problemResponse(status: number) {
  const codes = ERROR_CODES.filter((code) => entryOf(code).status === status);
  return {
    description: codes.map((code) => `\`${code}\`: ${entryOf(code).title}.`).join(" "),
    content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
  };
}

const IDEMPOTENCY_KEY = {
  name: "Idempotency-Key",
  in: "header" as const,
  required: false,
  description: "A name of this request, new for each: sent again with it, it happens once. Kept for a day.",
  schema: { type: "string" as const, minLength: 1, maxLength: 255 },
};
