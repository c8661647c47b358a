import { z } from "@hono/zod-openapi";
import type { SlotView } from "../pool/types.ts";
import { TIERS } from "../runtime/port.ts";

/** What containers look like from outside (contract: Container). */

export const CONTAINER_STATES = [
  "starting",
  "warm",
  "assigning",
  "assigned",
  "saving",
  "draining",
  "gone",
  "failed",
] as const;

export const containerView = z
  .object({
    id: z.string(),
    durableObjectId: z.string().openapi({ description: "Locally a part of the container's name in Docker." }),
    poolId: z.string(),
    workloadId: z.string(),
    workloadVersion: z.int().openapi({ description: "What it was started with." }),
    tenantId: z.string().optional(),
    epoch: z.int().optional(),
    state: z.enum(CONTAINER_STATES),
    tier: z.enum(TIERS),
    image: z.string(),
    startedAt: z.iso.datetime(),
    since: z.iso.datetime().optional().openapi({ description: "In lists: since when it is in this state." }),
  })
  .openapi("Container");

export const containerPage = z.object({ items: z.array(containerView), nextCursor: z.string().nullable() });

/** `?state=` of lists, in the words of a container or of its pool's counts. */
const STATES = {
  starting: "starting",
  warm: "warm",
  assigned: "assigned",
  draining: "draining",
  failed: "failed",
} as const;
const WORDS = { ...STATES, claimed: "assigned", unhealthy: "failed" } as const;
export const stateFilter = z
  .enum(Object.keys(WORDS) as (keyof typeof WORDS)[])
  .transform((word) => WORDS[word])
  .optional()
  .openapi({ type: "string", enum: Object.keys(WORDS), description: "claimed: assigned. unhealthy: failed." });

export const viewOfSlot = (env: Env, slot: SlotView): z.output<typeof containerView> => ({
  id: slot.containerId,
  durableObjectId: env.INSTANCE.idFromName(slot.containerId).toString(),
  poolId: slot.poolId,
  workloadId: slot.workloadId,
  workloadVersion: slot.workloadVersion,
  ...(slot.tenantId === null ? {} : { tenantId: slot.tenantId }),
  ...(slot.epoch === null ? {} : { epoch: slot.epoch }),
  state: slot.state,
  tier: slot.tier,
  image: slot.image,
  startedAt: new Date(slot.startedAt).toISOString(),
  since: new Date(slot.since).toISOString(),
});
