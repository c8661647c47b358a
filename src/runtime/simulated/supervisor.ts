import type { WorkloadExit } from "../../instance/ending.ts";
import type { Owner, VirtualFiles } from "./files.ts";
import { Sandbox } from "./sandbox.ts";

export type WorkloadState = "waiting" | "running" | "backoff" | "stopped" | "failed";

const FIRST_BACKOFF_MS = 200;
const LONGEST_BACKOFF_MS = 10_000;
const STEADY_MS = 10_000;
/** So many ends within that time are too many. */
const ENDS = 5;
const ENDS_WITHIN_MS = 600_000;

/** What a supervisor needs of its container. */
export interface Host {
  readonly files: VirtualFiles;
  now(): number;
  /** The workload ended by itself. */
  report(exit: WorkloadExit): void;
}

/** The workload's process and its restarts, as boilerhouse-init does them. There are no timers: what is due is done when somebody looks. */
export class Supervisor {
  state: WorkloadState = "waiting";
  restarts = 0;
  lastExitCode: number | null = null;
  readonly user: Owner;

  readonly #host: Host;
  readonly #environment: Record<string, string>;
  readonly #secretsDir: string;
  #process: Sandbox | null = null;
  #startedAt = 0;
  #backoffMs = 0;
  #dueAt = 0;
  #recent: number[] = [];
  #isOutOfMemory = false;

  constructor(host: Host, user: Owner, environment: Record<string, string>, secretsDir: string) {
    this.#host = host;
    this.user = user;
    this.#environment = { ...environment };
    this.#secretsDir = secretsDir;
  }

  /** The running workload, after whatever was due. */
  workload(): Sandbox | null {
    this.look();
    return this.#process;
  }

  look(): void {
    if (this.#isOutOfMemory && this.#process) this.#crashed(137, true);
    this.#isOutOfMemory = false;
    if (this.state !== "backoff" || this.#host.now() < this.#dueAt) return;
    this.restarts += 1;
    this.#launch();
  }

  /** Starts a waiting, stopped or failed workload; a running one stays. */
  start(): void {
    this.look();
    if (this.state === "failed") this.#recent = [];
    if (this.state === "waiting" || this.state === "stopped" || this.state === "failed") this.#launch();
  }

  /** Adds variables; a running workload is started anew for them, neither counted nor delayed. */
  addEnvironment(variables: Record<string, string>): void {
    Object.assign(this.#environment, variables);
  }
  restart(): void {
    this.#end(0);
    this.#launch();
  }

  /** SIGTERM, patience, SIGKILL. Resolves when no process of the workload is left. */
  async stop(graceMs: number, sleep: (ms: number) => Promise<void>): Promise<void> {
    const process = this.#process;
    if (process?.hung) {
      await sleep(graceMs);
      this.#end(137);
    } else if (process) this.#end(0);
    this.state = "stopped";
  }

  /** The kernel kills it for its memory, as soon as somebody looks. */
  outOfMemory(): void {
    this.#isOutOfMemory = true;
  }

  #launch(): void {
    this.state = "running";
    this.#startedAt = this.#host.now();
    const process = new Sandbox(this.#host, {
      user: this.user,
      environment: this.#environment,
      secretsDir: this.#secretsDir,
      exit: (code) => {
        if (this.#process === process) this.#crashed(code, false);
      },
    });
    this.#process = process;
  }

  #crashed(code: number, oom: boolean): void {
    this.#end(code);
    const now = this.#host.now();
    this.#recent = [...this.#recent.filter((at) => now - at < ENDS_WITHIN_MS), now];
    const restarting = this.#recent.length < ENDS;
    if (restarting) {
      const steady = now - this.#startedAt >= STEADY_MS;
      this.#backoffMs = this.#backoffMs === 0 || steady ? FIRST_BACKOFF_MS : this.#backoffMs * 2;
      this.#backoffMs = Math.min(this.#backoffMs, LONGEST_BACKOFF_MS);
      this.#dueAt = now + this.#backoffMs;
    }
    this.state = restarting ? "backoff" : "failed";
    this.#host.report({ exitCode: code, restarts: this.restarts, restarting, oom });
  }

  #end(code: number): void {
    this.#process?.closeSockets();
    this.#process = null;
    this.lastExitCode = code;
  }
}
