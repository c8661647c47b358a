import { across, errorAcross } from "./clone.ts";
import type { Faults, Point, Verdict } from "./faults.ts";
import { type Carriage, requestAcross, responseAcross } from "./http.ts";
import { current, never, type Owner } from "./owner.ts";
import type { Scheduler } from "./scheduler.ts";
import { carried } from "./streams.ts";
import type { CallRecord } from "./types.ts";

/** How the other side answers. Only the first answer counts. */
export interface Reply {
  ok(value: unknown): void;
  fail(error: unknown): void;
}

/** Whoever can be called. */
export interface Target {
  readonly label: string;
  /** Runs the call; what it answers and by whom, it says to `reply`. `from` is who called. */
  accept(call: Incoming, reply: Reply): void;
}
export interface Incoming {
  readonly from: string;
  readonly method: string;
  readonly args: readonly unknown[];
  /** Of a `fetch`: the client is gone. */
  readonly signal: AbortSignal;
}

const KEPT_CALLS = 20_000;

/** Carries every call: past the caller's output gate, through what may go wrong, to the other side and back. */
export class Network {
  readonly calls: CallRecord[] = [];
  readonly #scheduler: Scheduler;
  readonly #faults: () => Faults;

  constructor(scheduler: Scheduler, faults: () => Faults) {
    this.#scheduler = scheduler;
    this.#faults = faults;
  }

  ask(point: Point): Verdict {
    const verdict = this.#faults().verdict(point);
    if (verdict.do !== "ok")
      this.#scheduler.note(`  fault ${JSON.stringify(verdict)} at ${Object.values(point).join(" ")}`);
    return verdict;
  }

