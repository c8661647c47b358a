import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { command, must } from "../../scripts/command.ts";
import { ROOT } from "../../scripts/paths.ts";
import { kill } from "../../scripts/stack/processes.ts";
import { clearRemains, readRecord, type StackRecord } from "../../scripts/stack/record.ts";
import { STACKS } from "./e2e-paths.ts";

/** What a fresh clone would not have. */
const LEFT_OUT = [".git", ".boilerhouse", ".wrangler", ".dev.vars", "node_modules", "test/results", "bench/results"];

/** A checkout beside this one, as after `git clone` and `npm ci`, for commands that write into theirs. */
export class Checkout {
  readonly directory = `${STACKS}/checkout`;
  readonly #started: Started[] = [];

  async make(): Promise<void> {
    await this.remove();
    mkdirSync(this.directory, { recursive: true });
    const exclude = LEFT_OUT.map((path) => `--exclude=./${path}`).join(" ");
    await must("sh", ["-c", `tar -C "$1" ${exclude} -cf - . | tar -C "$2" -xf -`, "sh", ROOT, this.directory]);
    // Linked where the file system can: copies of all packages take their time.
    const modules = [`${ROOT}/node_modules`, `${this.directory}/node_modules`];
    if ((await command("cp", ["-al", ...modules])).code !== 0) {
      rmSync(`${this.directory}/node_modules`, { recursive: true, force: true });
      await must("cp", ["-R", ...modules]);
    }
  }

  /** `npm start` on a port, in a process group of its own, as a terminal runs it. */
  start(port: number, ...options: string[]): Started {
    const env = { ...process.env, PORT: String(port) };
    for (const name of ["WRANGLER_DOCKER_BIN", "MINIFLARE_CONTAINER_EGRESS_IMAGE"]) Reflect.deleteProperty(env, name);
    const child = spawn("npm", ["start", "--", ...options], {
      cwd: this.directory,
      env,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const started = new Started(child);
    this.#started.push(started);
    return started;
  }

  /** SIGKILL of the command and of wrangler, which leaves workerd and the containers. */
  async kill(started: Started): Promise<void> {
    const processes = this.record()?.processes ?? [];
    const wrangler = processes.filter(({ pid }) => commandLine(pid).includes("wrangler"));
    started.signal("SIGKILL");
    await kill(wrangler);
  }

  /** What the system that runs here wrote down about itself. */
  record(): StackRecord | null {
    return readRecord(this.#recordPath);
  }

  /** Ends what a test that failed left running, with its containers. */
  async clear(): Promise<void> {
    for (const started of this.#started.splice(0)) started.signal("SIGKILL");
    const record = this.record();
    if (record) await clearRemains(this.#recordPath, record);
  }

  async remove(): Promise<void> {
    await this.clear();
    if (existsSync(this.directory)) rmSync(this.directory, { recursive: true, force: true });
  }

  get #recordPath(): string {
    return `${this.directory}/.boilerhouse/dev/stack.json`;
  }
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return ""; // it has ended
  }
}

/** A command that was started, and what it has said so far. */
export class Started {
  readonly ended: Promise<number | null>;
  stdout = "";
  stderr = "";
  readonly #child: ChildProcess;
  #over = false;

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.stdout += text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    this.ended = new Promise((resolve) =>
      child.once("close", (code) => {
        this.#over = true;
        resolve(code);
      }),
    );
  }

  /** Waits until a text was printed; throws with everything that was, when it ends or takes too long before. */
  async says(text: string, withinMs: number): Promise<void> {
    const deadline = Date.now() + withinMs;
    while (!this.stdout.includes(text)) {
      if (this.#over || Date.now() > deadline) {
        throw new Error(`"${text}" was not printed within ${withinMs} ms:\n${this.stdout}\n${this.stderr}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** To the whole group, as Ctrl-C in a terminal. */
  signal(signal: NodeJS.Signals): void {
    if (this.#over || this.#child.pid === undefined) return;
    try {
      process.kill(-this.#child.pid, signal);
    } catch {
      // It has just ended.
    }
  }
}
