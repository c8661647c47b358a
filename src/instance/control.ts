import { z } from "zod";
import type { ErrorCode } from "../errors/codes.ts";
import type { Epoch } from "../ids.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import { withDeadline } from "../runtime/deadline.ts";
import { failedBy } from "../runtime/failure.ts";
import type { ContainerRuntime } from "../runtime/port.ts";
import { classifySync, saveCodeOf } from "../sync/classify.ts";
import { encodeName } from "../vault/names.ts";
import { bytesWithin } from "./bounded.ts";
import { type Listing, parseListing } from "./manifest.ts";

/** What tells one start of a container from another, and opens its control port, its agent and its storage. */
export interface BootKeys {
  bootId: string;
  bootKey: string;
  accessKeyId: string;
}

const NUL = new Uint8Array(1);
export const CONTROL_PORT = 41800;
const ORIGIN = "http://container";
/** The time for an answer beyond what the operation itself may take. */
const MARGIN_MS = 15_000;
const MAX_ANSWER_BYTES = 1_048_576;
/** What an object has the memory to take apart, excluded files included: some 400,000 of them. */
const MAX_LISTING_BYTES = 48 * 1_048_576;
const TOO_MANY_FILES =
  "There are more files and directories than can be listed (about 400,000, those of `exclude` too): keep fewer, or put some into archives.";

const statusAnswer = z.object({
  /** `failed`: it ended by itself too often, and init does not start it again. */
  workload: z.enum(["waiting", "running", "backoff", "stopped", "failed"]),
  restarts: z.number(),
  lastExitCode: z.number().nullable(),
});
const claimAnswer = z.object({
  epoch: z.number(),
  restored: z.object({ files: z.number(), bytes: z.number() }).nullable(),
  timings: z.object({ applyMs: z.number(), restoreMs: z.number(), verifyMs: z.number() }),
});
const stopAnswer = z.object({ exitCode: z.number().nullable() });
const startAnswer = statusAnswer.pick({ workload: true });
const bundleAnswer = z.object({ status: z.number(), body: z.string() });
const agentAnswer = z.object({ agent: z.string() });
const directoryAnswer = z.object({ created: z.boolean() });
const placeAnswer = z.object({ placed: z.boolean() });
const errorAnswer = z.object({ error: z.string(), detail: z.string() });
const bootAnswer = z.object({ bootId: z.string() });

export type WorkloadStatus = z.output<typeof statusAnswer>;
export type Claimed = z.output<typeof claimAnswer>;

/** What the container's own error codes (docs/container.md) mean outside. */
const CODES: Readonly<Record<string, ErrorCode>> = {
  unauthorized: "container_unavailable",
  not_booted: "container_unavailable",
  already_booted: "container_unavailable",
  already_claimed: "stale_epoch",
  restore_failed: "restore_failed",
  claim_pending: "deadline_exceeded",
  bundle_failed: "save_failed",
  manifest_failed: "save_failed",
  stop_failed: "save_failed",
  start_failed: "start_failed",
  bad_directory: "save_failed",
  place_failed: "save_failed",
};

interface Call {
  method: "GET" | "POST";
  op: string;
  timeoutMs: number;
  body?: Uint8Array<ArrayBuffer>;
}

/**
 * The control port of one boot (docs/container.md). Every call has a deadline and answers an Outcome. An answer of
 * another boot is `container_unavailable`: the container that was meant is gone.
 */
export class ControlClient {
  readonly #runtime: ContainerRuntime;
  readonly #keys: BootKeys;

  constructor(runtime: ContainerRuntime, keys: BootKeys) {
    this.#runtime = runtime;
    this.#keys = keys;
  }

  /**
   * Gives a fresh container its keys, and is the first probe of its readiness: nothing of the workload's runs before.
   * The same keys again change nothing. Failure: `container_unavailable` while nothing listens, or when it has others.
   */
  async boot(timeoutMs: number): Promise<Outcome<WorkloadStatus>> {
    const { bootId, bootKey, accessKeyId } = this.#keys;
    const body = Uint8Array.from(Buffer.from(`${bootId}\n${bootKey}\n${accessKeyId}\n`));
    return await this.#json({ method: "POST", op: "boot", timeoutMs, body }, statusAnswer);
  }

  /** Also the probe for life: nothing changes by it. */
  async status(timeoutMs = 5_000): Promise<Outcome<WorkloadStatus>> {
    return await this.#json({ method: "GET", op: "status", timeoutMs }, statusAnswer);
  }

  /**
   * Applies a claim tar, once in a container's life. The same epoch again answers what is recorded, a failed restore included.
   * Failures: `restore_failed`, `stale_epoch` (claimed for another epoch).
   */
  async claim(epoch: Epoch, tar: Uint8Array<ArrayBuffer>, timeoutMs: number): Promise<Outcome<Claimed>> {
    const op = `claim&epoch=${epoch}&timeoutMs=${Math.floor(timeoutMs)}`;
    return await this.#json({ method: "POST", op, timeoutMs, body: tar }, claimAnswer);
  }

  /** Ends every process of the workload: SIGTERM, `graceMs` of patience, SIGKILL. */
  async stop(graceMs: number, timeoutMs = graceMs + MARGIN_MS): Promise<Outcome<{ exitCode: number | null }>> {
    return await this.#json({ method: "POST", op: `stop&graceMs=${graceMs}`, timeoutMs }, stopAnswer);
  }

