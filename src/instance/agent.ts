import { z } from "zod";
import { done, failed, type Outcome } from "../outcome.ts";
import { withDeadline } from "../runtime/deadline.ts";
import { failedBy } from "../runtime/failure.ts";
import type { ContainerRuntime } from "../runtime/port.ts";
import { classifySync, saveCodeOf } from "../sync/classify.ts";
import { type RcCall, type SyncJob, syncCall } from "../sync/options.ts";
import type { BootKeys } from "./control.ts";

export const AGENT_PORT = 41801;
/** rclone answers within milliseconds; what it does takes place in jobs. */
const CALL_TIMEOUT_MS = 5_000;
const FIRST_POLL_MS = 5;
const LONGEST_POLL_MS = 250;
const LOOK_MS = 1_000;

const startAnswer = z.object({ jobid: z.number(), executeId: z.string().optional() });
const statusAnswer = z.object({
  finished: z.boolean(),
  success: z.boolean(),
  error: z.string(),
  executeId: z.string().optional(),
});
const statsAnswer = z.object({
  bytes: z.number(),
  checks: z.number(),
  deletes: z.number(),
  errors: z.number(),
  transfers: z.number(),
  /** Among the transfers, copies that the storage makes by itself. */
  serverSideCopies: z.number().default(0),
  totalBytes: z.number(),
  totalTransfers: z.number(),
});
const listAnswer = z.object({
  list: z
    .array(
      z.object({
        Path: z.string(),
        Size: z.number(),
        ModTime: z.string(),
        Metadata: z.record(z.string(), z.string()).nullish(),
      }),
    )
    .nullable(),
});
const versionAnswer = z.object({ version: z.string() });
const errorAnswer = z.object({ error: z.string() });

export type SyncStats = z.output<typeof statsAnswer>;
/** One file of a listing; `metadata` where it was asked for. */
export interface ListedFile {
  path: string;
  size: number;
  /** RFC 3339, to the nanosecond. */
  modifiedAt: string;
  metadata: Readonly<Record<string, string>>;
}
/** A job's name outside the agent; `executeId` tells one run of the agent from the next, which counts from 1 again. */
export type AgentJob = z.output<typeof startAnswer>;

interface Timing {
  now(): number;
  sleep(ms: number): Promise<void>;
}
const REAL_TIME: Timing = {
  now: () => Date.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};

/** So often in a row an agent may leave the question for a job without an answer. */
const UNANSWERED = 4;

/** rclone's remote control inside one boot of a container (docs/container.md). */
export class AgentClient {
  readonly #runtime: ContainerRuntime;
  readonly #authorization: string;
  readonly #time: Timing;

  constructor(runtime: ContainerRuntime, keys: BootKeys, time: Timing = REAL_TIME) {
    this.#runtime = runtime;
    this.#authorization = `Basic ${btoa(`boilerhouse:${keys.bootKey}`)}`;
    this.#time = time;
  }

  async version(): Promise<Outcome<string>> {
    const answer = await this.#call({ path: "core/version", body: {} }, versionAnswer);
    return answer.ok ? done(answer.value.version) : answer;
  }

  /** Runs a job to its end. One that outlives the deadline is cancelled: `deadline_exceeded`. */
  async sync(job: SyncJob, timeoutMs: number): Promise<Outcome<SyncStats>> {
    const deadlineAt = this.#time.now() + timeoutMs;
    const begun = await this.begin(job);
    return begun.ok ? await this.finish(begun.value, deadlineAt) : begun;
  }

  async begin(job: SyncJob): Promise<Outcome<AgentJob>> {
    return await this.start(syncCall(job));
  }

  /** Begins what a call with `_async` says. */
  async start(call: RcCall): Promise<Outcome<AgentJob>> {
    return await this.#call(call, startAnswer);
  }

