import { z } from "@hono/zod-openapi";
import { absolutePath, durationMs, glob, refuse, slug, variablesIn } from "../registry/fields.ts";
import { flagProblem } from "./rclone-flags.ts";

/** What is synchronised where (contract: Sync spec). Unknown fields are refused, never ignored. */

/** The words of before, and today's. */
const DIRECTIONS = {
  upload: "upload",
  download: "download",
  bidirectional: "bidirectional",
  outward: "upload",
  inward: "download",
  both: "bidirectional",
} as const;
type Word = keyof typeof DIRECTIONS;

const direction = z
  .enum(Object.keys(DIRECTIONS) as [Word, ...Word[]])
  .transform((word) => DIRECTIONS[word])
  .openapi({ description: "outward, inward and both are older words for upload, download and bidirectional." });

/** What stands for the tenant in a path. */
export const TENANT = `\${tenantId}`;

/** A path below the sink's root, in which every tenant may have a place of its own. */
const sinkPath = z
  .string()
  .max(512)
  .regex(/^[^\0\\\r\n]*$/, "must be one line without backslashes")
  .refine((path) => !path.startsWith("/"), "must be relative")
  .refine(
    (path) =>
      !path
        .replace(/\/$/, "")
        .split("/")
        .some((part, _, all) => part === "." || part === ".." || (part === "" && all.length > 1)),
    "must not contain ., .. or empty names",
  )
  .refine((path) => variablesIn(path).every((name) => name === "tenantId"), `knows no variable but ${TENANT}`)
  .transform((path) => (path === "" || path.endsWith("/") ? path : `${path}/`))
  .openapi({ type: "string", example: "sessions/", description: `\${tenantId} stands for the tenant's id.` });

/** Beside what hides the image: what is mounted, secret or ours. */
const NOT_TO_SYNC = /^\/(?:lib[a-z0-9]*|root|run|var(?:$|\/(?:run|lock|lib)(?:\/|$)|\/tmp\/boilerhouse))(?:\/|$)?/;
const containerPath = absolutePath.refine((path) => !NOT_TO_SYNC.test(path), "belongs to the system");

const mapping = z.strictObject({
  containerPath,
  pattern: glob.optional(),
  sinkPath,
  direction,
  mode: z.enum(["sync", "copy"]).openapi({ description: "`sync` also deletes what is gone; `copy` never deletes." }),
  exclude: z.array(glob).max(100).default([]),
});

const credential = z
  .string()
  .min(1)
  .max(512)
  .regex(/^[\x21-\x7e]+$/, "must be printable ASCII without spaces");

const endpoint = z
  .url({ protocol: /^https?$/, error: "must be an http or https URL" })
  .max(512)
  .refine(isBare, "must be a host, and a path if need be, without a user or a query")
  .transform((text) => new URL(text).href.replace(/\/+$/, ""))
  .openapi({
    type: "string",
    format: "uri",
    description:
      "Of an S3 API with paths (`{endpoint}/{bucket}/{key}`). https to a public address, but in development.",
  });

function isBare(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { username, password, search, hash } = new URL(text);
  return `${username}${password}${search}${hash}` === "" && !/[?#]/.test(text);
}

const r2Sink = z.strictObject({ type: z.literal("r2"), prefix: sinkPath.optional() });

const s3Sink = z.strictObject({
  type: z.literal("s3"),
  bucket: z
    .string()
    .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, "must be the name of an S3 bucket: 3–63 of a–z, 0–9, . and -"),
  region: z.string().regex(/^[a-z0-9-]{1,64}$/, "must be the name of a region, as in us-west-2 or auto"),
  endpoint: endpoint.optional(),
  prefix: sinkPath,
  accessKeyId: credential.optional(),
  secretAccessKey: credential.optional().openapi({
    writeOnly: true,
    description: "Kept sealed; never comes back. Left out in a PUT, the one that is there stays.",
  }),
  rcloneFlags: z
    .array(
      z
        .string()
        .max(128)
        .superRefine((flag, context) => {
          const problem = flagProblem(flag);
          if (problem !== null) context.addIssue({ code: "custom", message: problem });
        }),
    )
    .max(20)
    .default([]),
});

/** Sinks of other systems that are known, and cannot be had. */
const OTHER_SINKS = ["gcs", "azure-blob", "http", "local"] as const;
const otherSink = z
  .looseObject({ type: z.enum(OTHER_SINKS) })
  .superRefine(({ type }, context) => refuse(context, type, `there are no ${type} sinks; use r2 or s3`, ["type"]))
  .transform((): never => z.NEVER)
  .openapi({ description: "Refused." });

