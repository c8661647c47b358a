import { existsSync, readdirSync, readFileSync } from "node:fs";
import { command } from "../command.ts";

/** A process, told from a later one with the same number by the time at which it started. */
export interface ProcessId {
  readonly pid: number;
  readonly started: string;
}

interface Row extends ProcessId {
  readonly parent: number;
}

/** A process and everything below it, parents first. */
export async function familyOf(pid: number): Promise<ProcessId[]> {
  const rows = await processTable();
  const family: ProcessId[] = [];
  const queue = [pid];
  while (queue.length > 0) {
    const next = queue.shift();
    for (const { pid: number, started, parent } of rows) {
      if (number === next) family.push({ pid: number, started });
      if (parent === next) queue.push(number);
    }
  }
  return family;
}

export async function isAlive({ pid, started }: ProcessId): Promise<boolean> {
  return (await processTable()).some((row) => row.pid === pid && row.started === started);
}

/** Kills those that are still the processes they were. */
export async function kill(processes: readonly ProcessId[]): Promise<number> {
  const rows = await processTable();
  const ours = processes.filter(({ pid, started }) => rows.some((row) => row.pid === pid && row.started === started));
  for (const { pid } of ours) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended in the meantime, which is what was wanted.
    }
  }
  return ours.length;
}

async function processTable(): Promise<Row[]> {
  return existsSync("/proc/self/stat") ? fromProc() : fromPs();
}

function fromProc(): Row[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, "utf8");
        // The program's name is in brackets and may hold anything; fields are counted from behind it: state, parent, …
        const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        return fields[0] === "Z" ? [] : [{ pid: Number(name), parent: Number(fields[1]), started: fields[19] ?? "" }];
      } catch {
        return []; // ended while we looked
      }
    });
}

async function fromPs(): Promise<Row[]> {
  const { stdout } = await command("ps", ["-A", "-o", "pid=,ppid=,lstart="]);
  return stdout.split("\n").flatMap((line) => {
    const found = /^\s*(\d+)\s+(\d+)\s+(.+?)\s*$/.exec(line);
    return found ? [{ pid: Number(found[1]), parent: Number(found[2]), started: found[3] ?? "" }] : [];
  });
}