  /** Waits for the answer of `operations/list`. */
  async list(call: RcCall, timeoutMs: number): Promise<Outcome<ListedFile[]>> {
    const answer = await this.#call(call, listAnswer, timeoutMs);
    if (!answer.ok) return answer;
    return done(
      (answer.value.list ?? []).map(({ Path: path, Size: size, ModTime: modifiedAt, Metadata: metadata }) => ({
        path,
        size,
        modifiedAt,
        metadata: metadata ?? {},
      })),
    );
  }

  /**
   * Waits for a job, also for one that an earlier life of the caller began.
   * @param deadlineAt ms since 1970 @param look is called about every second while it runs
   */
  async finish(job: AgentJob, deadlineAt: number, look?: (stats: SyncStats) => void): Promise<Outcome<SyncStats>> {
    let pauseMs = FIRST_POLL_MS;
    let lookAt = this.#time.now() + LOOK_MS;
    let unanswered = 0;
    while (true) {
      const status = await this.#call({ path: "job/status", body: { jobid: job.jobid } }, statusAnswer);
      if (!status.ok) {
        // An agent that is busy with large files may be slow to say so: asking again changes nothing.
        unanswered += 1;
        if (status.failure.code === "deadline_exceeded" && unanswered < UNANSWERED) continue;
        return status;
      }
      unanswered = 0;
      if (job.executeId !== status.value.executeId) {
        return failed("operation_interrupted", "The agent was started again and knows nothing of the job.");
      }
      if (status.value.finished) return status.value.success ? await this.stats(job) : failedSync(status.value.error);
      if (look && this.#time.now() >= lookAt) {
        lookAt = this.#time.now() + LOOK_MS;
        const stats = await this.stats(job);
        if (stats.ok) look(stats.value);
      }
      const left = deadlineAt - this.#time.now();
      if (left <= 0) return await this.#expire(job);
      await this.#time.sleep(Math.min(pauseMs, left));
      pauseMs = Math.min(pauseMs * 2, LONGEST_POLL_MS);
    }
  }

  /** Of all transfers together, until another is set: bytes a second, or `off`. */
  async limit(rate: string): Promise<Outcome<unknown>> {
    return await this.#call({ path: "core/bwlimit", body: { rate } }, z.object({}));
  }

  async stop(job: AgentJob): Promise<Outcome<null>> {
    const stopped = await this.#call({ path: "job/stop", body: { jobid: job.jobid } }, z.object({}));
    return stopped.ok ? done(null) : stopped;
  }

  async stats(job: AgentJob): Promise<Outcome<SyncStats>> {
    return await this.#call({ path: "core/stats", body: { group: `job/${job.jobid}` } }, statsAnswer);
  }

  async #expire(job: AgentJob): Promise<Outcome<SyncStats>> {
    const stopped = await this.stop(job);
    const detail = stopped.ok ? "and was cancelled" : `and could not be cancelled: ${stopped.failure.detail}`;
    return failed("deadline_exceeded", `The transfer did not end in time ${detail}.`, {
      extra: { problem: "timeout" },
    });
  }

  async #call<T>(call: RcCall, schema: z.ZodType<T>, timeoutMs = CALL_TIMEOUT_MS): Promise<Outcome<T>> {
    try {
      return await withDeadline(timeoutMs, async (signal) => {
        const request = new Request(`http://container/${call.path}`, {
          method: "POST",
          headers: { authorization: this.#authorization, "content-type": "application/json" },
          body: JSON.stringify(call.body),
          signal,
        });
        const response = await this.#runtime.fetch(AGENT_PORT, request);
        const text = await response.text();
        if (response.status === 401) return failed("container_unavailable", "The agent of another boot answers.");
        const json: unknown = JSON.parse(text);
        if (!response.ok) return failedSync(errorAnswer.parse(json).error);
        return done(schema.parse(json));
      });
    } catch (error) {
      if (error instanceof SyntaxError || error instanceof z.ZodError) {
        return failed("internal", `${call.path}: an answer that is not rclone's`);
      }
      return failedBy(error, call.path);
    }
  }
}

function failedSync(sentence: string): ReturnType<typeof failed> {
  const problem = classifySync(sentence);
  return failed(saveCodeOf(problem), `rclone: ${sentence}`, { extra: { problem } });
}
