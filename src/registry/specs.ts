import { z } from "@hono/zod-openapi";
import { parseCron } from "../pool/cron.ts";
import { IMAGES } from "../runtime/images.ts";
import { TIERS } from "../runtime/port.ts";
import { durationMs, glob, slug, unsupported } from "./fields.ts";
import { upgradeSchema } from "./upgrade.ts";
import * as part from "./workload-parts.ts";

/** Workloads and pools as operators register them (contract: Shapes). Unknown fields are refused, never ignored. */

const MAX_IDLE_MS = 86_400_000;
const noDns = unsupported("Cloudflare resolves names itself");

/** The fields of a workload, before what holds between them. */
export const workloadInput = z.strictObject({
  id: slug,
  name: z.string().min(1).max(128).optional(),
  image: z
    .enum(IMAGES, { error: `must be one of the images that wrangler.jsonc names: ${IMAGES.join(", ")}` })
    .openapi({ description: "A key of `containers[].images` in wrangler.jsonc." }),
  port: part.port.optional().openapi({ description: "Default 8080." }),
  ports: part.ports.optional(),
  volumes: part.volumes.default({}),
  environment: part.environment.default({}),
  start: z.enum(["on-boot", "on-claim"]).optional(),
  stateReads: z.enum(["per-request"]).optional(),
  command: part.command.optional(),
  user: z
    .string()
    .regex(/^[a-z0-9_-]{1,32}(?::[a-z0-9_-]{1,32})?$/)
    .optional(),
  readiness: part.readiness.optional(),
  healthCheck: part.healthCheck.default(part.HEALTH_CHECK),
  preSave: part.command.optional().openapi({ description: "Run in the container before its state is saved." }),
  exclude: z.array(glob).max(100).default([]).openapi({ description: "What of the state volume is not saved." }),
  configSchema: z
    .record(z.string(), z.unknown())
    .optional()
    .openapi({ description: "JSON Schema (draft 2020-12) of a tenant's config." }),
  network: z.enum(["none", "restricted", "open"]).optional().openapi({ description: "Default restricted." }),
  egress: part.egress.default([]).openapi({ description: "What a restricted network lets through." }),
  dns: noDns,
  dnsServers: noDns,
  resources: part.resources.optional(),
  security: part.security.optional(),
  selfService: z
    .boolean()
    .default(false)
    .openapi({ description: "Whether a tenant may itself claim, release, start, stop, restart and sync." }),
  lifecycle: z.strictObject({ idleTimeoutMs: durationMs(1_000, MAX_IDLE_MS).optional() }).optional(),
});

/** As `PUT` takes it: the id is in the path, and only repeated in the body. */
export const workloadReplacement = workloadInput
  .extend({ id: slug.optional() })
  .superRefine(checkWorkload)
  .openapi("WorkloadReplacement");

export const workloadSchema = workloadInput
  .superRefine(checkWorkload)
  .transform((input) => completed(input, input.id))
  .openapi("WorkloadSpec");

type WorkloadFields = Omit<z.output<typeof workloadInput>, "id">;

/** What holds between the fields of a workload. */
function checkWorkload(workload: WorkloadFields, context: z.core.$RefinementCtx): void {
  const wrong = (path: PropertyKey[], message: string) => context.addIssue({ code: "custom", path, message });
  const { start, stateReads, volumes, ports, security, user = security?.runAsUser?.toString() } = workload;
  if (volumes.state !== undefined && start === "on-boot" && stateReads !== "per-request") {
    wrong(["start"], 'a workload with a state volume starts on-claim, or declares stateReads: "per-request"');
  }
  if (ports && workload.port !== undefined && ports[0]?.port !== workload.port) {
    wrong(["port"], `is not the first of ports, ${ports[0]?.port}`);
  }
  if (user === "root" || /^0+(?::|$)/.test(user ?? "")) {
    wrong(workload.user === undefined ? ["security", "runAsUser"] : ["user"], "workloads do not run as root");
  }
  if (security?.runAsUser !== undefined && user?.split(":")[0] !== String(security.runAsUser)) {
    wrong(["security", "runAsUser"], `is not the user, ${user}`);
  }
  const meant = part.NETWORK_OF_MODE.get(security?.networkMode);
  if (meant !== undefined && workload.network !== undefined && meant !== workload.network) {
    wrong(["security", "networkMode"], `contradicts network ${workload.network}`);
  }
  const network = networkOf(workload);
  if (workload.egress.length > 0 && network !== "restricted") {
    wrong(["egress"], `has no meaning with network ${network}; rules are for restricted`);
  }
}

const networkOf = ({ network, security }: WorkloadFields): "none" | "restricted" | "open" =>
  network ?? part.NETWORK_OF_MODE.get(security?.networkMode) ?? "restricted";

