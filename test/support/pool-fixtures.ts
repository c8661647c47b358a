import { type ContainerId, epoch, type TenantId } from "../../src/ids.ts";
import { newPool, type PoolRecord, type Slot } from "../../src/pool/record.ts";
import { poolSchema, workloadSchema } from "../../src/registry/specs.ts";

/** Records of pools and slots for tests of plans. */
export const aPool = (spec: object = {}, more: Partial<PoolRecord> = {}): PoolRecord => ({
  ...newPool(
    poolSchema.parse({ id: "demo", workloadId: "sandbox", minSize: 2, maxSize: 5, ...spec }),
    workloadSchema.parse({ id: "sandbox", image: "sandbox" }),
    1,
  ),
  ...more,
});

export const aSlot = (n: number, slot: Partial<Slot> = {}): Slot => ({
  containerId: `c-${n}` as ContainerId,
  state: "warm",
  tier: "lite",
  workloadVersion: 1,
  startedAt: n,
  startMs: 500,
  since: n,
  lease: null,
  ...slot,
});

export const leasedTo = (tenant: string, at: number): Partial<Slot> => ({
  state: "assigned",
  lease: { tenantId: tenant as TenantId, epoch: epoch(at), launch: "warm", confirmBy: null },
});

export const aRequest = (tenant: string, at: number) => ({ tenantId: tenant as TenantId, epoch: epoch(at) });
