import { z } from "@hono/zod-openapi";
import { SLUG } from "../ids.ts";
import { TIERS } from "../runtime/port.ts";

/** Workloads and pools as operators register them (contract: Shapes). Unknown fields are refused, never ignored. */

/** 41800–41899 are the control ports inside every container (docs/container.md). */
const port = z
  .int()
  .min(1)
  .max(65535)
  .refine((value) => value < 41800 || value > 41899, "ports 41800–41899 are reserved");
const slug = z.string().regex(SLUG, "must be 1–63 characters of a–z, 0–9 and -, not starting or ending with -");
/** Where the image and init live: a volume there would hide them. */
const SYSTEM_PATH = /^\/(?:bin|boot|dev|etc|lib|lib64|proc|sbin|sys|usr|run\/boilerhouse)(?:\/|$)/;
const absolutePath = z
  .string()
  .max(512)
  .regex(/^(?:\/[A-Za-z0-9._@-]+)+$/, "must be an absolute path without a slash at the end")
  .refine((path) => !path.split("/").some((part) => part === "." || part === ".."), "must not contain . or ..")
  .refine((path) => !SYSTEM_PATH.test(path), "belongs to the system");
const volume = (mode: "rw" | "ro") =>
  z.strictObject({
    containerPath: absolutePath,
    mode: z.literal(mode, { error: `only ${mode} can be had for this volume on Cloudflare` }).optional(),
  });
/** Known from other systems, and refused with the reason instead of being ignored. */
const unsupported = (reason: string) =>
  z
    .never({ error: reason })
    .optional()
    .openapi({ type: "null", description: `Refused: ${reason}.` });
const text = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^[^\0]*$/, "must not contain NUL");
const environmentName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/)
  .refine((name) => !/^(BOILERHOUSE_|RCLONE_|CLOUDFLARE_)/.test(name), "this prefix is reserved");
const durationMs = (min: number, max: number) => z.int().min(min).max(max);

const workloadFields = {
  id: slug,
  name: z.string().min(1).max(128).optional(),
  image: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/),
  port: port.default(8080),
  volumes: z
    .strictObject({
      state: volume("rw").optional(),
      secrets: volume("ro").optional(),
      comm: volume("rw").optional(),
      custom: unsupported("Cloudflare has no volumes beside a container's own disk"),
    })
    .default({}),
  environment: z.record(environmentName, text(8192)).default({}),
  start: z.enum(["on-boot", "on-claim"]).optional(),
  stateReads: z.enum(["per-request"]).optional(),
  command: z.array(text(4096)).min(1).max(64).optional(),
  user: z
    .string()
    .regex(/^[a-z0-9_-]{1,32}(?::[a-z0-9_-]{1,32})?$/)
    .optional(),
  readiness: z.strictObject({ path: z.string().startsWith("/").max(1024) }).optional(),
  configSchema: z.record(z.string(), z.unknown()).optional(),
  network: z.enum(["none", "restricted", "open"]).default("restricted"),
  resources: z.strictObject({ tier: z.enum(TIERS) }).optional(),
  security: unsupported(
    "Cloudflare sets a container's root file system, capabilities and network itself; see `user` and `network`",
  ),
};

/** The fields of a workload, before what holds between them. */
export const workloadInput = z.strictObject(workloadFields);

export const workloadSchema = workloadInput
  .superRefine((workload, context) => {
    const hasState = workload.volumes.state !== undefined;
    if (hasState && workload.start === "on-boot" && workload.stateReads !== "per-request") {
      context.addIssue({
        code: "custom",
        path: ["start"],
        message: 'a workload with a state volume starts on-claim, or declares stateReads: "per-request"',
      });
    }
    for (const { name, path } of overlapping(workload.volumes)) {
      context.addIssue({ code: "custom", path: ["volumes", name, "containerPath"], message: `overlaps ${path}` });
    }
    if (workload.user === "root" || workload.user?.split(":")[0] === "0") {
      context.addIssue({ code: "custom", path: ["user"], message: "workloads do not run as root" });
    }
  })
  .transform((workload) => ({
    ...workload,
    name: workload.name ?? workload.id,
    start: workload.start ?? (workload.volumes.state ? ("on-claim" as const) : ("on-boot" as const)),
  }))
  .openapi("WorkloadSpec");

/** Volumes that lie in one another. */
function overlapping(volumes: z.output<typeof workloadFields.volumes>): { name: string; path: string }[] {
  const placed = Object.entries(volumes).flatMap(([name, at]) => (at ? [{ name, path: `${at.containerPath}/` }] : []));
  return placed.flatMap(({ name, path }, index) => {
    const other = placed.slice(0, index).find((before) => path.startsWith(before.path) || before.path.startsWith(path));
    return other ? [{ name, path: other.path.slice(0, -1) }] : [];
  });
}

export const poolSchema = z
  .strictObject({
    id: slug,
    workloadId: slug,
    minSize: z.int().min(0).max(1000).default(0),
    maxSize: z.int().min(1).max(10_000),
    /** How long a tenant without activity keeps its container, and a surplus warm slot stays. */
    idleTimeoutMs: durationMs(1_000, 86_400_000).default(900_000),
    tier: z.enum(TIERS).optional(),
  })
  .refine((pool) => pool.minSize <= pool.maxSize, { path: ["minSize"], message: "must not exceed maxSize" })
  .openapi("PoolSpec");

export type Workload = z.output<typeof workloadSchema>;
export type PoolSpec = z.output<typeof poolSchema>;