const policy = z.strictObject({
  onClaim: z.boolean().default(false),
  onRelease: z.boolean().default(false),
  intervalMs: durationMs(30_000, 86_400_000).optional(),
  allowManualTrigger: z.boolean().default(false),
  realtime: z
    .boolean()
    .superRefine((realtime, context) => {
      if (realtime) refuse(context, realtime, "changes are not streamed; use intervalMs");
    })
    .optional()
    .openapi({ type: "boolean", enum: [false] }),
});

const fields = z.strictObject({
  id: slug,
  poolId: slug,
  mappings: z.array(mapping).min(1).max(20),
  sink: z.discriminatedUnion("type", [r2Sink, s3Sink, otherSink]),
  policy: policy.default({ onClaim: false, onRelease: false, allowManualTrigger: false }),
});

type Fields = Omit<z.output<typeof fields>, "id">;

/** What holds between the fields. */
function check({ mappings, sink }: Fields, context: z.core.$RefinementCtx): void {
  const wrong = (path: PropertyKey[], message: string) => context.addIssue({ code: "custom", path, message });
  for (const [index, { containerPath, sinkPath: place, pattern }] of mappings.entries()) {
    const same = (other: Fields["mappings"][number]) =>
      other.containerPath === containerPath && other.sinkPath === place && other.pattern === pattern;
    if (mappings.findIndex(same) < index) wrong(["mappings", index], "is there already");
  }
  if (sink.type !== "s3") return;
  if (sink.secretAccessKey !== undefined && sink.accessKeyId === undefined) {
    wrong(["sink", "accessKeyId"], "is needed with secretAccessKey");
  }
  // The vault keeps tenants apart by itself; a bucket does not.
  for (const [index, { sinkPath: place, direction: way }] of mappings.entries()) {
    if (way === "download" || `${sink.prefix}${place}`.includes(TENANT)) continue;
    wrong(["mappings", index, "sinkPath"], `needs ${TENANT}, here or in the prefix, or tenants overwrite one another`);
  }
}

export const syncSpecSchema = fields.superRefine(check).openapi("SyncSpecInput");
/** As `PUT` takes it: the id is in the path, and only repeated in the body. */
export const syncSpecReplacement = fields
  .extend({ id: slug.optional() })
  .superRefine(check)
  .openapi("SyncSpecReplacement");

type Input = z.output<typeof syncSpecSchema>;
type S3Sink = Omit<z.output<typeof s3Sink>, "secretAccessKey">;
/** Without its secret. */
export type SyncSpec = Omit<Input, "sink"> & { sink: z.output<typeof r2Sink> | S3Sink };
export type SyncMapping = SyncSpec["mappings"][number];

/**
 * A spec of the whole state volume in the vault says only when the state is saved: it has no place of its own
 * (docs/adr/0004). Pure.
 */
export const isStateSpec = ({ sink, mappings }: Pick<SyncSpec, "sink" | "mappings">, stateDir: string | null) =>
  sink.type === "r2" &&
  mappings.every(
    ({ containerPath, pattern, exclude }) =>
      containerPath === stateDir && pattern === undefined && exclude.length === 0,
  );

/** The spec, and the secret apart from it; undefined when none was given. Pure. */
export function withoutSecret(input: Fields, id: string): { spec: SyncSpec; secret: string | undefined } {
  const { sink } = input;
  if (sink.type !== "s3") return { spec: { ...input, id, sink }, secret: undefined };
  const { secretAccessKey: secret, ...rest } = sink;
  return { spec: { ...input, id, sink: rest }, secret };
}

/** Of all its mappings together, in the words of a tenant's sync. Pure. */
export function directionOf({ mappings }: Pick<SyncSpec, "mappings">): "outward" | "inward" | "both" {
  const ways = new Set(mappings.map((mapping) => mapping.direction));
  if (ways.has("bidirectional") || ways.size > 1) return "both";
  return ways.has("upload") ? "outward" : "inward";
}

/** A spec as it comes back. */
export const syncSpecShape = z.object({
  id: z.string(),
  poolId: z.string(),
  mappings: z.array(
    z.object({
      containerPath: z.string(),
      pattern: z.string().optional(),
      sinkPath: z.string(),
      direction: z.enum(["upload", "download", "bidirectional"]),
      mode: z.enum(["sync", "copy"]),
      exclude: z.array(z.string()),
    }),
  ),
  sink: z.union([
    z.object({ type: z.literal("r2"), prefix: z.string().optional() }),
    z.object({
      type: z.literal("s3"),
      bucket: z.string(),
      region: z.string(),
      endpoint: z.string().optional(),
      prefix: z.string(),
      accessKeyId: z.string().optional(),
      secretAccessKeyMasked: z.string().optional().openapi({ description: "The end of the secret that is kept." }),
      rcloneFlags: z.array(z.string()),
    }),
  ]),
  policy: z.object({
    onClaim: z.boolean(),
    onRelease: z.boolean(),
    intervalMs: z.int().optional(),
    allowManualTrigger: z.boolean(),
    realtime: z.boolean().optional(),
  }),
});
