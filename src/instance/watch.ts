import { messageOf, sleep, within } from "../durable/deadline.ts";
import { log } from "../log.ts";
import type { Outcome } from "../outcome.ts";
import { RuntimeError } from "../runtime/port.ts";
import type { WorkloadStatus } from "./control.ts";
import { endFor, endOfExit, endOfWorkload, isAnotherBoot, isOom, supersedes, type WorkloadExit } from "./ending.ts";
import { KEEP_MS } from "./environment.ts";
import type { Probe } from "./health.ts";
import { type Failed, HealthCheck } from "./health-check.ts";
import { Inside } from "./inside.ts";
import type { Life } from "./life.ts";
import { probeInit, probeWorkload } from "./probe.ts";
import type { BootRecord } from "./record.ts";
import type { ContainerEnd, InstanceState, Observation } from "./types.ts";

const STATUS_MS = 2_000;
const KEEP_WITHIN_MS = 5_000;
/** Init starts its control port again when that ends; it is dead only when it stays away. */
const LISTEN_ATTEMPTS = 3;
const LISTEN_PAUSE_MS = 700;
/** A look that nobody asked for comes this long after any other. */
const LOOK_EVERY_MS = 50_000;
/** Between looks that failed requests bring about. */
const LOOK_PAUSE_MS = 1_000;

export interface Look {
  /** False when the container is certainly not there, or another boot than ours answers. */
  alive: boolean;
  detail?: string;
}

/**
 * Notices how a container fares, from inside its Instance: through the platform's monitor, held while the object is in
 * memory; through its health check; through what init says; and by a look, when somebody asks or a request failed.
 */
