import type { BootPlan } from "./types.ts";

/**
 * What an Instance stores: how its container was started and what opens it. Whom it serves is not here: the Pool's slot
 * is the durable record of that, and the Instance asks it after it left memory (docs/adr/0001).
 */
export interface BootRecord {
  version: 1;
  plan: BootPlan;
  /** New for every start; an answer with another one comes from a container that is not ours any more. */
  bootId: string;
  bootKey: string;
  accessKeyId: string;
  /** ms since 1970. */
  startedAt: number;
}

export function newBoot(plan: BootPlan, now: number): BootRecord {
  return {
    version: 1,
    plan,
    bootId: randomToken(12),
    bootKey: randomToken(32),
    accessKeyId: `BH${randomToken(10).toUpperCase()}`,
    startedAt: now,
  };
}

const randomToken = (bytes: number): string =>
  Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString("hex");
