import { z } from "@hono/zod-openapi";
import { workloadInput } from "../registry/specs.ts";
import type { WorkloadLine } from "../registry/workload-list.ts";
import type { WorkloadVersion } from "../registry/workload-versions.ts";
import type { ListedWorkload } from "../registry/workloads.ts";
import { iso, time } from "./iso.ts";
import { jsonTime } from "./json-list.ts";

/** What workloads look like from outside (contract: Workload). */

/** A workload with every default. The image may be one that is not there any more. */
export const specView = workloadInput
  .extend({
    name: z.string(),
    image: z.string(),
    port: z.int(),
    ports: z.array(z.object({ port: z.int(), name: z.string().optional(), protocol: z.string() })),
    start: z.enum(["on-boot", "on-claim"]),
    network: z.enum(["none", "restricted", "open"]),
  })
  .openapi("CompletedWorkloadSpec");

export const workloadView = specView
  .extend({
    version: z.int(),
    pools: z.int().openapi({ description: "How many run it." }),
    createdAt: time,
    updatedAt: time,
  })
  .openapi("Workload");

export const versionView = z
  .object({
    version: z.int(),
    spec: specView,
    at: time,
    actor: z.string().nullable().openapi({ description: "Null for one from before actors were recorded." }),
  })
  .openapi("WorkloadVersion");

export const viewOf = ({
  spec,
  version,
  pools,
  createdAt,
  updatedAt,
}: ListedWorkload): z.output<typeof workloadView> => ({
  ...spec,
  version,
  pools,
  createdAt: iso(createdAt),
  updatedAt: iso(updatedAt),
});

/** `viewOf` as text, from the text that is stored. */
export const lineOf = ({ spec, version, pools, createdAt, updatedAt }: WorkloadLine): string =>
  `${spec.slice(0, -1)},"version":${version},"pools":${pools},"createdAt":${jsonTime(createdAt)},"updatedAt":${jsonTime(updatedAt)}}`;

export const versionOf = ({ at, ...version }: WorkloadVersion): z.output<typeof versionView> => ({
  ...version,
  at: iso(at),
});