export class Watch {
  readonly #life: Life;
  readonly #onEnd: (end: ContainerEnd) => void;
  readonly #check = new HealthCheck({
    ask: (isLast) => this.#probe(isLast),
    onFailure: (failed) => this.#failed(failed),
  });
  #monitored = false;
  #looking: Promise<Look> | null = null;
  #lookAgainAt = 0;
  #lookedAt = 0;
  /** As init counted them when last seen. */
  #restarts: number | null = null;
  #lastOomAt: number | null = null;
  #lastOomRestarts: number | null = null;

  /** `onEnd` is called when an end is noticed, and again when more is learnt of it. */
  constructor(life: Life, onEnd: (end: ContainerEnd) => void) {
    this.#life = life;
    this.#onEnd = onEnd;
  }

  /** As an observation shows it. */
  get known(): Pick<Observation, "health" | "end" | "lastOomAt"> {
    const { end } = this.#life;
    const lastOomAt = this.#lastOomAt;
    const { health } = this.#check;
    return { health, ...(end ? { end } : {}), ...(lastOomAt === null ? {} : { lastOomAt }) };
  }
  readonly ended = (): ContainerEnd | null => this.#life.end;

  /** The container was started. */
  begin(): void {
    this.#monitor();
  }

  /** The object came to memory beside a container, whose start may not be over. */
  comeBack(): void {
    const { boot } = this.#life;
    if (boot) this.#check.workloadStarts(boot.startedAt + boot.plan.startTimeoutMs);
    this.#monitor();
  }

  /** From here on whatever becomes of it is wanted. */
  stop(): void {
    this.#life.retired = true;
  }

  /** What is due: the health check, and a look where nobody else looked for a while. */
  async ring(): Promise<void> {
    const { boot, end } = this.#life;
    if (!boot) return;
    this.#monitor();
    const isUnseen = Date.now() - this.#lookedAt >= LOOK_EVERY_MS;
    await Promise.all([end ? null : this.#check.ring(boot.plan.workload.healthCheck), isUnseen ? this.look() : null]);
  }

  /** When it wants to be rung again; null: whenever. */
  get dueAt(): number | null {
    return this.#life.end ? null : this.#check.dueAt;
  }

  /** The workload is started now: until it answers, or that takes too long, its silence means nothing. */
  workloadStarts(): void {
    this.#check.workloadStarts(Date.now() + (this.#life.boot?.plan.startTimeoutMs ?? 0));
    this.#restarts = null;
  }

  /** It was seen to be ready. */
  workloadAnswered(): void {
    const { boot } = this.#life;
    if (boot) this.#check.workloadAnswered(boot.plan.workload.healthCheck);
  }

  /** Whether the container that was started is still the one that answers. One look at a time. */
  look(): Promise<Look> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  /** A request found nobody, or lost its answer. */
  async lookSoon(): Promise<void> {
    const now = Date.now();
    if (now < this.#lookAgainAt || this.#life.end) return;
    this.#lookAgainAt = now + LOOK_PAUSE_MS;
    await this.look();
  }

  /** Init's word on the workload's end. That it gave up is said until somebody heard it, so that it may be an old word. */
  async workloadExited(exit: WorkloadExit): Promise<void> {
    const { boot } = this.#life;
    if (!boot) return;
    if (exit.restarting) {
      if (isOom(exit) && exit.restarts !== this.#lastOomRestarts) this.#lastOomAt = Date.now();
      if (isOom(exit)) this.#lastOomRestarts = exit.restarts; // each exit is counted once, however often it is told
      this.workloadStarts();
      this.#restarts = exit.restarts + 1;
      return;
    }
    const now = await this.#status(boot);
    if (!now.ok || now.value.workload === "failed") this.#end(endOfWorkload(exit, Date.now()));
  }

  async #look(): Promise<Look> {
    const { boot, runtime, state } = this.#life;
    this.#lookedAt = Date.now();
    if (!boot || state === "failed") return { alive: false, detail: "The container is gone." };
    if (!runtime.running) {
      this.#end(endFor("lost", "The container is not running.", Date.now()));
      return { alive: false, detail: "The container is not running." };
    }
    await this.#keep();
    if (state === "starting") return { alive: true };
    const status = await this.#status(boot);
    if (status.ok) {
      this.#sawWorkload(status.value);
      return { alive: true };
    }
    const { failure } = status;
    const detail = failure.detail;
    if (isAnotherBoot(failure)) {
      this.#end(endFor("rebooted", detail, Date.now()));
      return { alive: false, detail };
    }
    if (failure.code !== "container_unavailable" && runtime.running) return { alive: true, detail };
    this.#end(endFor("lost", detail, Date.now()));
    return { alive: false, detail };
  }

  /** The dead-man switch, which the platform forgets with this object's memory. */
  async #keep(): Promise<void> {
    const { runtime } = this.#life;
    await within(KEEP_WITHIN_MS, "the inactivity timeout", runtime.keepFor(KEEP_MS)).catch((error) => {
      log.warn("a container's inactivity timeout was not renewed", { error: messageOf(error) });
    });
  }

  async #status(boot: BootRecord): Promise<Outcome<WorkloadStatus>> {
    const { control, runtime } = new Inside(this.#life.runtime, boot);
    for (let attempt = 1; ; attempt += 1) {
      const status = await control.status(STATUS_MS);
      const isSilent = !status.ok && status.failure.extra?.runtime === "not_listening";
      if (!isSilent || attempt === LISTEN_ATTEMPTS || !runtime.running) return status;
      await sleep(LISTEN_PAUSE_MS);
    }
  }

  #sawWorkload({ workload, restarts, lastExitCode }: WorkloadStatus): void {
    if (workload === "failed") {
      const exit = { exitCode: lastExitCode ?? 0, restarts, restarting: false, oom: null };
      this.#end(endOfWorkload(exit, Date.now()));
    } else this.#workloadRestarted(restarts);
  }

  #workloadRestarted(restarts: number): void {
    if (this.#restarts !== null && restarts > this.#restarts) this.workloadStarts();
    this.#restarts = restarts;
  }

  #monitor(): void {
    const { runtime } = this.#life;
    if (this.#monitored || !runtime.running) return;
    this.#monitored = true;
    runtime
      .monitor()
      .then(
        (exit) => {
          // A monitor that broke off says nothing of the container.
          if (exit.exitCode === null && runtime.running) return;
          this.#end(endOfExit(exit, this.#life.told, Date.now()));
        },
        (error) => {
          if (runtime.running) return;
          const failedToStart = error instanceof RuntimeError && error.code !== "not_running" && error.code !== "lost";
          this.#end(endFor(failedToStart ? "start_dead" : "lost", messageOf(error), Date.now()));
        },
      )
      .finally(() => {
        this.#monitored = false;
      });
  }

  /** Asks how the workload is, while somebody relies on it. */
  async #probe(isLast: boolean): Promise<Probe | null> {
    const { boot, state: before } = this.#life;
    if (!boot || this.#isOver(before)) return null;
    const inside = new Inside(this.#life.runtime, boot);
    const serves = before === "assigned" || (before === "warm" && boot.plan.workload.start === "on-boot");
    if (!serves && before !== "warm") return null;
    const [probe, excuse] = await Promise.all([
      serves ? probeWorkload(inside) : probeInit(inside),
      serves && isLast ? this.#excuse(inside) : null,
    ]);
    if (this.#isOver(before)) return null;
    return probe.kind === "failed" && excuse ? excuse : probe;
  }

  /** What began before a save, a restart or the end says nothing about now. */
  #isOver(before: InstanceState): boolean {
    return this.#life.state !== before || this.#life.end !== null || this.#life.retired;
  }

  #failed({ cause, detail }: Failed): void {
    if (this.#check.isGivenUp) this.#end(endFor(cause, detail, Date.now()));
    else void this.look();
  }

  /** Null unless init says why the workload does not answer. */
  async #excuse({ control, boot }: Inside): Promise<Probe | null> {
    const status = await control.status(Math.min(STATUS_MS, boot.plan.workload.healthCheck.timeoutMs));
    if (!status.ok) return null;
    const restarts = this.#restarts;
    this.#sawWorkload(status.value);
    const isOut = status.value.workload !== "running" || (restarts !== null && status.value.restarts > restarts);
    return isOut ? { kind: "excused" } : null;
  }

  #end(end: ContainerEnd): void {
    const known = this.#life.end;
    if (this.#life.retired || (known && !supersedes(end, known))) return;
    this.#life.end = end;
    this.#onEnd(end);
  }
}