  /** Starts a stopped workload again. */
  async start(timeoutMs = MARGIN_MS): Promise<Outcome<Pick<WorkloadStatus, "workload">>> {
    return await this.#json({ method: "POST", op: "start", timeoutMs }, startAnswer);
  }

  /** The state directory as it is now, itself first. */
  async manifest(timeoutMs: number): Promise<Outcome<Listing>> {
    return await this.#exchange({ method: "GET", op: "manifest", timeoutMs }, async (response) => {
      if (response.status !== 200) return this.#failure("manifest", await readJson(response));
      const records = await bytesWithin(MAX_LISTING_BYTES, response);
      if (!records) return failed("save_failed", TOO_MANY_FILES);
      try {
        return done(parseListing(records, response.headers));
      } catch (error) {
        if (error instanceof SyntaxError) return failed("save_failed", `manifest: ${error.message}`);
        throw error;
      }
    });
  }

  /** What was listed at that time is what the vault has. Asked for again, it changes nothing. */
  async baseline(listedAtNs: string, timeoutMs = 5_000): Promise<Outcome<null>> {
    const set = await this.#json({ method: "POST", op: `baseline&at=${listedAtNs}`, timeoutMs }, z.object({}));
    return set.ok ? done(null) : set;
  }

  /**
   * Sends paths of the state directory ("" is itself), or all of it, to the gateway as one tar. A path that is gone is
   * a failure; a refusal of the gateway is one with `extra.problem`. `times: "exact"` sends mod-times to the nanosecond, which
   * makes every entry longer.
   */
  async bundle(
    timeoutMs: number,
    paths?: readonly string[],
    times: "exact" | "seconds" = "seconds",
  ): Promise<Outcome<null>> {
    const names = paths && new Uint8Array(encodeName(paths.map((path) => `./${path}\0`).join("")));
    const op = `bundle&timeoutMs=${Math.floor(timeoutMs)}&times=${times}`;
    const call = { method: "POST", op, timeoutMs, ...(names && { body: names }) } as const;
    const sent = await this.#json(call, bundleAnswer);
    if (!sent.ok) return sent;
    const { status, body } = sent.value;
    if (status >= 200 && status < 300) return done(null);
    const problem = classifySync(`StatusCode: ${status} ${body}`);
    return failed(saveCodeOf(problem), `bundle: the gateway answered ${status}`, { extra: { problem } });
  }

  /** Starts the agent where the container was started without one. */
  async agent(timeoutMs = MARGIN_MS): Promise<Outcome<unknown>> {
    return await this.#json({ method: "POST", op: "agent", timeoutMs }, agentAnswer);
  }

  /** Makes sure that a directory is there which no symlink leads to; one that is created is the workload's. */
  async directory(path: string, timeoutMs = MARGIN_MS): Promise<Outcome<{ created: boolean }>> {
    return await this.#json({ method: "POST", op: `directory&path=${path}`, timeoutMs }, directoryAnswer);
  }

  /** Moves what the agent fetched into a directory, and deletes names from it, as the workload's user. */
  async place(path: string, from: number, deletes: readonly string[], timeoutMs: number): Promise<Outcome<unknown>> {
    const body = Uint8Array.from(Buffer.concat(deletes.flatMap((name) => [encodeName(name), NUL])));
    return await this.#json({ method: "POST", op: `place&path=${path}&from=${from}`, timeoutMs, body }, placeAnswer);
  }

  async #json<T>(call: Call, schema: z.ZodType<T>): Promise<Outcome<T>> {
    return await this.#exchange(call, async (response) => {
      const json = await readJson(response);
      const boot = bootAnswer.safeParse(json);
      if (!boot.success || boot.data.bootId !== this.#keys.bootId) return anotherBoot();
      if (response.status !== 200) return this.#failure(nameOf(call), json);
      const answer = schema.safeParse(json);
      return answer.success ? done(answer.data) : failed("internal", `${nameOf(call)}: an answer of another form`);
    });
  }

  async #exchange<T>(call: Call, read: (response: Response) => Promise<Outcome<T>>): Promise<Outcome<T>> {
    try {
      return await withDeadline(call.timeoutMs, async (signal) => {
        const request = new Request(`${ORIGIN}/cgi-bin/control?op=${call.op}`, {
          method: call.method,
          headers: { authorization: `Bearer ${this.#keys.bootKey}` },
          signal,
          ...(call.body && { body: call.body }),
        });
        return await read(await this.#runtime.fetch(CONTROL_PORT, request));
      });
    } catch (error) {
      return failedBy(error, nameOf(call));
    }
  }

  #failure(op: string, json: unknown): ReturnType<typeof failed> {
    const answer = errorAnswer.safeParse(json);
    if (!answer.success) return failed("operation_interrupted", `${op}: an answer that is not the control port's`);
    const { error, detail } = answer.data;
    return failed(CODES[error] ?? "internal", `${op}: ${detail}`, { extra: { control: error } });
  }
}

/** Without its parameters. */
const nameOf = ({ op }: Call): string => op.split("&", 1)[0] ?? op;

const anotherBoot = () =>
  failed("container_unavailable", "Another boot of the container answers: the one that was meant has ended.", {
    extra: { boot: "another" },
  });

/** Null for what is not JSON: busybox answers a script that failed with a page of its own. */
async function readJson(response: Response): Promise<unknown> {
  const bytes = await bytesWithin(MAX_ANSWER_BYTES, response);
  try {
    return bytes && JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}
