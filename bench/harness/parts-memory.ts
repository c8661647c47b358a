import { Watcher } from "./engine.ts";

/** Memory of a container's own parts, watched from inside: the sum of the resident sets of all processes but the workload's. */
export class PartsMemory {
  readonly #watcher: Watcher;

  private constructor(watcher: Watcher) {
    this.#watcher = watcher;
  }

  static async watch(container: string): Promise<PartsMemory> {
    const watcher = new Watcher(container, SAMPLER);
    await watcher.running();
    return new PartsMemory(watcher);
  }

  /** The most so far, and which parts it was, in MB. */
  highest(): { bytes: number; parts: string } {
    const [bytes, ...parts] = (this.#watcher.lines.at(-1) ?? "NaN").split(" ");
    return { bytes: Number(bytes), parts: parts.join(" ") };
  }

  /** The most there ever was, once the container has ended. */
  async untilGone(): Promise<{ bytes: number; parts: string }> {
    await this.#watcher.ended;
    return this.highest();
  }
}

/** Prints `BYTES PART MB, …` whenever the sum is higher than ever before. It leaves out itself and the workload's user. */
const SAMPLER = `
const fs = require("node:fs");
const page = 4096;
let most = 0;
const sample = () => {
  let sum = 0;
  const parts = new Map();
  for (const pid of fs.readdirSync("/proc")) {
    if (!/^\\d+$/.test(pid) || Number(pid) === process.pid) continue;
    try {
      if (fs.statSync("/proc/" + pid).uid !== 0) continue;
      const resident = Number(fs.readFileSync("/proc/" + pid + "/statm", "utf8").split(" ")[1]) * page;
      const name = fs.readFileSync("/proc/" + pid + "/comm", "utf8").trim();
      sum += resident;
      parts.set(name, (parts.get(name) ?? 0) + resident);
    } catch {
      // It ended meanwhile.
    }
  }
  if (sum > most) {
    most = sum;
    const shown = [...parts].sort((a, b) => b[1] - a[1]).map(([name, bytes]) => name + " " + (bytes / 1e6).toFixed(1));
    console.log(sum + " " + shown.join(", "));
  }
};
setInterval(sample, 4);
`;