  /** One call from whoever runs. Values are copied, streams are carried, a request's signal goes along. */
  call(to: Target, method: string, args: readonly unknown[]): Promise<unknown> {
    const { owner, section } = current();
    if (!owner.alive) return never();
    const point = { from: owner.label, to: to.label, method };
    const [request] = args;
    const isFetch = method === "fetch" && request instanceof Request;
    const gone = new AbortController();
    const sent = isFetch
      ? [requestAcross(request, this.carriage(owner, owner.label, to.label), gone.signal)]
      : this.#args(args, owner, to.label);
    return new Promise((resolve, reject) => {
      const record: CallRecord = {
        at: this.#scheduler.now,
        from: owner.label,
        to: to.label,
        method,
        outcome: "under way",
      };
      let answered = false;
      const back = (how: "ok" | "failed", delayMs: number, settle: () => void) => {
        record.outcome = how;
        this.#scheduler.soon(
          `${how} ${to.label}.${method} → ${owner.label}`,
          () => this.#arrive(owner, section, settle),
          delayMs,
        );
      };
      const reply: Reply = {
        ok: (value) => {
          if (answered) return;
          answered = true;
          const verdict = this.ask({ at: "reply", ...point, ok: true });
          if (verdict.do === "lose") record.outcome = "lost";
          else if (verdict.do === "fail") back("failed", 0, () => reject(lost(verdict)));
          else back("ok", delayOf(verdict), () => resolve(value));
        },
        fail: (error) => {
          if (answered) return;
          answered = true;
          const verdict = this.ask({ at: "reply", ...point, ok: false });
          if (verdict.do === "lose") record.outcome = "lost";
          else
            back("failed", delayOf(verdict), () => reject(verdict.do === "fail" ? lost(verdict) : errorAcross(error)));
        },
      };
      if (isFetch) {
        whenAborted(request.signal, () => {
          if (answered) return;
          answered = true;
          record.outcome = "failed";
          reject(request.signal.reason);
          this.#scheduler.soon(`abort ${owner.label} → ${to.label}`, () => gone.abort());
        });
      }
      owner.leave(() => {
        const verdict = this.ask({ at: "deliver", ...point });
        this.#remember(record);
        if (verdict.do === "lose") record.outcome = "lost";
        else if (verdict.do === "fail") {
          answered = true;
          back("failed", 0, () => reject(lost(verdict)));
        } else {
          const deliver = () => to.accept({ from: owner.label, method, args: sent, signal: gone.signal }, reply);
          this.#scheduler.soon(`call ${owner.label} → ${to.label}.${method}`, deliver, delayOf(verdict));
        }
      });
    });
  }

  /** An answer as the caller gets it: nothing is shared with who made it. */
  answer(value: unknown, by: Owner, to: string): unknown {
    if (value instanceof Response) return responseAcross(value, this.carriage(by, by.label, to));
    return across(value, (passed) => this.#carry(passed, by, to));
  }

  carriage(by: Owner, from: string, to: string): Carriage {
    const verdict = this.ask({ at: "body", from, to });
    return { alive: () => by.alive, breakAfter: verdict.do === "truncate" ? verdict.after : null };
  }

  /** An operation of a service that is no object: D1, R2, the engine. `perform` happens at one moment; its answer comes later. */
  operation<T>(
    label: string,
    points: { before: Point; after: Point },
    failed: (verdict: Verdict & { do: "fail" }) => Error,
    perform: () => Promise<T> | T,
    gate: "output gate" | "at once" = "output gate",
  ): Promise<T> {
    const { owner, section } = current();
    if (!owner.alive) return never();
    return new Promise((resolve, reject) => {
      const back = (how: string, delayMs: number, settle: () => void) =>
        this.#scheduler.soon(`${how} ${label} → ${owner.label}`, () => this.#arrive(owner, section, settle), delayMs);
      const send = () => {
        const verdict = this.ask(points.before);
        if (verdict.do === "lose") return;
        if (verdict.do === "fail") {
          back("failed", 0, () => reject(failed(verdict)));
          return;
        }
        this.#scheduler.soon(
          `${label} for ${owner.label}`,
          async () => {
            const outcome = await settled(perform);
            const after = this.ask(points.after);
            if (after.do === "lose") return;
            if (after.do === "fail") back("failed", 0, () => reject(failed(after)));
            else if (outcome.ok) back("ok", delayOf(after), () => resolve(outcome.value));
            else back("failed", delayOf(after), () => reject(outcome.error));
          },
          delayOf(verdict),
        );
      };
      if (gate === "output gate") owner.leave(send);
      else send();
    });
  }

  #arrive(owner: Owner, section: number, settle: () => void): void {
    if (owner.alive) owner.receive(settle, section);
  }

  #args(args: readonly unknown[], owner: Owner, to: string): unknown[] {
    return args.map((argument) => across(argument, (passed) => this.#carry(passed, owner, to)));
  }

  #carry(passed: object, by: Owner, to: string): unknown {
    if (passed instanceof ReadableStream) {
      const { alive, breakAfter } = this.carriage(by, by.label, to);
      return carried(passed as ReadableStream<Uint8Array>, alive, breakAfter ?? undefined);
    }
    if (passed instanceof Response) return responseAcross(passed, this.carriage(by, by.label, to));
    const what = typeof passed === "function" ? "A function" : `An object of class ${passed.constructor?.name}`;
    throw new DOMException(`${what} could not be cloned: the simulated platform sends none.`, "DataCloneError");
  }

  #remember(record: CallRecord): void {
    this.calls.push(record);
    if (this.calls.length > KEPT_CALLS) this.calls.splice(0, KEPT_CALLS / 2);
  }
}

export const delayOf = (verdict: Verdict): number =>
  verdict.do === "delay" ? verdict.ms : verdict.do === "twice" ? 250 : 0;

/** What the platform says of a connection that broke. */
export const lost = (verdict: Verdict & { do: "fail" }): Error =>
  Object.assign(new Error(verdict.message ?? "Network connection lost."), {
    retryable: verdict.retryable ?? true,
    overloaded: verdict.overloaded ?? false,
    remote: false,
  });

async function settled<T>(perform: () => Promise<T> | T) {
  try {
    return { ok: true as const, value: await perform() };
  } catch (error) {
    return { ok: false as const, error };
  }
}

function whenAborted(signal: AbortSignal, act: () => void): void {
  if (signal.aborted) act();
  else signal.addEventListener("abort", act, { once: true });
}
