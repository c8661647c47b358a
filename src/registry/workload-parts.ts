import { z } from "@hono/zod-openapi";
import { TIERS } from "../runtime/port.ts";
import { absolutePath, durationMs, refuse, text, unsupported, variablesIn } from "./fields.ts";

/** The parts of a workload's spec that have rules of their own. */

/** 41800–41899 are the control ports inside every container (docs/container.md). */
export const port = z
  .int()
  .min(1)
  .max(65535)
  .refine((value) => value < 41800 || value > 41899, "ports 41800–41899 are reserved");

export const ports = z
  .array(
    z.strictObject({
      port,
      name: z
        .string()
        .regex(/^[a-z][a-z0-9-]{0,14}$/, "must be 1–15 characters of a–z, 0–9 and -, starting with a letter")
        .optional(),
      protocol: z
        .string()
        .superRefine((protocol, context) => {
          if (protocol !== "http") refuse(context, protocol, "only HTTP ports can be reached in a container");
        })
        .default("http")
        .openapi({ type: "string", enum: ["http"] }),
    }),
  )
  .min(1)
  .max(16)
  .superRefine((list, context) => {
    for (const [index, entry] of list.entries()) {
      const before = list.slice(0, index);
      if (before.some((other) => other.port === entry.port)) {
        context.addIssue({ code: "custom", path: [index, "port"], message: "is listed twice" });
      }
      if (entry.name !== undefined && before.some((other) => other.name === entry.name)) {
        context.addIssue({ code: "custom", path: [index, "name"], message: "names another port already" });
      }
    }
  })
  .openapi({ description: "The proxy uses the first." });

const volume = (only: "rw" | "ro") =>
  z.strictObject({
    containerPath: absolutePath,
    mode: z
      .enum(["rw", "ro"])
      .superRefine((mode, context) => {
        if (mode !== only) refuse(context, mode, `only ${only} can be had for this volume on Cloudflare`);
      })
      .optional()
      .openapi({ type: "string", enum: [only] }),
  });

export const volumes = z
  .strictObject({
    state: volume("rw").optional(),
    secrets: volume("ro").optional(),
    comm: volume("rw").optional().openapi({ description: "Not persisted. The image has to have the directory." }),
    custom: unsupported(
      "Cloudflare has no volumes beside a container's own disk, and nothing that starts the container makes directories on it; have the image make them",
    ),
  })
  .superRefine((placed, context) => {
    for (const { name, path } of overlapping(placed)) {
      context.addIssue({ code: "custom", path: [name, "containerPath"], message: `overlaps ${path}` });
    }
  });

/** Volumes that lie in one another. */
function overlapping(placed: Record<string, { containerPath: string } | undefined>): { name: string; path: string }[] {
  const all = Object.entries(placed).flatMap(([name, at]) => (at ? [{ name, path: `${at.containerPath}/` }] : []));
  return all.flatMap(({ name, path }, index) => {
    const other = all.slice(0, index).find((before) => path.startsWith(before.path) || before.path.startsWith(path));
    return other ? [{ name, path: other.path.slice(0, -1) }] : [];
  });
}

const MAX_ENVIRONMENT_BYTES = 65_536;
/** What `${…}` knows (tenant/environment.ts); `config.` leads into the tenant's config. */
const VARIABLES = ["tenantId", "poolId", "workloadId", "containerId", "publicUrl"];
const CONFIG_VARIABLE = /^config(?:\.[A-Za-z0-9_-]+)+$/;

const environmentName = z
  .string()
  .max(256)
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "must be made of A–Z, a–z, 0–9 and _, not starting with a digit")
  .refine((name) => !/^(BOILERHOUSE_|RCLONE_|CLOUDFLARE_)/.test(name), "this prefix is reserved");

export const environment = z
  .record(environmentName, text(8192))
  .superRefine((variables, context) => {
    for (const [name, template] of Object.entries(variables)) {
      const unknown = variablesIn(template).find((it) => !VARIABLES.includes(it) && !CONFIG_VARIABLE.test(it));
      if (unknown !== undefined) context.addIssue({ code: "custom", path: [name], message: unknownVariable(unknown) });
    }
    const bytes = new TextEncoder().encode(Object.entries(variables).flat().join("")).length;
    if (bytes > MAX_ENVIRONMENT_BYTES) {
      context.addIssue({ code: "custom", message: `is larger than ${MAX_ENVIRONMENT_BYTES} bytes in all` });
    }
  })
  .openapi({ description: `\${…} knows ${VARIABLES.join(", ")} and config.*.` });

