import { z } from "@hono/zod-openapi";
import { durationMs } from "./fields.ts";

/** How a pool's tenants come to a new version of its workload. */

const DEFAULTS = { concurrency: 1, maxFailures: 1, healthyMs: 30_000 };

export const upgradeSchema = z
  .strictObject({
    policy: z.enum(["onRestart", "rolling", "pinned"]).openapi({
      description:
        "onRestart: with its next start. rolling: the pool restarts its tenants, a few at a time, each saved first. pinned: a tenant keeps its version until it is released or its image restarted.",
    }),
    concurrency: z
      .int()
      .min(1)
      .max(100)
      .optional()
      .openapi({
        description: `Of rolling: tenants at a time, once the first did well. Default ${DEFAULTS.concurrency}.`,
      }),
    maxFailures: z
      .int()
      .min(1)
      .max(20)
      .optional()
      .openapi({ description: `Of rolling: it halts after so many. Default ${DEFAULTS.maxFailures}.` }),
    healthyMs: durationMs(0, 600_000)
      .optional()
      .openapi({ description: `Of rolling: how long each is watched before the next. Default ${DEFAULTS.healthyMs}.` }),
  })
  .superRefine((upgrade, context) => {
    if (upgrade.policy === "rolling") return;
    for (const name of ["concurrency", "maxFailures", "healthyMs"] as const) {
      if (upgrade[name] === undefined) continue;
      context.addIssue({ code: "custom", path: [name], message: "has a meaning with policy rolling only" });
    }
  })
  .openapi("UpgradePolicy");

export type Upgrade = z.output<typeof upgradeSchema>;

/** With every default; pools that say nothing upgrade with the next start. */
export const upgradeOf = ({ upgrade }: { upgrade?: Upgrade | undefined }): Policy => ({
  policy: upgrade?.policy ?? "onRestart",
  concurrency: upgrade?.concurrency ?? DEFAULTS.concurrency,
  maxFailures: upgrade?.maxFailures ?? DEFAULTS.maxFailures,
  healthyMs: upgrade?.healthyMs ?? DEFAULTS.healthyMs,
});

interface Policy {
  policy: Upgrade["policy"];
  concurrency: number;
  maxFailures: number;
  /** ms */
  healthyMs: number;
}
