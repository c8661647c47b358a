import { messageOf } from "../../durable/deadline.ts";
import { log } from "../../log.ts";
import { transact, type VaultParts } from "../parts.ts";
import { writeLedger } from "./ledger.ts";
import { LEDGER } from "./store.ts";
import { writePack } from "./write.ts";

const FIRST_RETRY_MS = 2_000;
const LAST_RETRY_MS = 60 * 60 * 1000;

/**
 * Brings to R2 what it lacks, in order; what fails is tried again later and holds up what comes after it. Every step may be done twice.
 * Answers when to come again, in ms since 1970, or null when R2 lacks nothing.
 */
export async function deliver(parts: VaultParts): Promise<number | null> {
  for (;;) {
    const task = parts.store.record() === null ? null : parts.packs.next();
    if (task === null) return null;
    if (task.due > parts.now()) return task.due;
    try {
      await (task.generation === LEDGER ? writeLedger(parts, task) : writePack(parts, task));
    } catch (error) {
      const due = parts.now() + Math.min(FIRST_RETRY_MS * 2 ** task.attempts, LAST_RETRY_MS);
      log.warn("vault: R2 could not be brought up to date", { generation: task.generation, error: messageOf(error) });
      transact(parts, () => parts.packs.postpone(task, due));
      return due;
    }
  }
}
