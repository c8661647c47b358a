import { existsSync, readFileSync } from "node:fs";
import { must } from "../../scripts/command.ts";
import type { Stack } from "../../scripts/stack/stack.ts";

const EVERY_MS = 20;

/** How much the resident memory of a stack's workerd processes grew above what it was when the watch began. */
export class WorkerdMemory {
  readonly #pids: readonly number[];
  readonly #before: number;
  #most: number;
  #watching = true;
  readonly #ended: Promise<void>;

  private constructor(pids: readonly number[], before: number) {
    this.#pids = pids;
    this.#before = before;
    this.#most = before;
    this.#ended = this.#watch();
  }

  static async watch(stack: Stack): Promise<WorkerdMemory> {
    const pids: number[] = [];
    for (const { pid } of await stack.processes()) if (/\bworkerd$/.test(await nameOf(pid))) pids.push(pid);
    if (pids.length === 0) throw new Error("no workerd runs below this stack");
    return new WorkerdMemory(pids, await residentOf(pids));
  }

  /** Bytes above the beginning, at the highest, and at the beginning. */
  async stop(): Promise<{ grown: number; before: number }> {
    this.#watching = false;
    await this.#ended;
    return { grown: this.#most - this.#before, before: this.#before };
  }

  async #watch(): Promise<void> {
    while (this.#watching) {
      this.#most = Math.max(this.#most, await residentOf(this.#pids));
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
  }
}

const HAS_PROC = existsSync("/proc/self/statm");

async function nameOf(pid: number): Promise<string> {
  if (HAS_PROC) return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  return (await must("ps", ["-o", "comm=", "-p", String(pid)])).trim();
}

/** Bytes. Without /proc in the 1,024s that ps counts in. */
async function residentOf(pids: readonly number[]): Promise<number> {
  const kilobytes = HAS_PROC
    ? pids.map((pid) => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]))
    : (await must("ps", ["-o", "rss=", "-p", pids.join(",")])).trim().split(/\s+/).map(Number);
  return kilobytes.reduce((sum, value) => sum + value, 0) * 1024;
}