const unknownVariable = (name: string): string =>
  `knows no variable \${${name.slice(0, 64)}}; there are ${VARIABLES.join(", ")} and config.<name>`;

export const command = z.array(text(4096)).min(1).max(64);

const MAX_EXPECTED_BYTES = 4_096;
const answer = z.strictObject({
  path: text(1024).startsWith("/", "must start with /"),
  expectJson: z
    .record(z.string(), z.unknown())
    .refine((members) => JSON.stringify(members).length <= MAX_EXPECTED_BYTES, `at most ${MAX_EXPECTED_BYTES} bytes`)
    .optional()
    .openapi({ description: "Members that the answer, a JSON object, has to have." }),
});
export const readiness = answer;

export const healthCheck = z
  .strictObject({
    command: command.optional(),
    http: answer.optional(),
    intervalMs: durationMs(1_000, 3_600_000).default(30_000),
    timeoutMs: durationMs(100, 300_000).default(5_000),
    retries: z.int().min(1).max(100).default(3),
  })
  .superRefine((check, context) => {
    if (check.timeoutMs >= check.intervalMs) {
      context.addIssue({ code: "custom", path: ["timeoutMs"], message: "must be less than intervalMs" });
    }
    if (check.command && check.http) {
      context.addIssue({ code: "custom", path: ["http"], message: "cannot be together with command" });
    }
  })
  .openapi({ description: "With neither `command` nor `http`: any HTTP answer on the port." });
/** A workload that says nothing. */
export const HEALTH_CHECK: z.output<typeof healthCheck> = { intervalMs: 30_000, timeoutMs: 5_000, retries: 3 };

const HOST = /^(?:\*\.)?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
export const egress = z
  .array(
    z.strictObject({
      host: z
        .string()
        .max(253)
        .regex(HOST, "must be a host name in lower case, or *. and one")
        .refine((host) => !host.endsWith(".internal"), "belongs to the platform"),
      allow: z.boolean().default(true),
    }),
  )
  .max(64)
  .superRefine((rules, context) => {
    for (const [index, { host }] of rules.entries()) {
      if (rules.findIndex((rule) => rule.host === host) < index) {
        context.addIssue({ code: "custom", path: [index, "host"], message: "has a rule already" });
      }
    }
  });

const byTier = unsupported("Cloudflare has sizes by name only; choose a `tier`");
export const resources = z.strictObject({
  tier: z.enum(TIERS),
  cpu: byTier,
  cpus: byTier,
  memory: byTier,
  memoryMb: byTier,
  disk: byTier,
  diskMb: byTier,
  gpu: unsupported("Cloudflare's containers have no GPUs"),
});

const setByPlatform = unsupported("Cloudflare sets a container's capabilities and privileges itself");
export const security = z.strictObject({
  runAsUser: z.int().min(0).max(4_294_967_294).optional().openapi({ description: "The same as `user`." }),
  readOnlyRootFilesystem: z
    .boolean()
    .superRefine((readOnly, context) => {
      if (readOnly) refuse(context, readOnly, "a container's root file system is always writable on Cloudflare");
    })
    .optional()
    .openapi({ type: "boolean", enum: [false] }),
  networkMode: z
    .string()
    .superRefine((mode, context) => {
      if (!NETWORK_OF_MODE.has(mode)) {
        refuse(context, mode, "only none and bridge can be had on Cloudflare; see `network`");
      }
    })
    .optional()
    .openapi({ type: "string", enum: ["none", "bridge"], description: "The same as `network` none or open." }),
  privileged: setByPlatform,
  capabilities: setByPlatform,
  capAdd: setByPlatform,
  capDrop: setByPlatform,
  dropCapabilities: setByPlatform,
});

/** Docker's words for networks, and ours. */
export const NETWORK_OF_MODE: ReadonlyMap<string | undefined, "none" | "open"> = new Map([
  ["none", "none"],
  ["bridge", "open"],
]);
