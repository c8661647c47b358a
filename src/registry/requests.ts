import { z } from "@hono/zod-openapi";
import { type PoolId, SLUG } from "../ids.ts";

/** Bodies of claim and release (contract: Claim, Release). Unknown fields are refused. */

export const MAX_SECRETS = 100;

/** A secret becomes a file of this name, delivered in a tar with 100 bytes for `secrets/` and the name (instance/claim-tar.ts). */
export const secretName = z
  .string()
  .regex(
    /^[A-Za-z0-9_][A-Za-z0-9._-]{0,90}$/,
    "must be 1–91 characters of A–Z, a–z, 0–9 and ._-, not starting with . or -",
  );

/** The whole set of a tenant's secrets. */
export const secretsSchema = z
  .record(secretName, z.string().max(65_536))
  .refine((secrets) => Object.keys(secrets).length <= MAX_SECRETS, `at most ${MAX_SECRETS} secrets`);

export const claimSchema = z
  .strictObject({
    poolId: z
      .string()
      .regex(SLUG, "is no pool's id")
      .transform((id) => id as PoolId)
      .optional()
      .openapi({ type: "string", description: "May be left out once the tenant has one." }),
    config: z
      .record(z.string(), z.unknown())
      .optional()
      .openapi({ description: "Checked against the workload's configSchema." }),
    secrets: secretsSchema.optional(),
    allowFresh: z
      .boolean()
      .optional()
      .openapi({ description: "Start with empty state although it cannot be restored." }),
  })
  .transform(given)
  .openapi("ClaimRequest");

export const releaseSchema = z
  .strictObject({
    sync: z.boolean().optional().openapi({ description: "False gives up what was not saved. Default true." }),
    force: z.boolean().optional().openapi({ description: "Accept what a save guard refuses." }),
  })
  .transform(given)
  .openapi("ReleaseRequest");

export type ClaimBody = z.output<typeof claimSchema>;

/** The same object without members that are undefined, so that absent is absent. */
function given<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}
