import type { Stack } from "../../scripts/stack/stack.ts";
import { type Answer, Client } from "./client.ts";

export interface Claimed {
  readonly ms: number;
  readonly containerId: string;
  readonly launch: string;
  readonly restored: { readonly generation: number; readonly files: number; readonly bytes: number } | null;
  readonly timings: Readonly<Record<string, number>>;
}

export interface Released {
  readonly ms: number;
  readonly saved: { readonly changed: number; readonly files: number } | null;
  readonly timings?: Readonly<Record<string, number>>;
}

interface PoolView {
  readonly warm: number;
  readonly starting: number;
  readonly lastError: string | null;
}

/** The API of one running system, as a client over HTTP uses it. */
export class Api {
  readonly client: Client;

  constructor(stack: Stack) {
    this.client = new Client(stack.port, { authorization: `Bearer ${stack.adminKey}` });
  }

  async workload(spec: { readonly id: string } & Record<string, unknown>): Promise<void> {
    await this.client.must("POST", "/api/v1/workloads", { image: "sandbox", readiness: { path: "/healthz" }, ...spec });
  }

  /** A pool that is filled only when told to: claims are measured with the refill paused. */
  async pool(id: string, workloadId: string, minSize: number, maxSize = minSize): Promise<void> {
    await this.client.must("POST", "/api/v1/pools", { id, workloadId, minSize, maxSize, idleTimeoutMs: 86_400_000 });
  }

  pause(poolId: string): Promise<Answer> {
    return this.client.must("POST", `/api/v1/pools/${poolId}/pause`);
  }
  resume(poolId: string): Promise<Answer> {
    return this.client.must("POST", `/api/v1/pools/${poolId}/resume`);
  }

  async describe(poolId: string): Promise<PoolView> {
    return JSON.parse((await this.client.must("GET", `/api/v1/pools/${poolId}`)).text) as PoolView;
  }

  /** Resolves when `warm` slots are warm and nothing starts. */
  async untilWarm(poolId: string, warm: number, pollMs = 100): Promise<void> {
    const deadline = Date.now() + 300_000;
    for (;;) {
      const view = await this.describe(poolId);
      if (view.warm >= warm && view.starting === 0) return;
      if (Date.now() > deadline) throw new Error(`pool ${poolId} is not warm: ${JSON.stringify(view)}`);
      await pause(pollMs);
    }
  }

  /** Fills the pool to `warm` slots and pauses it again, then lets the machine come to rest. */
  async fill(poolId: string, warm: number): Promise<void> {
    await this.resume(poolId);
    await this.untilWarm(poolId, warm);
    await this.pause(poolId);
    await pause(500);
  }

  async claim(tenantId: string, body: { readonly poolId: string } & Record<string, unknown>): Promise<Claimed> {
    const { ms, text } = await this.client.must("POST", `/api/v1/tenants/${tenantId}/claim?wait=170s`, body, [201]);
    return { ...(JSON.parse(text) as Claimed), ms };
  }

  async release(tenantId: string, body: Record<string, unknown> = {}): Promise<Released> {
    const { ms, text } = await this.client.must("POST", `/api/v1/tenants/${tenantId}/release?wait=170s`, body, [200]);
    return { ...(JSON.parse(text) as Released), ms };
  }

  /** With everything that it has stored. The container may be gone a little later. */
  async destroy(tenantId: string): Promise<void> {
    await this.client.must("POST", `/api/v1/tenants/${tenantId}/destroy?wait=60s`, { deleteData: true }, [200, 202]);
  }

  /** Resolves when a released container is gone: what it still costs must not be measured with the next claim. */
  async untilGone(containerId: string): Promise<void> {
    const deadline = Date.now() + 30_000;
    while ((await this.client.send("GET", `/api/v1/containers/${containerId}`)).status !== 404) {
      if (Date.now() > deadline) throw new Error(`container ${containerId} is not gone`);
      await pause(25);
    }
    await pause(100);
  }

  /** The id of the object that carries a container; locally the engine's name of the container contains it. */
  async objectOf(containerId: string): Promise<string> {
    const { text } = await this.client.must("GET", `/api/v1/containers/${containerId}`);
    return (JSON.parse(text) as { durableObjectId: string }).durableObjectId;
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks for a launch of the wanted kind, so that no cold claim counts as a warm one. */
export function expectLaunch(claimed: Claimed, launch: "warm" | "cold"): Claimed {
  if (claimed.launch === launch) return claimed;
  throw new Error(`a ${launch} claim was ${claimed.launch}`);
}