const DEFAULT_PORT = 8080;

/** With every default. */
export function completed(input: WorkloadFields, id: string) {
  const user = input.user ?? input.security?.runAsUser?.toString();
  const first = input.ports?.[0]?.port ?? input.port ?? DEFAULT_PORT;
  return {
    ...input,
    id,
    name: input.name ?? id,
    port: first,
    ports: input.ports ?? [{ port: first, protocol: "http" }],
    start: input.start ?? (input.volumes.state ? ("on-claim" as const) : ("on-boot" as const)),
    network: networkOf(input),
    ...(user === undefined ? {} : { user }),
  };
}

/** A workload as an earlier version of this schema stored it: what that did not know has the default that it stood for. */
export function storedWorkload(json: string): Workload {
  const stored = JSON.parse(json) as Partial<Workload> & Pick<Workload, "id" | "image">;
  const { volumes = {}, environment = {}, healthCheck = part.HEALTH_CHECK, exclude = [], egress = [] } = stored;
  return completed({ selfService: false, ...stored, volumes, environment, healthCheck, exclude, egress }, stored.id);
}

/** What the pool's containers may reach, instead of what their workload says. */
const poolNetwork = z.strictObject({
  name: z.enum(["none", "restricted", "open"], {
    error: "must be none, restricted or open: Cloudflare has no networks by other names",
  }),
  dns: noDns,
});

const MOST_WARM = 1_000;
const MAX_WINDOW_MS = 7 * 86_400_000;

const fallback = slug.openapi({
  description: "Of the same workload: its containers are given out while this pool, or its tier, has no capacity.",
});

const window = z
  .strictObject({
    cron: z
      .string()
      .max(256)
      .superRefine((text, context) => {
        const { problem } = parseCron(text);
        if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
      })
      .openapi({
        description: "When it opens, in UTC: minute, hour, day, month, weekday.",
        example: "0 8 * * mon-fri",
      }),
    durationMs: durationMs(60_000, MAX_WINDOW_MS),
    minSize: z.int().min(0).max(MOST_WARM).openapi({ description: "Instead of the pool's own while it is open." }),
  })
  .openapi("PoolWindow");

const schedule = z
  .array(window)
  .max(20)
  .openapi({ description: "Warm slots by time; of windows that are open together the largest counts." });

/** What holds between the fields of a pool. */
function checkPool(pool: PoolFields, context: z.core.$RefinementCtx): void {
  const wrong = (path: PropertyKey[], message: string) => context.addIssue({ code: "custom", path, message });
  if (pool.fallbackPoolId === pool.id) wrong(["fallbackPoolId"], "is the pool itself");
  for (const [index, { minSize }] of (pool.schedule ?? []).entries()) {
    if (minSize > pool.maxSize) wrong(["schedule", index, "minSize"], "must not exceed maxSize");
  }
}

interface PoolFields {
  id: string;
  maxSize: number;
  fallbackPoolId?: string | undefined;
  schedule?: readonly { minSize: number }[] | undefined;
}

export const poolSchema = z
  .strictObject({
    id: slug,
    workloadId: slug,
    minSize: z.int().min(0).max(MOST_WARM).default(0),
    maxSize: z.int().min(1).max(10_000),
    /** How long a tenant without activity keeps its container, and a surplus warm slot stays. */
    idleTimeoutMs: durationMs(1_000, MAX_IDLE_MS).default(900_000),
    tier: z.enum(TIERS).optional(),
    network: poolNetwork.optional(),
    upgrade: upgradeSchema.optional().openapi({ description: "Default: onRestart." }),
    fallbackPoolId: fallback.optional(),
    schedule: schedule.optional(),
  })
  .refine((pool) => pool.minSize <= pool.maxSize, { path: ["minSize"], message: "must not exceed maxSize" })
  .superRefine(checkPool)
  .openapi("PoolSpec");

/** As `PUT` takes it: what is left out stays as it is, null takes an optional field away. The id and the workload may only be repeated. */
export const poolReplacement = z
  .strictObject({
    id: slug.optional(),
    workloadId: slug.optional(),
    minSize: z.int().min(0).max(MOST_WARM).optional(),
    maxSize: z.int().min(1).max(10_000).optional(),
    idleTimeoutMs: durationMs(1_000, MAX_IDLE_MS).optional(),
    tier: z.enum(TIERS).nullable().optional(),
    network: poolNetwork.nullable().optional(),
    upgrade: upgradeSchema.nullable().optional(),
    fallbackPoolId: fallback.nullable().optional(),
    schedule: schedule.nullable().optional(),
  })
  .openapi("PoolReplacement");

export type Workload = z.output<typeof workloadSchema>;
export type PoolSpec = z.output<typeof poolSchema>;
