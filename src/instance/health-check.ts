import { sleep } from "../durable/deadline.ts";
import {
  afterProbe,
  type Check,
  isGivenUp,
  newlyWatched,
  nextRoundMs,
  type Probe,
  type Round,
  roundOf,
  type Watched,
} from "./health.ts";
import type { Health } from "./types.ts";

export type Failed = Extract<Probe, { kind: "failed" }>;

export interface Asking {
  /** One probe; `isLast`: its failure may decide. Null: the workload is not to be asked now, or what was found is not about now. Never throws. */
  ask(isLast: boolean): Promise<Probe | null>;
  /** A probe failed that counts. */
  onFailure(failed: Failed): void;
}

/** What is under way of a round. */
interface Going extends Round {
  /** Probes that have not failed yet, begun or not. */
  left: number;
}

/** Asks a workload how it is, round by round (health.ts). What it knows is lost with the object's memory. */
export class HealthCheck {
  readonly #asking: Asking;
  #watched: Watched = newlyWatched(0);
  /** What is left of another one says nothing any more. */
  #round: Going | null = null;
  #dueAt = 0;

  constructor(asking: Asking) {
    this.#asking = asking;
  }

  get health(): Health {
    return this.#watched.health;
  }

  get isGivenUp(): boolean {
    return isGivenUp(this.#watched);
  }

  /** When the next round begins; 0: as soon as somebody rings. */
  get dueAt(): number {
    return this.#dueAt;
  }

  /** The workload is started, or may be still: until it answers, or that takes too long, its silence means nothing. */
  workloadStarts(graceUntil: number): void {
    this.#round = null;
    this.#watched = newlyWatched(graceUntil);
  }

  /** It was seen to be ready. */
  workloadAnswered(check: Check): void {
    const now = Date.now();
    this.#round = null;
    this.#watched = afterProbe(this.#watched, { kind: "healthy" }, check, now, now);
  }

  /** Begins the round that is due, and waits for its first probe; the others follow by themselves. */
  async ring(check: Check): Promise<void> {
    const now = Date.now();
    if (now < this.#dueAt) return;
    this.#dueAt = now + nextRoundMs(check, Math.random());
    if (this.#round) return; // of answers that were refusals; it has an end
    const planned = roundOf(this.#watched, check, now);
    const round = { ...planned, left: planned.probes };
    this.#round = round;
    const first = this.#probe(round, check, round.probes === 1);
    void this.#follow(round, check, first);
    await first;
  }

  async #follow(round: Going, check: Check, first: Promise<void>): Promise<void> {
    let latest = first;
    let hasFailed = false;
    const listen = (probe: Promise<void>) => {
      latest = probe;
      hasFailed = false;
      void probe.then(() => {
        hasFailed ||= latest === probe;
      });
    };
    listen(first);
    let isHanging = false;
    for (let begun = 1; begun < round.probes; begun += 1) {
      const pauseMs = isHanging ? round.pauseMs : round.lookMs;
      if (pauseMs > 0) await sleep(pauseMs);
      isHanging = !hasFailed;
      if (hasFailed && pauseMs < round.pauseAfterFailureMs) await sleep(round.pauseAfterFailureMs - pauseMs);
      if (this.#round !== round) return;
      listen(this.#probe(round, check, begun === round.probes - 1));
    }
  }

  async #probe(round: Going, check: Check, isLast: boolean): Promise<void> {
    const askedAt = Date.now();
    const probe = await this.#asking.ask(isLast);
    if (this.#round !== round) return; // it answered meanwhile, or starts anew
    if (probe) this.#watched = afterProbe(this.#watched, probe, check, askedAt, Date.now());
    if (probe?.kind === "failed") round.left -= 1;
    if (probe?.kind !== "failed" || round.left === 0) this.#round = null;
    if (probe?.kind === "failed") this.#asking.onFailure(probe);
  }
}
